//! An upstream whose every byte and every end a test says: for what no well-behaved server
//! does. Plain or over TLS; counts what reached it and what the gateway has ended.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    certs::Identity,
    gateway::Pool,
    upstream::{Speaks, acceptor},
};

/// A running upstream; stops when dropped.
#[derive(Debug)]
pub struct Scripted {
    address: SocketAddr,
    identity: Option<Arc<Identity>>,
    seen: Arc<Seen>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Seen {
    connections: AtomicU64,
    requests: AtomicU64,
    ended: AtomicU64,
}

/// How a side of a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// FIN; over TLS behind a close_notify.
    Whole,
    /// FIN, over TLS without a close_notify.
    Cut,
    /// RST.
    Reset,
}

/// One connection, as its script sees it.
#[derive(Debug)]
pub struct Talk {
    /// From 1, in the order of their coming.
    pub number: u64,
    stream: Stream,
    read: Vec<u8>,
    seen: Arc<Seen>,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Scripted {
    /// A server that leads each of its connections through this script.
    pub async fn start<F>(
        identity: Option<&Arc<Identity>>,
        script: impl Fn(Talk) -> F + Clone + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let acceptor = identity.map(|identity| acceptor(identity, Speaks::H1));
        Self {
            address,
            identity: identity.cloned(),
            seen: Arc::clone(&seen),
            accepting: tokio::spawn(accept(listener, acceptor, seen, script)),
        }
    }

    /// A server without TLS.
    pub async fn plain<F>(script: impl Fn(Talk) -> F + Clone + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::start(None, script).await
    }

    /// A server with TLS and a self-signed certificate.
    pub async fn tls<F>(script: impl Fn(Talk) -> F + Clone + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let identity = Arc::new(Identity::self_signed(&["web.internal"]));
        Self::start(Some(&identity), script).await
    }

    /// A pool of this one server.
    pub fn pool(&self) -> Pool {
        let pool = Pool::of(&format!("endpoints = [\"{}\"]", self.address));
        match &self.identity {
            Some(identity) => {
                let pin = identity.fingerprint();
                pool.with(&format!("trust.certificates = [\"{pin}\"]"))
            }
            None => pool.with("protocol = \"http\""),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections so far, handshakes that failed not among them.
    pub fn connections(&self) -> u64 {
        self.seen.connections.load(Ordering::Relaxed)
    }

    /// Heads of requests so far.
    pub fn requests(&self) -> u64 {
        self.seen.requests.load(Ordering::Relaxed)
    }

    /// Connections that the gateway has ended while the script had it wait for that.
    pub fn ended(&self) -> u64 {
        self.seen.ended.load(Ordering::Relaxed)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept<F>(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    seen: Arc<Seen>,
    script: impl Fn(Talk) -> F + Clone + Send + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, seen, script) = (acceptor.clone(), Arc::clone(&seen), script.clone());
        connections.spawn(async move {
            let _ = stream.set_nodelay(true);
            let stream = match acceptor {
                None => Stream::Plain(stream),
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => Stream::Tls(Box::new(stream)),
                    Err(_) => return,
                },
            };
            let talk = Talk {
                number: seen.connections.fetch_add(1, Ordering::Relaxed) + 1,
                stream,
                read: Vec::new(),
                seen,
            };
            script(talk).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

impl Talk {
    /// The head of the next request; none when the gateway ends the connection first.
    pub async fn request(&mut self) -> Option<String> {
        let head = self.until("\r\n\r\n").await;
        let requests = u64::from(head.is_some());
        self.seen.requests.fetch_add(requests, Ordering::Relaxed);
        head
    }

    /// All up to and with this text; none when the connection ends first.
    pub async fn until(&mut self, end: &str) -> Option<String> {
        loop {
            let mut windows = self.read.windows(end.len());
            if let Some(place) = windows.position(|window| window == end.as_bytes()) {
                let read: Vec<u8> = self.read.drain(..place + end.len()).collect();
                return String::from_utf8(read).ok();
            }
            self.more().await?;
        }
    }

    /// So many bytes of what follows the head; none when the connection ends first.
    pub async fn body(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.read.len() < length {
            self.more().await?;
        }
        Some(self.read.drain(..length).collect())
    }

    /// Reads on, and says how many bytes came; none at the end of the connection.
    pub async fn more(&mut self) -> Option<usize> {
        let read = match &mut self.stream {
            Stream::Plain(stream) => stream.read_buf(&mut self.read).await,
            Stream::Tls(stream) => stream.read_buf(&mut self.read).await,
        };
        read.ok().filter(|read| *read > 0)
    }

    /// Forgets what was read and not yet asked for.
    pub fn forget(&mut self) {
        self.read.clear();
    }

    /// Writes these bytes; whether the connection took them.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let written = match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(bytes.as_ref()).await,
            Stream::Tls(stream) => match stream.write_all(bytes.as_ref()).await {
                Ok(()) => stream.flush().await,
                failed => failed,
            },
        };
        written.is_ok()
    }

    /// Waits until the gateway ends the connection, which is counted.
    pub async fn held(mut self) {
        while self.more().await.is_some() {
            self.forget();
        }
        self.seen.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends this side, and waits for the other.
    pub async fn end(mut self, end: End) {
        let ended = match (&mut self.stream, end) {
            (Stream::Plain(stream), End::Reset) => stream.set_zero_linger(),
            (Stream::Tls(stream), End::Reset) => stream.get_ref().0.set_zero_linger(),
            (Stream::Tls(stream), End::Whole) => stream.shutdown().await,
            (Stream::Tls(stream), End::Cut) => stream.get_mut().0.shutdown().await,
            (Stream::Plain(stream), End::Whole | End::Cut) => stream.shutdown().await,
        };
        if ended.is_ok() && end != End::Reset {
            self.held().await;
        }
    }
}
