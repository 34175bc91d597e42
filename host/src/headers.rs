//! Which header fields belong to one connection only, and which the gateway alone may set.

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, COOKIE, TE, TRANSFER_ENCODING, UPGRADE},
};

/// The certificate of the client, and its issuers' (RFC 9440): the gateway's own word.
pub const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
/// See [`CLIENT_CERT`].
pub const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");

/// Whether a field never crosses the gateway (RFC 9110 §7.6.1); `te` may, see [`clean_request`].
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "transfer-encoding"
            | "upgrade"
            | "proxy-authenticate"
    )
}

/// Whether a `Connection` field cannot have this one removed: without it the message would mean
/// something else on the other side.
fn is_never_dropped(name: &str) -> bool {
    matches!(name, "host" | "content-length" | "cookie")
}

/// Whether a field says who the client is.
fn is_client_certificate(name: &str) -> bool {
    matches!(name, "client-cert" | "client-cert-chain")
}

/// Whether only the gateway may set this field: it frames the message, belongs to one
/// connection, says where the message goes or who the client is.
pub fn is_protected(name: &HeaderName) -> bool {
    let name = name.as_str();
    is_hop_by_hop(name)
        || is_client_certificate(name)
        || matches!(name, "content-length" | "te" | "trailer" | "host")
}

/// Makes a request's fields fit to go upstream. `TE: trailers` stays, as trailers are passed
/// on; `Expect` goes, as the gateway answers it itself. Only the gateway says who the client is.
pub fn clean_request(headers: &mut HeaderMap) {
    let trailers = accepts_trailers(headers);
    remove_hop_by_hop_and(headers, |name| {
        // The settings are of the upgrade to `h2c`, which is never passed on (RFC 7540 §3.2.1).
        is_client_certificate(name)
            || matches!(
                name,
                "te" | "expect" | "proxy-authorization" | "http2-settings"
            )
    });
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Whether the only transfer coding is `chunked`, the one that the gateway undoes and makes;
/// none when there is no such field.
pub fn is_chunked_alone(headers: &HeaderMap) -> Option<bool> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let first = codings.next()?;
    let chunked = first
        .as_bytes()
        .trim_ascii()
        .eq_ignore_ascii_case(b"chunked");
    Some(chunked && codings.next().is_none())
}

/// Makes a response's fields fit to go to the client. A length beside a transfer coding goes
/// (RFC 9112 §6.1), and `TE`, which says nothing in a response and is illegal in one of HTTP/2.
pub fn clean_response(headers: &mut HeaderMap) {
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    remove_hop_by_hop_and(headers, |name| name == "te");
}

/// The fields of an upstream's interim answer (RFC 9110 §15.2) as they go to the client; none
/// when it does not: `100 Continue` is the gateway's own to send, and `101` is no interim answer.
pub fn interim(status: StatusCode, headers: &HeaderMap) -> Option<HeaderMap> {
    if !status.is_informational() || status.as_u16() <= 101 {
        return None;
    }
    let mut headers = headers.clone();
    clean_response(&mut headers);
    // There is no body that it could be the length of (RFC 9110 §8.6).
    headers.remove(CONTENT_LENGTH);
    Some(headers)
}

/// Removes fields whose name has `_`: many upstreams take `x_forwarded_for` for
/// `x-forwarded-for`, so that a client could speak in the gateway's name. nginx and Azure drop
/// them as well.
pub fn remove_lookalikes(headers: &mut HeaderMap) {
    remove_where(headers, |name| {
        name.as_str().bytes().any(|byte| byte == b'_')
    });
}

