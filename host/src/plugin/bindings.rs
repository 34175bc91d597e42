//! The WIT package `witgate:plugin@0.1.0` as Rust types and calls; nothing else.

wasmtime::component::bindgen!({
    path: "../wit/0.1",
    world: "plugin",
    imports: { default: trappable },
    exports: { default: async },
});
