//! What a plugin can ask about: one request, its connection, its response and its pool.
//!
//! `proxy` owns these values. They move into an instance's store for the length of one call
//! and back out, so that a getter copies what the plugin asks for and nothing else.

use std::{
    borrow::Cow,
    fmt,
    net::SocketAddr,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use http::{
    HeaderMap, Uri, request, response,
    uri::{Authority, PathAndQuery},
};

use super::{access_fields::AccessField, imports::Imports};

/// A request as plugins see it and as it goes upstream once they have edited it.
#[derive(Debug, Clone)]
pub struct Request {
    /// The gateway's id of it.
    pub id: RequestId,
    /// Method, path and query, version and header fields. Of the URI only path and query
    /// count.
    pub head: request::Parts,
    /// What the client asked for: `Host` or `:authority`, lower-case.
    pub authority: Authority,
    /// The connection that it came on.
    pub connection: Arc<Connection>,
    /// What the client asked for, once plugins have made something else of it.
    pub original: Option<Box<Original>>,
    /// What plugins want in the access log.
    pub access_fields: Vec<AccessField>,
    /// What the plain imports of a call about it are answered, where that is noted or known.
    pub imports: Option<Box<Imports>>,
}

/// What a request was for before plugins changed it.
#[derive(Debug, Clone)]
pub struct Original {
    /// See [`Request::authority`].
    pub authority: Authority,
    /// Path and query.
    pub target: Uri,
}

impl Request {
    /// What the client asked for, before any plugin's edits.
    pub fn original(&self) -> (&Authority, &Uri) {
        match &self.original {
            Some(original) => (&original.authority, &original.target),
            None => (&self.authority, &self.head.uri),
        }
    }

    /// Keeps what the client asked for, before the first edit of it.
    pub fn keep_original(&mut self) {
        if self.original.is_none() {
            let (authority, target) = (self.authority.clone(), self.head.uri.clone());
            self.original = Some(Box::new(Original { authority, target }));
        }
    }

    /// The target URI (RFC 9110 §7.1).
    pub(super) fn target_uri(&self) -> String {
        self.uri_of(&self.authority, &self.head.uri)
    }

    /// The target URI that the client asked for.
    pub(super) fn original_uri(&self) -> String {
        let (authority, target) = self.original();
        self.uri_of(authority, target)
    }

    fn uri_of(&self, authority: &Authority, target: &Uri) -> String {
        let scheme = match self.connection.tls {
            Some(_) => "https://",
            None => "http://",
        };
        let target = match target.path_and_query().map_or("/", PathAndQuery::as_str) {
            "*" => "",
            target => target,
        };
        [scheme, authority.as_str(), target].concat()
    }

    /// The authority's host: no port, no brackets, no final dot.
    pub fn host(&self) -> &str {
        host(&self.authority)
    }
}

/// Of an authority without user information. Byte by byte: a host is shorter than a search for
/// one byte takes to begin.
fn host(authority: &Authority) -> &str {
    let text = authority.as_str();
    let until = |stop| {
        let found = text.bytes().position(|byte| byte == stop);
        found.unwrap_or(text.len())
    };
    let host = match text.starts_with('[') {
        true => text.get(1..until(b']')),
        false => text.get(..until(b':')),
    };
    let host = host.unwrap_or(text);
    host.strip_suffix('.').unwrap_or(host)
}

/// 128 bits, unique to a request; written as 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(pub u128);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What all requests of one client connection share.
#[derive(Debug)]
pub struct Connection {
    /// The listener's name.
    pub listener: Arc<str>,
    /// The client's side.
    pub peer: SocketAddr,
    /// The gateway's side.
    pub local: SocketAddr,
    /// The TLS session; none on a plain listener.
    pub tls: Option<TlsSession>,
}

/// The negotiated TLS session, in the words of the WIT.
#[derive(Debug, Clone)]
pub struct TlsSession {
    /// `TLSv1.3`.
    pub version: Cow<'static, str>,
    /// IANA suite name.
    pub cipher: Cow<'static, str>,
    /// The name the client asked for.
    pub server_name: Option<Box<str>>,
    /// `h2` or `http/1.1`.
    pub alpn: Option<Cow<'static, str>>,
    /// What the client presented, if anything.
    pub client: Option<ClientCertificate>,
}

/// A client's certificate, in the words of the WIT.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    /// Whether it is good; else why not.
    pub verification: Result<(), String>,
    /// RFC 4514; empty, as issuer and serial number, when it cannot be read.
    pub subject: String,
    /// As the subject.
    pub issuer: String,
    /// Lower-case hexadecimal digits.
    pub serial: String,
    /// `sha256:` and digits.
    pub fingerprint: String,
    /// First and last second of validity, since 1970.
    pub validity: (i64, i64),
    /// DER, the client's own first; never empty.
    pub chain: Vec<Vec<u8>>,
}

