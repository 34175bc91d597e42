//! Why a plugin file was refused, and why a call failed.

use std::time::Duration;

use witgate_compiled_code::CompileError;

use crate::config::{ConfigError, SchemaError};

/// A call did not come back with a decision. What the client sees is `error`'s to say; the
/// instance that it happened in is gone.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The plugin crashed: a panic, an out-of-bounds access, a stack overflow.
    #[error("plugin {plugin} trapped: {message}")]
    Trap {
        /// Whose fault.
        plugin: String,
        /// What the engine says, with the functions that were running.
        message: String,
    },
    /// It ran longer than its deadline.
    #[error("plugin {plugin} ran longer than its deadline of {deadline:?}")]
    Deadline {
        /// Whose fault.
        plugin: String,
        /// As configured.
        deadline: Duration,
    },
    /// It was not done within its slice, and the time that it may take of a worker is used up.
    #[error(
        "plugin {plugin} was not done within its slice of {slice:?}, and has used up its overtime of {percent} % of the \
         worker's time"
    )]
    Overtime {
        /// Whose fault.
        plugin: String,
        /// As configured.
        slice: Duration,
        /// As configured.
        percent: u8,
    },
    /// It has failed so often in a row that it is left alone for a while.
    #[error("plugin {plugin} is suspended for {left:?} more, as its calls kept failing")]
    Suspended {
        /// Whose fault.
        plugin: String,
        /// Until it is called again.
        left: Duration,
    },
    /// All plugins together want more memory than they may have.
    #[error(
        "plugin {plugin} gets no more memory: all plugins together use their limit of {limit} bytes"
    )]
    TotalMemory {
        /// Which one did not get it.
        plugin: String,
        /// As configured.
        limit: usize,
    },
    /// It asks for a body, and those that are kept for plugins have what they may have.
    #[error(
        "plugin {plugin} gets no body: what is kept of bodies for plugins is at its limit of {limit} bytes"
    )]
    TotalBodies {
        /// Which one did not get it.
        plugin: String,
        /// As configured.
        limit: usize,
    },
    /// It wanted more memory than its limit and crashed for want of it.
    #[error(
        "plugin {plugin} needs more memory than its limit of {limit} bytes (`memory` in its sidecar)"
    )]
    Memory {
        /// Whose fault.
        plugin: String,
        /// As configured.
        limit: usize,
    },
    /// All instances that it may have on this worker are busy.
    #[error("plugin {plugin} is busy: {instances} calls are running on this worker")]
    Busy {
        /// Whose fault.
        plugin: String,
        /// How many there are.
        instances: u32,
    },
    /// A further instance could not be made or did not accept its configuration.
    #[error("plugin {plugin} could not be instantiated: {message}")]
    Instantiate {
        /// Whose fault.
        plugin: String,
        /// What the engine or the plugin says.
        message: String,
    },
}

/// Trap reason: the call's wall time is up.
#[derive(Debug, thiserror::Error)]
#[error("deadline of {0:?} exceeded")]
pub(super) struct DeadlineExceeded(pub(super) Duration);

/// Trap reason: a slice is over, and so is the plugin's overtime, in percent.
#[derive(Debug, thiserror::Error)]
#[error("overtime of {0} % used up")]
pub(super) struct OvertimeExceeded(pub(super) u8);

/// Trap reason: there is no room for the body that is asked for.
#[derive(Debug, thiserror::Error)]
#[error("no room for more of bodies")]
pub(super) struct NoRoomForBodies;

