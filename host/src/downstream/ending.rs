//! How a client's connection ended: whose fault that was, told in the counters and the log.

use std::{fmt::Display, net::SocketAddr, time::Duration};

use crate::{error::ConnectionFault, local::OpenConnection};

/// Counts and logs how a connection ended.
pub(super) fn tell(open: &OpenConnection, peer: SocketAddr, error: &dyn Display) {
    let cause = open.fault().map(ConnectionFault::token);
    if let Some(fault) = open.fault() {
        open.listener.counters.of(open.local.index).ended(fault);
    }
    tracing::debug!(listener = %open.listener.name, %peer, cause, %error, "client connection ended");
}

/// How a connection broke.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// As HTTP/1.1.
    #[error("{0}")]
    H1(#[from] hyper::Error),
    /// No request came on a connection of HTTP/1.1 that was parked.
    #[error("no request within {0:?}")]
    NoRequest(Duration),
    /// As HTTP/2.
    #[error("{0}")]
    H2(#[from] h2::Error),
    /// A ping had no answer.
    #[error("no answer to a ping")]
    Silent,
}

impl Broken {
    /// Whether that was the client's fault. What happens to a connection in the middle of a
    /// request is in that request's record.
    pub(super) fn fault(&self) -> Option<ConnectionFault> {
        match self {
            Self::H1(error) if error.is_timeout() => Some(ConnectionFault::HeadTimeout),
            Self::H1(error) => error.is_parse().then_some(ConnectionFault::HeadInvalid),
            Self::H2(error) if !error.is_library() => None,
            Self::H2(error) => match error.reason()? {
                h2::Reason::ENHANCE_YOUR_CALM => Some(ConnectionFault::H2Flood),
                h2::Reason::NO_ERROR => None,
                _ => Some(ConnectionFault::H2Invalid),
            },
            Self::Silent | Self::NoRequest(_) => Some(ConnectionFault::HeadTimeout),
        }
    }
}
