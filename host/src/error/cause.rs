//! The one table of what can go wrong: token, status, and type by RFC 9209 of each cause.

use http::StatusCode;

/// The cause's token: in `Proxy-Status`, in the access log, as a metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the token that each becomes says it")]
pub enum Cause {
    RequestInvalid,
    PlainHttp,
    PathInvalid,
    HostInvalid,
    TargetTooLong,
    HeadTooLarge,
    RequestBodyTooLarge,
    MethodRefused,
    ProtocolUnsupported,
    MisdirectedRequest,
    ClientCertificateMissing,
    ClientCertificateRefused,
    RequestBodyTimeout,
    RequestBodySlow,
    RequestBodyFailed,
    RequestTimeout,
    NoRoute,
    NoEndpoint,
    PluginTrap,
    PluginDeadline,
    PluginOvertime,
    PluginMemory,
    PluginSuspended,
    PluginUnavailable,
    PluginDecisionRefused,
    DnsFailed,
    ConnectRefused,
    ConnectFailed,
    GatewayExhausted,
    EndpointQueueFull,
    EndpointQueueTimeout,
    ConnectTimeout,
    TlsTimeout,
    TlsFailed,
    ProtocolMismatch,
    CertificateNotAllowListed,
    CertificateKeyListedOnly,
    CertificateExpired,
    CertificateNotYetValid,
    CertificateUnknownIssuer,
    CertificateNameMismatch,
    CertificateInvalid,
    ConnectionClosed,
    StreamReset,
    ResponseInvalid,
    FirstByteTimeout,
    ResponseBodyTimeout,
    ClientClosed,
    ClientStalled,
    ResponseCut,
    NotSwitched,
    TunnelIdle,
    Shutdown,
}

/// What a cause means on the wire: token, status, and RFC 9209 §2.3 error type.
struct Meaning(Cause, &'static str, StatusCode, &'static str);

