//! One client connection: TLS handshake, then HTTP/1.1 or HTTP/2 as ALPN has settled, each
//! request to `proxy`.

mod client_stream;

use std::{convert::Infallible, io, pin::pin, rc::Rc, sync::Arc, time::Duration};

use hyper::{
    body::Incoming,
    rt,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use self::client_stream::ClientStream;
use crate::{
    config::Limits,
    local::OpenConnection,
    plugin::{Connection, TlsSession},
    proxy,
    tls::{Alpn, downstream::HandshakeCause},
};

/// The number of fields that hyper reads without being told; it keeps them on the stack then.
const DEFAULT_FIELDS: usize = 100;
/// Bytes that an HTTP/2 client may send on one stream, and on all, before the gateway has
/// passed them on: the most that a slow upstream makes the gateway hold.
const H2_STREAM_WINDOW: u32 = 256 << 10;
const H2_CONNECTION_WINDOW: u32 = 1 << 20;
/// Bytes that are held for an HTTP/2 client that does not read, per stream.
const H2_SEND_BUFFER: usize = 256 << 10;
/// Streams that a client may have had reset by its own errors before its connection ends.
const H2_RESET_STREAMS: usize = 50;
/// A silent HTTP/2 client is pinged after this long, and cut off when it does not answer.
const H2_PING_AFTER: Duration = Duration::from_secs(60);
const H2_PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Serves a connection to its end.
pub async fn serve(mut open: OpenConnection, stream: TcpStream) {
    let Ok(peer) = stream.peer_addr() else { return };
    let Ok(local) = stream.local_addr() else {
        return;
    };
    // Answers are written whole; waiting for more to send would only delay them.
    let _ = stream.set_nodelay(true);
    let Some(stream) = handshake(&open, stream).await else {
        return;
    };
    let session = open.listener.tls.session(stream.get_ref().1);
    if !open.listener.tls.admits(&session) {
        return failed(&open, HandshakeCause::ClientCertificate);
    }
    let alpn = session.alpn;
    let connection = Arc::new(Connection {
        listener: Arc::clone(&open.listener.name),
        peer,
        local,
        tls: Some(TlsSession {
            version: session.version,
            cipher: session.cipher,
            server_name: session.server_name.clone(),
            alpn: alpn.map(|alpn| alpn.as_str()),
        }),
    });
    open.session = Some(session);
    let open = Rc::new(open);
    let stream = ClientStream::new(stream, body_idle(&open));
    let served = match alpn {
        Some(Alpn::H2) => serve_h2(&open, stream, connection).await,
        Some(Alpn::H1) | None => serve_h1(&open, stream, connection).await,
    };
    if let Err(error) = served {
        tracing::debug!(%peer, %error, "client connection ended");
    }
}

async fn handshake(open: &OpenConnection, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
    let snapshot = open.local.snapshot();
    let limit = snapshot.shared.config.timeouts.tls_handshake;
    drop(snapshot);
    let accepted = timeout(
        limit,
        TlsAcceptor::from(Arc::clone(open.listener.tls.config())).accept(stream),
    )
    .await;
    let error = match accepted {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => error,
        Err(_) => io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no TLS handshake within {limit:?}"),
        ),
    };
    let cause = HandshakeCause::of(&error);
    tracing::debug!(
        listener = %open.listener.name, cause = cause.token(), %error, "TLS handshake failed"
    );
    failed(open, cause);
    None
}

fn failed(open: &OpenConnection, cause: HandshakeCause) {
    let counters = open.listener.counters.of(open.local.index);
    counters.failed_handshake(cause);
}

async fn serve_h1<S>(
    open: &Rc<OpenConnection>,
    stream: S,
    connection: Arc<Connection>,
) -> hyper::Result<()>
where
    TokioIo<S>: rt::Read + rt::Write + Unpin + 'static,
{
    let local = &open.local;
    let config = Arc::clone(&local.snapshot().shared.config);
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(config.timeouts.request_head)
        .max_buf_size(config.limits.head_bytes);
    if config.limits.head_fields != DEFAULT_FIELDS {
        builder.max_headers(config.limits.head_fields);
    }
    let served =
        builder.serve_connection(TokioIo::new(stream), service(Rc::clone(open), connection));
    let mut served = pin!(served);
    tokio::select! {
        biased;
        result = served.as_mut() => return result,
        () = local.drain.wait() => served.as_mut().graceful_shutdown(),
    }
    served.await
}

async fn serve_h2<S>(
    open: &Rc<OpenConnection>,
    stream: S,
    connection: Arc<Connection>,
) -> hyper::Result<()>
where
    TokioIo<S>: rt::Read + rt::Write + Unpin + 'static,
{
    let local = &open.local;
    let config = Arc::clone(&local.snapshot().shared.config);
    let service = service(Rc::clone(open), connection);
    let served = h2_builder(&config.limits).serve_connection(TokioIo::new(stream), service);
    let mut served = pin!(served);
    tokio::select! {
        biased;
        result = served.as_mut() => return result,
        () = local.drain.wait() => {}
        () = unused(open, config.timeouts.request_head) => {}
    }
    served.as_mut().graceful_shutdown();
    // Streams that run keep the connection; a client without any has this long to close.
    loop {
        match timeout(H2_PING_TIMEOUT, served.as_mut()).await {
            Ok(result) => return result,
            Err(_) if open.requests.running() > 0 => {}
            Err(_) => return Ok(()),
        }
    }
}

/// Completes when the connection has carried no request for this long.
async fn unused(open: &OpenConnection, limit: Duration) {
    loop {
        let idle = open.requests.idle_for();
        if idle >= limit {
            return;
        }
        tokio::time::sleep(limit - idle).await;
    }
}

fn body_idle(open: &OpenConnection) -> Duration {
    open.local.snapshot().shared.config.timeouts.body_idle
}

fn h2_builder(limits: &Limits) -> http2::Builder<LocalExecutor> {
    let mut builder = http2::Builder::new(LocalExecutor);
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(H2_PING_AFTER)
        .keep_alive_timeout(H2_PING_TIMEOUT)
        .initial_stream_window_size(H2_STREAM_WINDOW)
        .initial_connection_window_size(H2_CONNECTION_WINDOW)
        .max_send_buf_size(H2_SEND_BUFFER)
        .max_concurrent_streams(limits.h2_streams)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .max_local_error_reset_streams(H2_RESET_STREAMS)
        .max_pending_accept_reset_streams(H2_RESET_STREAMS);
    builder
}

fn service(
    open: Rc<OpenConnection>,
    connection: Arc<Connection>,
) -> impl hyper::service::Service<
    hyper::Request<Incoming>,
    Response = hyper::Response<proxy::Body>,
    Error = Infallible,
    Future = impl Future<Output = Result<hyper::Response<proxy::Body>, Infallible>>,
> + use<> {
    service_fn(move |request| {
        let (open, connection) = (Rc::clone(&open), Arc::clone(&connection));
        async move { Ok(proxy::serve(open, connection, request).await) }
    })
}

/// Runs an HTTP/2 connection's streams on the worker's own thread.
#[derive(Clone)]
struct LocalExecutor;

impl<F> rt::Executor<F> for LocalExecutor
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
