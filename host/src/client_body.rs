//! A request's body, as the client's connection gives it.

mod tap;

use std::{
    fmt,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::h2_body::Received;

pub use tap::Tap;

/// What a client sends behind the head of a request.
#[derive(Debug)]
pub enum ClientBody {
    /// Nothing.
    Empty,
    /// Over HTTP/1.1. The client is told to go on by the library.
    H1(Incoming),
    /// Over HTTP/2; and what a client is told that waits for it.
    H2(Received, Option<Continue>),
    /// Either, of which somebody beside the request sees the start.
    Tapped(Box<ClientBody>, Tapped),
}

/// Who sees the start of a body; told when it goes by no further.
#[derive(Debug)]
pub struct Tapped(Rc<Tap>);

impl Drop for Tapped {
    fn drop(&mut self) {
        self.0.end(false);
    }
}

impl ClientBody {
    /// The same, of which this sees what is still to come.
    pub fn tapped(self, tap: Rc<Tap>) -> Self {
        Self::Tapped(Box::new(self), Tapped(tap))
    }
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
            Self::Tapped(body, Tapped(tap)) => {
                let frame = ready!(Pin::new(&mut **body).poll_frame(cx));
                match &frame {
                    Some(Ok(frame)) => tap.frame(frame, body.is_end_stream()),
                    Some(Err(_)) => tap.end(false),
                    None => tap.end(true),
                }
                frame
            }
        };
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::H1(body) => body.is_end_stream(),
            Self::H2(body, _) => body.is_end_stream(),
            Self::Tapped(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::H1(body) => body.size_hint(),
            Self::H2(body, _) => body.size_hint(),
            Self::Tapped(body, _) => body.size_hint(),
        }
    }
}