/// An upstream's answer, as plugins see it.
#[derive(Debug, Clone)]
pub struct Response {
    /// Status and header fields.
    pub head: response::Parts,
}

/// A pool, as affinity plugins see it.
#[derive(Debug, Clone)]
pub struct PoolFacts {
    /// Its name in the configuration.
    pub name: String,
    /// Changes with the list.
    pub generation: u64,
    /// Endpoint ids in configuration order.
    pub endpoints: Vec<String>,
}

/// A value that a call of a plugin borrows: it moves into the instance's store, since a
/// store cannot hold a reference, and back when the call ends. A call that is cancelled takes
/// the value with it, as it does the whole request.
#[derive(Debug)]
pub struct Lendable<T>(Option<Box<T>>);

impl<T> Lendable<T> {
    /// Puts a value where calls can borrow it.
    pub fn new(value: T) -> Self {
        Self(Some(Box::new(value)))
    }

    /// The value itself, when no call needs it any more.
    pub fn into_inner(self) -> T {
        *self.0.expect("nothing is lent between calls")
    }

    pub(super) fn lend(&mut self) -> Option<Box<T>> {
        self.0.take()
    }

    pub(super) fn give_back(&mut self, value: Option<Box<T>>) {
        self.0 = value;
    }
}

impl<T> Deref for Lendable<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().expect("nothing is lent between calls")
    }
}

impl<T> DerefMut for Lendable<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0
            .as_deref_mut()
            .expect("nothing is lent between calls")
    }
}

/// The values of one header field, copied.
pub(super) fn values(headers: &HeaderMap, name: &str) -> Vec<Vec<u8>> {
    headers
        .get_all(name)
        .iter()
        .map(|value| value.as_bytes().to_vec())
        .collect()
}

/// The first cookie of this name over all `cookie` fields (RFC 6265 §5.4).
pub(super) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(http::header::COOKIE)
        .iter()
        .filter_map(|value| std::str::from_utf8(value.as_bytes()).ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| unquoted(value).to_owned())
}

fn unquoted(value: &str) -> &str {
    value
        .strip_prefix('"')
        .and_then(|v| v.strip_suffix('"'))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(lines: &[&str]) -> HeaderMap {
        lines
            .iter()
            .map(|line| {
                (
                    http::header::COOKIE,
                    http::HeaderValue::from_str(line).expect("a legal value"),
                )
            })
            .collect()
    }

    #[test]
    fn a_cookie_is_found_on_any_line() {
        let headers = cookies(&["a=1; b=2", "c=\"3\""]);
        assert_eq!(cookie(&headers, "b").as_deref(), Some("2"));
        assert_eq!(cookie(&headers, "c").as_deref(), Some("3"));
        assert_eq!(cookie(&headers, "B"), None);
    }

    #[test]
    fn a_host_has_no_port_no_brackets_and_no_final_dot() {
        for (authority, expected) in [
            ("shop.example", "shop.example"),
            ("shop.example:8443", "shop.example"),
            ("shop.example.:8443", "shop.example"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[::1]:8443", "::1"),
        ] {
            assert_eq!(host(&Authority::from_static(authority)), expected);
        }
    }

    #[test]
    fn the_first_of_two_equal_cookies_counts() {
        assert_eq!(cookie(&cookies(&["a=1; a=2"]), "a").as_deref(), Some("1"));
    }
}
