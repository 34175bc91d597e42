//! The body of a request that is not sent yet: its start can be read before, for plugins that
//! ask for it, and goes upstream with the rest.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Poll, ready},
    time::Duration,
};

use http_body::Body as _;
use tokio::{sync::Mutex, time::timeout};

use crate::{
    client_body::{ClientBody, Tap},
    plugin::{BodyFailure, BodyStart},
    total::{Part, Total},
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
        bodies: &Arc<Total>,
    ) -> Result<BodyStart, BodyFailure> {
        self.make_room(most, bodies)?;
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

    /// Room for what may be read, before it is: what has come must be passed on. A frame may bring
    /// more than is wanted, for which none is made.
    fn make_room(&self, most: usize, bodies: &Arc<Total>) -> Result<(), BodyFailure> {
        let length = self.length_within(most);
        let room = &mut self.ahead.borrow_mut().room;
        let is_made = match room {
            Some(part) => part.grow_to(length),
            None => {
                *room = Part::take(bodies, length);
                room.is_some()
            }
        };
        is_made.then_some(()).ok_or(BodyFailure::NoRoom)
    }

    /// How much of its first `most` bytes there may be, those that have been read included.
    fn length_within(&self, most: usize) -> usize {
        let body = self.body.borrow();
        let left = body.as_ref().and_then(|body| body.size_hint().upper());
        let left = left.and_then(|left| usize::try_from(left).ok());
        let read = self.ahead.borrow().bytes.len();
        left.map_or(most, |left| most.min(read.saturating_add(left)))
    }

    /// Its first bytes for somebody beside the request: those that have been read and, up to `most`
    /// or as many as are kept for another already, those that will be or that go upstream. None
    /// once it is on its way, and when there is no room for it.
    pub(super) fn tap(&self, most: usize, bodies: &Arc<Total>) -> Option<Rc<Tap>> {
        if let Some(tap) = self.tap.borrow().as_ref().filter(|_| !self.is_sent()) {
            return Some(Rc::clone(tap));
        }
        let room = Part::take(bodies, self.length_within(most))?;
        let body = self.body.take()?;
        let is_over = self.is_over.get() && !matches!(self.ahead.borrow().end, Some(Err(_)));
        let tap = Rc::new(Tap::new(&self.ahead.borrow().bytes, is_over, most, room));
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
