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
    /// The gateway's or a plugin's own.
    Whole(Bytes),
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
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Upstream(body) => body.size_hint(),
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}
