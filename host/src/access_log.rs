//! The access log: one JSON line per request, written by a thread of its own. A worker
//! collects lines in a buffer and hands it over; when the writer falls behind, or cannot
//! write, lines are dropped and counted, and requests go on.

mod output;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, Receiver, SyncSender},
    },
    thread::JoinHandle,
};

use serde::Serialize;

use self::output::Output;
use crate::{
    config,
    plugin::RequestId,
    tls::{
        Fingerprint, Session,
        downstream::{ClientCertificate, Verdict},
    },
};

/// A worker's buffer is handed over when it is this full.
const BUFFER: usize = 32 << 10;
/// Buffers that may wait for the writer: 16 MiB.
const QUEUE: usize = 512;

/// Hands buffers to the writer. The writer ends when the last sender is gone.
#[derive(Debug, Clone)]
pub struct Sender {
    queue: Option<SyncSender<Lines>>,
    lost: Arc<AtomicU64>,
    reopen: Arc<AtomicBool>,
}

/// Whole lines, and how many.
#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    count: u64,
}

/// Opens the log and starts its writer. Fails when the file cannot be opened for appending.
pub fn start(config: &config::AccessLog) -> io::Result<(Sender, Option<JoinHandle<()>>)> {
    let (lost, reopen) = (Arc::default(), Arc::default());
    let Some(output) = Output::open(config)? else {
        let queue = None;
        return Ok((
            Sender {
                queue,
                lost,
                reopen,
            },
            None,
        ));
    };
    let (queue, lines) = mpsc::sync_channel(QUEUE);
    let sender = Sender {
        queue: Some(queue),
        lost: Arc::clone(&lost),
        reopen: Arc::clone(&reopen),
    };
    let writer = std::thread::Builder::new()
        .name("access-log".to_owned())
        .spawn(move || write_all(&lines, output, &lost, &reopen))?;
    Ok((sender, Some(writer)))
}

fn write_all(lines: &Receiver<Lines>, mut output: Output, lost: &AtomicU64, reopen: &AtomicBool) {
    for lines in lines {
        if reopen.swap(false, Ordering::Relaxed) {
            output.reopen();
        }
        lost.fetch_add(output.write(&lines.bytes), Ordering::Relaxed);
    }
}

impl Sender {
    /// Has the file opened again, by its path, before more is written to it.
    pub fn reopen(&self) {
        self.reopen.store(true, Ordering::Relaxed);
        if let Some(queue) = &self.queue {
            // A full queue wakes the writer as well.
            drop(queue.try_send(Lines::default()));
        }
    }

    /// Counts lines that could not be written, without keeping the writer alive.
    pub fn lost(&self) -> LostLines {
        LostLines(Arc::clone(&self.lost))
    }
}

/// Lines that could not be written since the start.
#[derive(Debug, Clone)]
pub struct LostLines(Arc<AtomicU64>);

impl LostLines {
    /// How many.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One worker's lines.
#[derive(Debug)]
pub struct AccessLog {
    sender: Sender,
    buffer: RefCell<Vec<u8>>,
    count: Cell<u64>,
}

impl AccessLog {
    /// An empty buffer in front of the writer.
    pub fn new(sender: Sender) -> Self {
        Self {
            sender,
            buffer: RefCell::default(),
            count: Cell::new(0),
        }
    }

    /// Whether lines go anywhere.
    pub fn is_on(&self) -> bool {
        self.sender.queue.is_some()
    }

    /// Adds a line.
    pub fn write(&self, entry: &Entry<'_>) {
        let mut buffer = self.buffer.borrow_mut();
        let start = buffer.len();
        if serde_json::to_writer(&mut *buffer, entry).is_err() {
            buffer.truncate(start);
            return;
        }
        buffer.push(b'\n');
        self.count.set(self.count.get() + 1);
        let full = buffer.len() >= BUFFER;
        drop(buffer);
        if full {
            self.flush();
        }
    }

