//! HTTP/2: a connection carries many requests, each on a stream of its own. Here is the
//! connection as its streams share it.

mod drive;
mod stream;
mod upload;

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::oneshot,
};

pub(super) use stream::{Received, Stream};

use super::{Carrier, Connection, Connections, Name, Past, end::End};
use crate::error::UpstreamError;

/// A connection. It closes when nothing holds it any more: neither the list of those that take
/// requests, nor a stream.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: Name,
    sender: RefCell<SendRequest<Bytes>>,
    /// Requests at a time, as far as it is up to the gateway.
    most: usize,
    running: Cell<usize>,
    /// How many it has carried so far, or carries.
    carried: Cell<u64>,
    /// Since when there is none.
    unused: Cell<Instant>,
    /// When something came on one of its streams.
    heard: Rc<Cell<Instant>>,
    /// Whether the endpoint has said GOAWAY.
    told_to_go: Cell<bool>,
    end: End,
    /// Tells the task by being dropped.
    _held: oneshot::Sender<Infallible>,
}

impl Shared {
    /// Speaks HTTP/2 on what has been connected.
    ///
    /// # Errors
    /// The preface cannot be written.
    pub(super) async fn open<S>(
        stream: S,
        name: &Name,
        home: &Connections,
        end: End,
        permit: impl Sized + 'static,
    ) -> Result<Rc<Self>, UpstreamError>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let rules = &home.keeping.h2;
        let settings = drive::settings(rules, home.streams());
        let opened = settings.handshake(stream).await;
        let (sender, connection) =
            opened.map_err(|error| UpstreamError::Connect(error.to_string()))?;
        let heard = Rc::new(Cell::new(Instant::now()));
        let (held, released) = oneshot::channel();
        let shared = Rc::new(Self {
            name: name.clone(),
            sender: RefCell::new(sender),
            most: rules.streams,
            running: Cell::new(0),
            carried: Cell::new(0),
            unused: Cell::new(Instant::now()),
            heard: Rc::clone(&heard),
            told_to_go: Cell::new(false),
            end,
            _held: held,
        });
        let watched = Rc::downgrade(&shared);
        let driven = drive::drive(connection, released, heard, watched, rules.clone());
        tokio::task::spawn_local(async move {
            let _permit = permit;
            driven.await;
        });
        Ok(shared)
    }

    /// Looks whether the endpoint has said GOAWAY; how the connection ends would cover it up.
    fn watch(&self) {
        let mut context = Context::from_waker(Waker::noop());
        let ready = self.sender.borrow_mut().poll_ready(&mut context);
        let told =
            matches!(ready, Poll::Ready(Err(error)) if error.is_go_away() && error.is_remote());
        self.told_to_go.set(self.told_to_go.get() || told);
    }

    /// Whether it takes requests: neither closed, nor told to go away, nor out of stream ids,
    /// nor unused for too long, nor past the end of a certificate.
    pub(super) fn is_usable(&self, timeout: Duration, now: Instant) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let ready = self.sender.borrow_mut().poll_ready(&mut context);
        let expired =
            self.is_unused() && now.saturating_duration_since(self.unused.get()) > timeout;
        matches!(ready, Poll::Ready(Ok(()))) && !expired && !self.end.is_over(now)
    }

    /// Whether it carries no request.
    pub(super) fn is_unused(&self) -> bool {
        self.running.get() == 0
    }

    /// Whether it may carry one more.
    pub(super) fn has_room(&self) -> bool {
        self.running.get() < self.most_streams()
    }

    /// How many it may carry.
    pub(super) fn most_streams(&self) -> usize {
        let theirs = self.sender.borrow().current_max_send_streams();
        self.most.min(theirs)
    }

    /// A stream for one more request.
    pub(super) fn stream(self: &Rc<Self>, home: &Rc<Connections>) -> Connection {
        let past = match (self.carried.get(), self.running.get()) {
            (0, _) => Past::New,
            (_, 0) => Past::Idle,
            _ => Past::Busy,
        };
        self.running.set(self.running.get() + 1);
        self.carried.set(self.carried.get() + 1);
        Connection {
            carrier: Carrier::H2(Stream::new(self, home)),
            past,
        }
    }
}
