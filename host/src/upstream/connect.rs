//! A new connection to an endpoint: TCP, TLS under the pool's trust, HTTP/1.1 or HTTP/2.
//! Not a byte of a request is sent before the endpoint's certificate has been accepted.

use std::{
    io,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use http::Version;
use hyper::{client::conn::http1, rt};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::{net::TcpStream, time::timeout};

use super::{
    Connection, Connections, Name, RequestBody, Transport, end::End, h1::Exclusive, h2::Shared,
};
use crate::{
    config::{PoolHttp, PoolTimeouts},
    error::UpstreamError,
    keepalive,
    tls::{self, Alpn},
};

/// Largest response head that is read, bytes (502 above); hyper's own limit on the number of
/// its fields, 100, stays for HTTP/1.1.
pub(super) const MAX_HEAD: usize = 256 << 10;

/// Opens a connection that will return to `home` after its requests; under `name`, where that
/// is the request's own. `permit` is dropped when the connection ends.
pub async fn connect(
    address: SocketAddr,
    transport: &Transport,
    name: &Name,
    timeouts: &PoolTimeouts,
    home: &Rc<Connections>,
    permit: impl Sized + 'static,
) -> Result<Connection, UpstreamError> {
    let stream = timeout(timeouts.connect, connect_tcp(address))
        .await
        .unwrap_or(Err(UpstreamError::ConnectTimeout(timeouts.connect)))?;
    let http = transport.http;
    let Some((trust, usual)) = &transport.tls else {
        let alpn = match http {
            PoolHttp::H2 => Alpn::H2,
            PoolHttp::H1 | PoolHttp::Auto => Alpn::H1,
        };
        return speak(stream, alpn, name, home, End::default(), permit).await;
    };
    let asked = name.as_ref().unwrap_or(usual);
    let limit = timeouts.tls_handshake;
    let (stream, alpn) = connect_tls(stream, trust, asked, http, limit).await?;
    if http == PoolHttp::Auto {
        home.opened(match alpn {
            Alpn::H1 => Version::HTTP_11,
            Alpn::H2 => Version::HTTP_2,
        });
    }
    let endpoint = tls::upstream::end(stream.get_ref().1);
    let now = (Instant::now(), SystemTime::now());
    let end = End::of(endpoint, transport.own_end, now);
    speak(stream, alpn, name, home, end, permit).await
}

async fn connect_tcp(address: SocketAddr) -> Result<TcpStream, UpstreamError> {
    let stream = TcpStream::connect(address).await;
    let stream = stream.map_err(|error| connect_error(&error))?;
    // Requests are written whole; waiting for more to send would only delay them.
    let _ = stream.set_nodelay(true);
    keepalive::set(&stream);
    Ok(stream)
}

fn connect_error(error: &io::Error) -> UpstreamError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => UpstreamError::Refused,
        _ if is_local(error) => UpstreamError::Exhausted(error.to_string()),
        _ => UpstreamError::Connect(error.to_string()),
    }
}

/// No descriptor, memory or port left here; the endpoint has nothing to do with it.
fn is_local(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let of = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
    [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOMEM,
        Errno::ADDRNOTAVAIL,
    ]
    .into_iter()
    .any(of)
}

async fn connect_tls(
    stream: TcpStream,
    trust: &Arc<rustls::ClientConfig>,
    name: &ServerName<'static>,
    http: PoolHttp,
    limit: Duration,
) -> Result<(tokio_rustls::client::TlsStream<TcpStream>, Alpn), UpstreamError> {
    let connecting = tls::upstream::connect(trust, name.clone(), offers(http), stream);
    let (stream, alpn) = timeout(limit, connecting)
        .await
        .map_err(|_| UpstreamError::TlsTimeout(limit))?
        .map_err(UpstreamError::Handshake)?;
    Ok((stream, alpn))
}

/// What is offered by ALPN, the best first.
pub fn offers(http: PoolHttp) -> &'static [Alpn] {
    match http {
        PoolHttp::Auto => &[Alpn::H2, Alpn::H1],
        PoolHttp::H1 => &[Alpn::H1],
        PoolHttp::H2 => &[Alpn::H2],
    }
}

async fn speak<S>(
    stream: S,
    alpn: Alpn,
    name: &Name,
    home: &Rc<Connections>,
    end: End,
    permit: impl Sized + 'static,
) -> Result<Connection, UpstreamError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    TokioIo<S>: rt::Read + rt::Write,
{
    match alpn {
        Alpn::H1 => speak_h1(stream, name, home, end, permit).await,
        Alpn::H2 => {
            let shared = Shared::open(stream, name, home, end, permit).await?;
            Ok(home.share(shared))
        }
    }
}

async fn speak_h1<S>(
    stream: S,
    name: &Name,
    home: &Rc<Connections>,
    end: End,
    permit: impl Sized + 'static,
) -> Result<Connection, UpstreamError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    TokioIo<S>: rt::Read + rt::Write,
{
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake::<_, RequestBody>(TokioIo::new(stream))
        .await
        .map_err(|error| UpstreamError::Connect(error.to_string()))?;
    let task = tokio::task::spawn_local(async move {
        let _permit = permit;
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "upstream connection ended");
        }
    });
    Ok(Exclusive::fresh(
        sender,
        task.abort_handle(),
        name,
        home,
        end,
    ))
}
