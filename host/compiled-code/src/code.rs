//! The one unsafe thing: machine code from bytes.

use wasmtime::{Engine, component::Component};

use crate::seal::Opened;

/// The component in these bytes. The engine checks that it was made by its own version, for these
/// settings and this processor, but cannot check the code itself.
#[allow(
    unsafe_code,
    reason = "there is no safe way, and `Opened` is why it is sound"
)]
pub(crate) fn load(engine: &Engine, code: &Opened<'_>) -> wasmtime::Result<Component> {
    // SAFETY: `deserialize` asks for bytes that `Component::serialize` or
    // `Engine::precompile_component` has made. `Opened` can only be made by `Key::opened`, of bytes
    // that are sealed with a key; only `CompiledCode::keep` and `serve` seal, and only what one of
    // those two has just made. The key of a folder is random, is read once, from a file that only
    // this user can read or write, and is given to nobody. That of a job is random, is made by
    // `Compiler::compile` for one child, is written nowhere but into a pipe that this child alone
    // reads, and the child is this very program. So what the seal fits was made by our own
    // compiler, and has come here whole.
    unsafe { Component::deserialize(engine, code.bytes()) }
}
