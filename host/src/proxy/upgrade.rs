//! A client's wish to speak another protocol on its connection (RFC 9110 §7.8), or on a stream
//! of it (RFC 8441): whether it is passed on, how the endpoint is asked over HTTP/1.1, whether
//! its 101 is an answer to that, and what the client is told.

use aws_lc_rs::{
    digest::{SHA1_FOR_LEGACY_USE_ONLY, digest},
    rand,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use h2::ext::Protocol;
use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE},
    request, response,
};

use crate::{config::Upgrades, error::GatewayError, headers};

const WEBSOCKET: &str = "websocket";

/// What a server adds to a client's key (RFC 6455 §4.2.2).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A wish that is passed on.
#[derive(Debug)]
pub(super) struct Upgrade {
    /// The protocols that are offered, as a field's value; each by name and perhaps version.
    offer: String,
    /// Made for a WebSocket over HTTP/2, whose requests have none (RFC 8441 §5).
    key: Option<String>,
}

impl Upgrade {
    /// Takes the wish from a request's head; none when there is none, or none that is allowed:
    /// a server may ignore the field, and then this is a request like any other. So is one that
    /// has a body, since its end is where the other protocol would begin, and one of HTTP/1.0.
    pub(super) fn asked(
        head: &mut request::Parts,
        has_body: bool,
        allowed: &Upgrades,
    ) -> Option<Self> {
        if head.method == Method::CONNECT {
            return Self::extended_connect(head, allowed);
        }
        if has_body || head.version != Version::HTTP_11 || !headers::names_upgrade(&head.headers) {
            return None;
        }
        let offers = protocols(&head.headers).filter(|protocol| {
            let name = protocol.split('/').next().unwrap_or_default();
            // RFC 6455 §4.1.
            let fits = head.method == Method::GET || !name.eq_ignore_ascii_case(WEBSOCKET);
            fits && allowed.allow(name) && is_protocol(protocol)
        });
        let offer = offers.collect::<Vec<_>>().join(", ");
        (!offer.is_empty()).then_some(Self { offer, key: None })
    }

    /// RFC 8441 §4: to plugins and the endpoint this is a GET.
    fn extended_connect(head: &mut request::Parts, allowed: &Upgrades) -> Option<Self> {
        let protocol = head.extensions.get::<Protocol>()?;
        if protocol.as_str() != WEBSOCKET || !allowed.allow(WEBSOCKET) {
            return None;
        }
        head.method = Method::GET;
        Some(Self {
            offer: WEBSOCKET.to_owned(),
            key: Some(random_key()?),
        })
    }

    /// Whether the wish is that of a stream of HTTP/2.
    pub(super) fn is_of_stream(&self) -> bool {
        self.key.is_some()
    }

    /// Asks an endpoint, over HTTP/1.1.
    pub(super) fn ask(&self, headers: &mut HeaderMap) {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        let offer = HeaderValue::from_str(&self.offer);
        headers.insert(UPGRADE, offer.expect("protocols, commas and spaces"));
        if let Some(key) = &self.key {
            let key = HeaderValue::from_str(key).expect("base64");
            headers.insert(SEC_WEBSOCKET_KEY, key);
        }
    }

    /// The protocol that an endpoint's 101 switches to.
    ///
    /// # Errors
    /// One that it was not offered, or none; over HTTP/2 also a wrong `Sec-WebSocket-Accept`,
    /// which nobody else would check.
    pub(super) fn agreed(&self, headers: &HeaderMap) -> Result<String, &'static str> {
        let agreed: Vec<_> = protocols(headers).collect();
        let offers = |protocol: &&str| {
            let mut offers = self.offer.split(", ");
            offers.any(|offer| offer.eq_ignore_ascii_case(protocol))
        };
        if agreed.is_empty() || !agreed.iter().all(offers) {
            return Err("status 101 with a protocol that was not offered");
        }
        let accept = headers.get(SEC_WEBSOCKET_ACCEPT);
        match &self.key {
            Some(key) if accept.is_none_or(|accept| accept != &accept_of(key)) => {
                Err("status 101 with a wrong Sec-WebSocket-Accept")
            }
            _ => Ok(agreed.join(", ")),
        }
    }

    /// Refuses an answer that would tell a client that its stream has switched when it has not:
    /// there, 2xx says so (RFC 8441 §5).
    pub(super) fn check<B>(
        &self,
        answered: Result<hyper::Response<B>, GatewayError>,
    ) -> Result<hyper::Response<B>, GatewayError> {
        match answered {
            Ok(response) if self.is_of_stream() && response.status().is_success() => {
                Err(GatewayError::NotSwitched(response.status()))
            }
            other => other,
        }
    }

    /// Makes the answer of an endpoint that has switched to this protocol the client's own.
    pub(super) fn tell(&self, protocol: &str, head: &mut response::Parts) {
        head.headers.remove(CONTENT_LENGTH);
        if self.is_of_stream() {
            head.status = StatusCode::OK;
            head.headers.remove(SEC_WEBSOCKET_ACCEPT);
            return;
        }
        let upgrade = HeaderValue::from_static("upgrade");
        head.headers.insert(CONNECTION, upgrade);
        if let Ok(protocol) = HeaderValue::from_str(protocol) {
            head.headers.insert(UPGRADE, protocol);
        }
    }
}

