//! What one worker keeps to itself, and what everything on its thread shares: the snapshot it
//! serves with its own plugin instances and connections, its books, its ids.

mod date;
mod slot;
mod snapshot;
mod stream_watch;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

pub use date::Date;
pub use slot::{Canaries, Slot};
pub use snapshot::{LocalPool, LocalSnapshot};
pub use stream_watch::{Cut, StreamWatch};
use tokio::sync::Notify;

use crate::{
    access_log::{self, AccessLog},
    admission::{Admission, Admitted},
    error::ConnectionFault,
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
    /// The books of all workers' connections.
    pub admission: Arc<Admission>,
    /// What `Date` says now.
    pub date: Date,
    current: RefCell<Rc<LocalSnapshot>>,
    ids: Cell<u128>,
}

impl Local {
    /// The worker of this number, which serves `first`.
    pub fn new(
        index: usize,
        first: Arc<Snapshot>,
        access_log: access_log::Sender,
        admission: Arc<Admission>,
    ) -> Rc<Self> {
        Rc::new(Self {
            index,
            access_log: AccessLog::new(access_log),
            drain: Rc::default(),
            connections: Cell::new(0),
            admission,
            date: Date::default(),
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
    /// Its place in the books of all workers.
    pub admitted: Admitted,
    /// Its requests that have not ended.
    pub requests: Requests,
    fault: Cell<Option<ConnectionFault>>,
    ended: Notify,
}

/// How busy a connection is.
#[derive(Debug)]
pub struct Requests {
    begun: Cell<bool>,
    running: Cell<usize>,
    last: Cell<Instant>,
    cancelled: Cell<u32>,
    counted_since: Cell<Instant>,
}

/// The time that cancelled requests are counted in.
const CANCEL_WINDOW: Duration = Duration::from_secs(10);

impl Requests {
    /// A request begins.
    pub fn begin(&self) {
        self.begun.set(true);
        self.running.set(self.running.get() + 1);
    }

    /// Whether there has been one.
    pub fn have_begun(&self) -> bool {
        self.begun.get()
    }

    /// A request has ended.
    pub fn end(&self, now: Instant) {
        self.running.set(self.running.get() - 1);
        self.last.set(now);
    }

    /// A request was cancelled; whether that makes more than `most` of late.
    pub fn cancel(&self, now: Instant, most: u32) -> bool {
        if now.duration_since(self.counted_since.get()) >= CANCEL_WINDOW {
            self.counted_since.set(now);
            self.cancelled.set(0);
        }
        self.cancelled.set(self.cancelled.get().saturating_add(1));
        self.cancelled.get() > most
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
        let admitted = local.admission.enter();
        let counters = listener.counters.of(local.index);
        counters.accepted.add(1);
        counters.open.add(1);
        let now = Instant::now();
        let requests = Requests {
            begun: Cell::new(false),
            running: Cell::new(0),
            last: Cell::new(now),
            cancelled: Cell::new(0),
            counted_since: Cell::new(now),
        };
        Self {
            local,
            listener,
            session: None,
            admitted,
            requests,
            fault: Cell::new(None),
            ended: Notify::new(),
        }
    }

    /// Ends it, for the first fault that is given.
    pub fn end(&self, fault: ConnectionFault) {
        if self.fault.get().is_none() {
            self.fault.set(Some(fault));
            self.ended.notify_one();
        }
    }

    /// Completes when [`end`](Self::end) is called.
    pub async fn ended(&self) {
        self.ended.notified().await;
    }

    /// Why the gateway ended it.
    pub fn fault(&self) -> Option<ConnectionFault> {
        self.fault.get()
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
