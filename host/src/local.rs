//! What one worker keeps to itself, and what everything on its thread shares: the snapshot it
//! serves with its own plugin instances and connections, its books, its ids.

mod snapshot;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

pub use snapshot::{LocalPool, LocalSnapshot};

use crate::{
    access_log::{self, AccessLog},
    plugin::RequestId,
    shutdown::Drain,
    snapshot::{Listener, Snapshot},
    tls::Session,
};

/// One worker, as everything on its thread sees it.
pub struct Local {
    /// Its number, from 0.
    pub index: usize,
    /// Lines of finished requests.
    pub access_log: AccessLog,
    /// Says when connections should end.
    pub drain: Rc<Drain>,
    /// Client connections that are open.
    pub connections: Cell<usize>,
    current: RefCell<Rc<LocalSnapshot>>,
    ids: Cell<u128>,
}

impl Local {
    /// The worker of this number, which serves `first`.
    pub fn new(index: usize, first: Arc<Snapshot>, access_log: access_log::Sender) -> Rc<Self> {
        Rc::new(Self {
            index,
            access_log: AccessLog::new(access_log),
            drain: Rc::default(),
            connections: Cell::new(0),
            current: RefCell::new(Rc::new(LocalSnapshot::new(first, index, None))),
            ids: Cell::new(random_start()),
        })
    }

    /// Serves requests that start from now on with `latest`.
    pub fn adopt(&self, latest: Arc<Snapshot>) {
        let next = LocalSnapshot::new(latest, self.index, Some(&self.snapshot()));
        self.current.replace(Rc::new(next));
    }

    /// What a request that starts now is served with.
    pub fn snapshot(&self) -> Rc<LocalSnapshot> {
        Rc::clone(&self.current.borrow())
    }

    /// A new request id: a random start, which no other worker shares, and an odd step that
    /// spreads the digits.
    pub fn next_id(&self) -> RequestId {
        let id = self
            .ids
            .get()
            .wrapping_add(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        self.ids.set(id);
        RequestId(id)
    }
}

/// A client connection in the worker's books, until dropped.
pub struct OpenConnection {
    /// Whose it is.
    pub local: Rc<Local>,
    /// Which listener accepted it.
    pub listener: Arc<Listener>,
    /// What its TLS handshake has agreed on; none before that, and without TLS.
    pub session: Option<Session>,
    /// Its requests that have not ended.
    pub requests: Requests,
}

/// How busy a connection is.
#[derive(Debug)]
pub struct Requests {
    running: Cell<usize>,
    last: Cell<Instant>,
}

impl Requests {
    /// A request begins.
    pub fn begin(&self) {
        self.running.set(self.running.get() + 1);
    }

    /// A request has ended.
    pub fn end(&self, now: Instant) {
        self.running.set(self.running.get() - 1);
        self.last.set(now);
    }

    /// Requests that have not ended.
    pub fn running(&self) -> usize {
        self.running.get()
    }

    /// How long there has been none.
    pub fn idle_for(&self) -> Duration {
        match self.running() {
            0 => self.last.get().elapsed(),
            _ => Duration::ZERO,
        }
    }
}

impl OpenConnection {
    /// Enters a connection that this listener has accepted.
    pub fn new(local: Rc<Local>, listener: Arc<Listener>) -> Self {
        local.connections.set(local.connections.get() + 1);
        let counters = listener.counters.of(local.index);
        counters.accepted.add(1);
        counters.open.add(1);
        let requests = Requests {
            running: Cell::new(0),
            last: Cell::new(Instant::now()),
        };
        Self {
            local,
            listener,
            session: None,
            requests,
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.local.connections.set(self.local.connections.get() - 1);
        self.listener.counters.of(self.local.index).open.sub(1);
    }
}

fn random_start() -> u128 {
    let mut bytes = [0; 16];
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => u128::from_ne_bytes(bytes),
        // Ids need to be unlikely to repeat, not to be secret.
        Err(_) => u128::from(std::process::id()) << 64,
    }
}
