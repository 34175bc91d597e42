//! What each field says about a client.

use std::{borrow::Cow, cell::OnceCell};

use serde::Deserialize;
use witgate_sdk::{Request, Scheme};

use crate::network::Network;

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
    /// Text, as most fields pass it on.
    ip: String,
    port: u16,
    format: Format,
    authority: OnceCell<String>,
}

impl<'a> Client<'a> {
    pub(crate) fn new(request: &'a Request, format: Format) -> Self {
        let (ip, port) = request.peer_text();
        Self {
            request,
            ip,
            port,
            format,
            authority: OnceCell::new(),
        }
    }

    pub(crate) fn is_in_any(&self, networks: &[Network]) -> bool {
        !networks.is_empty()
            && self
                .ip
                .parse()
                .is_ok_and(|ip| networks.iter().any(|network| network.contains(ip)))
    }

    /// The field's value for a client that nothing is believed of.
    pub(crate) fn value(&self, field: Field) -> String {
        match field {
            Field::For => self.address(),
            Field::Proto => self.proto().to_owned(),
            Field::Port => self.request.local_port().to_string(),
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
            Format::Ip => self.ip.clone(),
            Format::IpPort => [&self.host(), ":", &self.port.to_string()].concat(),
        }
    }

    /// The address as URLs have it: IPv6 in brackets.
    fn host(&self) -> Cow<'_, str> {
        if self.ip.contains(':') {
            ["[", &self.ip, "]"].concat().into()
        } else {
            self.ip.as_str().into()
        }
    }

    /// RFC 7239 §4: `for=192.0.2.7;host=shop.example;proto=https`.
    fn element(&self) -> String {
        let address = match self.format {
            Format::Ip => self.host(),
            Format::IpPort => self.address().into(),
        };
        let (address, host) = (quoted(&address), quoted(self.authority()));
        ["for=", &address, ";host=", &host, ";proto=", self.proto()].concat()
    }
}

/// As it is, if it is a token (RFC 9110 §5.6.2), else in quotes.
fn quoted(text: &str) -> Cow<'_, str> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !text.is_empty() && text.bytes().all(token) {
        return text.into();
    }
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    ["\"", &escaped, "\""].concat().into()
}
