//! What can go wrong with a request, and the one place that says what the client then gets:
//! status, `Proxy-Status` (RFC 9209), a cause that is the same in header and access log, and a body.

mod accept;
mod cause;
mod connection;
mod pages;
mod template;

use std::time::Duration;

use http::HeaderValue;

pub use accept::accept;
pub use cause::Cause;
pub use connection::ConnectionFault;
pub use pages::{ErrorBody, ErrorPages, PageError};

use crate::{
    plugin::CallError,
    pool::{Failure, Full},
    tls::{
        downstream::Verdict,
        upstream::{HandshakeFailure, TrustFailure},
    },
};

/// A request that the gateway answers itself.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GatewayError {
    /// The client's message cannot be forwarded.
    #[error("{0}")]
    BadRequest(&'static str),
    /// HTTP without TLS where TLS is spoken.
    #[error("a plain HTTP request was sent to an HTTPS port")]
    PlainHttp,
    /// The path has no normal form.
    #[error("{0}")]
    Path(&'static str),
    /// The host has no normal form.
    #[error("{0}")]
    Host(&'static str),
    /// Path and query exceed `limits.target_bytes`.
    #[error("path and query have {found} bytes; {limit} are allowed")]
    TargetTooLong {
        /// How many they have.
        found: usize,
        /// As configured.
        limit: usize,
    },
    /// More header fields than `limits.head_fields`.
    #[error("the request has {found} header fields; {limit} are allowed")]
    TooManyFields {
        /// How many it has.
        found: usize,
        /// As configured.
        limit: usize,
    },
    /// The body exceeds the listener's `requests.body_bytes`.
    #[error("the request body has more than the {limit} bytes that are allowed")]
    BodyTooLarge {
        /// As configured.
        limit: u64,
    },
    /// A method that the gateway does not forward.
    #[error("method {0} is not forwarded")]
    Method(http::Method),
    /// A protocol over HTTP/2 (RFC 8441) that the listener does not let through.
    #[error("protocol {0:?} is not passed on")]
    Protocol(String),
    /// A WebSocket over HTTP/2 was answered as if it were a request: 2xx would tell the client
    /// that it is open (RFC 8441 §5).
    #[error("a WebSocket was answered with status {0} instead of 101")]
    NotSwitched(http::StatusCode),
    /// `hosts = "certificate"`, and the connection's certificate does not name this host.
    #[error("the certificate of this connection does not name the host")]
    Misdirected,
    /// `mode = "require-or-400"`, and the client has no certificate.
    #[error("the client has sent no certificate")]
    NoClientCertificate,
    /// `mode = "require-or-400"`, and the client's certificate is not good.
    #[error("the client's certificate: {0}")]
    ClientCertificate(Verdict),
    /// The client stopped sending its body.
    #[error("no byte of the request body within {0:?}")]
    RequestBodyTimeout(Duration),
    /// The client sent its body too slowly.
    #[error("the request body came with less than {0} bytes a second")]
    RequestBodySlow(u64),
    /// The request's time was over before an answer began.
    #[error("no answer within the request's {0:?}")]
    RequestTimeout(Duration),
    /// The client's body ended in an error.
    #[error("the request body could not be read: {0}")]
    RequestBody(String),
    /// No plugin and no default pool.
    #[error("no routing plugin claims the request and the listener has no default_pool")]
    NoRoute,
    /// Every endpoint of the pool is unhealthy, drains or has weight 0.
    #[error("pool {pool} has no healthy endpoint that takes new sessions")]
    NoEndpoint {
        /// The pool's name.
        pool: String,
    },
    /// A plugin's call failed.
    #[error(transparent)]
    Plugin(#[from] CallError),
    /// A plugin decided what the gateway does not do.
    #[error("plugin {plugin}: {problem}")]
    Refused {
        /// Whose decision.
        plugin: String,
        /// What was wrong with it.
        problem: RefusedDecision,
    },
    /// The upstream could not be reached or failed to answer.
    #[error("endpoint {endpoint}: {error}")]
    Upstream {
        /// The endpoint's id.
        endpoint: String,
        /// What happened.
        error: UpstreamError,
    },
}

/// A decision that the gateway does not act on; the plugin's failure policy applies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusedDecision {
    /// Only pools of the configuration can be named.
    #[error("pool {0:?} is not configured")]
    UndeclaredPool(String),
    /// Framing and connection fields are the gateway's alone.
    #[error("field {0:?} is the gateway's own")]
    ProtectedField(String),
    /// Not a token (RFC 9110 §5.6.2).
    #[error("{0:?} is not a field name")]
    FieldName(String),
    /// CR, LF, NUL or too long.
    #[error("the value of field {0:?} is not legal")]
    FieldValue(String),
    /// Not a path, query or authority.
    #[error("{part} {value:?} is not legal")]
    Target {
        /// `path`, `query` or `authority`.
        part: &'static str,
        /// As the plugin wrote it.
        value: String,
    },
    /// Outside 200 to 599.
    #[error("status {0} is not one that a plugin may send")]
    Status(u16),
    /// More than a decision may have.
    #[error("{what} exceeds {limit}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        limit: usize,
    },
}

/// What went wrong between the gateway and an endpoint.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UpstreamError {
    /// Its name has no address.
    #[error("its name has no address: {0}")]
    Dns(String),
    /// Nothing listens there.
    #[error("connection refused")]
    Refused,
    /// Unreachable, reset and the like.
    #[error("connect failed: {0}")]
    Connect(String),
    /// The gateway has no descriptor, memory or port left for a connection.
    #[error("the gateway cannot open a connection: {0}")]
    Exhausted(String),
    /// It has all that its pool lets it have, and so many requests wait already.
    #[error("the endpoint has all that its limits allow, and {0} requests wait for it")]
    QueueFull(u32),
    /// It had all that its pool lets it have for as long as the request waited.
    #[error("the endpoint had all that its limits allow for {0:?}")]
    QueueTimeout(Duration),
    /// No answer to the connect.
    #[error("no connection within {0:?}")]
    ConnectTimeout(Duration),
    /// The handshake did not end in time.
    #[error("no TLS handshake within {0:?}")]
    TlsTimeout(Duration),
    /// The handshake failed; also for a certificate that the pool does not trust.
    #[error("{0}")]
    Handshake(HandshakeFailure),
    /// The connection ended before the response's head did.
    #[error("the connection was closed before it answered")]
    Closed,
    /// The endpoint has reset the request's stream (HTTP/2), with this reason.
    #[error("the endpoint has reset the stream: {0}")]
    Reset(String),
    /// Not HTTP, or against its rules.
    #[error("the answer is not valid HTTP: {0}")]
    Invalid(String),
    /// No response head in time.
    #[error("no answer within {0:?}")]
    FirstByteTimeout(Duration),
    /// The answer's body stopped coming.
    #[error("no byte of the response body within {0:?}")]
    BodyTimeout(Duration),
}

