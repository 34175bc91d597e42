//! What an instance's store holds beside its memory: what is lent to the call that runs, the
//! clock that bounds the call, the memory limit and, for plugins that import it, an empty
//! WASI context.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cpu_time::ThreadTime;
use wasmtime::UpdateDeadline;
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};

use super::{
    error::{DeadlineExceeded, OvertimeExceeded},
    facts::{PoolFacts, Request, Response},
    lines::{LineBudget, StandardStream},
    memory::MemoryLimit,
    overtime::Overtime,
    shared::Uses,
    ticker::Ticker,
    waiting::Asking,
};
use crate::{
    config::{PluginLimits, TICK},
    total::Total,
};

/// WASI handles that one instance may have open, and random bytes that it gets in one call.
const MAX_WASI_HANDLES: usize = 1000;
const MAX_RANDOM_BYTES: u64 = 64 << 10;
/// Slices that every call gets, whatever the clock says: on an overloaded machine a worker may
/// not run for longer than a deadline, which is not the plugin's doing.
const MIN_SLICES: u32 = 5;
/// How long a call that has used up its slice leaves the worker to others.
const PAUSE: Duration = Duration::from_millis(1);
/// What a call may run for after its slice when there is no overtime left.
const PROBATION: Duration = Duration::from_micros(200);
/// A slice that ends this soon is not the call's: the engine's clock ticked right behind its
/// start.
const HARDLY_BEGUN: Duration = Duration::from_micros(250);

/// The data of one instance's store.
pub struct State {
    pub(super) plugin: Arc<str>,
    pub(super) request: Option<Box<Request>>,
    pub(super) response: Option<Box<Response>>,
    pub(super) pool: Option<Arc<PoolFacts>>,
    pub(super) lines: LineBudget,
    pub(super) memory: MemoryLimit,
    /// None but for plugins that are granted `kv` or `metrics`.
    pub(super) shared: Option<Box<Uses>>,
    /// None but for plugins that are granted `callout` or `body`.
    pub(super) asking: Option<Box<Asking>>,
    /// What bodies that are kept for plugins may have.
    pub(super) bodies: Arc<Total>,
    clock: Clock,
    wasi: Option<Box<Wasi>>,
}

/// What bounds the time of one call.
struct Clock {
    started: Instant,
    deadline: Duration,
    /// How often it has left the worker to others.
    slices: u32,
    /// What these slices were, together.
    used: Duration,
    /// Pauses behind slices that were brisk: there are more of them, which is not the call's doing.
    extra_pauses: Duration,
    /// A slice, in ticks and as time. While ticks are brisk, so are slices; what a call may use
    /// stays the same.
    slice: (u64, Duration),
    /// None while an instance starts.
    overtime: Option<Arc<Overtime>>,
    /// Since when a call runs on without overtime, by the time that its worker has run for.
    on_probation: Option<Duration>,
    ticker: Ticker,
}

struct Wasi {
    context: WasiCtx,
    table: ResourceTable,
}

impl State {
    pub(super) fn new(
        plugin: Arc<str>,
        limits: &PluginLimits,
        total: Arc<Total>,
        bodies: Arc<Total>,
        ticker: Ticker,
        with_wasi: bool,
    ) -> Self {
        let wasi = with_wasi.then(|| Box::new(Wasi::empty(&plugin, limits.log_lines)));
        Self {
            plugin,
            request: None,
            response: None,
            pool: None,
            lines: LineBudget::new(limits.log_lines),
            memory: MemoryLimit::new(limits.memory, limits.table, total),
            shared: None,
            asking: None,
            bodies,
            clock: Clock {
                started: Instant::now(),
                deadline: Duration::ZERO,
                slices: 0,
                slice: (limits.slice_ticks(), limits.slice),
                used: Duration::ZERO,
                extra_pauses: Duration::ZERO,
                overtime: None,
                on_probation: None,
                ticker,
            },
            wasi,
        }
    }

    /// Starts the clock of one call, which began at `started`. Returns its first slice, ticks.
    pub(super) fn start(&mut self, started: Instant, deadline: Duration) -> u64 {
        self.clock.started = started;
        self.clock.deadline = deadline;
        self.clock.slices = 0;
        self.clock.used = Duration::ZERO;
        self.clock.extra_pauses = Duration::ZERO;
        self.clock.on_probation = None;
        self.clock.ticker.run();
        self.clock.slice.0
    }

