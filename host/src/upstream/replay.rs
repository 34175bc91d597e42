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

use crate::{client_body::ClientBody, total::Part};

/// A body, with what was kept of it. One try after the other reads it.
#[derive(Debug)]
pub struct Source {
    /// What is still to come from the client; none for a body of the gateway's own.
    inner: Option<ClientBody>,
    /// What comes before that, where the client's body was read in advance to its end.
    end: Option<Result<Frame<Bytes>, <ClientBody as Body>::Error>>,
    /// All that was read; none when that is not kept.
    kept: Option<BytesMut>,
    /// What is taken for that, where it was read in advance.
    room: Option<Part>,
    /// How much may be kept.
    most: usize,
    /// Bytes that came from the client.
    read: u64,
    begun: bool,
    /// How many tries have begun to read; the last of them alone may.
    readers: u32,
}

/// What was read of a body before it is sent.
#[derive(Debug, Default)]
pub struct Ahead {
    /// Its first bytes.
    pub bytes: BytesMut,
    /// Trailers, or how it broke, where it was read so far.
    pub end: Option<Result<Frame<Bytes>, <ClientBody as Body>::Error>>,
    /// What those bytes have of what all such may.
    pub room: Option<Part>,
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
    /// kept then. A body that says it is longer is not kept at all. What was read in advance is
    /// sent first, and kept until then whatever its length.
    pub fn new(inner: ClientBody, ahead: Ahead, most: usize) -> Option<Rc<RefCell<Self>>> {
        let Ahead { bytes, end, room } = ahead;
        if bytes.is_empty() && end.is_none() && inner.is_end_stream() {
            return None;
        }
        let read = bytes.len() as u64;
        let fits = read + inner.size_hint().lower() <= most as u64;
        Some(Rc::new(RefCell::new(Self {
            inner: Some(inner),
            end,
            most: if fits { most } else { bytes.len() },
            begun: !bytes.is_empty(),
            kept: (!bytes.is_empty() || (most > 0 && fits)).then_some(bytes),
            read,
            room,
            readers: 0,
        })))
    }

    /// A whole body of the gateway's own; none when it is empty.
    pub fn of(bytes: &[u8]) -> Option<Rc<RefCell<Self>>> {
        let whole = Self {
            inner: None,
            end: None,
            kept: Some(bytes.into()),
            most: bytes.len(),
            read: bytes.len() as u64,
            begun: true,
            room: None,
            readers: 0,
        };
        (!bytes.is_empty()).then(|| Rc::new(RefCell::new(whole)))
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
        let next = match (self.end.take(), &mut self.inner) {
            (Some(end), _) => Some(end),
            (None, Some(inner)) => ready!(Pin::new(inner).poll_frame(cx)),
            (None, None) => None,
        };
        Poll::Ready(match next {
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
            _ => (self.kept, self.room) = (None, None),
        }
    }

    pub(super) fn is_end_for(&self, reader: &Reader) -> bool {
        let inner = self.inner.as_ref();
        self.rest(reader).is_empty()
            && self.end.is_none()
            && inner.is_none_or(ClientBody::is_end_stream)
    }

    pub(super) fn size_hint_for(&self, reader: &Reader) -> SizeHint {
        let inner = self.inner.as_ref();
        let inner = inner.map_or(SizeHint::with_exact(0), ClientBody::size_hint);
        inner + SizeHint::with_exact(self.rest(reader).len() as u64)
    }
}
