//! What an instance's store holds beside its memory: what is lent to the call that runs, the
//! clock that bounds the call, the memory limit and, for plugins that import it, an empty
//! WASI context.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use wasmtime::{ResourceLimiter, UpdateDeadline};
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};

use super::{
    error::DeadlineExceeded,
    facts::{PoolFacts, Request, Response},
    lines::{LineBudget, StandardStream},
};

/// Elements that one table may grow to; Rust plugins use a few hundred.
const MAX_TABLE_ELEMENTS: usize = 100_000;
/// Core instances, tables and memories of one component instance: a Rust plugin has about three
/// instances, one table and one memory; those made with other languages' tools a few more.
const MAX_CORE_INSTANCES: usize = 64;
const MAX_TABLES: usize = 16;
const MAX_MEMORIES: usize = 8;
/// WASI handles that one instance may have open, and random bytes that it gets in one call.
const MAX_WASI_HANDLES: usize = 1000;
const MAX_RANDOM_BYTES: u64 = 64 << 10;
/// Slices that every call gets, whatever the clock says: on an overloaded machine a worker may
/// not run for longer than a deadline, which is not the plugin's doing.
const MIN_SLICES: u32 = 5;
/// How long a call that has used up its slice leaves the worker to others.
const PAUSE: Duration = Duration::from_millis(1);

/// The data of one instance's store.
pub struct State {
    pub(super) plugin: Arc<str>,
    pub(super) request: Option<Box<Request>>,
    pub(super) response: Option<Box<Response>>,
    pub(super) pool: Option<Arc<PoolFacts>>,
    pub(super) lines: LineBudget,
    pub(super) memory: MemoryLimit,
    /// When the first slice ended. Calls that end within it, nearly all, never read the clock.
    started: Option<Instant>,
    slices: u32,
    deadline: Duration,
    wasi: Option<Box<Wasi>>,
}

struct Wasi {
    context: WasiCtx,
    table: ResourceTable,
}

impl State {
    pub(super) fn new(plugin: Arc<str>, memory: usize, with_wasi: bool) -> Self {
        let wasi = with_wasi.then(|| Box::new(Wasi::empty(&plugin)));
        Self {
            plugin,
            request: None,
            response: None,
            pool: None,
            lines: LineBudget::default(),
            memory: MemoryLimit {
                limit: memory,
                used: 0,
                denied: false,
            },
            started: None,
            slices: 0,
            deadline: Duration::ZERO,
            wasi,
        }
    }

    /// Starts the clock of one call.
    pub(super) fn start(&mut self, deadline: Duration) {
        self.started = None;
        self.slices = 0;
        self.deadline = deadline;
    }

    /// Called by the engine when a call has used up its slice: past the deadline the call
    /// traps, before it the worker serves others first.
    pub(super) fn slice_over(&mut self) -> wasmtime::Result<UpdateDeadline> {
        self.slices += 1;
        let started = *self.started.get_or_insert_with(Instant::now);
        if self.slices >= MIN_SLICES && started.elapsed() >= self.deadline {
            return Err(wasmtime::Error::new(DeadlineExceeded(self.deadline)));
        }
        Ok(UpdateDeadline::YieldCustom(
            1,
            Box::pin(tokio::time::sleep(PAUSE)),
        ))
    }
}

impl Wasi {
    /// No files, no sockets, no names, no environment, no arguments; what it prints is logged.
    fn empty(plugin: &Arc<str>) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_WASI_HANDLES);
        let output = StandardStream {
            plugin: Arc::clone(plugin),
        };
        let context = WasiCtx::builder()
            .stdout(output.clone())
            .stderr(output)
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .max_random_size(MAX_RANDOM_BYTES)
            .build();
        Self { context, table }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self
            .wasi
            .as_mut()
            .expect("a component that imports WASI is instantiated with it");
        WasiCtxView {
            ctx: &mut wasi.context,
            table: &mut wasi.table,
        }
    }
}

/// Refuses growth above the plugin's limit, all memories of the instance together, and
/// remembers that it did, so that the trap that usually follows can be told from others.
#[derive(Debug)]
pub(super) struct MemoryLimit {
    pub(super) limit: usize,
    pub(super) used: usize,
    pub(super) denied: bool,
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        let within = used <= self.limit;
        match within {
            true => self.used = used,
            false => self.denied = true,
        }
        Ok(within)
    }

    fn table_growing(
        &mut self,
        _: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE_ELEMENTS)
    }

    fn instances(&self) -> usize {
        MAX_CORE_INSTANCES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}