    /// Hands the buffer over; never waits.
    pub fn flush(&self) {
        let bytes = std::mem::take(&mut *self.buffer.borrow_mut());
        let lines = Lines {
            bytes,
            count: self.count.take(),
        };
        if let Some(queue) = self.sender.queue.as_ref().filter(|_| lines.count > 0)
            && let Err(error) = queue.try_send(lines)
        {
            let (mpsc::TrySendError::Full(lines) | mpsc::TrySendError::Disconnected(lines)) = error;
            self.sender.lost.fetch_add(lines.count, Ordering::Relaxed);
        }
    }
}

impl Drop for AccessLog {
    /// Requests that are cut write their lines at the very end.
    fn drop(&mut self) {
        self.flush();
    }
}

/// One line. Fields that do not apply are absent.
#[derive(Debug, Serialize)]
#[allow(
    missing_docs,
    reason = "the configuration reference lists the fields for readers of the log"
)]
pub struct Entry<'a> {
    #[serde(serialize_with = "display")]
    pub time: humantime::Rfc3339Timestamp,
    #[serde(serialize_with = "display")]
    pub id: RequestId,
    pub listener: &'a str,
    pub peer: std::net::SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsEntry<'a>>,
    pub method: &'a str,
    pub authority: &'a str,
    pub path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<&'a str>,
    pub version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_version: Option<&'a str>,
    pub attempts: u32,
    pub plugins: Vec<PluginEntry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spans: Option<Vec<SpanEntry<'a>>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<&'a str, BTreeMap<&'a str, &'a str>>,
    pub duration_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_us: Option<u64>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<TunnelEntry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<&'a str>,
}

/// What the TLS handshake of the connection has agreed on.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "as above")]
pub struct TlsEntry<'a> {
    pub version: &'a str,
    pub cipher: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientEntry<'a>>,
}

/// The certificate of a client that was asked for one.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "as above")]
pub struct ClientEntry<'a> {
    #[serde(serialize_with = "display")]
    pub verify: &'a Verdict,
    #[serde(flatten)]
    pub leaf: Option<ClientLeafEntry<'a>>,
}

/// Its particulars.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "as above")]
pub struct ClientLeafEntry<'a> {
    pub subject: &'a str,
    pub issuer: &'a str,
    pub serial: &'a str,
    #[serde(serialize_with = "display")]
    pub fingerprint: Fingerprint,
}

impl<'a> TlsEntry<'a> {
    /// Of a session.
    pub fn of(session: &'a Session) -> Self {
        Self {
            version: session.version,
            cipher: session.cipher,
            server_name: session.server_name.as_deref(),
            client: session.client.as_deref().map(ClientEntry::of),
        }
    }
}

impl<'a> ClientEntry<'a> {
    fn of(client: &'a ClientCertificate) -> Self {
        Self {
            verify: &client.verdict,
            leaf: client.leaf.as_ref().map(|leaf| ClientLeafEntry {
                subject: &leaf.subject,
                issuer: &leaf.issuer,
                serial: &leaf.serial,
                fingerprint: leaf.fingerprint,
            }),
        }
    }
}

/// What a request has become that switched to another protocol.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "as above")]
pub struct TunnelEntry<'a> {
    pub protocol: &'a str,
    pub ended_by: &'a str,
}

/// One call of a plugin.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "as above")]
pub struct PluginEntry<'a> {
    pub name: &'a str,
    pub version: &'a str,
    pub role: &'a str,
    pub us: f64,
}

/// The request's place in its trace.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "as above")]
pub struct TraceEntry {
    pub id: String,
    pub span: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    pub sampled: bool,
}

/// What has taken time on its way.
#[derive(Debug, Default, Serialize)]
#[allow(missing_docs, reason = "as above")]
pub struct SpanEntry<'a> {
    pub span: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    pub start_us: f64,
    pub us: f64,
    pub outcome: String,
}

fn display<T: std::fmt::Display, S: serde::Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
