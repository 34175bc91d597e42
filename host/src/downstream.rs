//! One client connection: the PROXY protocol and the TLS handshake where they are configured, then HTTP/1.1 or HTTP/2 as ALPN has settled, each
//! request to `proxy`.

mod client_stream;
mod ending;
mod facts;
mod h1;
mod h2;
mod interim;
mod opening;

use std::{future::poll_fn, io, rc::Rc, sync::Arc, task::Poll, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use self::{client_stream::ClientStream, interim::Interim, opening::Ends};
use crate::{
    error::ConnectionFault,
    local::{OpenConnection, StreamWatch},
    plugin::{Connection, TlsSession},
    proxy::Client,
    tls::{
        Alpn,
        downstream::{Context, HandshakeCause},
    },
};

/// How long a new client may take to send its first request once the gateway leaves.
const FIRST_REQUEST: Duration = Duration::from_secs(5);

/// Serves a connection to its end.
pub async fn serve(mut open: OpenConnection, mut stream: TcpStream) {
    let (Ok(peer), Ok(local)) = (stream.peer_addr(), stream.local_addr()) else {
        return;
    };
    let ends = match admitted(&mut open, &mut stream, Ends { peer, local }).await {
        Ok(ends) => ends,
        Err(fault) => {
            open.end(fault);
            return ending::tell(&open, peer, &"it is not taken");
        }
    };
    // Answers are written whole; waiting for more to send would only delay them.
    let _ = stream.set_nodelay(true);
    match open.listener.tls.clone() {
        Some(tls) => serve_tls(open, stream, ends, &tls).await,
        None => serve_plain(open, stream, ends, Manner::Serve).await,
    }
}

/// Whose connection it is, when that client may have one more.
async fn admitted(
    open: &mut OpenConnection,
    stream: &mut TcpStream,
    seen: Ends,
) -> Result<Ends, ConnectionFault> {
    let ends = match &open.listener.proxy_protocol {
        Some(rules) => opening::announced(stream, seen, rules).await?,
        None => seen,
    };
    let snapshot = open.local.snapshot();
    let most = snapshot.shared.config.limits.connections_per_client;
    match open.admitted.is_within(ends.peer.ip(), most) {
        true => Ok(ends),
        false => Err(ConnectionFault::ClientLimit),
    }
}

/// What its requests get.
#[derive(Clone, Copy)]
enum Manner {
    /// What they ask for.
    Serve,
    /// An error that tells that TLS is spoken here.
    RefusePlain,
}

async fn serve_tls(mut open: OpenConnection, stream: TcpStream, ends: Ends, tls: &Context) {
    // Boxed: a connection that has it behind it needs no room for it.
    let stream = match Box::pin(handshake(&open, stream, tls)).await {
        Some(Opened::Tls(stream)) => stream,
        Some(Opened::Plain(stream)) => {
            return serve_plain(open, stream, ends, Manner::RefusePlain).await;
        }
        None => return,
    };
    let session = tls.session(stream.get_ref().1);
    if let Err(cause) = tls.admit(&session) {
        let listener = &open.listener.name;
        tracing::debug!(%listener, cause = cause.token(), "a session is not resumed");
        return failed(&open, cause);
    }
    let alpn = session.alpn;
    let facts = facts::of(&session, stream.get_ref().1.peer_certificates());
    open.session = Some(session);
    let connection = connection(&open, ends, Some(facts));
    let http2 = alpn == Some(Alpn::H2);
    serve_http(open, stream, connection, http2, Manner::Serve).await;
}

async fn serve_plain(open: OpenConnection, stream: TcpStream, ends: Ends, manner: Manner) {
    let limit = open.local.snapshot().shared.config.timeouts.request_head;
    let http2 = match manner {
        Manner::Serve => opening::speaks_h2(&stream, limit).await,
        Manner::RefusePlain => Ok(false),
    };
    let Ok(http2) = http2 else {
        open.end(ConnectionFault::HeadTimeout);
        return ending::tell(&open, ends.peer, &"it sent nothing");
    };
    let connection = connection(&open, ends, None);
    serve_http(open, stream, connection, http2, manner).await;
}

fn connection(open: &OpenConnection, ends: Ends, tls: Option<TlsSession>) -> Arc<Connection> {
    Arc::new(Connection {
        listener: Arc::clone(&open.listener.name),
        peer: ends.peer,
        local: ends.local,
        tls,
    })
}

async fn serve_http<S>(
    open: OpenConnection,
    stream: S,
    connection: Arc<Connection>,
    http2: bool,
    manner: Manner,
) where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let peer = connection.peer;
    let open = Rc::new(open);
    // Of the one request at a time that HTTP/1.1 has; HTTP/2 has them for each stream.
    let (watch, interim) = (Rc::<StreamWatch>::default(), Arc::<Interim>::default());
    let limit = open.local.snapshot().shared.config.timeouts.body_idle;
    let stream = ClientStream::new(stream, limit, Rc::clone(&watch), Arc::clone(&interim));
    let served = match http2 {
        true => h2::serve(&open, stream, connection).await,
        false => {
            let client = Client {
                open: Rc::clone(&open),
                connection,
                watch,
                interim: None,
            };
            h1::serve(client, stream, interim, manner).await
        }
    };
    match served {
        Err(error) => {
            if let Some(fault) = error.fault() {
                open.end(fault);
            }
            ending::tell(&open, peer, &error);
        }
        Ok(()) if open.fault().is_some() => {
            ending::tell(&open, peer, &"too much of what it sent came to nothing");
        }
        Ok(()) => {}
    }
}

/// A connection, once it is known what is spoken on it.
enum Opened {
    /// Boxed, as it moves through all that a connection comes by.
    Tls(Box<TlsStream<TcpStream>>),
    /// Nothing of it has been read.
    Plain(TcpStream),
}

async fn handshake(open: &OpenConnection, stream: TcpStream, tls: &Context) -> Option<Opened> {
    let limit = open.local.snapshot().shared.config.timeouts.tls_handshake;
    let opened = timeout(limit, async {
        if opening::is_plain(&stream).await? {
            return Ok(Opened::Plain(stream));
        }
        let acceptor = TlsAcceptor::from(Arc::clone(tls.config()));
        let stream = acceptor.accept(stream).await?;
        Ok(Opened::Tls(Box::new(stream)))
    });
    let error: io::Error = match opened.await {
        Ok(Ok(opened)) => return Some(opened),
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

/// Completes when a connection should end with what runs on it. One that is new gets
/// its first request answered: its client could not tell that it was not read.
async fn leave(open: &OpenConnection) {
    open.local.drain.wait().await;
    // Looked at whenever the connection is woken, as it is by what comes in.
    let begun = poll_fn(|_| match open.requests.have_begun() {
        true => Poll::Ready(()),
        false => Poll::Pending,
    });
    drop(timeout(FIRST_REQUEST, begun).await);
}
