//! Whether an HTTP/2 client takes what its streams offer. A client that opens no window holds
//! an answer for ever, while its pings keep the connection alive; so each stream has a note of
//! since when its client has been the one to wait for.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

/// One stream's note.
#[derive(Debug, Default)]
pub struct StreamWatch {
    waits_since: Cell<Option<Instant>>,
    stalled: Cell<bool>,
}

impl StreamWatch {
    /// There is something that the client has yet to take.
    pub fn offered(&self) {
        self.waits_since.set(Some(Instant::now()));
    }

    /// The client has taken all there was.
    pub fn taken(&self) {
        self.waits_since.set(None);
    }

    /// When the client will have let the gateway wait for this long; none while it does not.
    pub fn due(&self, limit: Duration) -> Option<Instant> {
        self.waits_since.get().map(|since| since + limit)
    }

    /// The client's time is over.
    pub fn stall(&self) {
        self.stalled.set(true);
    }

    /// Whether it is.
    pub fn has_stalled(&self) -> bool {
        self.stalled.get()
    }
}

/// The stream that a connection is being polled for, if it is one.
#[derive(Debug, Default)]
pub struct CurrentStream(RefCell<Option<Rc<StreamWatch>>>);

impl CurrentStream {
    /// Polls on behalf of a stream.
    pub fn during<R>(&self, watch: &Rc<StreamWatch>, poll: impl FnOnce() -> R) -> R {
        let before = self.0.replace(Some(Rc::clone(watch)));
        let result = poll();
        self.0.replace(before);
        result
    }

    /// The stream's note.
    pub fn get(&self) -> Option<Rc<StreamWatch>> {
        self.0.borrow().clone()
    }
}
