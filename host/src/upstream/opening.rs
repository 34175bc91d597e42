//! Connections that are being opened and that other requests may share once they are: a burst
//! of first requests opens as many as it needs, not one each.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
};

use tokio::sync::Notify;

use super::Name;
use crate::error::UpstreamError;

/// All that are being opened to one endpoint.
#[derive(Debug, Default)]
pub(super) struct Openings(Rc<RefCell<Vec<Rc<Awaited>>>>);

/// One of them, as those who wait for it see it.
#[derive(Debug)]
pub(super) struct Awaited {
    name: Name,
    waiting: Cell<usize>,
    failed: RefCell<Option<UpstreamError>>,
    ended: Notify,
}

/// One of them, as the request that opens it sees it. Dropped when it is open, or when that
/// request has gone away: those who wait try again then.
#[derive(Debug)]
pub struct Opening {
    shared: Rc<Awaited>,
    all: Weak<RefCell<Vec<Rc<Awaited>>>>,
}

impl Openings {
    pub(super) fn begin(&self, name: &Name) -> Opening {
        let shared = Rc::new(Awaited {
            name: name.clone(),
            waiting: Cell::new(0),
            failed: RefCell::new(None),
            ended: Notify::new(),
        });
        self.0.borrow_mut().push(Rc::clone(&shared));
        Opening {
            shared,
            all: Rc::downgrade(&self.0),
        }
    }

    /// One that has room for another request, when it will carry so many.
    pub(super) fn joinable(&self, name: &Name, streams: usize) -> Option<Rc<Awaited>> {
        let all = self.0.borrow();
        let has_room =
            |opening: &&Rc<Awaited>| opening.name == *name && opening.waiting.get() + 1 < streams;
        all.iter().find(has_room).map(Rc::clone)
    }
}

impl Awaited {
    /// Waits until it is open or will not be, and then says why not.
    pub(super) async fn outcome(&self) -> Option<UpstreamError> {
        struct Waiting<'a>(&'a Cell<usize>);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() - 1);
            }
        }
        self.waiting.set(self.waiting.get() + 1);
        let _waiting = Waiting(&self.waiting);
        // Nothing else runs between the look at the list and here: no end is missed.
        self.ended.notified().await;
        self.failed.borrow().clone()
    }
}

impl Opening {
    /// It will not be opened.
    pub fn failed(self, error: &UpstreamError) {
        self.shared.failed.replace(Some(error.clone()));
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(all) = self.all.upgrade() {
            all.borrow_mut()
                .retain(|opening| !Rc::ptr_eq(opening, &self.shared));
        }
        self.shared.ended.notify_waiters();
    }
}
