//! Upstream servers: HTTP/1.1 or HTTP/2 over TLS or plain, answering by path (`answers`), or with
//! literal bytes, or never; counting what reached them.

mod answers;
mod counted;
mod representations;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

use crate::certs::Identity;

pub use answers::Echo;
use counted::Counted;
pub use representations::GZIP;

/// A running upstream server; stops when dropped.
#[derive(Debug)]
pub struct Upstream {
    state: Arc<State>,
    address: SocketAddr,
    identity: Option<Arc<Identity>>,
    accepting: JoinHandle<()>,
}

/// What the connections of one server share.
#[derive(Debug)]
struct State {
    name: String,
    manner: Manner,
    speaks: Speaks,
    held: Semaphore,
    seen: Seen,
}

/// Which HTTP a server speaks: by ALPN with TLS, without it by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1.1 alone.
    H1,
    /// HTTP/2 alone, with so many streams at a time.
    H2(u32),
    /// HTTP/2 or, when the client prefers it, HTTP/1.1; only with TLS.
    Both,
}

/// What reached a server.
#[derive(Debug, Default)]
struct Seen {
    connections: AtomicU64,
    handshakes: AtomicU64,
    requests: AtomicU64,
    bytes: Arc<AtomicU64>,
}

/// How a server answers.
#[derive(Debug, Clone)]
pub enum Manner {
    /// Well, by path: see `answers`.
    Http,
    /// As `Http`, with echoes for people to read: one line, and the fields of the request when
    /// its query is `fields`.
    Words,
    /// With these bytes once a request's head has come, then closes the connection. Without
    /// any, the connection is closed before the head of an answer.
    Literal(&'static [u8]),
    /// With these bytes once a request's head has come, whatever is to follow it. Then it
    /// reads on, without looking, until the other side closes.
    Early(&'static [u8]),
    /// As `Early`, but it closes its own side of the connection behind the bytes.
    EarlyAndClosed(&'static [u8]),
    /// Never: accepts connections and is silent, in the TLS handshake too.
    Silent,
}

impl Upstream {
    /// A TLS server with this identity.
    pub async fn tls(name: &str, identity: &Arc<Identity>) -> Self {
        Self::start(name, Some(identity), Manner::Http).await
    }

    /// A TLS server with a self-signed certificate of its own, for `web.internal`.
    pub async fn pinned(name: &str) -> Self {
        Self::tls(name, &Arc::new(Identity::self_signed(&["web.internal"]))).await
    }

    /// A server without TLS.
    pub async fn plain(name: &str) -> Self {
        Self::start(name, None, Manner::Http).await
    }

    /// A server on a free port of the loopback.
    pub async fn start(name: &str, identity: Option<&Arc<Identity>>, manner: Manner) -> Self {
        Self::bind("127.0.0.1:0".parse().unwrap(), name, identity, manner).await
    }

    /// A server that answers by path and speaks this.
    pub async fn speaking(name: &str, identity: Option<&Arc<Identity>>, speaks: Speaks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, name, identity, Manner::Http, speaks)
    }

    /// An HTTP/2 server with TLS and a certificate of its own, for `web.internal`.
    pub async fn h2(name: &str) -> Self {
        let identity = Arc::new(Identity::self_signed(&["web.internal"]));
        Self::speaking(name, Some(&identity), Speaks::H2(100)).await
    }

    /// A server on this address.
    pub async fn bind(
        address: SocketAddr,
        name: &str,
        identity: Option<&Arc<Identity>>,
        manner: Manner,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        Self::on(listener, name, identity, manner, Speaks::H1)
    }

    fn on(
        listener: TcpListener,
        name: &str,
        identity: Option<&Arc<Identity>>,
        manner: Manner,
        speaks: Speaks,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            name: name.to_owned(),
            manner,
            speaks,
            held: Semaphore::new(0),
            seen: Seen::default(),
        });
        let acceptor = identity.map(|identity| acceptor(identity, speaks));
        let accepting = tokio::spawn(accept(listener, acceptor, Arc::clone(&state)));
        Self {
            state,
            address,
            identity: identity.cloned(),
            accepting,
        }
    }

