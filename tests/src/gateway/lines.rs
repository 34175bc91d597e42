//! The lines that a process has written so far.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// Lines of one output, read as they come, without terminal colours.
#[derive(Debug, Clone)]
pub(super) struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// Reads in the background, to the end.
    pub(super) fn read(output: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let lines = Self(Arc::default());
        let written = lines.clone();
        tokio::spawn(async move {
            let mut output = BufReader::new(output).lines();
            while let Ok(Some(line)) = output.next_line().await {
                written.0.lock().unwrap().push(plain(&line));
            }
        });
        lines
    }

    /// All lines so far.
    pub(super) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// The lines so far, those that do not start with a time joined to the one before.
    pub(super) fn entries(&self) -> Vec<String> {
        let mut entries: Vec<String> = Vec::new();
        for line in self.all() {
            match entries.last_mut() {
                Some(entry) if !line.starts_with(|c: char| c.is_ascii_digit()) => {
                    *entry = format!("{entry}\n{line}");
                }
                _ => entries.push(line),
            }
        }
        entries
    }

    /// The `address` field of the first line with this message and this field.
    pub(super) fn address(&self, message: &str, field: &str) -> Option<SocketAddr> {
        let has_field = |line: &str| {
            line.replace('"', "")
                .split(' ')
                .any(|w| w.starts_with(field))
        };
        let lines = self.all();
        let line = lines
            .iter()
            .find(|line| line.contains(message) && has_field(line))?;
        let value = line.split("address=").nth(1)?.split_whitespace().next()?;
        value.trim_matches('"').parse().ok()
    }
}

/// A line without escape sequences (ECMA-48 `CSI … m`).
fn plain(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let first = parts.next().unwrap_or("").to_owned();
    parts.fold(first, |plain, part| {
        plain + part.split_once('m').map_or("", |(_, rest)| rest)
    })
}
