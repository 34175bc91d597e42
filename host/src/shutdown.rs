//! The end: SIGTERM or SIGINT announces it for as long as is configured, then starts a drain, in
//! which no connection is accepted and running requests finish; a second signal, or the end of
//! the grace period, stops at once.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// How far the process is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Accepting and serving.
    Serve,
    /// Still accepting and serving, but not ready any more: load balancers should look elsewhere.
    Leave,
    /// Finishing what runs.
    Drain,
    /// Ending now.
    Stop,
}

/// One worker's news for its connections. A connection looks at a flag each time it is woken
/// anyway, so that waiting for the end costs a request nothing.
#[derive(Debug, Default)]
pub struct Drain {
    announced: Cell<bool>,
    started: Cell<bool>,
    waiting: RefCell<HashMap<u64, Waker>>,
    next: Cell<u64>,
}

impl Drain {
    /// Answers over HTTP/1.1 end their connections from now on.
    pub fn announce(&self) {
        self.announced.set(true);
    }

    /// Whether it has been announced.
    pub fn announced(&self) -> bool {
        self.announced.get()
    }

    /// Tells all connections to end with their running requests.
    pub fn start(&self) {
        self.started.set(true);
        self.waiting
            .borrow_mut()
            .drain()
            .for_each(|(_, waker)| waker.wake());
    }

    /// Whether it has been told.
    pub fn started(&self) -> bool {
        self.started.get()
    }

    /// Completes when the drain starts. Cancel safe.
    pub fn wait(self: &Rc<Self>) -> Waiting {
        let id = self.next.get();
        self.next.set(id + 1);
        Waiting {
            drain: Rc::clone(self),
            id,
            waker: None,
        }
    }
}

/// See [`Drain::wait`].
#[derive(Debug)]
pub struct Waiting {
    drain: Rc<Drain>,
    id: u64,
    /// The one that waits.
    waker: Option<Waker>,
}

impl Future for Waiting {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.drain.started() {
            return Poll::Ready(());
        }
        // Polled several times for each request, always by the same task.
        let waits = self.waker.as_ref();
        if !waits.is_some_and(|waker| waker.will_wake(cx.waker())) {
            let waker = cx.waker().clone();
            let mut waiting = self.drain.waiting.borrow_mut();
            drop(waiting.insert(self.id, waker.clone()));
            drop(waiting);
            self.waker = Some(waker);
        }
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.drain.waiting.borrow_mut().remove(&self.id);
    }
}