    /// What its echo calls itself.
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its certificate and key; panics on a server without TLS.
    pub fn identity(&self) -> &Identity {
        self.identity.as_ref().expect("an upstream with TLS")
    }

    /// TCP connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.state.seen.connections.load(Ordering::Relaxed)
    }

    /// TLS handshakes finished so far, as this side saw them.
    pub fn handshakes(&self) -> u64 {
        self.state.seen.handshakes.load(Ordering::Relaxed)
    }

    /// Requests whose head was read so far.
    pub fn requests(&self) -> u64 {
        self.state.seen.requests.load(Ordering::Relaxed)
    }

    /// Application bytes that were read so far: after TLS, so of requests alone.
    pub fn bytes(&self) -> u64 {
        self.state.seen.bytes.load(Ordering::Relaxed)
    }

    /// Lets this many requests for `/hold`, past or future, be answered.
    pub fn release(&self, requests: usize) {
        self.state.held.add_permits(requests);
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// An address of the loopback on which nobody listens.
pub async fn refusing() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// A port of the loopback that answers no SYN, as a firewall that drops them; as long as what
/// is returned lives.
#[derive(Debug)]
pub struct Dropping {
    address: SocketAddr,
    _listener: TcpListener,
    _filling: Vec<TcpStream>,
}

impl Dropping {
    /// Takes a free port and fills its queue of connections, which nobody accepts.
    pub async fn start() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut filling = Vec::new();
        let connect =
            || tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address));
        while let Ok(connected) = connect().await {
            filling.push(connected.unwrap());
            assert!(filling.len() < 100, "the queue of connections has no end");
        }
        Self {
            address,
            _listener: listener,
            _filling: filling,
        }
    }

    /// The port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Accepts TLS for this.
pub(crate) fn acceptor(identity: &Identity, speaks: Speaks) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate()], identity.key())
        .unwrap();
    let protocols: &[&str] = match speaks {
        Speaks::H1 => &["http/1.1"],
        Speaks::H2(_) => &["h2"],
        Speaks::Both => &["h2", "http/1.1"],
    };
    config.alpn_protocols = protocols.iter().map(|name| (*name).into()).collect();
    TlsAcceptor::from(Arc::new(config))
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        state.seen.connections.fetch_add(1, Ordering::Relaxed);
        connections.spawn(serve(stream, acceptor.clone(), Arc::clone(&state)));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, acceptor: Option<TlsAcceptor>, state: Arc<State>) {
    let _ = stream.set_nodelay(true);
    if matches!(state.manner, Manner::Silent) {
        return read_on(stream).await;
    }
    let Some(acceptor) = acceptor else {
        let h2 = matches!(state.speaks, Speaks::H2(_));
        return speak(stream, h2, state).await;
    };
    if let Ok(stream) = acceptor.accept(stream).await {
        state.seen.handshakes.fetch_add(1, Ordering::Relaxed);
        let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        speak(stream, h2, state).await;
    }
}

/// Keeps a connection open and reads from it, so that the peer's end is noticed.
async fn read_on(mut stream: impl AsyncRead + Unpin) {
    let mut sink = [0; 16 * 1024];
    while matches!(stream.read(&mut sink).await, Ok(1..)) {}
}

