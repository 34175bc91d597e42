//! The gateway's own log, on stderr. A thread of its own writes it, so that a reader that stalls
//! holds up no request; lines that find no room or cannot be written are dropped and counted.

use std::{
    io::{self, IsTerminal, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{self, LogFormat};

/// Lines that may wait for a slow reader of the log; more are dropped.
const QUEUE: usize = 10_000;

/// The log's writer; writes what is left when it is dropped.
#[derive(Debug)]
pub struct Log {
    _writer: WorkerGuard,
    lost: LostLines,
}

/// Lines that were dropped or could not be written since the start.
#[derive(Debug, Clone)]
pub struct LostLines {
    dropped: ErrorCounter,
    failed: Arc<AtomicU64>,
}

impl LostLines {
    /// How many.
    pub fn get(&self) -> u64 {
        self.dropped.dropped_lines() as u64 + self.failed.load(Ordering::Relaxed)
    }
}

impl Log {
    /// The log as the configuration says; `RUST_LOG` overrides the level.
    pub fn set_up(config: &config::Log) -> Self {
        let filter = EnvFilter::try_from_default_env()
            .unwrap_or_else(|_| EnvFilter::new(config.level.as_str().to_lowercase()));
        let failed = Arc::<AtomicU64>::default();
        let output = Counted {
            output: io::stderr(),
            failed: Arc::clone(&failed),
        };
        let (writer, guard) = NonBlockingBuilder::default()
            .buffered_lines_limit(QUEUE)
            .lossy(true)
            .finish(output);
        let dropped = writer.error_counter();
        let log = fmt()
            .with_writer(writer)
            .with_env_filter(filter)
            .with_target(false);
        // A log that is already there belongs to whoever embeds the gateway.
        drop(match config.format {
            LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).try_init(),
            LogFormat::Json => log.json().flatten_event(true).try_init(),
        });
        Self {
            _writer: guard,
            lost: LostLines { dropped, failed },
        }
    }

    /// Counts lines that are lost, without keeping the writer alive.
    pub fn lost(&self) -> LostLines {
        self.lost.clone()
    }
}

/// Counts what cannot be written instead of failing; it is given one line at a time.
struct Counted<W> {
    output: W,
    failed: Arc<AtomicU64>,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.output.write_all(line).is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // Nothing is buffered that this could lose.
        drop(self.output.flush());
        Ok(())
    }
}
