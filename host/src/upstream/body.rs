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

use super::{
    Connection, failure,
    h2::Received,
    patience::{Deadline, Over, Patience},
    replay::{Read, Reader, Source},
};

/// Why a body ended before its end.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BodyError {
    /// Nothing came for this long.
    #[error("no byte within {0:?}")]
    Idle(Duration),
    /// Less came than so many bytes for each second of waiting.
    #[error("less than {0} bytes a second")]
    Slow(u64),
    /// The request's time was over, this long after it began.
    #[error("the request was not over within {0:?}")]
    Deadline(Duration),
    /// It has more bytes than are allowed.
    #[error("more than {0} bytes")]
    TooLarge(u64),
    /// The connection that it came on broke, or its framing was wrong.
    #[error("{0}")]
    Read(String),
}

/// An answer's body, as the connection gives it.
#[derive(Debug)]
pub enum Incoming {
    /// Of HTTP/1.1.
    H1(hyper::body::Incoming),
    /// Of HTTP/2.
    H2(Received),
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = match self.get_mut() {
            Self::H1(body) => ready!(Pin::new(body).poll_frame(cx))
                .map(|frame| frame.map_err(|error| BodyError::Read(error.to_string()))),
            Self::H2(body) => ready!(Pin::new(body).poll_frame(cx)).map(|frame| {
                frame.map_err(|error| BodyError::Read(failure::h2(&error).to_string()))
            }),
        };
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::H1(body) => body.is_end_stream(),
            Self::H2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::H1(body) => body.size_hint(),
            Self::H2(body) => body.size_hint(),
        }
    }
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
    /// Whether an answer has begun.
    pub answered: Cell<bool>,
    /// Frames passed on, of the request and of its answer: while one side has much to say the
    /// other may be silent.
    frames: Cell<u64>,
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
            answered: Cell::new(false),
            frames: Cell::new(0),
            most,
            error: RefCell::new(None),
        })
    }

    fn moved(&self) {
        self.frames.set(self.frames.get() + 1);
    }
}

/// A client's request body, as one upstream connection reads it.
#[derive(Debug)]
pub struct RequestBody {
    /// None for a request without a body.
    source: Option<(Rc<RefCell<Source>>, Reader)>,
    patience: Patience,
    upload: Rc<Upload>,
}

impl RequestBody {
    /// The body from its start, whose client may be silent for at most `idle` and, until an
    /// answer begins, sends at least `min_rate` bytes for each second that it is waited for.
    pub fn new(
        source: Option<&Rc<RefCell<Source>>>,
        idle: Duration,
        min_rate: u64,
        upload: Rc<Upload>,
    ) -> Self {
        upload.ended.set(source.is_none());
        upload.starved.set(false);
        Self {
            source: source.map(|source| (Rc::clone(source), source.borrow_mut().reader())),
            patience: Patience::new(idle, min_rate),
            upload,
        }
    }

    fn fail(&self, error: BodyError) -> BodyError {
        self.upload.error.replace(Some(error.clone()));
        error
    }

    fn over(&self, over: Over) -> BodyError {
        self.fail(match over {
            Over::Idle => BodyError::Idle(self.patience.idle()),
            Over::Slow => BodyError::Slow(self.patience.min_rate()),
        })
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
        let Some((source, reader)) = &mut this.source else {
            return Poll::Ready(None);
        };
        let mut source = source.borrow_mut();
        let Poll::Ready(read) = source.poll_read(reader, cx) else {
            this.upload.starved.set(true);
            if this.upload.answered.get() {
                this.patience.forgive();
            }
            let over = ready!(this.patience.poll_over(cx, this.upload.frames.get()));
            drop(source);
            return Poll::Ready(Some(Err(this.over(over))));
        };
        let (bytes, is_end) = (source.bytes_read(), source.is_end_for(reader));
        drop(source);
        this.upload.moved();
        this.upload.starved.set(false);
        this.upload.last.set(Instant::now());
        this.upload.bytes.set(bytes);
        Poll::Ready(match read {
            Read::Frame(_) if bytes > this.upload.most => {
                Some(Err(this.fail(BodyError::TooLarge(this.upload.most))))
            }
            Read::Frame(frame) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                this.patience.progress(length);
                this.upload.ended.set(is_end);
                Some(Ok(frame))
            }
            Read::Broken(error) => Some(Err(this.fail(BodyError::Read(error.to_string())))),
            Read::Superseded => {
                let error = "the request is sent elsewhere".to_owned();
                Some(Err(BodyError::Read(error)))
            }
            Read::End => {
                this.upload.ended.set(true);
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Some((source, reader)) => source.borrow().is_end_for(reader),
            None => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Some((source, reader)) => source.borrow().size_hint_for(reader),
            None => SizeHint::with_exact(0),
        }
    }
}

/// An upstream's response body, as the client's connection reads it. Gives the upstream
/// connection back when it has been read whole; else that connection is closed.
#[derive(Debug)]
pub struct ResponseBody {
    inner: Incoming,
    patience: Patience,
    /// When the whole answer must have come.
    deadline: Option<Box<Deadline>>,
    connection: Option<Connection>,
    upload: Rc<Upload>,
}

impl ResponseBody {
    /// A body whose upstream may be silent for at most `idle`; `upload` is its request's, and
    /// so is the deadline.
    pub fn new(
        inner: Incoming,
        idle: Duration,
        deadline: Option<Deadline>,
        connection: Connection,
        upload: Rc<Upload>,
    ) -> Self {
        let mut body = Self {
            inner,
            patience: Patience::new(idle, 0),
            deadline: deadline.map(Box::new),
            connection: Some(connection),
            upload,
        };
        body.release_at_end();
        body
    }

    /// Ready when the body is not waited for any longer.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        if let Some(deadline) = &mut self.deadline
            && deadline.poll_passed(cx).is_ready()
        {
            return Poll::Ready(BodyError::Deadline(deadline.limit));
        }
        ready!(self.patience.poll_over(cx, self.upload.frames.get()));
        Poll::Ready(BodyError::Idle(self.patience.idle()))
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
            let error = ready!(this.poll_over(cx));
            this.connection = None;
            return Poll::Ready(Some(Err(error)));
        };
        if let Some(deadline) = this.deadline.as_ref().filter(|d| d.has_passed()) {
            let error = BodyError::Deadline(deadline.limit);
            this.connection = None;
            return Poll::Ready(Some(Err(error)));
        }
        this.upload.moved();
        this.patience.progress(0);
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                this.release_at_end();
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                this.connection = None;
                Some(Err(error))
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
