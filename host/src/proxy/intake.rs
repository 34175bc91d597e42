//! From a message on the wire to a request that plugins can look at: who it is for is settled,
//! and what belongs to the client's connection alone is gone.

use std::sync::Arc;

use http::{Method, header::HOST, request::Parts, uri::Authority};

use crate::{
    error::GatewayError,
    headers,
    plugin::{Connection, Request, RequestId},
};

/// Takes a request in, or says what is wrong with it.
pub(super) fn accept(
    id: RequestId,
    mut head: Parts,
    connection: Arc<Connection>,
    most_fields: usize,
) -> Result<Request, GatewayError> {
    if matches!(head.method, Method::CONNECT | Method::TRACE) {
        return Err(GatewayError::Method(head.method));
    }
    check_target(&head)?;
    check_fields(&head, most_fields)?;
    let authority = authority(&head)?;
    headers::clean_request(&mut head.headers);
    headers::join_cookies(&mut head.headers);
    head.headers.remove(HOST);
    Ok(Request {
        id,
        head,
        authority,
        connection,
        original: None,
    })
}

/// A path, or `*` for OPTIONS (RFC 9112 §3.2); so that plugins and upstream see the same.
fn check_target(head: &Parts) -> Result<(), GatewayError> {
    match head.uri.path() {
        "*" if head.method == Method::OPTIONS => Ok(()),
        path if path.starts_with('/') => Ok(()),
        _ => Err(GatewayError::BadRequest("the target is not a path")),
    }
}

fn check_fields(head: &Parts, most: usize) -> Result<(), GatewayError> {
    if head.headers.len() > most {
        return Err(GatewayError::TooManyFields {
            found: head.headers.len(),
            limit: most,
        });
    }
    match headers::is_chunked_alone(&head.headers) {
        Some(false) => Err(GatewayError::BadRequest(
            "a transfer coding that is not `chunked`",
        )),
        Some(true) | None => Ok(()),
    }
}

/// The target's authority, else `Host` (RFC 9112 §3.2, RFC 9113 §8.3.1). A client that sends
/// both must mean the same host by both.
fn authority(head: &Parts) -> Result<Authority, GatewayError> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(GatewayError::BadRequest("more than one Host field"));
    }
    let host = host.map(|value| parse(value.as_bytes())).transpose()?;
    match (head.uri.authority(), host) {
        (Some(target), None) => lower(target.clone()),
        // RFC 9112 §3.2.2: in absolute form the target counts and Host is ignored.
        (Some(target), Some(_)) if head.version < http::Version::HTTP_2 => lower(target.clone()),
        (Some(target), Some(host)) if target.as_str().eq_ignore_ascii_case(host.as_str()) => {
            Ok(host)
        }
        (Some(_), Some(_)) => Err(GatewayError::BadRequest(":authority and Host differ")),
        (None, Some(host)) => Ok(host),
        (None, None) => Err(GatewayError::BadRequest("no Host field")),
    }
}

fn parse(host: &[u8]) -> Result<Authority, GatewayError> {
    let authority =
        Authority::try_from(host).map_err(|_| GatewayError::BadRequest("Host is not a host"))?;
    lower(authority)
}

/// Hosts are case-insensitive (RFC 3986 §3.2.2); user information has no place here
/// (RFC 9110 §4.2.4).
fn lower(authority: Authority) -> Result<Authority, GatewayError> {
    let text = authority.as_str();
    if text.contains('@') || authority.host().is_empty() {
        return Err(GatewayError::BadRequest("Host is not a host"));
    }
    if !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Ok(authority);
    }
    Authority::try_from(text.to_ascii_lowercase())
        .map_err(|_| GatewayError::BadRequest("Host is not a host"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uri: &str, version: http::Version, hosts: &[&str]) -> Result<String, String> {
        let mut builder = http::Request::builder().uri(uri).version(version);
        for host in hosts {
            builder = builder.header(HOST, *host);
        }
        let (head, ()) = builder.body(()).expect("a legal request").into_parts();
        authority(&head)
            .map(|found| found.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_host_field_is_lowered() {
        assert_eq!(
            of("/", http::Version::HTTP_11, &["Shop.Example:8443"]),
            Ok("shop.example:8443".into())
        );
    }

    #[test]
    fn an_absolute_target_counts_more_than_host() {
        assert_eq!(
            of("https://a.example/", http::Version::HTTP_11, &["b.example"]),
            Ok("a.example".into())
        );
    }

    #[test]
    fn on_http2_authority_and_host_must_agree() {
        assert_eq!(
            of("https://a.example/", http::Version::HTTP_2, &["A.example"]),
            Ok("a.example".into())
        );
        assert!(of("https://a.example/", http::Version::HTTP_2, &["b.example"]).is_err());
    }

    #[test]
    fn none_two_and_illegal_hosts_are_refused() {
        for hosts in [&[][..], &["a", "b"], &["user@a"], &[""], &["a b"], &["a/b"]] {
            assert!(of("/", http::Version::HTTP_11, hosts).is_err(), "{hosts:?}");
        }
    }
}
