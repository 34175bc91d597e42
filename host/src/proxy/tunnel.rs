//! A tunnel: what a connection, or a stream of HTTP/2, and a connection to an endpoint become
//! when both have switched to another protocol. Bytes go both ways unseen until either side has
//! ended, broken, or been silent for too long; the request's record ends with it.

mod flow;

use std::{
    cell::Cell,
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep},
};

use self::flow::{Broken, Flow};
use super::record::Record;
use crate::{config::Timeouts, error::Cause, upstream::Switched};

/// A tunnel whose client has yet to be told that it is open.
pub struct Tunnel {
    endpoint: Switched,
    record: Box<Record>,
    limits: Limits,
}

/// How long a tunnel may be silent.
#[derive(Debug, Clone, Copy)]
struct Limits {
    idle: Duration,
    /// When one side has ended already.
    half_closed: Duration,
}

/// A tunnel's place in its request's record.
#[derive(Debug)]
pub(super) struct Passage {
    /// What is spoken, as the endpoint has it: `websocket`.
    pub(super) protocol: String,
    /// From the request's start to the endpoint's 101.
    pub(super) opened_after: Duration,
    /// Bytes of the client that the endpoint took.
    pub(super) bytes_in: Cell<u64>,
    /// Bytes of the endpoint that the client took.
    pub(super) bytes_out: Cell<u64>,
    /// Who ended it.
    pub(super) ended_by: Cell<Option<Side>>,
}

/// Who ended a tunnel, or its own side of it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Endpoint,
    Gateway,
}

impl Side {
    /// As the access log has it.
    pub(super) fn token(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Endpoint => "endpoint",
            Self::Gateway => "gateway",
        }
    }
}

/// How a tunnel ended.
#[derive(Debug)]
enum End {
    /// Both sides have ended.
    Whole,
    /// The connection of one broke; why.
    Broken(Side, String),
    /// No byte for this long.
    Idle(Duration),
}

impl Tunnel {
    pub(super) fn new(endpoint: Switched, record: Box<Record>, timeouts: &Timeouts) -> Box<Self> {
        let limits = Limits {
            idle: timeouts.tunnel_idle,
            half_closed: timeouts.body_idle.min(timeouts.tunnel_idle),
        };
        Box::new(Self {
            endpoint,
            record,
            limits,
        })
    }

    /// Moves bytes to the tunnel's end. `first` are those that the client sent before it knew
    /// that the tunnel is open; `poll_reset` is ready when the client has given it up in a way
    /// that neither reading nor writing would tell. Both sides are closed when this returns or
    /// is dropped.
    pub async fn run<C>(
        mut self,
        client: C,
        first: Bytes,
        poll_reset: impl FnMut(&mut C, &mut Context<'_>) -> Poll<()>,
    ) where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let Some(passage) = self.record.passage() else {
            return;
        };
        let end = match self.endpoint.stream().await {
            Ok(endpoint) => {
                let mut moving = Moving {
                    client,
                    endpoint,
                    up: Flow::new(first),
                    down: Flow::new(Bytes::new()),
                    silence: Silence::new(self.limits.idle),
                    limits: self.limits,
                    passage,
                    poll_reset,
                };
                poll_fn(|cx| moving.poll(cx)).await
            }
            Err(error) => End::Broken(Side::Endpoint, error.to_string()),
        };
        self.record.tunnel_ended(end);
    }
}

/// A tunnel at work.
struct Moving<C, E, R> {
    client: C,
    endpoint: E,
    up: Flow,
    down: Flow,
    silence: Silence,
    limits: Limits,
    passage: Rc<Passage>,
    poll_reset: R,
}

impl<C, E, R> Moving<C, E, R>
where
    C: AsyncRead + AsyncWrite + Unpin,
    E: AsyncRead + AsyncWrite + Unpin,
    R: FnMut(&mut C, &mut Context<'_>) -> Poll<()>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let before = self.progress();
        let passage = &self.passage;
        let (client, endpoint) = (&mut self.client, &mut self.endpoint);
        let up = self.up.poll(cx, client, endpoint, &passage.bytes_in);
        let up = up.map_err(|broken| self.broken(broken, Side::Client, Side::Endpoint));
        self.note_end(Side::Client, self.up.is_read());
        let passage = &self.passage;
        let (client, endpoint) = (&mut self.client, &mut self.endpoint);
        let down = self.down.poll(cx, endpoint, client, &passage.bytes_out);
        let down = down.map_err(|broken| self.broken(broken, Side::Endpoint, Side::Client));
        self.note_end(Side::Endpoint, self.down.is_read());
        match (up, down) {
            (Poll::Ready(Err(end)), _) | (_, Poll::Ready(Err(end))) => return Poll::Ready(end),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(End::Whole),
            _ => {}
        }
        if (self.poll_reset)(&mut self.client, cx).is_ready() {
            return Poll::Ready(End::Broken(Side::Client, "the stream was reset".to_owned()));
        }
        if self.progress() != before {
            self.silence.broken();
        }
        self.silence.poll_over(cx).map(End::Idle)
    }

    fn broken(&self, broken: Broken, source: Side, sink: Side) -> End {
        match broken {
            // It has said that it is done, and does not wait for the rest.
            Broken::Sink(_) if self.passage.ended_by.get() == Some(sink) => End::Whole,
            Broken::Source(error) => End::Broken(source, error.to_string()),
            Broken::Sink(error) => End::Broken(sink, error.to_string()),
        }
    }

    fn progress(&self) -> (u64, u64) {
        (self.passage.bytes_in.get(), self.passage.bytes_out.get())
    }

    /// The first to end is who ended the tunnel; the other side has less time from then on.
    fn note_end(&mut self, side: Side, ended: bool) {
        if ended && self.passage.ended_by.get().is_none() {
            self.passage.ended_by.set(Some(side));
            self.silence = Silence::new(self.limits.half_closed);
        }
    }
}

/// How long no byte has moved. The timer is not set anew with every byte but when it fires.
struct Silence {
    limit: Duration,
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Silence {
    fn new(limit: Duration) -> Self {
        Self {
            limit,
            since: Instant::now(),
            timer: Box::pin(tokio::time::sleep(limit)),
        }
    }

    fn broken(&mut self) {
        self.since = Instant::now();
    }

    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Duration> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let due = self.since + self.limit;
            if due <= Instant::now() {
                return Poll::Ready(self.limit);
            }
            self.timer.as_mut().reset(due);
        }
    }
}

impl Record {
    /// Says how the record's tunnel has ended.
    fn tunnel_ended(&mut self, end: End) {
        let Some(passage) = self.passage() else {
            return;
        };
        match end {
            End::Whole => self.complete(),
            End::Idle(limit) => {
                let detail = match passage.ended_by.replace(Some(Side::Gateway)) {
                    Some(side) => format!(
                        "no byte within {limit:?} after the {} had ended",
                        side.token()
                    ),
                    None => format!("no byte within {limit:?}"),
                };
                self.ended(Some(Cause::TunnelIdle), detail);
            }
            End::Broken(side, detail) => {
                passage.ended_by.set(Some(side));
                let cause = (side == Side::Endpoint).then_some(Cause::ResponseCut);
                self.ended(cause, detail);
            }
        }
    }
}
