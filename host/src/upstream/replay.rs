//! A request body that can be read once more: what was read of it is kept, up to a bound, so
//! that a second try sends the same bytes and then goes on where the first has stopped.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};

use crate::client_body::ClientBody;

/// A client's body, with what was kept of it. One try after the other reads it.
#[derive(Debug)]
pub struct Source {
    inner: ClientBody,
    /// All that was read; none when that is not kept.
    kept: Option<BytesMut>,
    /// How much may be kept.
    most: usize,
    /// Bytes that came from the client.
    read: u64,
    begun: bool,
    /// How many tries have begun to read; the last of them alone may.
    readers: u32,
}

/// Which try reads, and how far it has come in what is kept.
#[derive(Debug)]
pub(super) struct Reader {
    number: u32,
    place: usize,
}

/// What there is to read.
pub(super) enum Read {
    /// The client's next frame, or one that was kept.
    Frame(Frame<Bytes>),
    /// The client's body is broken.
    Broken(<ClientBody as Body>::Error),
    /// It has ended.
    End,
    /// Another try reads the body now.
    Superseded,
}

impl Source {
    /// A body of which up to `most` bytes are kept; none when it is empty, as nothing need be
    /// kept then. A body that says it is longer is not kept at all.
    pub fn new(inner: ClientBody, most: usize) -> Option<Rc<RefCell<Self>>> {
        if inner.is_end_stream() {
            return None;
        }
        let fits = inner.size_hint().lower() <= most as u64;
        Some(Rc::new(RefCell::new(Self {
            inner,
            kept: (most > 0 && fits).then(BytesMut::new),
            most,
            read: 0,
            begun: false,
            readers: 0,
        })))
    }

    /// Whether it can be read from its start.
    pub fn is_replayable(&self) -> bool {
        !self.begun || self.kept.is_some()
    }

    /// Bytes that came from the client.
    pub(super) fn bytes_read(&self) -> u64 {
        self.read
    }

    /// Begins to read from the start, which ends what was reading.
    pub(super) fn reader(&mut self) -> Reader {
        self.readers += 1;
        Reader {
            number: self.readers,
            place: 0,
        }
    }

    pub(super) fn poll_read(&mut self, reader: &mut Reader, cx: &mut Context<'_>) -> Poll<Read> {
        if reader.number != self.readers {
            return Poll::Ready(Read::Superseded);
        }
        let again = self.rest(reader);
        if !again.is_empty() {
            let again = Bytes::copy_from_slice(again);
            reader.place += again.len();
            return Poll::Ready(Read::Frame(Frame::data(again)));
        }
        Poll::Ready(match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            Some(Ok(frame)) => {
                self.keep(&frame);
                reader.place = self.kept.as_ref().map_or(0, BytesMut::len);
                Read::Frame(frame)
            }
            Some(Err(error)) => Read::Broken(error),
            None => Read::End,
        })
    }

    /// What is kept and this reader has yet to read.
    fn rest(&self, reader: &Reader) -> &[u8] {
        let kept = self.kept.as_ref().and_then(|kept| kept.get(reader.place..));
        kept.unwrap_or_default()
    }

    /// Copies, as a frame shares its memory with all that was read with it.
    fn keep(&mut self, frame: &Frame<Bytes>) {
        self.begun = true;
        let data = frame.data_ref();
        self.read += data.map_or(0, Bytes::len) as u64;
        match (data, self.kept.as_mut()) {
            (Some(data), Some(kept)) if kept.len() + data.len() <= self.most => {
                kept.extend_from_slice(data);
            }
            // Trailers are rare, and have no bound of their own.
            _ => self.kept = None,
        }
    }

    pub(super) fn is_end_for(&self, reader: &Reader) -> bool {
        self.rest(reader).is_empty() && self.inner.is_end_stream()
    }

    pub(super) fn size_hint_for(&self, reader: &Reader) -> SizeHint {
        self.inner.size_hint() + SizeHint::with_exact(self.rest(reader).len() as u64)
    }
}