impl GatewayError {
    /// Which cause it is.
    pub fn cause(&self) -> Cause {
        match self {
            Self::BadRequest(_) => Cause::RequestInvalid,
            Self::PlainHttp => Cause::PlainHttp,
            Self::Path(_) => Cause::PathInvalid,
            Self::Host(_) => Cause::HostInvalid,
            Self::TargetTooLong { .. } => Cause::TargetTooLong,
            Self::TooManyFields { .. } => Cause::HeadTooLarge,
            Self::BodyTooLarge { .. } => Cause::RequestBodyTooLarge,
            Self::Method(_) => Cause::MethodRefused,
            Self::Protocol(_) => Cause::ProtocolUnsupported,
            Self::NotSwitched(_) => Cause::NotSwitched,
            Self::Misdirected => Cause::MisdirectedRequest,
            Self::NoClientCertificate => Cause::ClientCertificateMissing,
            Self::ClientCertificate(_) => Cause::ClientCertificateRefused,
            Self::RequestBodyTimeout(_) => Cause::RequestBodyTimeout,
            Self::RequestBodySlow(_) => Cause::RequestBodySlow,
            Self::RequestTimeout(_) => Cause::RequestTimeout,
            Self::RequestBody(_) => Cause::RequestBodyFailed,
            Self::NoRoute => Cause::NoRoute,
            Self::NoEndpoint { .. } => Cause::NoEndpoint,
            Self::Plugin(error) => error.cause(),
            Self::Refused { .. } => Cause::PluginDecisionRefused,
            Self::Upstream { error, .. } => error.cause(),
        }
    }

    /// Whether it is doubtful where the request ends: an HTTP/1.1 connection carries no other
    /// behind it (RFC 9112 §6.1, §9.6).
    pub fn ends_connection(&self) -> bool {
        matches!(
            self,
            // What follows may be meant for the tunnel that was asked for.
            Self::Method(http::Method::CONNECT)
                | Self::BadRequest(_)
                | Self::Host(_)
                | Self::PlainHttp
                | Self::BodyTooLarge { .. }
                | Self::RequestBody(_)
                | Self::RequestBodyTimeout(_)
                | Self::RequestBodySlow(_)
        )
    }

