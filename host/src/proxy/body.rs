//! What a client reads: an upstream's body or the gateway's own bytes, with the request's
//! record, which is written when the body has ended, one way or another.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::record::Record;
use crate::upstream::{BodyError, ResponseBody};

/// The bytes of an answer.
pub(super) enum Content {
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
            Self::Upstream(_) => None,
            Self::Whole(bytes) => Some(bytes.len() as u64),
            Self::Pieces(left) => {
                Some(left.as_slice().iter().map(|piece| piece.len() as u64).sum())
            }
        }
    }
}

/// An answer's body, with the request's record.
pub struct Body {
    content: Content,
    record: Record,
}

impl Body {
    pub(super) fn new(content: Content, record: Record) -> Self {
        let mut body = Self { content, record };
        // A body that is empty from the start is never read.
        if http_body::Body::is_end_stream(&body) {
            body.record.complete();
        } else {
            body.record.offered();
        }
        body
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
        this.record.taken();
        let frame = match &mut this.content {
            Content::Upstream(body) => std::task::ready!(Pin::new(body).poll_frame(cx)),
            Content::Whole(bytes) if bytes.is_empty() => None,
            Content::Whole(bytes) => Some(Ok(Frame::data(std::mem::take(bytes)))),
            Content::Pieces(left) => left.next().map(|piece| Ok(Frame::data(piece))),
        };
        match &frame {
            Some(Ok(frame)) => {
                this.record.offered();
                this.record.sent(frame.data_ref().map_or(0, Bytes::len));
            }
            Some(Err(error)) => this.record.cut(error),
            None => this.record.complete(),
        }
        if http_body::Body::is_end_stream(this) {
            this.record.complete();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Upstream(body) => body.is_end_stream(),
            Content::Whole(bytes) => bytes.is_empty(),
            Content::Pieces(left) => left.len() == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Upstream(body) => body.size_hint(),
            own => SizeHint::with_exact(own.own_length().unwrap_or_default()),
        }
    }
}
