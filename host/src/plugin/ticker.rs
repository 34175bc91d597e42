//! The clock of the Wasm engines: a thread that moves their epochs on, so that no call runs on
//! unasked. Whoever must know soon whether a call goes on can have it tick early.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

use wasmtime::{Engine, EngineWeak};

use crate::config::TICK;

/// How soon it ticks when it is asked to.
const SOON: Duration = Duration::from_micros(250);

/// A handle to the clock.
#[derive(Clone)]
pub(super) struct Ticker {
    thread: Thread,
    clock: Arc<Clock>,
}

#[derive(Default)]
struct Clock {
    hurry: AtomicBool,
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
                while let Some(clock) = running.upgrade() {
                    clock.tick();
                    drop(clock);
                    thread::park_timeout(TICK);
                    let Some(clock) = running.upgrade() else {
                        return;
                    };
                    if clock.hurry.swap(false, Ordering::Relaxed) {
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

    /// Has it tick early, once.
    pub(super) fn soon(&self) {
        if !self.clock.hurry.swap(true, Ordering::Relaxed) {
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

    fn engines(&self) -> std::sync::MutexGuard<'_, Vec<EngineWeak>> {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
