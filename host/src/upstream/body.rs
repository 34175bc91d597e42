//! Bodies on their way through: frame by frame, never buffered, each wait with a deadline.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use super::Connection;

/// Why a body ended before its end.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BodyError {
    /// Nothing came for this long.
    #[error("no byte within {0:?}")]
    Idle(Duration),
    /// It has more bytes than are allowed.
    #[error("more than {0} bytes")]
    TooLarge(u64),
    /// The connection that it came on broke, or its framing was wrong.
    #[error("{0}")]
    Read(String),
}

/// How far the request body has come; shared between the body, which the upstream connection
/// owns, and the request that waits for the answer.
#[derive(Debug)]
pub struct Upload {
    /// Bytes passed on.
    pub bytes: Cell<u64>,
    /// When the last frame was passed on, or the end was; at first, when the request began.
    pub last: Cell<Instant>,
    /// Whether the client has yet to send what the upstream would read.
    pub starved: Cell<bool>,
    /// Whether all of it was passed on.
    pub ended: Cell<bool>,
    /// Bytes that may be passed on.
    pub most: u64,
    /// Why it was cut short.
    pub error: RefCell<Option<BodyError>>,
}

impl Upload {
    /// Nothing passed on yet, of at most so many bytes.
    pub fn new(now: Instant, most: u64) -> Rc<Self> {
        Rc::new(Self {
            bytes: Cell::new(0),
            last: Cell::new(now),
            starved: Cell::new(false),
            ended: Cell::new(false),
            most,
            error: RefCell::new(None),
        })
    }
}

/// A client's request body, as the upstream connection reads it.
#[derive(Debug)]
pub struct RequestBody {
    /// None for a request that is sent again, which is only done without a body.
    inner: Option<Incoming>,
    idle: IdleTimer,
    upload: Rc<Upload>,
}

impl RequestBody {
    /// A body whose client may be silent for at most `idle`.
    pub fn new(inner: Option<Incoming>, idle: Duration, upload: Rc<Upload>) -> Self {
        let inner = inner.filter(|body| !body.is_end_stream());
        upload.ended.set(inner.is_none());
        Self {
            inner,
            idle: IdleTimer::new(idle),
            upload,
        }
    }

    fn fail(&self, error: BodyError) -> BodyError {
        self.upload.error.replace(Some(error.clone()));
        error
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(None);
        };
        let Poll::Ready(frame) = Pin::new(inner).poll_frame(cx) else {
            this.upload.starved.set(true);
            ready!(this.idle.poll_expired(cx));
            return Poll::Ready(Some(Err(this.fail(BodyError::Idle(this.idle.timeout)))));
        };
        this.idle.progress();
        this.upload.starved.set(false);
        this.upload.last.set(Instant::now());
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                this.upload
                    .bytes
                    .set(this.upload.bytes.get() + length as u64);
                if this.upload.bytes.get() > this.upload.most {
                    let error = BodyError::TooLarge(this.upload.most);
                    return Poll::Ready(Some(Err(this.fail(error))));
                }
                this.upload.ended.set(Body::is_end_stream(this));
                Some(Ok(frame))
            }
            Some(Err(error)) => Some(Err(this.fail(BodyError::Read(error.to_string())))),
            None => {
                this.upload.ended.set(true);
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

/// An upstream's response body, as the client's connection reads it. Gives the upstream
/// connection back when it has been read whole; else that connection is closed.
#[derive(Debug)]
pub struct ResponseBody {
    inner: Incoming,
    idle: IdleTimer,
    connection: Option<Connection>,
    upload: Rc<Upload>,
}

impl ResponseBody {
    /// A body whose upstream may be silent for at most `idle`; `upload` is its request's.
    pub fn new(
        inner: Incoming,
        idle: Duration,
        connection: Connection,
        upload: Rc<Upload>,
    ) -> Self {
        let mut body = Self {
            inner,
            idle: IdleTimer::new(idle),
            connection: Some(connection),
            upload,
        };
        body.release_at_end();
        body
    }

    fn release_at_end(&mut self) {
        if self.inner.is_end_stream() {
            self.release();
        }
    }

    /// An upstream that answered before it had the whole request may never read the rest; its
    /// connection is closed.
    fn release(&mut self) {
        if let Some(connection) = self.connection.take().filter(|_| self.upload.ended.get()) {
            connection.release();
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) else {
            ready!(this.idle.poll_expired(cx));
            this.connection = None;
            return Poll::Ready(Some(Err(BodyError::Idle(this.idle.timeout))));
        };
        this.idle.progress();
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                this.release_at_end();
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                this.connection = None;
                Some(Err(BodyError::Read(error.to_string())))
            }
            None => {
                this.release();
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A deadline between frames. Bodies that never wait never touch the runtime's timers.
#[derive(Debug)]
struct IdleTimer {
    timeout: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whether a frame came since the timer was set.
    moved: bool,
}

impl IdleTimer {
    fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            sleep: None,
            moved: false,
        }
    }

    fn progress(&mut self) {
        self.moved = true;
    }

    /// Ready when nothing came for the whole timeout. A timer that is set is not moved with
    /// every frame but when it fires, so that a stream costs one timer entry per timeout; a
    /// wait may thus last up to twice as long.
    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timeout = self.timeout;
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        loop {
            ready!(sleep.as_mut().poll(cx));
            if !std::mem::take(&mut self.moved) {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(tokio::time::Instant::now() + timeout);
        }
    }
}
