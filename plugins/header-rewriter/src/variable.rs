//! Azure's server variables, as far as the gateway tells plugins what they need.

use witgate_sdk::{HttpVersion, Scheme};

use crate::{Side, certificate::CertificateFact, message::Message};

/// A fact about a request, its connection or its response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Variable {
    AddXForwardedForProxy,
    CiphersUsed,
    ClientCertificate(CertificateFact),
    ClientIp,
    ClientPort,
    Cookie(String),
    Host,
    HttpMethod,
    HttpStatus,
    HttpVersion,
    Listener,
    QueryString,
    RequestId,
    RequestQuery,
    RequestScheme,
    RequestUri,
    ServerPort,
    SslConnectionProtocol,
    SslEnabled,
    SslServerName,
    UriPath,
}

const NAMES: [(&str, Variable); 19] = [
    ("add_x_forwarded_for_proxy", Variable::AddXForwardedForProxy),
    ("ciphers_used", Variable::CiphersUsed),
    ("client_ip", Variable::ClientIp),
    ("client_port", Variable::ClientPort),
    ("host", Variable::Host),
    ("http_method", Variable::HttpMethod),
    ("http_status", Variable::HttpStatus),
    ("http_version", Variable::HttpVersion),
    ("listener", Variable::Listener),
    ("query_string", Variable::QueryString),
    ("request_id", Variable::RequestId),
    ("request_query", Variable::RequestQuery),
    ("request_scheme", Variable::RequestScheme),
    ("request_uri", Variable::RequestUri),
    ("server_port", Variable::ServerPort),
    ("ssl_connection_protocol", Variable::SslConnectionProtocol),
    ("ssl_enabled", Variable::SslEnabled),
    ("ssl_server_name", Variable::SslServerName),
    ("uri_path", Variable::UriPath),
];

/// Azure's variables that cannot be had here, and why.
const ABSENT: [(&str, &str); 5] = [
    (
        "ciphers_supported",
        "the gateway does not tell plugins what a client offers, only what was agreed (ciphers_used)",
    ),
    (
        "client_tcp_rtt",
        "the gateway does not tell plugins the round-trip time",
    ),
    ("client_user", "the gateway does not authenticate users"),
    (
        "received_bytes",
        "it is known only when the message has passed; see bytes_in in the access log",
    ),
    (
        "sent_bytes",
        "it is known only when the message has passed; see bytes_out in the access log",
    ),
];

impl Variable {
    /// The variable of this name, in a rule for this side.
    ///
    /// # Errors
    /// With what is wrong, for the operator.
    pub(crate) fn parse(name: &str, side: Side) -> Result<Self, String> {
        if let Some(cookie) = name
            .strip_prefix("cookie_")
            .filter(|cookie| !cookie.is_empty())
        {
            return Ok(Self::Cookie(cookie.to_owned()));
        }
        if let Some((_, why)) = ABSENT.iter().find(|(absent, _)| *absent == name) {
            return Err(format!("the server variable {name} cannot be had: {why}"));
        }
        if let Some(fact) = CertificateFact::parse(name) {
            return Ok(Self::ClientCertificate(fact));
        }
        match NAMES.iter().find(|(known, _)| *known == name) {
            Some((_, Self::HttpStatus)) if side == Side::Request => Err(
                "the server variable http_status cannot be had in a rule for requests".to_owned(),
            ),
            Some((_, variable)) => Ok(variable.clone()),
            None => Err(format!("expected a server variable, found {name:?}")),
        }
    }

    /// Its value; empty when it does not apply to this message.
    pub(crate) fn value(&self, message: &Message<'_>) -> String {
        let request = message.the_request();
        match self {
            Self::AddXForwardedForProxy => forwarded_for(message),
            Self::CiphersUsed => request.tls().map(|tls| tls.cipher).unwrap_or_default(),
            Self::ClientCertificate(fact) => fact.value(request),
            Self::ClientIp => client_ip(message),
            Self::ClientPort => request.peer().port().to_string(),
            Self::Cookie(name) => request.cookie(name).unwrap_or_default(),
            Self::Host => request.host().to_owned(),
            Self::HttpMethod => request.method(),
            Self::HttpStatus => message
                .status()
                .map(|status| status.to_string())
                .unwrap_or_default(),
            Self::HttpVersion => version(request.version()).to_owned(),
            Self::Listener => request.listener(),
            Self::QueryString | Self::RequestQuery => {
                message.query().unwrap_or_default().to_owned()
            }
            Self::RequestId => request.id(),
            Self::RequestScheme => if request.scheme() == Scheme::Https {
                "https"
            } else {
                "http"
            }
            .to_owned(),
            Self::RequestUri => match message.query() {
                Some(query) => format!("{}?{query}", message.path()),
                None => message.path().to_owned(),
            },
            Self::ServerPort => request.local().port().to_string(),
            Self::SslConnectionProtocol => request.tls().map(|tls| tls.version).unwrap_or_default(),
            Self::SslEnabled => if request.tls().is_some() { "on" } else { "" }.to_owned(),
            Self::SslServerName => request
                .tls()
                .and_then(|tls| tls.server_name)
                .unwrap_or_default(),
            Self::UriPath => message.path().to_owned(),
        }
    }
}

fn client_ip(message: &Message<'_>) -> String {
    message.the_request().peer().ip().to_string()
}

/// X-Forwarded-For as the client sent it, with the client itself behind.
fn forwarded_for(message: &Message<'_>) -> String {
    let mut all = message.values(Side::Request, "x-forwarded-for");
    all.push(client_ip(message).into_bytes());
    String::from_utf8_lossy(&all.join(b", ".as_slice())).into_owned()
}

fn version(version: HttpVersion) -> &'static str {
    match version {
        HttpVersion::Http10 => "HTTP/1.0",
        HttpVersion::Http11 => "HTTP/1.1",
        HttpVersion::Http2 => "HTTP/2.0",
    }
}
