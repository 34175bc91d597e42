//! The Wasm engine: one for the process, made at start. It bounds what all plugins together
//! may use, and its ticker makes sure that no call runs on unasked.

use std::sync::Arc;

use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
    component::{HasSelf, Linker},
};

use super::{
    bindings::Plugin, clock, memory::TotalMemory, shared::Registry, state::State, ticker::Ticker,
};
use crate::config::MAX_TABLE;

/// Instances alive in the whole process, all plugins and workers together.
const MAX_INSTANCES: u32 = 2_000;
/// Most memory that any plugin can be given, bytes; the range of `memory` ends here.
pub(super) const MAX_MEMORY: usize = 1 << 30;

/// Compiles components and links them to what plugins may import.
#[derive(Clone)]
pub struct PluginEngine {
    pub(super) engine: Engine,
    pub(super) linker: Linker<State>,
    pub(super) memory: Arc<TotalMemory>,
    pub(super) ticker: Ticker,
    /// What each plugin's versions share.
    pub(super) shared: Arc<Registry>,
}

impl PluginEngine {
    /// Starts the engine and its ticker, which ends when the last engine is dropped.
    ///
    /// Fails when the machine does not give the address space for the instances' memories or
    /// refuses a thread.
    pub fn new() -> wasmtime::Result<Self> {
        let engine = Engine::new(&config(true)).or_else(|error| {
            tracing::warn!(%error, "no address space for pooled plugin memories; they are mapped one by one");
            Engine::new(&config(false))
        })?;
        let mut linker = Linker::new(&engine);
        Plugin::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        let ticker = Ticker::start(&engine)?;
        clock::start();
        let memory = Arc::new(TotalMemory::new(usize::MAX));
        Ok(Self {
            engine,
            linker,
            memory,
            ticker,
            shared: Arc::default(),
        })
    }
}

impl PluginEngine {
    /// How much linear memory all instances together may have, bytes; without end until it is
    /// set.
    pub fn limit_memory(&self, bytes: usize) {
        self.memory.set_limit(bytes);
    }

    /// How much they have, bytes.
    pub fn memory(&self) -> usize {
        self.memory.used()
    }
}

fn config(pooled: bool) -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true).concurrency_support(false);
    if pooled {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(MAX_INSTANCES)
            .total_core_instances(MAX_INSTANCES * 4)
            .total_memories(MAX_INSTANCES)
            .total_tables(MAX_INSTANCES * 4)
            .total_stacks(MAX_INSTANCES)
            .max_component_instance_size(1 << 20)
            .max_memory_size(MAX_MEMORY)
            .table_elements(MAX_TABLE as usize);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
}
