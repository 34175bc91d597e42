//! One client connection: TLS handshake, then HTTP/1.1 or HTTP/2 as ALPN has settled, each
//! request to `proxy`.

mod client_stream;
mod h2_frames;
mod h2_streams;

use std::{
    convert::Infallible, fmt::Display, io, net::SocketAddr, pin::pin, rc::Rc, sync::Arc,
    time::Duration,
};

use hyper::{
    body::Incoming,
    rt,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use self::{client_stream::ClientStream, h2_frames::FrameWatch, h2_streams::Streams};
use crate::{
    config::Limits,
    error::ConnectionFault,
    local::OpenConnection,
    plugin::{Connection, TlsSession},
    proxy,
    tls::{Alpn, downstream::HandshakeCause},
};

/// The number of fields that hyper reads without being told; it keeps them on the stack then.
const DEFAULT_FIELDS: usize = 100;
/// Bytes that are held for an HTTP/2 client that does not read, per stream.
const H2_SEND_BUFFER: usize = 256 << 10;
/// A silent HTTP/2 client is pinged after this long, and cut off when it does not answer.
const H2_PING_AFTER: Duration = Duration::from_secs(60);
const H2_PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Serves a connection to its end.
pub async fn serve(mut open: OpenConnection, stream: TcpStream) {
    let Ok(peer) = stream.peer_addr() else { return };
    let Ok(local) = stream.local_addr() else {
        return;
    };
    let most = open
        .local
        .snapshot()
        .shared
        .config
        .limits
        .connections_per_client;
    if !open.admitted.is_within(peer.ip(), most) {
        open.end(ConnectionFault::ClientLimit);
        return tell(&open, peer, &"its client has too many");
    }
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
        if let Some(fault) = fault(&error) {
            open.end(fault);
        }
        tell(&open, peer, &error);
    } else if open.fault().is_some() {
        tell(&open, peer, &"too much of what it sent came to nothing");
    }
}

/// Counts and logs how a connection ended.
fn tell(open: &OpenConnection, peer: SocketAddr, error: &dyn Display) {
    let cause = open.fault().map(ConnectionFault::token);
    if let Some(fault) = open.fault() {
        open.listener.counters.of(open.local.index).ended(fault);
    }
    tracing::debug!(listener = %open.listener.name, %peer, cause, %error, "client connection ended");
}

/// Whether a connection's end was its client's fault. What happens to one in the middle of a
/// request is in that request's record.
fn fault(error: &hyper::Error) -> Option<ConnectionFault> {
    if error.is_timeout() {
        return Some(ConnectionFault::HeadTimeout);
    }
    if error.is_parse() {
        return Some(ConnectionFault::HeadInvalid);
    }
    let http2 = std::error::Error::source(error)?.downcast_ref::<h2::Error>()?;
    match http2.reason()? {
        _ if !http2.is_library() => None,
        h2::Reason::ENHANCE_YOUR_CALM => Some(ConnectionFault::H2Flood),
        h2::Reason::NO_ERROR => None,
        _ => Some(ConnectionFault::H2Invalid),
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
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let local = &open.local;
    let config = Arc::clone(&local.snapshot().shared.config);
    let service = service(Rc::clone(open), connection);
    let streams = Streams::new(Rc::clone(open), config.timeouts.body_idle);
    let stream = FrameWatch::new(stream, Rc::clone(open), config.limits.h2_idle_frames);
    let served =
        h2_builder(streams, &config.limits).serve_connection(TokioIo::new(stream), service);
    let mut served = pin!(served);
    tokio::select! {
        biased;
        result = served.as_mut() => return result,
        () = open.ended() => return Ok(()),
        () = local.drain.wait() => {}
        () = unused(open, config.timeouts.request_head) => {}
    }
    served.as_mut().graceful_shutdown();
    // Streams that run keep the connection; a client without any has this long to close.
    loop {
        let ended = async {
            tokio::select! {
                biased;
                result = served.as_mut() => result,
                () = open.ended() => Ok(()),
            }
        };
        match timeout(H2_PING_TIMEOUT, ended).await {
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

fn h2_builder(streams: Streams, limits: &Limits) -> http2::Builder<Streams> {
    let resets = usize::try_from(limits.h2_resets).unwrap_or(usize::MAX);
    let mut builder = http2::Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(H2_PING_AFTER)
        .keep_alive_timeout(H2_PING_TIMEOUT)
        .initial_stream_window_size(limits.h2_stream_window)
        .initial_connection_window_size(limits.h2_connection_window)
        .max_send_buf_size(H2_SEND_BUFFER)
        .max_concurrent_streams(limits.h2_streams)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .max_local_error_reset_streams(resets)
        .max_pending_accept_reset_streams(resets);
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
