//! What one worker has open to one endpoint, and who opens more: the stack of idle HTTP/1.1
//! connections, and beside it the HTTP/2 connections, which many requests share.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Instant,
};

use http::Version;
use tokio::sync::Notify;

use super::{
    Connection, Name, Opening,
    h1::Idle,
    h2::Shared,
    opening::{Awaited, Openings},
};
use crate::{
    config::{Keeping, PoolHttp},
    error::UpstreamError,
};

/// The connections of one worker to one endpoint.
#[derive(Debug)]
pub struct Connections {
    pub(super) keeping: Keeping,
    pub(super) idle: Idle,
    shared: RefCell<Vec<Rc<Shared>>>,
    openings: Openings,
    /// What the connection opened last speaks.
    speaks: Cell<Option<Version>>,
    /// Told when a connection can carry one more request.
    room: Notify,
}

impl Connections {
    /// None yet.
    pub fn new(keeping: Keeping) -> Rc<Self> {
        Rc::new(Self {
            keeping,
            idle: Idle::default(),
            shared: RefCell::default(),
            openings: Openings::default(),
            speaks: Cell::new(None),
            room: Notify::new(),
        })
    }

    /// A connection of this name that is open and can carry one more request in this HTTP.
    pub fn take(self: &Rc<Self>, name: &Name, http: PoolHttp, now: Instant) -> Option<Connection> {
        if http.may_be_h2()
            && let Some(stream) = self.take_shared(name, now)
        {
            return Some(stream);
        }
        match http.may_be_h1() {
            true => self.idle.take(self, name, now),
            false => None,
        }
    }

    fn take_shared(self: &Rc<Self>, name: &Name, now: Instant) -> Option<Connection> {
        let mut shared = self.shared.borrow_mut();
        shared.retain(|connection| connection.is_usable(self.keeping.timeout, now));
        let with_room =
            |connection: &&Rc<Shared>| connection.name == *name && connection.has_room();
        let connection = shared.iter().find(with_room)?;
        Some(connection.stream(self))
    }

    /// As [`take`](Self::take), waiting for room on a shared connection for as long as it takes.
    pub async fn freed(self: &Rc<Self>, name: &Name, http: PoolHttp) -> Connection {
        loop {
            let changed = self.room.notified();
            if let Some(stream) = self.take(name, http, Instant::now()) {
                return stream;
            }
            changed.await;
        }
    }

    /// Where another request is opening a connection that this one may share: what came of it.
    /// None when there is no such, or no room was left.
    ///
    /// # Errors
    /// As the other request's, which are this one's as well.
    pub async fn join(
        self: &Rc<Self>,
        name: &Name,
        http: PoolHttp,
    ) -> Option<Result<Connection, UpstreamError>> {
        while let Some(opening) = self.joinable(name, http) {
            if let Some(error) = opening.outcome().await {
                return Some(Err(error));
            }
            if let Some(connection) = self.take(name, http, Instant::now()) {
                return Some(Ok(connection));
            }
        }
        None
    }

    /// Begins to open a connection, so that others join; none when it should be joined instead.
    pub fn begin(self: &Rc<Self>, name: &Name, http: PoolHttp) -> Option<Opening> {
        match self.joinable(name, http) {
            Some(_) => None,
            None => Some(self.openings.begin(name)),
        }
    }

    /// An endpoint that has chosen HTTP/1.1 is expected to do so again: nothing to share then.
    fn joinable(&self, name: &Name, http: PoolHttp) -> Option<Rc<Awaited>> {
        let expected = match http {
            PoolHttp::H1 => false,
            PoolHttp::H2 => true,
            PoolHttp::Auto => self.speaks.get() != Some(Version::HTTP_11),
        };
        expected.then(|| self.openings.joinable(name, self.streams()))?
    }

    /// How many requests a new connection is likely to carry.
    pub(super) fn streams(&self) -> usize {
        let shared = self.shared.borrow();
        let most = shared.last().map(|connection| connection.most_streams());
        most.unwrap_or(self.keeping.h2.streams)
    }

    /// A connection has been opened.
    pub(super) fn opened(&self, speaks: Version) {
        self.speaks.set(Some(speaks));
    }

    /// One more request can be carried.
    pub(super) fn has_room(&self) {
        self.room.notify_one();
    }

    /// Has others share a connection; gives its first stream.
    pub(super) fn share(self: &Rc<Self>, connection: Rc<Shared>) -> Connection {
        let stream = connection.stream(self);
        self.shared.borrow_mut().push(connection);
        self.room.notify_waiters();
        stream
    }

    /// A stream has ended.
    pub(super) fn stream_ended(&self) {
        let mut shared = self.shared.borrow_mut();
        let idle = shared.iter().filter(|connection| connection.is_unused());
        if idle.count() > self.keeping.max_idle
            && let Some(place) = shared.iter().position(|connection| connection.is_unused())
        {
            shared.remove(place);
        }
        self.has_room();
    }

    /// Gives no new request to this connection.
    pub(super) fn retire(&self, connection: &Rc<Shared>) {
        let mut shared = self.shared.borrow_mut();
        shared.retain(|known| !Rc::ptr_eq(known, connection));
    }

    /// Closes connections that have been idle for too long, or whose certificate has ended.
    pub fn sweep(&self, now: Instant) {
        self.idle.sweep(self.keeping.timeout, now);
        let mut shared = self.shared.borrow_mut();
        shared.retain(|connection| connection.is_usable(self.keeping.timeout, now));
    }

    /// Closes all that carry no request.
    pub fn clear(&self) {
        self.idle.clear();
        self.shared
            .borrow_mut()
            .retain(|connection| !connection.is_unused());
    }
}
