//! The clock of the Wasm engine: a thread that moves its epoch on, so that no call runs on
//! unasked. Whoever must know soon whether a call goes on can have it tick early.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

use wasmtime::Engine;

use crate::config::TICK;

/// How soon it ticks when it is asked to.
const SOON: Duration = Duration::from_micros(250);

/// A handle to the clock.
#[derive(Debug, Clone)]
pub(super) struct Ticker {
    thread: Thread,
    hurry: Arc<AtomicBool>,
}

impl Ticker {
    /// Starts the clock, which ends when the last engine is dropped. Fails when the machine
    /// refuses a thread.
    pub(super) fn start(engine: &Engine) -> std::io::Result<Self> {
        let engine = engine.weak();
        let hurry = Arc::<AtomicBool>::default();
        let asked = Arc::clone(&hurry);
        let thread = thread::Builder::new()
            .name("plugin-ticker".to_owned())
            .spawn(move || {
                while let Some(engine) = engine.upgrade() {
                    engine.increment_epoch();
                    drop(engine);
                    thread::park_timeout(TICK);
                    if asked.swap(false, Ordering::Relaxed) {
                        thread::sleep(SOON);
                    }
                }
            })?;
        Ok(Self {
            thread: thread.thread().clone(),
            hurry,
        })
    }

    /// Has it tick early, once.
    pub(super) fn soon(&self) {
        if !self.hurry.swap(true, Ordering::Relaxed) {
            self.thread.unpark();
        }
    }
}
