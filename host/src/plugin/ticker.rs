//! The clock of the Wasm engines: a thread that moves their epochs on, so that no call runs on
//! unasked. It rests while there are no calls. Whoever must know soon whether a call goes on can
//! have it tick early.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

use wasmtime::{Engine, EngineWeak};

use crate::config::{LONGEST_SLICE, TICK};

/// The clock's niceness.
const PRIORITY: i32 = -10;
/// How soon it ticks when it is asked to.
const SOON: Duration = Duration::from_micros(250);
/// How long a tick is while calls use up their slices, so that others wait less for them, and
/// for how many ticks after the last that did.
const BRISK: Duration = Duration::from_micros(500);
const BRISK_TICKS: u32 = 400;
/// Ticks without a call that begins or goes on after which it rests. A call that runs is heard of
/// at the end of each of its slices.
const AWAKE: u128 = 2 * LONGEST_SLICE.as_millis() / TICK.as_millis();
/// How often it looks, while it rests, whether anybody is left who could call.
const REST: Duration = Duration::from_secs(1);

/// A handle to the clock.
#[derive(Clone)]
pub(super) struct Ticker {
    thread: Thread,
    clock: Arc<Clock>,
}

#[derive(Default)]
struct Clock {
    /// Somebody waits for the next tick.
    tick_soon: AtomicBool,
    /// A call has begun, or gone on, since the last tick.
    busy: AtomicBool,
    resting: AtomicBool,
    /// Ticks that are still to be brisk.
    brisk: AtomicU32,
    engines: Mutex<Vec<EngineWeak>>,
}

impl fmt::Debug for Ticker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticker")
    }
}

impl Ticker {
    /// Starts the clock, which ends when the last handle to it is dropped. Fails when the machine
    /// refuses a thread.
    pub(super) fn start() -> std::io::Result<Self> {
        let clock = Arc::<Clock>::default();
        let running = Arc::downgrade(&clock);
        let thread = thread::Builder::new()
            .name("plugin-ticker".to_owned())
            .spawn(move || {
                // Where the machine allows it: a tick that waits for a processor is a longer
                // slice for a call that has one.
                let _ = rustix::process::setpriority_process(None, PRIORITY);
                let mut quiet = 0;
                while let Some(clock) = running.upgrade() {
                    clock.tick();
                    quiet = clock.quiet_for(quiet);
                    let may_rest = quiet >= AWAKE && clock.may_rest();
                    let length = clock.next_tick();
                    drop(clock);
                    thread::park_timeout(if may_rest { REST } else { length });
                    let Some(clock) = running.upgrade() else {
                        return;
                    };
                    clock.resting.store(false, Ordering::SeqCst);
                    if clock.tick_soon.swap(false, Ordering::Relaxed) {
                        thread::sleep(SOON);
                    }
                }
            })?;
        Ok(Self {
            thread: thread.thread().clone(),
            clock,
        })
    }

    /// Moves this engine's epoch on as well, for as long as there is the engine.
    pub(super) fn add(&self, engine: &Engine) {
        self.clock.engines().push(engine.weak());
    }

    /// A call begins, or goes on after a slice: the clock has to run for its next one.
    pub(super) fn run(&self) {
        // The one write of a tick; all other calls only read.
        if !self.clock.busy.load(Ordering::Relaxed) {
            self.clock.busy.store(true, Ordering::SeqCst);
            if self.clock.resting.load(Ordering::SeqCst) {
                self.thread.unpark();
            }
        }
    }

    /// A call has used up its slice, and may use up others: they are to be short. Returns how
    /// long a tick was until now, which is what the slice was made of unless another call has made
    /// ticks brisk within it.
    pub(super) fn be_brisk(&self) -> Duration {
        match self.clock.brisk.swap(BRISK_TICKS, Ordering::Relaxed) {
            0 => TICK,
            _ => BRISK,
        }
    }

    /// Has it tick early, once.
    pub(super) fn soon(&self) {
        if !self.clock.tick_soon.swap(true, Ordering::Relaxed) {
            self.thread.unpark();
        }
    }
}

impl Clock {
    fn tick(&self) {
        self.engines().retain(|engine| {
            let engine = engine.upgrade();
            engine.inspect(Engine::increment_epoch).is_some()
        });
    }

    /// Ticks without a call; so many were there before this one.
    fn quiet_for(&self, before: u128) -> u128 {
        match self.busy.swap(false, Ordering::SeqCst) {
            true => 0,
            false => before + 1,
        }
    }

    /// How long the next tick is.
    fn next_tick(&self) -> Duration {
        // Only the clock itself counts down; a call that makes it brisk meanwhile loses one tick.
        let brisk = self.brisk.load(Ordering::Relaxed);
        if brisk == 0 {
            return TICK;
        }
        self.brisk.store(brisk - 1, Ordering::Relaxed);
        BRISK
    }

    /// Whether there is still no call, now that the next one sees that nobody ticks.
    fn may_rest(&self) -> bool {
        self.resting.store(true, Ordering::SeqCst);
        !self.busy.load(Ordering::SeqCst)
    }

    fn engines(&self) -> std::sync::MutexGuard<'_, Vec<EngineWeak>> {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn wait_until(what: &str, is_so: impl Fn() -> bool) {
        let begin = Instant::now();
        while !is_so() {
            assert!(begin.elapsed() < Duration::from_secs(20), "{what}");
            thread::sleep(TICK);
        }
    }

    #[test]
    fn it_rests_without_calls_and_runs_with_them() {
        let ticker = Ticker::start().expect("a thread");
        let clock = &ticker.clock;
        let is_resting = || clock.resting.load(Ordering::SeqCst);
        wait_until("it should rest", is_resting);
        ticker.run();
        let has_ticked = || !is_resting() && !clock.busy.load(Ordering::SeqCst);
        wait_until("it should run", has_ticked);
        // It runs for long enough to end the longest slice.
        thread::sleep(LONGEST_SLICE);
        assert!(!is_resting());
    }

    #[test]
    fn ticks_are_brisk_for_a_while_after_a_slice_that_was_used_up() {
        let ticker = Ticker {
            thread: thread::current(),
            clock: Arc::default(),
        };
        assert_eq!(ticker.clock.next_tick(), TICK);
        assert_eq!(ticker.be_brisk(), TICK, "what it was until now");
        assert_eq!(ticker.be_brisk(), BRISK);
        for _ in 0..BRISK_TICKS {
            assert_eq!(ticker.clock.next_tick(), BRISK);
        }
        assert_eq!(ticker.clock.next_tick(), TICK);
    }
}