async fn speak<S>(stream: S, h2: bool, state: Arc<State>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = Counted::new(stream, Arc::clone(&state.seen.bytes));
    let stream = match state.manner {
        Manner::Literal(bytes) => return drop(literal(stream, bytes, true, &state.seen).await),
        Manner::Early(bytes) => {
            return read_on(literal(stream, bytes, false, &state.seen).await).await;
        }
        Manner::EarlyAndClosed(bytes) => {
            return read_on(literal(stream, bytes, true, &state.seen).await).await;
        }
        Manner::Http | Manner::Words | Manner::Silent => stream,
    };
    let streams = match state.speaks {
        Speaks::H2(streams) => streams,
        Speaks::H1 | Speaks::Both => 100,
    };
    let service = service_fn(move |request| answers::answer(request, Arc::clone(&state)));
    if h2 {
        let _ = http2::Builder::new(TokioExecutor::new())
            .max_concurrent_streams(streams)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        return;
    }
    let _ = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Answers a request's head with these bytes, and closes the side that it writes to.
async fn literal<S>(mut stream: S, bytes: &[u8], close: bool, seen: &Seen) -> S
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read_buf(&mut head).await {
            Ok(1..) => {}
            _ => return stream,
        }
    }
    seen.requests.fetch_add(1, Ordering::Relaxed);
    let _ = stream.write_all(bytes).await;
    let _ = if close {
        stream.shutdown().await
    } else {
        stream.flush().await
    };
    stream
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Http, body,
        client::{Client, get},
    };

    fn client(upstream: &Upstream) -> Client {
        let root = upstream.identity().certificate();
        Client::new(upstream.address(), "web.internal", root, Http::One)
    }

    #[tokio::test]
    async fn an_echo_tells_what_was_sent_and_one_connection_serves_it_all() {
        let upstream = Upstream::pinned("web-1").await;
        let client = client(&upstream);
        let url = "https://web.internal/a?b=c";
        client.get(url).await;
        let echo = client
            .get_with(url, &[("x-a", "1"), ("x-a", "2")])
            .await
            .echo();
        assert_eq!(
            (echo.upstream.as_str(), echo.target.as_str()),
            ("web-1", "/a?b=c")
        );
        assert_eq!(echo.all("x-a"), ["1", "2"]);
        let seen = (
            upstream.connections(),
            upstream.handshakes(),
            upstream.requests(),
        );
        assert_eq!(seen, (1, 1, 2));
        assert!(upstream.bytes() > 50);
    }

    #[tokio::test]
    async fn bodies_are_counted_both_ways() {
        let upstream = Upstream::pinned("web-1").await;
        let client = client(&upstream);
        let put = http::Request::put("https://web.internal/count").body(body::zeros(1_000_000));
        let counted = client.fetch(put.unwrap()).await.unwrap();
        assert_eq!(counted.text(), r#"{"bytes":1000000}"#);
        let got = client.get("https://web.internal/bytes/1000000").await;
        assert_eq!(got.body.len(), 1_000_000);
    }

    #[tokio::test]
    async fn a_cut_answer_is_no_whole_answer() {
        let upstream = Upstream::pinned("web-1").await;
        client(&upstream)
            .try_get("https://web.internal/cut/1000")
            .await
            .unwrap_err();
    }

    #[tokio::test]
    async fn a_held_request_waits_for_its_release() {
        let upstream = Upstream::pinned("web-1").await;
        let client = client(&upstream);
        let held = tokio::spawn(async move { client.get("https://web.internal/hold").await });
        crate::eventually!("the request", (upstream.requests() == 1).then_some(()));
        assert!(!held.is_finished());
        upstream.release(1);
        assert_eq!(held.await.unwrap().status, 200);
    }

    #[tokio::test]
    async fn a_literal_answer_is_sent_as_it_is() {
        let identity = Arc::new(Identity::self_signed(&["web.internal"]));
        let bytes = b"HTTP/1.1 299 Odd\r\ncontent-length: 2\r\n\r\nok";
        let upstream = Upstream::start("raw", Some(&identity), Manner::Literal(bytes)).await;
        let answer = client(&upstream)
            .fetch(get("https://web.internal/"))
            .await
            .unwrap();
        assert_eq!((answer.status.as_u16(), answer.text()), (299, "ok"));
    }
}