    /// `Proxy-Status: witgate; error=connection_refused; details="connect-refused"`. The
    /// details of a certificate name its fingerprint, which anyone who connects to that server
    /// can see; those of other errors stay in the logs.
    pub fn proxy_status(&self) -> HeaderValue {
        let cause = self.cause();
        let details = match self {
            Self::Upstream {
                error: UpstreamError::Handshake(HandshakeFailure::Untrusted(failure)),
                ..
            } => match failure.fingerprint() {
                Some(fingerprint) => format!("{}: {fingerprint}", cause.token()),
                None => cause.token().to_owned(),
            },
            _ => cause.token().to_owned(),
        };
        let value = format!(
            "witgate; error={}; details=\"{details}\"",
            cause.proxy_status_type()
        );
        HeaderValue::try_from(value).expect("tokens and fingerprints are visible ASCII")
    }
}

impl CallError {
    fn cause(&self) -> Cause {
        match self {
            Self::Trap { .. } => Cause::PluginTrap,
            Self::Deadline { .. } => Cause::PluginDeadline,
            Self::Overtime { .. } => Cause::PluginOvertime,
            Self::Memory { .. } | Self::TotalMemory { .. } | Self::TotalBodies { .. } => {
                Cause::PluginMemory
            }
            Self::Suspended { .. } => Cause::PluginSuspended,
            Self::Busy { .. } | Self::Instantiate { .. } => Cause::PluginUnavailable,
        }
    }
}

impl From<Full> for UpstreamError {
    fn from(full: Full) -> Self {
        match full {
            Full::Queue(waiting) => Self::QueueFull(waiting),
            Full::Timeout(time) => Self::QueueTimeout(time),
        }
    }
}

impl UpstreamError {
    /// How the endpoint has failed; none when it has nothing to do with it.
    pub fn of_endpoint(&self) -> Option<Failure> {
        match self {
            Self::Exhausted(_) | Self::QueueFull(_) | Self::QueueTimeout(_) => None,
            Self::Dns(_)
            | Self::Refused
            | Self::Connect(_)
            | Self::ConnectTimeout(_)
            | Self::TlsTimeout(_)
            | Self::Handshake(_) => Some(Failure::Connect),
            Self::Closed
            | Self::Reset(_)
            | Self::Invalid(_)
            | Self::FirstByteTimeout(_)
            | Self::BodyTimeout(_) => Some(Failure::Request),
        }
    }

    /// Which cause it is.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Dns(_) => Cause::DnsFailed,
            Self::Refused => Cause::ConnectRefused,
            Self::Connect(_) => Cause::ConnectFailed,
            Self::Exhausted(_) => Cause::GatewayExhausted,
            Self::QueueFull(_) => Cause::EndpointQueueFull,
            Self::QueueTimeout(_) => Cause::EndpointQueueTimeout,
            Self::ConnectTimeout(_) => Cause::ConnectTimeout,
            Self::TlsTimeout(_) => Cause::TlsTimeout,
            Self::Handshake(HandshakeFailure::Untrusted(failure)) => trust_cause(failure),
            Self::Handshake(HandshakeFailure::Protocol) => Cause::ProtocolMismatch,
            Self::Handshake(_) => Cause::TlsFailed,
            Self::Closed => Cause::ConnectionClosed,
            Self::Reset(_) => Cause::StreamReset,
            Self::Invalid(_) => Cause::ResponseInvalid,
            Self::FirstByteTimeout(_) => Cause::FirstByteTimeout,
            Self::BodyTimeout(_) => Cause::ResponseBodyTimeout,
        }
    }
}

fn trust_cause(failure: &TrustFailure) -> Cause {
    match failure {
        TrustFailure::NotAllowListed { .. } => Cause::CertificateNotAllowListed,
        TrustFailure::KeyListedOnly { .. } => Cause::CertificateKeyListedOnly,
        TrustFailure::Expired { .. } => Cause::CertificateExpired,
        TrustFailure::NotYetValid { .. } => Cause::CertificateNotYetValid,
        TrustFailure::UnknownIssuer { .. } => Cause::CertificateUnknownIssuer,
        TrustFailure::NameMismatch { .. } => Cause::CertificateNameMismatch,
        TrustFailure::Invalid(_) => Cause::CertificateInvalid,
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn proxy_status_names_type_and_cause() {
        let error = GatewayError::Upstream {
            endpoint: "a".into(),
            error: UpstreamError::Refused,
        };
        assert_eq!(
            error.proxy_status(),
            "witgate; error=connection_refused; details=\"connect-refused\""
        );
        assert_eq!(error.cause().status(), StatusCode::BAD_GATEWAY);
    }
}
