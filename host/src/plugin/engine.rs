//! The Wasm engines. They bound what all plugins together may use, and their ticker makes sure
//! that no call runs on unasked. One is made at start, others for the first plugin that needs them:
//! for plugins that wait, since what it takes to have several calls under way in one instance
//! makes each call of Wasm dearer, and plain plugins would pay for it; and for each other size of
//! stack, which is an engine's to know.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
    component::{Component, HasSelf, Linker},
};

use witgate_compiled_code::{CompiledCode, Found};

use super::{
    bindings::{Plugin, v0_2},
    clock,
    compile::Compiler,
    error::LoadError,
    shared::Registry,
    state::State,
    ticker::Ticker,
    version::Digest,
};
use crate::{
    config::{MAX_TABLE, PluginLimits},
    total::Total,
};

/// Instances alive in the whole process, all plain plugins and workers together.
const MAX_INSTANCES: u32 = 2_000;
/// The same of plugins that wait.
const MAX_WAITING_INSTANCES: u32 = 1_000;
/// The same of each engine for another size of stack.
const MAX_OTHER_INSTANCES: u32 = 500;
/// Engines for other sizes of stack at a time: each takes 2 TiB of the 128 TiB of addresses that a
/// process has.
const MAX_OTHERS: usize = 4;
/// What a call has for the host's functions, below its own stack: bytes.
const HOST_STACK: usize = 3 << 19;
/// Most memory that any plugin can be given, bytes; the range of `memory` ends here.
pub(super) const MAX_MEMORY: usize = 1 << 30;

/// Compiles components and links them to what plugins may import.
#[derive(Clone)]
pub struct PluginEngine {
    plain: Arc<Runtime>,
    ticker: Ticker,
    more: Arc<Mutex<More>>,
    pub(super) memory: Arc<Total>,
    /// Bodies that are kept for plugins.
    pub(super) bodies: Arc<Total>,
    /// What each plugin's versions share.
    pub(super) shared: Arc<Registry>,
    compiler: Compiler,
    /// Where compiled code is kept. Nothing of a request looks at it.
    kept: Arc<Mutex<Option<Arc<CompiledCode>>>>,
}

/// What was made for plugins that need it.
#[derive(Default)]
struct More {
    waiting: Option<Arc<Runtime>>,
    /// Those for other sizes of stack, gone with the last version that uses them.
    others: Vec<Weak<Runtime>>,
}

/// One engine with what goes with it.
pub(super) struct Runtime {
    kind: Kind,
    stack: usize,
    pub(super) engine: Engine,
    pub(super) linker: Linker<State>,
    pub(super) ticker: Ticker,
}

impl Runtime {
    fn new(kind: Kind, stack: usize, ticker: &Ticker) -> wasmtime::Result<Arc<Self>> {
        let config = |pooled| config(kind, stack, pooled);
        let engine = Engine::new(&config(true)).or_else(|error| {
            tracing::warn!(%error, "no address space for pooled plugin memories; they are mapped one by one");
            Engine::new(&config(false))
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
        ticker.add(&engine);
        Ok(Arc::new(Self {
            kind,
            stack,
            engine,
            linker,
            ticker: ticker.clone(),
        }))
    }

    fn is(&self, kind: Kind, stack: usize) -> bool {
        (self.kind, self.stack) == (kind, stack)
    }

    /// How many instances it has room for.
    pub(super) fn capacity(&self) -> u32 {
        capacity(self.kind, self.stack)
    }
}

fn capacity(kind: Kind, stack: usize) -> u32 {
    match (stack == PluginLimits::DEFAULT.stack, kind) {
        (true, Kind::Plain) => MAX_INSTANCES,
        (true, Kind::Waiting) => MAX_WAITING_INSTANCES,
        (false, _) => MAX_OTHER_INSTANCES,
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
        let mut config = config(self, PluginLimits::DEFAULT.stack, false);
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
        let ticker = Ticker::start()?;
        Ok(Self {
            plain: Runtime::new(Kind::Plain, PluginLimits::DEFAULT.stack, &ticker)?,
            ticker,
            more: Arc::default(),
            memory: Arc::new(Total::new(usize::MAX)),
            bodies: Arc::new(Total::new(usize::MAX)),
            shared: Arc::default(),
            compiler,
            kept: Arc::default(),
        })
    }

    /// The engine for plugins of a kind with this much stack; made when it is asked for first,
    /// which can fail as [`new`](Self::new) does, or since there are too many sizes by then.
    pub(super) fn runtime(&self, kind: Kind, stack: usize) -> Result<Arc<Runtime>, LoadError> {
        let is_usual = stack == PluginLimits::DEFAULT.stack;
        if kind == Kind::Plain && is_usual {
            return Ok(Arc::clone(&self.plain));
        }
        let mut more = self.more.lock().unwrap_or_else(PoisonError::into_inner);
        let there = match is_usual {
            true => more.waiting.clone(),
            false => more.others().find(|other| other.is(kind, stack)),
        };
        if let Some(runtime) = there {
            return Ok(runtime);
        }
        if !is_usual && more.others().count() >= MAX_OTHERS {
            let sizes = more.others().map(|other| other.stack).collect();
            return Err(LoadError::Stacks { stack, sizes });
        }
        let runtime = Runtime::new(kind, stack, &self.ticker).map_err(LoadError::Engine)?;
        match is_usual {
            true => more.waiting = Some(Arc::clone(&runtime)),
            false => {
                more.others.retain(|other| other.strong_count() > 0);
                more.others.push(Arc::downgrade(&runtime));
            }
        }
        Ok(runtime)
    }
}

impl More {
    fn others(&self) -> impl Iterator<Item = Arc<Runtime>> {
        self.others.iter().filter_map(Weak::upgrade)
    }
}

impl PluginEngine {
    pub(super) fn compiler(&self) -> &Compiler {
        &self.compiler
    }

    /// How much linear memory all instances together may have, and how much the bodies that are
    /// kept for them, bytes; without end until it is set.
    pub fn limit_memory(&self, memory: usize, bodies: usize) {
        self.memory.set_limit(memory);
        self.bodies.set_limit(bodies);
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

    /// How much linear memory they have, bytes.
    pub fn memory(&self) -> usize {
        self.memory.used()
    }

    /// How much bodies have, bytes.
    pub fn bodies(&self) -> usize {
        self.bodies.used()
    }
}

fn config(kind: Kind, stack: usize, pooled: bool) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        // Where this process has to compile itself, the system is short of threads.
        .parallel_compilation(false)
        .max_wasm_stack(stack)
        .async_stack_size(stack + HOST_STACK)
        .concurrency_support(kind == Kind::Waiting);
    if pooled {
        let instances = capacity(kind, stack);
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
