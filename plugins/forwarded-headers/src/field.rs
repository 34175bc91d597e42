//! What each field says about a client.

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
};

use serde::Deserialize;
use witgate_sdk::{Network, Request, Schema, Scheme};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Schema)]
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
    ip: IpAddr,
    port: u16,
    format: Format,
}

impl<'a> Client<'a> {
    pub(crate) fn new(request: &'a Request, format: Format) -> Self {
        let peer = request.peer();
        Self {
            request,
            ip: peer.ip(),
            port: peer.port(),
            format,
        }
    }

    pub(crate) fn is_in_any(&self, networks: &[Network]) -> bool {
        networks.iter().any(|network| network.contains(self.ip))
    }

    /// The field's value for a client that nothing is believed of.
    pub(crate) fn value(&self, field: Field) -> String {
        match field {
            Field::For => self.address(),
            Field::Proto => self.proto().to_owned(),
            Field::Port => self.request.local().port().to_string(),
            Field::Host | Field::OriginalHost => self.authority().to_owned(),
            Field::OriginalUrl => self.request.original_target().to_owned(),
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

    fn authority(&self) -> &str {
        self.request.original_authority()
    }

    fn proto(&self) -> &'static str {
        match self.request.scheme() {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    fn address(&self) -> String {
        match self.format {
            Format::Ip => text(self.ip),
            Format::IpPort => SocketAddr::new(self.ip, self.port).to_string(),
        }
    }

    /// RFC 7239 §4: `for=192.0.2.7;host=shop.example;proto=https`.
    fn element(&self) -> String {
        let address = match (self.format, self.ip) {
            (Format::Ip, IpAddr::V6(ip)) => format!("[{ip}]"),
            _ => self.address(),
        };
        let (address, host) = (quoted(&address), quoted(self.authority()));
        ["for=", &address, ";host=", &host, ";proto=", self.proto()].concat()
    }
}

/// As `Display` writes it; that of IPv4, which is most of the traffic, without the machinery of
/// formatting, which costs as much as a call into the gateway.
fn text(ip: IpAddr) -> String {
    let IpAddr::V4(ip) = ip else {
        return ip.to_string();
    };
    let mut text = String::with_capacity("255.255.255.255".len());
    for (index, octet) in ip.octets().into_iter().enumerate() {
        if index > 0 {
            text.push('.');
        }
        for place in [100, 10, 1] {
            if octet >= place || place == 1 {
                text.push(char::from(b'0' + octet / place % 10));
            }
        }
    }
    text
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_everyone_does() {
        for octet in 0..=255 {
            for ip in [[octet, 0, 10, 255], [1, octet, octet, octet]] {
                let ip = IpAddr::from(ip);
                assert_eq!(text(ip), ip.to_string());
            }
        }
        let ip = IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 7]);
        assert_eq!(text(ip), "2001:db8::7");
    }
}