/// The entries of all `Upgrade` lines.
fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(UPGRADE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|protocol| !protocol.is_empty())
}

/// A name, perhaps with a version behind a slash.
fn is_protocol(text: &str) -> bool {
    let (name, version) = text.split_once('/').unwrap_or((text, "1"));
    headers::is_token(name) && headers::is_token(version)
}

/// None when the system has no randomness left.
fn random_key() -> Option<String> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).ok()?;
    Some(STANDARD.encode(bytes))
}

fn accept_of(key: &str) -> String {
    let keyed = [key.as_bytes(), GUID].concat();
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &keyed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(version: Version, method: Method, fields: &[(&str, &str)]) -> request::Parts {
        let mut builder = http::Request::builder().version(version).method(method);
        for (name, value) in fields {
            builder = builder.header(*name, *value);
        }
        builder.body(()).expect("a legal request").into_parts().0
    }

    fn offer(fields: &[(&str, &str)], allowed: &Upgrades) -> Option<String> {
        let mut head = head(Version::HTTP_11, Method::GET, fields);
        Upgrade::asked(&mut head, false, allowed).map(|upgrade| upgrade.offer)
    }

    #[test]
    fn only_allowed_protocols_are_offered_and_http_never() {
        let fields = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "h2c, WebSocket, a/1"),
            ("upgrade", "HTTP/2.0, b c,, d/"),
        ];
        let offer = |allowed| offer(&fields, &allowed);
        assert_eq!(offer(Upgrades::default()).as_deref(), Some("WebSocket"));
        assert_eq!(offer(Upgrades::Any).as_deref(), Some("WebSocket, a/1"));
        assert_eq!(
            offer(Upgrades::Named(vec!["A".into()])).as_deref(),
            Some("a/1")
        );
        assert_eq!(offer(Upgrades::Named(vec![])), None);
    }

    #[test]
    fn without_connection_with_a_body_or_in_http_1_0_there_is_no_wish() {
        let fields = [("connection", "upgrade"), ("upgrade", "websocket")];
        assert_eq!(offer(&fields[1..], &Upgrades::Any), None);
        let asked = |version, method, has_body| {
            let mut head = head(version, method, &fields);
            Upgrade::asked(&mut head, has_body, &Upgrades::Any).is_some()
        };
        assert!(asked(Version::HTTP_11, Method::GET, false));
        assert!(!asked(Version::HTTP_11, Method::GET, true));
        assert!(!asked(Version::HTTP_11, Method::POST, false));
        assert!(!asked(Version::HTTP_10, Method::GET, false));
    }

    #[test]
    fn an_endpoint_switches_to_what_it_was_offered_or_not_at_all() {
        let upgrade = Upgrade {
            offer: "websocket, a/1".to_owned(),
            key: None,
        };
        let agreed = |value| {
            let headers = HeaderMap::from_iter([(UPGRADE, HeaderValue::from_static(value))]);
            upgrade.agreed(&headers)
        };
        assert_eq!(agreed("WebSocket").as_deref(), Ok("WebSocket"));
        assert_eq!(agreed("A/1").as_deref(), Ok("A/1"));
        for refused in ["", "a", "a/2", "websocket, b", "websocket a/1"] {
            assert!(agreed(refused).is_err(), "{refused:?}");
        }
        assert!(upgrade.agreed(&HeaderMap::new()).is_err());
    }

    #[test]
    fn the_key_of_a_stream_is_answered_as_rfc_6455_has_it() {
        let upgrade = Upgrade {
            offer: WEBSOCKET.to_owned(),
            key: Some("dGhlIHNhbXBsZSBub25jZQ==".to_owned()),
        };
        let mut headers = HeaderMap::new();
        upgrade.ask(&mut headers);
        assert_eq!(headers[SEC_WEBSOCKET_KEY], "dGhlIHNhbXBsZSBub25jZQ==");
        let good = HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        headers.insert(SEC_WEBSOCKET_ACCEPT, good);
        assert!(upgrade.agreed(&headers).is_ok());
        let bad = HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOO=");
        headers.insert(SEC_WEBSOCKET_ACCEPT, bad);
        assert!(upgrade.agreed(&headers).is_err());
    }
}
