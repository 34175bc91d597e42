//! What a client reads: an upstream's body or the gateway's own bytes, with the request's
//! record, which is written when the body has ended, one way or another.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use super::record::Record;
use crate::upstream::{BodyError, ResponseBody, Switched};

/// What is behind the head of an answer.
pub(super) enum Content {
    /// Another protocol, of this name.
    Switched(Switched, String),
    /// As they come.
    Upstream(ResponseBody),
    /// A plugin's own.
    Whole(Bytes),
    /// The gateway's own, of which none is empty.
    Pieces(std::vec::IntoIter<Bytes>),
}

impl Content {
    /// Nothing.
    pub(super) fn empty() -> Self {
        Self::Whole(Bytes::new())
    }

    /// What is left of the gateway's or a plugin's own; none of an upstream's.
    pub(super) fn own_length(&self) -> Option<u64> {
        match self {
            Self::Upstream(_) | Self::Switched(..) => None,
            Self::Whole(bytes) => Some(bytes.len() as u64),
            Self::Pieces(left) => {
                Some(left.as_slice().iter().map(|piece| piece.len() as u64).sum())
            }
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Switched(..) => true,
            Self::Upstream(body) => body.is_end_stream(),
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Pieces(left) => left.len() == 0,
        }
    }
}

/// An answer's body, with the request's record.
pub struct Body {
    content: Content,
    /// None when a tunnel has it.
    record: Option<Box<Record>>,
}

impl Body {
    pub(super) fn new(content: Content, mut record: Box<Record>) -> Self {
        // A body that is empty from the start is never read.
        if content.is_empty() {
            record.complete();
        } else {
            record.offered();
        }
        Self {
            content,
            record: Some(record),
        }
    }

    /// The empty body before a tunnel.
    pub(super) fn of_tunnel() -> Self {
        Self {
            content: Content::empty(),
            record: None,
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Some(record) = &mut this.record else {
            return Poll::Ready(None);
        };
        record.taken();
        let frame = match &mut this.content {
            Content::Upstream(body) => std::task::ready!(Pin::new(body).poll_frame(cx)),
            Content::Whole(bytes) if !bytes.is_empty() => {
                Some(Ok(Frame::data(std::mem::take(bytes))))
            }
            Content::Pieces(left) => left.next().map(|piece| Ok(Frame::data(piece))),
            Content::Whole(_) | Content::Switched(..) => None,
        };
        match &frame {
            Some(Ok(frame)) => {
                record.offered();
                record.sent(frame.data_ref().map_or(0, Bytes::len));
            }
            Some(Err(error)) => record.cut(error),
            None => record.complete(),
        }
        if this.content.is_empty() {
            record.complete();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Upstream(body) => body.size_hint(),
            own => SizeHint::with_exact(own.own_length().unwrap_or_default()),
        }
    }
}
