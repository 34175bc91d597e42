//! The body of a request that is not sent yet: its start can be read before, for plugins that
//! ask for it, and goes upstream with the rest.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Poll, ready},
    time::Duration,
};

use http_body::Body as _;
use tokio::{sync::Mutex, time::timeout};

use crate::{
    client_body::{ClientBody, Tap},
    plugin::{BodyFailure, BodyStart},
    upstream::{Ahead, Source},
};

/// A body that the client sends, until it goes upstream.
pub(super) struct Unsent {
    /// None once it is on its way.
    body: RefCell<Option<ClientBody>>,
    ahead: RefCell<Ahead>,
    /// One reads at a time.
    turn: Mutex<()>,
    is_over: Cell<bool>,
    /// Who sees it go by.
    tap: RefCell<Option<Rc<Tap>>>,
}

impl Unsent {
    /// Nothing of it has been read.
    pub(super) fn new(body: ClientBody) -> Self {
        Self {
            is_over: Cell::new(body.is_end_stream()),
            body: RefCell::new(Some(body)),
            ahead: RefCell::default(),
            turn: Mutex::new(()),
            tap: RefCell::default(),
        }
    }

    /// Its first `most` bytes, once the client has sent them; all of it when there are fewer.
    pub(super) async fn start(
        &self,
        most: usize,
        limit: Duration,
    ) -> Result<BodyStart, BodyFailure> {
        let enough = timeout(limit, self.read_to(most)).await;
        enough.unwrap_or(Err(BodyFailure::Timeout))?;
        match self.is_sent() {
            true => Err(BodyFailure::Gone),
            false => Ok(self.known(most)),
        }
    }

    fn is_sent(&self) -> bool {
        self.body.borrow().is_none()
    }

    /// Its first bytes for somebody beside the request: those that have been read and, up to `most`
    /// or as many as are kept for another already, those that will be or that go upstream. None
    /// once it is on its way.
    pub(super) fn tap(&self, most: usize) -> Option<Rc<Tap>> {
        if let Some(tap) = self.tap.borrow().as_ref().filter(|_| !self.is_sent()) {
            return Some(Rc::clone(tap));
        }
        let body = self.body.take()?;
        let is_over = self.is_over.get() && !matches!(self.ahead.borrow().end, Some(Err(_)));
        let tap = Rc::new(Tap::new(&self.ahead.borrow().bytes, is_over, most));
        self.body.replace(Some(body.tapped(Rc::clone(&tap))));
        self.tap.replace(Some(Rc::clone(&tap)));
        Some(tap)
    }

    /// As much of its first `most` bytes as has been read; none once it is on its way.
    fn known(&self, most: usize) -> BodyStart {
        let ahead = self.ahead.borrow();
        let bytes = ahead.bytes.get(..most).unwrap_or(&ahead.bytes);
        BodyStart {
            complete: self.is_over.get() && !self.is_sent() && bytes.len() == ahead.bytes.len(),
            bytes: bytes.to_vec(),
        }
    }

    async fn read_to(&self, most: usize) -> Result<(), BodyFailure> {
        while self.ahead.borrow().bytes.len() < most && !self.is_over.get() {
            let _turn = self.turn.lock().await;
            if self.ahead.borrow().bytes.len() < most && !self.is_over.get() {
                self.read().await?;
            }
        }
        match self.ahead.borrow().end {
            Some(Err(_)) => Err(BodyFailure::Gone),
            _ => Ok(()),
        }
    }

    /// Keeps one more frame.
    async fn read(&self) -> Result<(), BodyFailure> {
        let frame = poll_fn(|cx| {
            let mut body = self.body.borrow_mut();
            let Some(body) = body.as_mut() else {
                return Poll::Ready(Err(BodyFailure::Gone));
            };
            Poll::Ready(Ok(ready!(Pin::new(body).poll_frame(cx))))
        });
        let frame = frame.await?;
        let mut ahead = self.ahead.borrow_mut();
        match frame {
            None => self.is_over.set(true),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    ahead.bytes.extend_from_slice(&data);
                    let body = self.body.borrow();
                    let over = body.as_ref().is_some_and(ClientBody::is_end_stream);
                    self.is_over.set(over);
                }
                Err(trailers) => {
                    ahead.end = Some(Ok(trailers));
                    self.is_over.set(true);
                }
            },
            Some(Err(error)) => {
                ahead.end = Some(Err(error));
                self.is_over.set(true);
            }
        }
        Ok(())
    }

    /// Goes upstream; up to `keep` bytes are kept for a second try. None when it is empty.
    pub(super) fn send(&self, keep: usize) -> Option<Rc<RefCell<Source>>> {
        let body = self.body.take()?;
        Source::new(body, self.ahead.take(), keep)
    }
}
