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
    // SAFETY: `deserialize` asks for bytes that `Component::serialize` has made. `Opened` can only
    // be made by `Key::opened`, of bytes that are sealed with the key of the folder; only
    // `CompiledCode::keep` seals, and only what `serialize` has just made. The key is random, is
    // read once, from a file that only this user can read or write, and is given to nobody.
    unsafe { Component::deserialize(engine, code.bytes()) }
}
