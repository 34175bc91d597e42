//! The Wasm engine: one for the process, made at start. It bounds what all plugins together
//! may use, and its ticker makes sure that no call runs on unasked.

use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
    component::{Component, HasSelf, Linker},
};

use witgate_compiled_code::{CompiledCode, Found};

use super::{
    bindings::Plugin, clock, memory::TotalMemory, shared::Registry, state::State, ticker::Ticker,
    version::Digest,
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
    /// Where compiled code is kept. Nothing of a request looks at it.
    kept: Arc<Mutex<Option<Arc<CompiledCode>>>>,
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
            kept: Arc::default(),
        })
    }
}

impl PluginEngine {
    /// How much linear memory all instances together may have, bytes; without end until it is
    /// set.
    pub fn limit_memory(&self, bytes: usize) {
        self.memory.set_limit(bytes);
    }

    /// Keeps compiled code there from now on; nowhere when none.
    pub fn keep_code_in(&self, kept: Option<CompiledCode>) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = kept.map(Arc::new);
    }

    fn kept(&self) -> Option<Arc<CompiledCode>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clone()
    }

    /// The component that was compiled from this WebAssembly earlier, when it is kept.
    pub(super) fn kept_code(&self, wasm: Digest) -> Option<Component> {
        match self.kept()?.find(&self.engine, wasm.bytes()) {
            Found::Code(component) => {
                tracing::debug!(%wasm, "compiled code comes from the cache");
                Some(component)
            }
            Found::Nothing => None,
            Found::Unfit(unfit) => {
                tracing::warn!(%wasm, "compiled code in the cache {unfit}; it is thrown away and made anew");
                None
            }
        }
    }

    /// Keeps a component for the next time. Blocks.
    pub(super) fn keep_code(&self, component: &Component, wasm: Digest) {
        let kept = self.kept().map(|kept| kept.keep(component, wasm.bytes()));
        if let Some(Err(error)) = kept {
            tracing::warn!(%wasm, "compiled code cannot be kept: {error}");
        }
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
