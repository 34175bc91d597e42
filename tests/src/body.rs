//! Message bodies for both sides of a test: whole, sized and streamed, or frame by frame.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// A body of any of the kinds below.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What streamed bodies are cut into.
const CHUNK: usize = 64 * 1024;

/// No body.
pub fn empty() -> Body {
    full(Bytes::new())
}

/// A body that is there at once, of known length.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

/// This many zero bytes, of known length, never all in memory.
pub fn zeros(length: u64) -> Body {
    let chunk = Bytes::from_static(&[0; CHUNK]);
    Zeros {
        left: length,
        chunk,
    }
    .boxed_unsync()
}

/// These frames, of unknown length. An error cuts the message short, once what precedes it is
/// written.
pub fn frames(frames: Vec<io::Result<Frame<Bytes>>>) -> Body {
    let frames = frames.into_iter().peekable();
    Frames {
        frames,
        written: false,
    }
    .boxed_unsync()
}

/// So many pieces of this length, with a pause before each.
pub fn paced(length: usize, pieces: usize, pause: Duration) -> Body {
    let piece = Bytes::from(vec![b'a'; length]);
    let sleep = Box::pin(tokio::time::sleep(pause));
    Paced {
        piece,
        pieces,
        pause,
        sleep,
    }
    .boxed_unsync()
}

/// These bytes and then, without an end, nothing.
pub fn unfinished(bytes: impl Into<Bytes>) -> Body {
    Unfinished(Some(bytes.into())).boxed_unsync()
}

struct Zeros {
    left: u64,
    chunk: Bytes,
}

impl hyper::body::Body for Zeros {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let length = self.left.min(CHUNK as u64);
        self.left -= length;
        let chunk = self.chunk.slice(..usize::try_from(length).unwrap());
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

struct Paced {
    piece: Bytes,
    pieces: usize,
    pause: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl hyper::body::Body for Paced {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.pieces == 0 {
            return Poll::Ready(None);
        }
        std::task::ready!(self.sleep.as_mut().poll(cx));
        let next = Instant::now() + self.pause;
        self.sleep.as_mut().reset(next);
        self.pieces -= 1;
        Poll::Ready(Some(Ok(Frame::data(self.piece.clone()))))
    }
}

struct Unfinished(Option<Bytes>);

impl hyper::body::Body for Unfinished {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.0.take() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None => Poll::Pending,
        }
    }
}

struct Frames {
    frames: std::iter::Peekable<std::vec::IntoIter<io::Result<Frame<Bytes>>>>,
    /// Whether hyper has been given the time to write what precedes an error.
    written: bool,
}

impl hyper::body::Body for Frames {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if matches!(self.frames.peek(), Some(Err(_))) && !self.written {
            self.written = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.frames.next())
    }
}
