//! The task of an HTTP/2 connection: moves its frames, asks for a sign of life where nothing
//! comes, and ends it.

use std::{
    cell::Cell,
    convert::Infallible,
    future::{Future as _, poll_fn},
    pin::pin,
    rc::{Rc, Weak},
    time::{Duration, Instant},
};

use bytes::Bytes;
use h2::{
    Ping, PingPong,
    client::{Builder, Connection},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::oneshot,
    time::{sleep, timeout},
};

use super::Shared;
use crate::{config::PoolH2, upstream::connect::MAX_HEAD};

/// Bytes of one request that are held for an endpoint that opens no window, and besides what
/// was read from the client in one go.
const SEND_BUFFER: usize = 256 << 10;

/// Streams before the endpoint's first SETTINGS have come: what RFC 9113 §6.5.2 wants everyone
/// to allow at least.
const FIRST_STREAMS: usize = 100;

/// The most that windows may be (RFC 9113 §6.9.1).
const MAX_WINDOW: u32 = (1 << 31) - 1;

/// How long a connection may take to close.
const CLOSE: Duration = Duration::from_secs(5);

/// gRPC's servers end a connection that is pinged in silence more often than every five
/// minutes, but forgive the first two.
const PINGS_APART: Duration = Duration::from_secs(330);

/// How it is spoken. The connection's window is as large as those of all its streams: answers
/// that clients do not read must not hold up the others'. `expected` are the streams that the
/// endpoint is likely to allow: more of them, before its SETTINGS have come, would be refused.
pub(super) fn settings(rules: &PoolH2, expected: usize) -> Builder {
    let streams = u32::try_from(rules.streams).unwrap_or(u32::MAX);
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(rules.stream_window)
        .initial_connection_window_size(rules.stream_window.saturating_mul(streams).min(MAX_WINDOW))
        .initial_max_send_streams(expected.clamp(1, FIRST_STREAMS))
        .max_header_list_size(MAX_HEAD as u32)
        .max_send_buffer_size(SEND_BUFFER);
    builder
}

/// Moves frames to the end of the connection: closed by either side, silent for too long, or
/// held by nobody any more. What runs on it then fails.
pub(super) async fn drive<S>(
    mut connection: Connection<S, Bytes>,
    released: oneshot::Receiver<Infallible>,
    heard: Rc<Cell<Instant>>,
    watched: Weak<Shared>,
    rules: PoolH2,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let pings = connection.ping_pong().expect("taken once");
    let mut connection = pin!(connection);
    let mut connection = poll_fn(move |cx| {
        let polled = connection.as_mut().poll(cx);
        if let Some(shared) = watched.upgrade() {
            shared.watch();
        }
        polled
    });
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = silence(pings, &heard, &rules) => {
            return tracing::debug!("upstream connection ended: no answer to a ping");
        }
        _ = released => match timeout(CLOSE, &mut connection).await {
            Ok(ended) => ended,
            Err(_) => return,
        },
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "upstream connection ended");
    }
}

/// Completes when a ping has had no answer in time.
async fn silence(mut pings: PingPong, heard: &Cell<Instant>, rules: &PoolH2) {
    let mut pause = rules.ping_after;
    loop {
        let before = heard.get();
        sleep(pause).await;
        if heard.get() != before {
            pause = rules.ping_after;
            continue;
        }
        let answered = match pings.send_ping(Ping::opaque()) {
            Ok(()) => timeout(rules.ping_timeout, poll_fn(|cx| pings.poll_pong(cx))).await,
            Err(error) => Ok(Err(error)),
        };
        match answered {
            Ok(Ok(_)) => pause = (pause * 3).min(PINGS_APART.max(rules.ping_after)),
            // The connection has ended, which its own future tells.
            Ok(Err(_)) => std::future::pending().await,
            Err(_) => return,
        }
    }
}
