//! How a client's connection ended: whose fault that was, told in the counters and the log.

use std::{fmt::Display, net::SocketAddr};

use crate::{error::ConnectionFault, local::OpenConnection};

/// Counts and logs how a connection ended.
pub(super) fn tell(open: &OpenConnection, peer: SocketAddr, error: &dyn Display) {
    let cause = open.fault().map(ConnectionFault::token);
    if let Some(fault) = open.fault() {
        open.listener.counters.of(open.local.index).ended(fault);
    }
    tracing::debug!(listener = %open.listener.name, %peer, cause, %error, "client connection ended");
}

/// Whether a connection's end was its client's fault. What happens to one in the middle of a
/// request is in that request's record.
pub(super) fn fault(error: &hyper::Error) -> Option<ConnectionFault> {
    if error.is_timeout() {
        return Some(ConnectionFault::HeadTimeout);
    }
    if error.is_parse() {
        return Some(ConnectionFault::HeadInvalid);
    }
    let http2 = std::error::Error::source(error)?.downcast_ref::<h2::Error>()?;
    match http2.reason()? {
        _ if !http2.is_library() => None,
        h2::Reason::ENHANCE_YOUR_CALM => Some(ConnectionFault::H2Flood),
        h2::Reason::NO_ERROR => None,
        _ => Some(ConnectionFault::H2Invalid),
    }
}
