//! What each field says about a client.

use std::{
    cell::OnceCell,
    net::{IpAddr, SocketAddr},
};

use serde::Deserialize;
use witgate_sdk::{Request, Scheme};

/// A field that this plugin owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    For,
    Proto,
    Port,
    Host,
    OriginalHost,
    OriginalUrl,
    Forwarded,
}

/// All of them.
pub(crate) const FIELDS: [Field; 7] = [
    Field::For,
    Field::Proto,
    Field::Port,
    Field::Host,
    Field::OriginalHost,
    Field::OriginalUrl,
    Field::Forwarded,
];

/// How a client's address is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum Format {
    /// `192.0.2.7`
    #[serde(rename = "ip")]
    Ip,
    /// `192.0.2.7:5555`, `[2001:db8::7]:5555`: as Azure does, which not all upstreams read.
    #[serde(rename = "ip:port")]
    IpPort,
}

impl Field {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::For => "x-forwarded-for",
            Self::Proto => "x-forwarded-proto",
            Self::Port => "x-forwarded-port",
            Self::Host => "x-forwarded-host",
            Self::OriginalHost => "x-original-host",
            Self::OriginalUrl => "x-original-url",
            Self::Forwarded => "forwarded",
        }
    }

    /// Whether each gateway on the way adds to the field, rather than the first one writing it.
    fn is_list(self) -> bool {
        matches!(self, Self::For | Self::Forwarded)
    }
}

/// A request's client, as the gateway sees it.
pub(crate) struct Client<'a> {
    request: &'a Request,
    peer: SocketAddr,
    format: Format,
    authority: OnceCell<String>,
}

impl<'a> Client<'a> {
    pub(crate) fn new(request: &'a Request, format: Format) -> Self {
        let peer = request.peer();
        // An IPv4 client on a socket for both families is an IPv4 client.
        Self {
            request,
            peer: SocketAddr::new(peer.ip().to_canonical(), peer.port()),
            format,
            authority: OnceCell::new(),
        }
    }

    pub(crate) fn ip(&self) -> IpAddr {
        self.peer.ip()
    }

    /// The field's value for a client that nothing is believed of.
    pub(crate) fn value(&self, field: Field) -> String {
        match field {
            Field::For => self.address(),
            Field::Proto => self.proto().to_owned(),
            Field::Port => self.request.local().port().to_string(),
            Field::Host | Field::OriginalHost => self.authority().to_owned(),
            Field::OriginalUrl => self.request.original_target(),
            Field::Forwarded => self.element(),
        }
    }

    /// The field's value for a trusted peer: a list gets one more, others stay as they came
    /// (none) if they came.
    pub(crate) fn value_behind(&self, field: Field) -> Option<Vec<u8>> {
        let mut came = self.request.header_values(field.name());
        came.retain(|value| !value.trim_ascii().is_empty());
        if !came.is_empty() && !field.is_list() {
            return None;
        }
        came.push(self.value(field).into_bytes());
        Some(came.join(b", ".as_slice()))
    }

    /// Asked for once, as several fields hold it.
    fn authority(&self) -> &str {
        self.authority
            .get_or_init(|| self.request.original_authority())
    }

    fn proto(&self) -> &'static str {
        match self.request.scheme() {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    fn address(&self) -> String {
        match self.format {
            Format::Ip => self.ip().to_string(),
            Format::IpPort => self.peer.to_string(),
        }
    }

    /// RFC 7239 §4: `for=192.0.2.7;host=shop.example;proto=https`.
    fn element(&self) -> String {
        let address = match (self.format, self.ip()) {
            (Format::Ip, IpAddr::V6(ip)) => format!("[{ip}]"),
            _ => self.address(),
        };
        format!(
            "for={};host={};proto={}",
            quoted(&address),
            quoted(self.authority()),
            self.proto()
        )
    }
}

/// As it is, if it is a token (RFC 9110 §5.6.2), else in quotes.
fn quoted(text: &str) -> String {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !text.is_empty() && text.bytes().all(token) {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
