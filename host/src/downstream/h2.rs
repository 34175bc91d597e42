//! HTTP/2 on a client's connection: its settings, its streams, each a task on the worker's
//! thread, its signs of life, and its end.

mod frames;
mod reply;
mod stream;
mod tunnel;

use std::{
    cell::Cell,
    future::{Future as _, poll_fn},
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use h2::{Ping, PingPong, Reason, server};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{sleep, timeout},
};

use self::frames::FrameWatch;
use super::{ending::Broken, leave};
use crate::{config::Limits, local::OpenConnection, plugin::Connection};

/// Bytes that are held for a client that does not read, per stream.
const SEND_BUFFER: usize = 256 << 10;
/// A client that has sent nothing between two looks, so far apart, is pinged.
const LOOK: Duration = Duration::from_secs(40);
/// It is cut off when it does not answer within this time.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a client without requests may take to close once it is told to.
const CLOSE: Duration = Duration::from_secs(5);
/// How often it has as long again, for as long as it is heard of.
const MOST_CLOSES: u32 = 24;

/// Serves a connection to its end.
///
/// # Errors
/// How it broke.
pub(super) async fn serve<S>(
    open: &Rc<OpenConnection>,
    stream: S,
    connection: Arc<Connection>,
) -> Result<(), Broken>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = Arc::clone(&open.local.snapshot().shared.config);
    let leaves = Cell::new(false);
    let heard = Rc::new(Cell::new(0));
    let mut served = pin!(drive(open, stream, connection, &leaves, &heard));
    tokio::select! {
        biased;
        result = served.as_mut() => return result,
        () = open.ended() => return Ok(()),
        () = leave(open) => {}
        () = unused(open, config.timeouts.request_head) => {}
    }
    leaves.set(true);
    // Streams that run keep the connection, and so does a client that still takes in the end of its
    // answer, and says so; one without any has this long to close.
    let mut grace = MOST_CLOSES;
    loop {
        let heard_before = heard.get();
        let ended = async {
            tokio::select! {
                biased;
                result = served.as_mut() => result,
                () = open.ended() => Ok(()),
            }
        };
        match timeout(CLOSE, ended).await {
            Ok(result) => return result,
            Err(_) if open.requests.running() > 0 => {}
            Err(_) if grace > 0 && heard.get() != heard_before => grace -= 1,
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
        sleep(limit - idle).await;
    }
}

/// Moves frames, and starts a task for each stream. Once the connection `leaves`, its client is
/// told to open no more streams (RFC 9113 §6.8), and it ends with those that run.
async fn drive<S>(
    open: &Rc<OpenConnection>,
    stream: S,
    connection: Arc<Connection>,
    leaves: &Cell<bool>,
    heard: &Rc<Cell<u64>>,
) -> Result<(), Broken>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = Arc::clone(&open.local.snapshot().shared.config);
    let most = config.limits.h2_idle_frames;
    let stream = FrameWatch::new(stream, Rc::clone(open), Rc::clone(heard), most);
    let websockets = open.listener.requests.upgrades.allow("websocket");
    let opened = settings(&config.limits, websockets).handshake::<_, Bytes>(stream);
    let mut http = opened.await?;
    let pings = http.ping_pong().expect("taken once");
    let mut silence = pin!(silence(pings, heard, LOOK, PING_TIMEOUT));
    let mut is_silent = false;
    poll_fn(|cx| {
        if leaves.take() {
            http.graceful_shutdown();
        }
        if !is_silent && silence.as_mut().poll(cx).is_ready() {
            is_silent = true;
            http.abrupt_shutdown(Reason::NO_ERROR);
        }
        while let Some(accepted) = ready!(http.poll_accept(cx)) {
            let (request, respond) = accepted?;
            let (open, connection) = (Rc::clone(open), Arc::clone(&connection));
            let limit = config.timeouts.body_idle;
            let served = stream::serve(open, connection, request, respond, limit);
            tokio::task::spawn_local(served);
        }
        Poll::Ready(match is_silent {
            true => Err(Broken::Silent),
            false => Ok(()),
        })
    })
    .await
}

fn settings(limits: &Limits, websockets: bool) -> server::Builder {
    let resets = usize::try_from(limits.h2_resets).unwrap_or(usize::MAX);
    let mut builder = server::Builder::new();
    builder
        .initial_window_size(limits.h2_stream_window)
        .initial_connection_window_size(limits.h2_connection_window)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_streams(limits.h2_streams)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .max_local_error_reset_streams(Some(resets))
        .max_pending_accept_reset_streams(resets);
    if websockets {
        builder.enable_connect_protocol();
    }
    builder
}

/// Completes when a ping has had no answer in time. `heard` counts what has come; without change
/// from one look to the next, a ping is sent.
async fn silence(mut pings: PingPong, heard: &Cell<u64>, look: Duration, limit: Duration) {
    loop {
        let before = heard.get();
        sleep(look).await;
        if heard.get() != before {
            continue;
        }
        let answered = match pings.send_ping(Ping::opaque()) {
            Ok(()) => timeout(limit, poll_fn(|cx| pings.poll_pong(cx))).await,
            Err(error) => Ok(Err(error)),
        };
        match answered {
            Ok(Ok(_)) => {}
            // The connection has ended, which its own future tells.
            Ok(Err(_)) => std::future::pending().await,
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt as _, DuplexStream};

    use super::*;

    const LOOK: Duration = Duration::from_millis(20);
    const LIMIT: Duration = Duration::from_millis(100);
    const ENOUGH: Duration = Duration::from_secs(1);

    /// Whether silence falls on this connection, of which `hears` is called at each look.
    async fn falls_silent(gateway: DuplexStream, hears: impl Fn(&Cell<u64>)) -> bool {
        let opened = server::Builder::new().handshake::<_, Bytes>(gateway);
        let mut http = opened.await.expect("the client's preface");
        let pings = http.ping_pong().expect("taken once");
        let heard = Cell::new(0);
        let hearing = async {
            loop {
                hears(&heard);
                sleep(LOOK / 2).await;
            }
        };
        tokio::select! {
            () = silence(pings, &heard, LOOK, LIMIT) => true,
            accepted = http.accept() => panic!("{accepted:?}"),
            () = hearing => false,
            () = sleep(ENOUGH) => false,
        }
    }

    async fn deaf_client() -> (DuplexStream, DuplexStream) {
        let (mut client, gateway) = tokio::io::duplex(1024);
        let opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        client.write_all(opening).await.expect("it fits");
        (client, gateway)
    }

    #[tokio::test]
    async fn a_client_that_answers_no_ping_has_gone() {
        let (_client, gateway) = deaf_client().await;
        assert!(falls_silent(gateway, |_| {}).await);
    }

    #[tokio::test]
    async fn a_client_that_sends_is_not_pinged() {
        let (_client, gateway) = deaf_client().await;
        assert!(!falls_silent(gateway, |heard| heard.set(heard.get() + 1)).await);
    }

    #[tokio::test]
    async fn a_client_that_answers_pings_stays() {
        let (client, gateway) = tokio::io::duplex(1024);
        let answering = async {
            let opened = h2::client::handshake(client).await;
            let (_sender, connection) = opened.expect("the gateway's settings");
            connection.await
        };
        tokio::select! {
            silent = falls_silent(gateway, |_| {}) => assert!(!silent),
            ended = answering => panic!("{ended:?}"),
        }
    }
}
