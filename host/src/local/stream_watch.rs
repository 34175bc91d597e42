//! Whether a client takes what it is offered. An HTTP/2 client that opens no window holds an
//! answer for ever, while its pings keep the connection alive; so each stream has a note of
//! since when its client has been the one to wait for, and of when its answer is cut. An
//! HTTP/1.1 connection, which has one answer at a time, has such a note as well.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// One stream's note.
#[derive(Debug, Default)]
pub struct StreamWatch {
    waits_since: Cell<Option<Instant>>,
    ends_at: Cell<Option<Instant>>,
    cut: Cell<Option<Cut>>,
}

/// Why the gateway cut an answer that its client had yet to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The client took nothing, or too little, for too long.
    Stalled,
    /// The request's time was over.
    TimeOver,
}

impl StreamWatch {
    /// Another request begins.
    pub fn begin(&self) {
        self.waits_since.set(None);
        self.ends_at.set(None);
        self.cut.set(None);
    }

    /// There is something that the client has yet to take.
    pub fn offered(&self) {
        self.waits_since.set(Some(Instant::now()));
    }

    /// The client has taken all there was.
    pub fn taken(&self) {
        self.waits_since.set(None);
    }

    /// The answer has until then.
    pub fn ends_at(&self, at: Instant) {
        self.ends_at.set(Some(at));
    }

    /// When the answer has to have ended.
    pub fn end(&self) -> Option<Instant> {
        self.ends_at.get()
    }

    /// When the client will have let the gateway wait for this long, or the answer ends; none
    /// while neither is to come.
    pub fn due(&self, limit: Duration) -> Option<Instant> {
        let stalls = self.waits_since.get().map(|since| since + limit);
        stalls.into_iter().chain(self.ends_at.get()).min()
    }

    /// The answer is cut, for one reason or the other.
    pub fn cut_now(&self) {
        let over = self.ends_at.get().is_some_and(|at| at <= Instant::now());
        self.cut.set(Some(match over {
            true => Cut::TimeOver,
            false => Cut::Stalled,
        }));
    }

    /// Why it was cut; none while it was not.
    pub fn cut(&self) -> Option<Cut> {
        self.cut.get()
    }
}