/// A file cannot be taken into service. Each message says what was found and what to do.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot be read")]
    Read(#[source] std::io::Error),
    /// Neither a file nor a link to one.
    #[error("is not a regular file")]
    NotAFile,
    /// Larger than a plugin may be.
    #[error("has {size} bytes; a plugin may have {limit}")]
    TooLarge {
        /// Bytes found.
        size: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// Empty, as while a copy has only begun.
    #[error("is empty")]
    Empty,
    /// Machine code, which nobody can check.
    #[error(
        "is compiled code, which is never taken from outside; copy the .wasm that it was compiled from"
    )]
    Compiled,
    /// Does not start as WebAssembly does.
    #[error(
        "is not WebAssembly: it starts with {found}; copy the .wasm that `witgate plugin build` wrote"
    )]
    NotWasm {
        /// Its first bytes, printable.
        found: String,
    },
    /// WebAssembly that ends too early or is damaged.
    #[error(
        "is not valid WebAssembly (cut short while copying? copy beside and rename, as `witgate plugin build -o` does): \
         {message}"
    )]
    Damaged {
        /// What the parser says.
        message: String,
    },
    /// A core module that names no world.
    #[error(
        "is a core module without a `component-type` section: it was not built with witgate-sdk or wit-bindgen, or the \
         section was stripped; build it with `witgate plugin build`"
    )]
    NoComponentType,
    /// A core module whose imports wasm-bindgen's tools would replace.
    #[error(
        "was made for browsers: it imports {import:?} of wasm-bindgen's; leave out the crate or feature that brings it \
         (`js`, `wasm_js`, `wasmbind`; `cargo tree -i wasm-bindgen` says which)"
    )]
    ForBrowsers {
        /// The module that it imports from.
        import: String,
    },
    /// A core module that wit-component cannot turn into a component.
    #[error("is a core module that does not make a component: {message}")]
    Encode {
        /// What wit-component says.
        message: String,
    },
    /// Imports that no plugin is given.
    #[error(
        "imports {}, which this gateway does not offer: leave out the crate, or the tool's option, that brings it; a \
         plugin may import {offered}", list(.names)
    )]
    UnknownImports {
        /// Interface names, as imported.
        names: Vec<String>,
        /// What there is.
        offered: &'static str,
    },
    /// Built against another version of the interface.
    #[error(
        "was built against {found}; this gateway speaks {offered}: rebuild it with the witgate-sdk of this gateway's version"
    )]
    OtherVersion {
        /// As imported or exported.
        found: String,
        /// What there is.
        offered: &'static str,
    },
    /// A component of another world.
    #[error(
        "has none of the roles routing, affinity and rewriting: it exports {}; name the plugin's roles in \
         `witgate_sdk::export!`", list(.exports)
    )]
    NoRole {
        /// What it exports.
        exports: Vec<String>,
    },
    /// A role without the export that every plugin has.
    #[error(
        "does not export {name}; use `witgate_sdk::export!`, or include the world `configured`"
    )]
    NoLifecycle {
        /// The missing interface.
        name: &'static str,
    },
    /// The right names with other functions or types.
    #[error("does not fit witgate:plugin@0.1.0: {message}")]
    Mismatch {
        /// What the engine says.
        message: String,
    },
    /// The compiler's process has not made anything of it.
    #[error(transparent)]
    Compiler(CompileError),
    /// The engine cannot compile it.
    #[error("cannot be compiled: {message}")]
    Compile {
        /// What the engine says.
        message: String,
    },
    /// Compiling took too long.
    #[error("was not compiled within {limit:?}")]
    CompileTimeout {
        /// How long it had.
        limit: Duration,
    },
    /// There is an engine for each size of stack, and there are enough of them.
    #[error(
        "has a `stack` of {stack} bytes; beside the default plugins in service have {} already, and no more sizes are \
         possible: use one of these", numbers(.sizes)
    )]
    Stacks {
        /// As configured, rounded up.
        stack: usize,
        /// What others have.
        sizes: Vec<usize>,
    },
    /// An engine of its kind cannot be made.
    #[error("cannot be run: its Wasm engine cannot start: {0:#}")]
    Engine(wasmtime::Error),
    /// The sidecar allows only roles that the plugin does not have.
    #[error("has the roles {found}, but its sidecar's `roles` allows only {allowed}")]
    RolesExcluded {
        /// What the component exports.
        found: String,
        /// What the sidecar says.
        allowed: String,
    },
    /// It imports what its sidecar does not grant.
    #[error(
        "imports {}, which its sidecar does not grant: add the line `{line}` to it", list(.interfaces)
    )]
    NotGranted {
        /// As imported.
        interfaces: Vec<String>,
        /// What the sidecar should say.
        line: String,
    },
    /// The plugin crashed, hung or ate memory while it started.
    #[error("failed while it started: {0}")]
    Start(#[source] CallError),
    /// Its cases expect other decisions.
    #[error("decides its cases otherwise")]
    Cases(#[source] ConfigError),
    /// What it has as the schema of its configuration is none.
    #[error(
        "has no usable schema of its configuration in the section `{}`",
        super::component::SCHEMA
    )]
    Schema(#[source] SchemaError),
    /// Its sidecar's configuration is not what its schema says.
    #[error("refuses its configuration")]
    Configuration(#[source] ConfigError),
    /// The plugin does not accept its configuration.
    #[error("refuses its configuration: {message}")]
    Refused {
        /// The plugin's own words.
        message: String,
    },
}

fn numbers(sizes: &[usize]) -> String {
    let sizes: Vec<_> = sizes.iter().map(usize::to_string).collect();
    sizes.join(", ")
}

fn list(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        names => names
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", "),
    }
}
