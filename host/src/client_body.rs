//! A request's body, as the client's connection gives it.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::h2_body::Received;

/// What a client sends behind the head of a request.
#[derive(Debug)]
pub enum ClientBody {
    /// Nothing.
    Empty,
    /// Over HTTP/1.1. The client is told to go on by the library.
    H1(Incoming),
    /// Over HTTP/2; and what a client is told that waits for it.
    H2(Received, Option<Continue>),
}

/// Tells a client that its body is awaited (RFC 9110 §10.1.1): `100 Continue`.
pub struct Continue(Box<dyn FnOnce()>);

impl Continue {
    /// Tells it by this call.
    pub fn new(tell: impl FnOnce() + 'static) -> Self {
        Self(Box::new(tell))
    }
}

impl fmt::Debug for Continue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Continue")
    }
}

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum ClientBodyError {
    /// Over HTTP/1.1.
    #[error("{0}")]
    H1(hyper::Error),
    /// Over HTTP/2.
    #[error("{0}")]
    H2(h2::Error),
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = ClientBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientBodyError>>> {
        let frame = match self.get_mut() {
            Self::Empty => None,
            Self::H1(body) => ready!(Pin::new(body).poll_frame(cx))
                .map(|frame| frame.map_err(ClientBodyError::H1)),
            Self::H2(body, awaited) => {
                let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) else {
                    if let Some(Continue(tell)) = awaited.take() {
                        tell();
                    }
                    return Poll::Pending;
                };
                *awaited = None;
                frame.map(|frame| frame.map_err(ClientBodyError::H2))
            }
        };
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::H1(body) => body.is_end_stream(),
            Self::H2(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::H1(body) => body.size_hint(),
            Self::H2(body, _) => body.size_hint(),
        }
    }
}
