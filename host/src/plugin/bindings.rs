//! The WIT package `witgate:plugin@0.1.0` as Rust types and calls, and what 0.2.0 adds to it;
//! nothing else.

wasmtime::component::bindgen!({
    path: "../wit/0.1",
    world: "plugin",
    imports: { default: trappable },
    exports: { default: async },
});

/// Of `witgate:plugin@0.2.0`: what has changed since 0.1.0. The rest is the same types.
pub mod v0_2 {
    wasmtime::component::bindgen!({
        path: ["../wit/0.1", "../wit/0.2"],
        world: "witgate:plugin/plugin@0.2.0",
        imports: { default: trappable },
        exports: { default: async },
        with: {
            "witgate:plugin/types@0.1.0": super::witgate::plugin::types,
            "witgate:plugin/request@0.1.0": super::witgate::plugin::request,
            "witgate:plugin/response@0.1.0": super::witgate::plugin::response,
            "witgate:plugin/pool@0.1.0": super::witgate::plugin::pool,
            "witgate:plugin/log@0.1.0": super::witgate::plugin::log,
            "witgate:plugin/access-log@0.1.0": super::witgate::plugin::access_log,
            "witgate:plugin/clock@0.1.0": super::witgate::plugin::clock,
            "witgate:plugin/random@0.1.0": super::witgate::plugin::random,
            "witgate:plugin/kv@0.1.0": super::witgate::plugin::kv,
            "witgate:plugin/metrics@0.1.0": super::witgate::plugin::metrics,
        },
    });
}
