//! What plugins say: lines of the gateway's log under the plugin's name, escaped, cut and
//! counted. WASI's stdout and stderr end here too.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use super::bindings::witgate::plugin::log::Level;

/// Longest message that is kept, bytes; what `log.wit` promises.
const MAX_MESSAGE: usize = 4096;
/// Counts the lines of one instance, second by second.
#[derive(Debug)]
pub(super) struct LineBudget {
    /// Lines that it may write per second; further ones are counted.
    per_second: u32,
    second: Instant,
    written: u32,
    dropped: u64,
}

impl LineBudget {
    /// So many lines a second.
    pub(super) fn new(per_second: u32) -> Self {
        Self {
            per_second,
            second: Instant::now(),
            written: 0,
            dropped: 0,
        }
    }

    /// Whether one more line may be written; reports what the second before had to drop.
    pub(super) fn take(&mut self, plugin: &str) -> bool {
        if self.second.elapsed() >= Duration::from_secs(1) {
            if self.dropped > 0 {
                tracing::warn!(
                    plugin,
                    dropped = self.dropped,
                    "plugin logs too much; lines dropped"
                );
            }
            *self = Self::new(self.per_second);
        }
        let within = self.written < self.per_second;
        match within {
            true => self.written += 1,
            false => self.dropped += 1,
        }
        within
    }
}

/// Writes one line.
pub(super) fn write_line(plugin: &str, level: Level, message: &str) {
    let message = printable(message);
    match level {
        Level::Trace => tracing::trace!(target: "witgate::plugin", plugin, "{message}"),
        Level::Debug => tracing::debug!(target: "witgate::plugin", plugin, "{message}"),
        Level::Info => tracing::info!(target: "witgate::plugin", plugin, "{message}"),
        Level::Warn => tracing::warn!(target: "witgate::plugin", plugin, "{message}"),
        Level::Error => tracing::error!(target: "witgate::plugin", plugin, "{message}"),
    }
}

/// A text from a plugin cut to the limit of a message, control characters escaped, so that a plugin cannot forge
/// lines or drive a terminal.
pub(super) fn printable(message: &str) -> String {
    let cut = message.floor_char_boundary(MAX_MESSAGE.min(message.len()));
    let mut out = String::with_capacity(cut);
    for c in message[..cut].chars() {
        match c.is_control() {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    if cut < message.len() {
        out.push('…');
    }
    out
}

/// WASI's stdout and stderr of one instance, as lines of level info.
#[derive(Clone)]
pub(super) struct StandardStream {
    pub(super) plugin: Arc<str>,
    pub(super) log_lines: u32,
}

impl IsTerminal for StandardStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for StandardStream {
    /// Only WASI 0.3 asks for it, which is not linked.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Lines {
            plugin: Arc::clone(&self.plugin),
            line: Vec::new(),
            budget: LineBudget::new(self.log_lines),
        })
    }
}

/// Collects bytes until a line is whole; what exceeds a line's limit is dropped.
struct Lines {
    plugin: Arc<str>,
    line: Vec<u8>,
    budget: LineBudget,
}

impl Lines {
    fn end_line(&mut self) {
        if !self.line.is_empty() && self.budget.take(&self.plugin) {
            write_line(
                &self.plugin,
                Level::Info,
                &String::from_utf8_lossy(&self.line),
            );
        }
        self.line.clear();
    }
}

impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        for byte in bytes {
            match byte {
                b'\n' => self.end_line(),
                _ if self.line.len() < MAX_MESSAGE => self.line.push(byte),
                _ => {}
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_MESSAGE)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable("a\nb\u{1b}[0m"), "a\\nb\\u{1b}[0m");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let cut = printable(&"é".repeat(MAX_MESSAGE));
        assert_eq!(cut.chars().count(), MAX_MESSAGE / 2 + 1);
        assert!(cut.ends_with('…'));
    }

    #[test]
    fn lines_above_the_budget_are_refused() {
        let mut budget = LineBudget::new(100);
        let kept = (0..110).filter(|_| budget.take("p")).count();
        assert_eq!(kept, 100);
        assert_eq!(budget.dropped, 10);
    }
}
