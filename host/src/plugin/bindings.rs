//! The WIT package `witgate:plugin@0.1.0` as Rust types and calls; nothing else.

wasmtime::component::bindgen!({
    path: "../wit/0.1",
    world: "plugin",
    imports: { default: trappable },
    exports: { default: async },
    with: {
        "witgate:plugin/types.request": super::facts::RequestHandle,
        "witgate:plugin/types.response": super::facts::ResponseHandle,
        "witgate:plugin/types.pool": super::facts::PoolHandle,
    },
});
