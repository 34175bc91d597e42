//! Why a request has got no answer, and how much of it may have arrived.

use http::Request;
use hyper::client::conn::TrySendError;

use super::RequestBody;
use crate::{error::UpstreamError, tls};

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// Nothing was sent.
    Unsent,
    /// The endpoint says that it has not acted on the request (RFC 9113 §8.7).
    Refused(UpstreamError),
    /// It may have been acted on.
    Failed(UpstreamError),
}

impl NoAnswer {
    pub(super) fn of_h1(mut error: TrySendError<Request<RequestBody>>) -> Self {
        match error.take_message() {
            Some(_) => Self::Unsent,
            None => Self::Failed(h1(&error.into_error())),
        }
    }

    pub(super) fn of_h2(error: &h2::Error) -> Self {
        let refused = error.reason() == Some(h2::Reason::REFUSED_STREAM) || error.is_go_away();
        match refused && error.is_remote() {
            true => Self::Refused(h2(error)),
            false => Self::Failed(h2(error)),
        }
    }
}

fn h1(error: &hyper::Error) -> UpstreamError {
    if error.is_parse() || error.is_parse_too_large() || error.is_parse_status() {
        return UpstreamError::Invalid(error.to_string());
    }
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    closed(source)
}

/// What became of a stream.
pub(super) fn h2(error: &h2::Error) -> UpstreamError {
    match error.reason() {
        Some(reason) if error.is_remote() && error.is_reset() => {
            UpstreamError::Reset(format!("{reason:?}"))
        }
        Some(_) if error.is_library() => UpstreamError::Invalid(error.to_string()),
        _ => closed(error.get_io()),
    }
}

/// An endpoint's refusal in TLS 1.3 can arrive with the first read.
fn closed(error: Option<&std::io::Error>) -> UpstreamError {
    match error.map(tls::upstream::failure) {
        Some(failure @ tls::upstream::HandshakeFailure::Tls(_)) => {
            UpstreamError::Handshake(failure)
        }
        _ => UpstreamError::Closed,
    }
}