    /// From now on, what calls need beyond their first slice counts here.
    pub(super) fn count_overtime(&mut self, overtime: Arc<Overtime>) {
        self.clock.overtime = Some(overtime);
    }

    /// How often the last call has left the worker to others.
    pub(super) fn yields(&self) -> u32 {
        self.clock.slices
    }

    /// Called by the engine when a call has used up its slice.
    pub(super) fn slice_over(&mut self) -> wasmtime::Result<UpdateDeadline> {
        let asking = self.asking.as_ref();
        let waited = asking.map_or(Duration::ZERO, |asking| asking.waits.time());
        self.clock.slice_over(waited)
    }
}

impl Clock {
    /// Past the deadline, and soon after the slice when the plugin's overtime is used up, the call
    /// traps; else the worker serves others first. What the call has waited for the gateway does
    /// not count.
    fn slice_over(&mut self, waited: Duration) -> wasmtime::Result<UpdateDeadline> {
        let (ticks, first) = self.slice;
        let now = Instant::now();
        self.ticker.run();
        let ran = now.saturating_duration_since(self.started);
        if self.slices == 0 && ran < HARDLY_BEGUN {
            return Ok(UpdateDeadline::Continue(ticks));
        }
        let slice = self.ticker.be_brisk() * u32::try_from(ticks).unwrap_or(1);
        // The first tick comes at any time within the first one, half of it on average.
        let was_over = self.used + TICK / 2 >= first;
        self.slices += 1;
        self.used += slice;
        let is_over = self.used + TICK / 2 >= first;
        let ran = ran.saturating_sub(waited + self.extra_pauses);
        if self.used >= first * MIN_SLICES && ran >= self.deadline {
            return Err(wasmtime::Error::new(DeadlineExceeded(self.deadline)));
        }
        if let Some(overtime) = &self.overtime
            && is_over
        {
            if was_over && self.on_probation.is_none() {
                overtime.take(slice, now);
            }
            if !overtime.is_left(now) {
                // The clock does not tell a call that loops from one that its worker was kept
                // from running: what it runs for from here does.
                let ran = ThreadTime::now().as_duration();
                let since = *self.on_probation.get_or_insert(ran);
                if ran.saturating_sub(since) >= PROBATION {
                    return Err(wasmtime::Error::new(OvertimeExceeded(overtime.percent())));
                }
                overtime.tick_soon();
                return Ok(UpdateDeadline::Continue(1));
            }
        }
        if slice < first {
            self.extra_pauses += PAUSE;
        }
        Ok(UpdateDeadline::YieldCustom(
            ticks,
            Box::pin(tokio::time::sleep(PAUSE)),
        ))
    }
}

impl Wasi {
    /// No files, no sockets, no names, no environment, no arguments; what it prints is logged.
    fn empty(plugin: &Arc<str>, log_lines: u32) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_WASI_HANDLES);
        let output = StandardStream {
            plugin: Arc::clone(plugin),
            log_lines,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A call with a slice of 10 ms and these bounds, while ticks are brisk.
    fn brisk(deadline: Duration, overtime: u8) -> Clock {
        let ticker = Ticker::start().expect("a thread");
        ticker.be_brisk();
        Clock {
            started: Instant::now() - HARDLY_BEGUN,
            deadline,
            slices: 0,
            used: Duration::ZERO,
            extra_pauses: Duration::ZERO,
            slice: (5, Duration::from_millis(10)),
            overtime: Some(Arc::new(Overtime::new(overtime, Duration::ZERO, None))),
            on_probation: None,
            ticker,
        }
    }

    #[tokio::test]
    async fn a_call_has_its_whole_slice_while_ticks_are_brisk() {
        let mut clock = brisk(Duration::from_secs(60), 0);
        let mut end = || clock.slice_over(Duration::ZERO).expect("no trap yet");
        for _ in 0..3 {
            assert!(matches!(end(), UpdateDeadline::YieldCustom(5, _)));
        }
        // The fourth 2.5 ms: its slice is over, and there is no overtime.
        assert!(matches!(end(), UpdateDeadline::Continue(1)));
    }

    #[tokio::test]
    async fn five_slices_come_before_the_deadline_while_ticks_are_brisk() {
        let mut clock = brisk(Duration::ZERO, 100);
        let until_trap = (1..).find(|_| clock.slice_over(Duration::ZERO).is_err());
        assert_eq!(until_trap, Some(20), "50 ms in steps of 2.5 ms");
        assert_eq!(clock.extra_pauses, 19 * PAUSE);
    }
}