/// Makes one `cookie` field of many, as HTTP/1.1 wants it (RFC 9113 §8.2.3).
pub fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let lines: Vec<_> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if let Ok(joined) = HeaderValue::from_bytes(&lines.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

fn accepts_trailers(headers: &HeaderMap) -> bool {
    let mut codings = headers
        .get_all(TE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|v| v.split(','));
    codings.any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

fn remove_hop_by_hop_and(headers: &mut HeaderMap, also: impl Fn(&str) -> bool) {
    // By their hashes: a client may name thousands.
    for name in named_by_connection(headers) {
        headers.remove(name);
    }
    remove_where(headers, |name| {
        is_hop_by_hop(name.as_str()) || also(name.as_str())
    });
}

/// Removes these fields, all lines of each. One look at each field of a message, which has few,
/// costs less than a look-up of each name that might be there.
fn remove_where(headers: &mut HeaderMap, goes: impl Fn(&HeaderName) -> bool) {
    let found: Vec<_> = headers.keys().filter(|name| goes(name)).cloned().collect();
    for name in found {
        headers.remove(name);
    }
}

/// Whether a `Connection` line names `upgrade`, without which that field says nothing (RFC 9110
/// §7.8).
pub fn names_upgrade(headers: &HeaderMap) -> bool {
    named_by_connection(headers).contains(&UPGRADE)
}

/// Whether this is a token (RFC 9110 §5.6.2).
pub fn is_token(text: &str) -> bool {
    HeaderName::from_bytes(text.as_bytes()).is_ok()
}

/// The fields that all `Connection` lines name. `close` and `keep-alive`, which most of them say,
/// are no names of fields that anybody keeps.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let says_more = |option: &&[u8]| {
        !option.eq_ignore_ascii_case(b"keep-alive") && !option.eq_ignore_ascii_case(b"close")
    };
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(says_more)
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .filter(|name| !is_never_dropped(name.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn fields_named_on_any_connection_line_are_dropped() {
        let mut headers = map(&[
            ("connection", "close, x-a"),
            ("connection", "X-B"),
            ("x-a", "1"),
            ("x-b", "2"),
            ("x-c", "3"),
            ("keep-alive", "timeout=5"),
        ]);
        clean_request(&mut headers);
        assert_eq!(headers, map(&[("x-c", "3")]));
    }

    #[test]
    fn connection_cannot_drop_what_gives_the_message_its_meaning() {
        let mut headers = map(&[
            ("connection", "host, content-length, cookie"),
            ("host", "a"),
            ("content-length", "1"),
        ]);
        clean_request(&mut headers);
        assert_eq!(headers, map(&[("host", "a"), ("content-length", "1")]));
    }

    #[test]
    fn fields_that_look_like_others_are_dropped() {
        let mut headers = map(&[
            ("x_forwarded_for", "1"),
            ("x-forwarded_for", "2"),
            ("x-forwarded-for", "3"),
        ]);
        remove_lookalikes(&mut headers);
        assert_eq!(headers, map(&[("x-forwarded-for", "3")]));
    }

    #[test]
    fn te_keeps_trailers_alone() {
        let mut headers = map(&[("te", "gzip;q=0.5, Trailers")]);
        clean_request(&mut headers);
        assert_eq!(headers, map(&[("te", "trailers")]));
        let mut headers = map(&[("te", "gzip")]);
        clean_request(&mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn cookies_of_many_lines_become_one() {
        let mut headers = map(&[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2; c=3")]);
        join_cookies(&mut headers);
        assert_eq!(headers, map(&[("cookie", "a=1; b=2; c=3"), ("x", "y")]));
    }

    #[test]
    fn a_length_beside_a_transfer_coding_goes() {
        let mut headers = map(&[("transfer-encoding", "chunked"), ("content-length", "3")]);
        assert_eq!(is_chunked_alone(&headers), Some(true));
        clean_response(&mut headers);
        assert!(headers.is_empty());
        assert_eq!(is_chunked_alone(&headers), None);
        assert_eq!(
            is_chunked_alone(&map(&[("transfer-encoding", "gzip, chunked")])),
            Some(false)
        );
    }

    #[test]
    fn duplicates_of_other_fields_stay() {
        let mut headers = map(&[
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("upgrade", "h2c"),
            ("te", "gzip"),
        ]);
        clean_response(&mut headers);
        assert_eq!(headers.get_all("set-cookie").iter().count(), 2);
        assert_eq!(headers.len(), 2);
    }
}
