//! The Wasm engine, made at start. It bounds what all plugins together may use, and its ticker
//! makes sure that no call runs on unasked. Plugins that wait run on an engine of their own,
//! made for the first of them: what it takes to have several calls under way in one instance
//! makes each call of Wasm dearer, and plain plugins would pay for it.

use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
    component::{Component, HasSelf, Linker},
};

use witgate_compiled_code::{CompiledCode, Found};

use super::{
    bindings::{Plugin, v0_2},
    clock,
    compile::Compiler,
    memory::TotalMemory,
    shared::Registry,
    state::State,
    ticker::Ticker,
    version::Digest,
};
use crate::config::MAX_TABLE;

/// Instances alive in the whole process, all plain plugins and workers together.
const MAX_INSTANCES: u32 = 2_000;
/// The same of plugins that wait.
const MAX_WAITING_INSTANCES: u32 = 1_000;
/// Most memory that any plugin can be given, bytes; the range of `memory` ends here.
pub(super) const MAX_MEMORY: usize = 1 << 30;

/// Compiles components and links them to what plugins may import.
#[derive(Clone)]
pub struct PluginEngine {
    plain: Runtime,
    /// None until a plugin needs it.
    waiting: Arc<Mutex<Option<Runtime>>>,
    pub(super) memory: Arc<TotalMemory>,
    /// What each plugin's versions share.
    pub(super) shared: Arc<Registry>,
    compiler: Compiler,
    /// Where compiled code is kept. Nothing of a request looks at it.
    kept: Arc<Mutex<Option<Arc<CompiledCode>>>>,
}

/// One engine with what goes with it.
#[derive(Clone)]
pub(super) struct Runtime {
    pub(super) engine: Engine,
    pub(super) linker: Linker<State>,
    pub(super) ticker: Ticker,
}

impl Runtime {
    fn new(kind: Kind) -> wasmtime::Result<Self> {
        let engine = Engine::new(&config(kind, true)).or_else(|error| {
            tracing::warn!(%error, "no address space for pooled plugin memories; they are mapped one by one");
            Engine::new(&config(kind, false))
        })?;
        let mut linker = Linker::new(&engine);
        match kind {
            Kind::Plain => {
                Plugin::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)
            }
            Kind::Waiting => {
                v0_2::Plugin::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)
            }
        }?;
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        let ticker = Ticker::start(&engine)?;
        Ok(Self {
            engine,
            linker,
            ticker,
        })
    }
}

/// Which plugins an engine is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Those whose calls run through.
    Plain,
    /// Those with asynchronous functions.
    Waiting,
}

impl Kind {
    /// The settings of an engine that compiles for those of this kind and runs nothing. Where
    /// instances come from is no part of what code depends on.
    pub(super) fn compiling(self) -> Config {
        let mut config = config(self, false);
        config.parallel_compilation(true);
        config
    }
}

impl PluginEngine {
    /// Starts the engine and its ticker, which ends when the last engine is dropped.
    ///
    /// Fails when the machine does not give the address space for the instances' memories or
    /// refuses a thread.
    pub fn new(compiler: Compiler) -> wasmtime::Result<Self> {
        clock::start();
        Ok(Self {
            plain: Runtime::new(Kind::Plain)?,
            waiting: Arc::default(),
            memory: Arc::new(TotalMemory::new(usize::MAX)),
            shared: Arc::default(),
            compiler,
            kept: Arc::default(),
        })
    }

    /// The engine for plugins of a kind; made when it is asked for first, which can fail as
    /// [`new`](Self::new) does.
    pub(super) fn runtime(&self, kind: Kind) -> wasmtime::Result<Runtime> {
        if kind == Kind::Plain {
            return Ok(self.plain.clone());
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = &*waiting {
            return Ok(runtime.clone());
        }
        let runtime = Runtime::new(kind)?;
        Ok(waiting.insert(runtime).clone())
    }
}

impl PluginEngine {
    pub(super) fn compiler(&self) -> &Compiler {
        &self.compiler
    }

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

    /// The component that was compiled from this WebAssembly for this engine earlier, when it is
    /// kept.
    pub(super) fn kept_code(&self, engine: &Engine, wasm: Digest) -> Option<Component> {
        match self.kept()?.find(engine, wasm.bytes()) {
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

fn config(kind: Kind, pooled: bool) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        // Where this process has to compile itself, the system is short of threads.
        .parallel_compilation(false)
        .concurrency_support(kind == Kind::Waiting);
    if pooled {
        let instances = match kind {
            Kind::Plain => MAX_INSTANCES,
            Kind::Waiting => MAX_WAITING_INSTANCES,
        };
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(instances)
            .total_core_instances(instances * 4)
            .total_memories(instances)
            .total_tables(instances * 4)
            .total_stacks(instances)
            .max_component_instance_size(1 << 20)
            .max_memory_size(MAX_MEMORY)
            .table_elements(MAX_TABLE as usize);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
}
