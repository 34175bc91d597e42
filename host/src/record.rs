//! The record: a share of the decisions that plugins make, each a line of JSON with what it was
//! about, in the form of a case. Written by a thread of its own; when that falls behind, or the
//! file is as large as it may be, lines are dropped and counted.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, SyncSender},
    },
};

use crate::{
    config,
    plugin::{Heard, Imports, LocalPlugin, RecordedCall, RecordedLine, Request, Response, Version},
};

/// Lines that may wait for the writer, and how long one may be, bytes.
const QUEUE: usize = 1024;
const MAX_LINE: usize = 256 << 10;

/// Where decisions are recorded; the file is closed when the last snapshot with it is gone.
#[derive(Debug)]
pub struct Recorder {
    /// As configured.
    pub rules: config::Record,
    queue: SyncSender<Vec<u8>>,
    lost: Arc<AtomicU64>,
}

impl Recorder {
    /// Opens the file, for its owner alone. Fails when it cannot be opened for appending.
    pub fn open(rules: &config::Record) -> io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&rules.path)?;
        let size = file.metadata()?.len();
        let (queue, lines) = mpsc::sync_channel(QUEUE);
        let lost = Arc::<AtomicU64>::default();
        let (counted, limit) = (Arc::clone(&lost), rules.max_size);
        std::thread::Builder::new()
            .name("record".to_owned())
            .spawn(move || write_all(&lines, file, size, limit, &counted))?;
        Ok(Self {
            rules: rules.clone(),
            queue,
            lost,
        })
    }

    /// Decisions that were to be recorded and could not be.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Whether the decisions of this plugin about the request of this id are kept.
    pub fn wants(&self, plugin: &str, request: u128) -> bool {
        let named = |plugins: &Vec<String>| plugins.iter().any(|name| name == plugin);
        request % 100 < u128::from(self.rules.share)
            && self.rules.plugins.as_ref().is_none_or(named)
    }

    /// Has what a call of this version reads of its imports noted, as far as that is kept.
    pub fn imports(&self, version: &Version) -> Option<Box<Imports>> {
        Imports::noted_for(&self.rules.imports, &version.source.sidecar.grants)
    }

    /// Keeps a decision; never waits.
    pub fn keep(
        &self,
        plugin: &LocalPlugin,
        request: &Request,
        response: Option<&Response>,
        heard: Option<Heard>,
        call: RecordedCall<'_>,
    ) {
        let (version, rules) = (&plugin.version, &self.rules);
        let line = RecordedLine::new(version, request, response, heard, call, rules);
        let line = line.and_then(|line| serde_json::to_vec(&line).ok());
        let kept = line.filter(|line| line.len() <= MAX_LINE).map(|mut line| {
            line.push(b'\n');
            self.queue.try_send(line)
        });
        if !matches!(kept, Some(Ok(()))) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write_all(
    lines: &Receiver<Vec<u8>>,
    mut file: File,
    mut size: u64,
    limit: u64,
    lost: &AtomicU64,
) {
    let mut told = false;
    for line in lines {
        let length = line.len() as u64;
        let written = match size + length <= limit {
            true => file.write_all(&line),
            false => Err(io::Error::other("it is as large as `record.max_size`")),
        };
        match written {
            Ok(()) => size += length,
            Err(error) => {
                lost.fetch_add(1, Ordering::Relaxed);
                if !told {
                    tracing::warn!(%error, "decisions are not recorded; the metric counts them");
                }
                told = true;
            }
        }
    }
}