/// One row per cause, in the order of the enum.
const MEANINGS: &[Meaning] = {
    use Cause::*;
    const BAD_REQUEST: StatusCode = StatusCode::BAD_REQUEST;
    const INTERNAL: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;
    const BAD_GATEWAY: StatusCode = StatusCode::BAD_GATEWAY;
    const GATEWAY_TIMEOUT: StatusCode = StatusCode::GATEWAY_TIMEOUT;
    &[
        Meaning(
            RequestInvalid,
            "request-invalid",
            BAD_REQUEST,
            "http_request_error",
        ),
        Meaning(PlainHttp, "plain-http", BAD_REQUEST, "http_request_error"),
        Meaning(
            PathInvalid,
            "path-invalid",
            BAD_REQUEST,
            "http_request_error",
        ),
        Meaning(
            HostInvalid,
            "host-invalid",
            BAD_REQUEST,
            "http_request_error",
        ),
        Meaning(
            TargetTooLong,
            "target-too-long",
            StatusCode::URI_TOO_LONG,
            "http_request_error",
        ),
        Meaning(
            HeadTooLarge,
            "head-too-large",
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "http_request_error",
        ),
        Meaning(
            RequestBodyTooLarge,
            "request-body-too-large",
            StatusCode::PAYLOAD_TOO_LARGE,
            "http_request_error",
        ),
        Meaning(
            MethodRefused,
            "method-refused",
            StatusCode::METHOD_NOT_ALLOWED,
            "http_request_denied",
        ),
        Meaning(
            ProtocolUnsupported,
            "protocol-unsupported",
            StatusCode::NOT_IMPLEMENTED,
            "http_request_denied",
        ),
        Meaning(
            MisdirectedRequest,
            "misdirected-request",
            StatusCode::MISDIRECTED_REQUEST,
            "http_request_error",
        ),
        Meaning(
            ClientCertificateMissing,
            "client-certificate-missing",
            BAD_REQUEST,
            "http_request_denied",
        ),
        Meaning(
            ClientCertificateRefused,
            "client-certificate-refused",
            BAD_REQUEST,
            "http_request_denied",
        ),
        Meaning(
            RequestBodyTimeout,
            "request-body-timeout",
            StatusCode::REQUEST_TIMEOUT,
            "http_request_error",
        ),
        Meaning(
            RequestBodySlow,
            "request-body-slow",
            StatusCode::REQUEST_TIMEOUT,
            "http_request_error",
        ),
        Meaning(
            RequestBodyFailed,
            "request-body-failed",
            BAD_REQUEST,
            "http_request_error",
        ),
        Meaning(
            RequestTimeout,
            "request-timeout",
            GATEWAY_TIMEOUT,
            "http_response_timeout",
        ),
        Meaning(
            NoRoute,
            "no-route",
            StatusCode::NOT_FOUND,
            "destination_not_found",
        ),
        Meaning(
            NoEndpoint,
            "no-endpoint",
            StatusCode::SERVICE_UNAVAILABLE,
            "destination_unavailable",
        ),
        Meaning(PluginTrap, "plugin-trap", INTERNAL, "proxy_internal_error"),
        Meaning(
            PluginDeadline,
            "plugin-deadline",
            INTERNAL,
            "proxy_internal_error",
        ),
        Meaning(
            PluginOvertime,
            "plugin-overtime",
            INTERNAL,
            "proxy_internal_error",
        ),
        Meaning(
            PluginMemory,
            "plugin-memory",
            INTERNAL,
            "proxy_internal_error",
        ),
        Meaning(
            PluginSuspended,
            "plugin-suspended",
            INTERNAL,
            "proxy_internal_error",
        ),
        Meaning(
            PluginUnavailable,
            "plugin-unavailable",
            INTERNAL,
            "proxy_internal_error",
        ),
        Meaning(
            PluginDecisionRefused,
            "plugin-decision-refused",
            INTERNAL,
            "proxy_internal_error",
        ),
        Meaning(DnsFailed, "dns-failed", BAD_GATEWAY, "dns_error"),
        Meaning(
            ConnectRefused,
            "connect-refused",
            BAD_GATEWAY,
            "connection_refused",
        ),
        Meaning(
            ConnectFailed,
            "connect-failed",
            BAD_GATEWAY,
            "destination_ip_unroutable",
        ),
        Meaning(
            GatewayExhausted,
            "gateway-exhausted",
            StatusCode::SERVICE_UNAVAILABLE,
            "connection_limit_reached",
        ),
        Meaning(
            EndpointQueueFull,
            "endpoint-queue-full",
            StatusCode::SERVICE_UNAVAILABLE,
            "connection_limit_reached",
        ),
        Meaning(
            EndpointQueueTimeout,
            "endpoint-queue-timeout",
            StatusCode::SERVICE_UNAVAILABLE,
            "connection_limit_reached",
        ),
        Meaning(
            ConnectTimeout,
            "connect-timeout",
            GATEWAY_TIMEOUT,
            "connection_timeout",
        ),
        Meaning(
            TlsTimeout,
            "tls-timeout",
            GATEWAY_TIMEOUT,
            "connection_timeout",
        ),
        Meaning(TlsFailed, "tls-failed", BAD_GATEWAY, "tls_protocol_error"),
        Meaning(
            ProtocolMismatch,
            "protocol-mismatch",
            BAD_GATEWAY,
            "tls_protocol_error",
        ),
        Meaning(
            CertificateNotAllowListed,
            "certificate-not-allow-listed",
            BAD_GATEWAY,
            "tls_certificate_error",
        ),
        Meaning(
            CertificateKeyListedOnly,
            "certificate-key-listed-only",
            BAD_GATEWAY,
            "tls_certificate_error",
        ),
        Meaning(
            CertificateExpired,
            "certificate-expired",
            BAD_GATEWAY,
            "tls_certificate_error",
        ),
        Meaning(
            CertificateNotYetValid,
            "certificate-not-yet-valid",
            BAD_GATEWAY,
            "tls_certificate_error",
        ),
        Meaning(
            CertificateUnknownIssuer,
            "certificate-unknown-issuer",
            BAD_GATEWAY,
            "tls_certificate_error",
        ),
        Meaning(
            CertificateNameMismatch,
            "certificate-name-mismatch",
            BAD_GATEWAY,
            "tls_certificate_error",
        ),
        Meaning(
            CertificateInvalid,
            "certificate-invalid",
            BAD_GATEWAY,
            "tls_certificate_error",
        ),
        Meaning(
            ConnectionClosed,
            "connection-closed",
            BAD_GATEWAY,
            "connection_terminated",
        ),
        Meaning(
            StreamReset,
            "stream-reset",
            BAD_GATEWAY,
            "connection_terminated",
        ),
        Meaning(
            ResponseInvalid,
            "response-invalid",
            BAD_GATEWAY,
            "http_protocol_error",
        ),
        Meaning(
            FirstByteTimeout,
            "first-byte-timeout",
            GATEWAY_TIMEOUT,
            "http_response_timeout",
        ),
        Meaning(
            ResponseBodyTimeout,
            "response-body-timeout",
            GATEWAY_TIMEOUT,
            "http_response_timeout",
        ),
        Meaning(
            ClientClosed,
            "client-closed",
            BAD_REQUEST,
            "http_request_error",
        ),
        Meaning(
            ClientStalled,
            "client-stalled",
            StatusCode::REQUEST_TIMEOUT,
            "connection_write_timeout",
        ),
        Meaning(
            ResponseCut,
            "response-cut",
            BAD_GATEWAY,
            "http_response_incomplete",
        ),
        Meaning(
            NotSwitched,
            "not-switched",
            BAD_GATEWAY,
            "http_upgrade_failed",
        ),
        Meaning(
            TunnelIdle,
            "tunnel-idle",
            StatusCode::REQUEST_TIMEOUT,
            "connection_timeout",
        ),
        Meaning(
            Shutdown,
            "shutdown",
            StatusCode::SERVICE_UNAVAILABLE,
            "connection_terminated",
        ),
    ]
};

impl Cause {
    /// All causes, in the order of their indexes.
    pub const ALL: [Cause; MEANINGS.len()] = {
        let mut all = [Cause::RequestInvalid; MEANINGS.len()];
        let mut i = 0;
        while i < MEANINGS.len() {
            all[i] = MEANINGS[i].0;
            i += 1;
        }
        all
    };

    /// Its place in [`Cause::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// The token: `connect-refused`.
    pub fn token(self) -> &'static str {
        MEANINGS[self.index()].1
    }

    /// What the client gets.
    pub fn status(self) -> StatusCode {
        MEANINGS[self.index()].2
    }

    /// Its type by RFC 9209 §2.3.
    pub(super) fn proxy_status_type(self) -> &'static str {
        MEANINGS[self.index()].3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_stands_at_its_own_row() {
        for (index, meaning) in MEANINGS.iter().enumerate() {
            assert_eq!(meaning.0.index(), index, "{:?}", meaning.0);
        }
    }

    #[test]
    fn tokens_are_unique() {
        let mut tokens: Vec<_> = Cause::ALL.iter().map(|cause| cause.token()).collect();
        tokens.sort_unstable();
        tokens.dedup();
        assert_eq!(tokens.len(), Cause::ALL.len());
    }

    #[test]
    fn the_documentation_names_every_cause() {
        let documented = include_str!("../../../docs/observing.md");
        for cause in Cause::ALL {
            let token = format!("`{}`", cause.token());
            assert!(
                documented.contains(&token),
                "{token} is not in docs/observing.md"
            );
        }
    }
}
