//! The one normal form of what a request is for: its path and its host (RFC 3986 §6.2). The
//! form that decides the route is the form that reaches the upstream; what has none, since
//! servers disagree on what it means, is refused.

use std::{borrow::Cow, net::Ipv6Addr};

use http::uri::Authority;

use crate::config::{EncodedSlashes, Paths, Requests, Slashes};

/// Longest host: that of a DNS name in text.
const MAX_HOST: usize = 253;

/// Makes the normal form of a path, which starts with `/`; borrowed when it has that already.
///
/// Unreserved characters stand for themselves, other encoded ones keep upper-case digits, bytes
/// that are not visible ASCII are encoded; `.` and `..` segments are gone, and slashes merged.
pub(super) fn path<'a>(path: &'a str, rules: &Requests) -> Result<Cow<'a, str>, &'static str> {
    if rules.paths == Paths::AsSent || is_normal(path.as_bytes(), rules) {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = decode(path.as_bytes(), rules)?;
    segments(&decoded, rules).map(Cow::Owned)
}

/// Whether nothing in the path needs a closer look; most have nothing.
fn is_normal(path: &[u8], rules: &Requests) -> bool {
    let mut before = b' ';
    for byte in path {
        let odd = match byte {
            b'%' | b'\\' | b';' => true,
            b'.' => before == b'/',
            b'/' => before == b'/' && rules.slashes == Slashes::Merge,
            byte => !is_plain(*byte),
        };
        if odd {
            return false;
        }
        before = *byte;
    }
    true
}

/// Whether a byte may stand in a path as it is (RFC 3986 §3.3).
fn is_plain(byte: u8) -> bool {
    is_unreserved(byte) || b"!$&'()*+,;=:@/".contains(&byte)
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Decodes what need not be encoded, and encodes what must be.
fn decode(path: &[u8], rules: &Requests) -> Result<String, &'static str> {
    let mut out = String::with_capacity(path.len() + 16);
    let mut rest = path;
    while let Some((first, after)) = rest.split_first() {
        let (byte, encoded) = match (first, after) {
            (b'%', [high, low, tail @ ..]) => {
                rest = tail;
                (hexadecimal(*high, *low)?, true)
            }
            (b'%', _) => return Err("a `%` in the path stands for no byte"),
            (byte, tail) => {
                rest = tail;
                (*byte, false)
            }
        };
        match byte {
            0 => return Err("the path has a NUL"),
            b'\\' | b'/' if byte == b'\\' || encoded => {
                if rules.encoded_slashes == EncodedSlashes::Refuse {
                    return Err("the path has an encoded slash or a backslash");
                }
                encode(byte, &mut out);
            }
            byte if is_unreserved(byte) || (!encoded && is_plain(byte)) => {
                out.push(char::from(byte));
            }
            byte => encode(byte, &mut out),
        }
    }
    Ok(out)
}

fn hexadecimal(high: u8, low: u8) -> Result<u8, &'static str> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let value = digit(high).zip(digit(low));
    value
        .and_then(|(high, low)| u8::try_from(high * 16 + low).ok())
        .ok_or("a `%` in the path stands for no byte")
}

fn encode(byte: u8, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 15)]);
    out.extend(['%', digit(byte >> 4), digit(byte)]);
}

/// Removes dot segments (RFC 3986 §5.2.4) and, by rule, empty ones. One that would climb above
/// the root is refused, as is `..;x`, of which some servers make `..`.
fn segments(path: &str, rules: &Requests) -> Result<String, &'static str> {
    let mut kept: Vec<&str> = Vec::new();
    let mut parts = path.split('/').skip(1).peekable();
    while let Some(segment) = parts.next() {
        let last = parts.peek().is_none();
        match segment {
            "." if last => kept.push(""),
            "." => {}
            ".." => {
                if kept.pop().is_none() {
                    return Err("the path climbs above the root");
                }
                if last {
                    kept.push("");
                }
            }
            "" if !last && rules.slashes == Slashes::Merge => {}
            segment if matches!(segment.split(';').next(), Some("." | "..")) => {
                return Err("the path has a dot segment with parameters");
            }
            segment => kept.push(segment),
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in kept {
        out.push('/');
        out.push_str(segment);
    }
    if out.is_empty() {
        out.push('/');
    }
    Ok(out)
}

/// Makes the normal form of an authority: a lower-case host without a final dot, and a port
/// that is not `default_port`, the one of the scheme (RFC 3986 §6.2.2.1, §6.2.3).
pub(super) fn authority(sent: Authority, default_port: u16) -> Result<Authority, &'static str> {
    let text = sent.as_str();
    if text.bytes().any(|byte| byte == b'@') {
        return Err("Host has user information");
    }
    let (host, port) = split_port(text)?;
    let host = host_name(host)?;
    let port = port.filter(|port| *port != default_port);
    if is_normal_authority(text, &host, port) {
        return Ok(sent);
    }
    let normal = match port {
        Some(port) => format!("{host}:{port}"),
        None => host.into_owned(),
    };
    Authority::try_from(normal).map_err(|_| "Host is not a host")
}

/// Whether it was sent as it would be written. Most are, and need no copy to tell.
fn is_normal_authority(text: &str, host: &str, port: Option<u16>) -> bool {
    match (text.strip_prefix(host), port) {
        (Some(rest), None) => rest.is_empty(),
        // A port is written without leading zeros.
        (Some(rest), Some(_)) => matches!(rest.as_bytes(), [b':', b'1'..=b'9', ..]),
        (None, _) => false,
    }
}

fn split_port(text: &str) -> Result<(&str, Option<u16>), &'static str> {
    // Byte by byte: a host is shorter than a search for one byte takes to begin.
    let name = text.bytes().rposition(|byte| byte == b']');
    let name = name.map_or(0, |end| end + 1);
    let Some(colon) = text.bytes().skip(name).position(|byte| byte == b':') else {
        return Ok((text, None));
    };
    let (host, port) = text.split_at(name + colon);
    let port = port.strip_prefix(':').unwrap_or(port);
    if port.is_empty() {
        return Ok((host, None));
    }
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(port) if digits && port != 0 => Ok((host, Some(port))),
        _ => Err("Host has a port that is none"),
    }
}

fn host_name(host: &str) -> Result<Cow<'_, str>, &'static str> {
    if let Some(literal) = host.strip_prefix('[') {
        let address = literal
            .strip_suffix(']')
            .and_then(|v6| v6.parse::<Ipv6Addr>().ok());
        return match address {
            Some(address) => Ok(Cow::Owned(format!("[{address}]"))),
            None => Err("Host is not an IPv6 address"),
        };
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty() && label.bytes().all(legal)
    };
    if name.len() > MAX_HOST || !name.split('.').all(is_label) {
        return Err("Host is not a host");
    }
    Ok(match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(sent: &str, rules: &Requests) -> Result<String, &'static str> {
        path(sent, rules).map(Cow::into_owned)
    }

    #[test]
    fn a_path_has_one_normal_form() {
        for (sent, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("//", "/"),
            ("//a///b//", "/a/b/"),
            ("/.", "/"),
            ("/./a", "/a"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/a/../", "/"),
            ("/a/b/../../c", "/c"),
            ("/a//../b", "/b"),
            ("/%2e/a", "/a"),
            ("/a/%2E%2e/b", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/%61%7E%2D%5f%41", "/a~-_A"),
            ("/a%3ab", "/a%3Ab"),
            ("/a%2bb+c", "/a%2Bb+c"),
            ("/caf\u{e9}", "/caf%C3%A9"),
            ("/a\"b{c}|", "/a%22b%7Bc%7D%7C"),
            ("/%252e%252e/", "/%252e%252e/"),
            ("/a;x=1/b", "/a;x=1/b"),
            ("/.a/..b/c..", "/.a/..b/c.."),
            ("/...", "/..."),
        ] {
            let found = normal(sent, &Requests::default());
            assert_eq!(found.as_deref(), Ok(expected), "{sent}");
            let again = normal(expected, &Requests::default());
            assert_eq!(again.as_deref(), Ok(expected), "{sent} twice");
        }
    }

    #[test]
    fn what_servers_disagree_on_is_refused() {
        for sent in [
            "/..",
            "/../a",
            "/a/../../b",
            "/%2e%2e/a",
            "//../a",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/%00",
            "/a%00.png",
            "/%",
            "/%2",
            "/%zz",
            "/%+1",
            "/a/..;/b",
            "/.;x/b",
            "/a/%2e%2e;x/b",
        ] {
            assert!(normal(sent, &Requests::default()).is_err(), "{sent}");
        }
    }

    #[test]
    fn encoded_slashes_stay_encoded_where_they_are_kept() {
        let rules = Requests {
            encoded_slashes: EncodedSlashes::Keep,
            ..Requests::default()
        };
        assert_eq!(
            normal("/a%2fb/c\\d%5c", &rules).as_deref(),
            Ok("/a%2Fb/c%5Cd%5C")
        );
        assert_eq!(normal("/a%2f../b", &rules).as_deref(), Ok("/a%2F../b"));
    }

    #[test]
    fn empty_segments_stay_where_they_are_kept() {
        let rules = Requests {
            slashes: Slashes::Keep,
            ..Requests::default()
        };
        assert_eq!(normal("//a//b/./", &rules).as_deref(), Ok("//a//b/"));
        assert_eq!(normal("/a//../b", &rules).as_deref(), Ok("/a/b"));
    }

    #[test]
    fn a_path_as_sent_is_not_touched() {
        let rules = Requests {
            paths: Paths::AsSent,
            ..Requests::default()
        };
        for sent in ["//a/../..%2f%00", "/%61", "/%"] {
            assert_eq!(normal(sent, &rules).as_deref(), Ok(sent));
        }
    }

    #[test]
    fn a_normal_path_is_not_copied() {
        let found = path("/shop/cart.html", &Requests::default());
        assert!(matches!(found, Ok(Cow::Borrowed(_))), "{found:?}");
    }

    fn host(sent: &str) -> Result<String, &'static str> {
        let sent = Authority::try_from(sent).map_err(|_| "no authority")?;
        authority(sent, 443).map(|found| found.to_string())
    }

    #[test]
    fn a_host_has_one_normal_form() {
        for (sent, expected) in [
            ("shop.example", "shop.example"),
            ("Shop.EXAMPLE", "shop.example"),
            ("shop.example.", "shop.example"),
            ("shop.example.:8443", "shop.example:8443"),
            ("shop.example:443", "shop.example"),
            ("shop.example:0443", "shop.example"),
            ("shop.example:", "shop.example"),
            ("shop.example:80", "shop.example:80"),
            ("shop.example:08443", "shop.example:8443"),
            ("a_b.example", "a_b.example"),
            ("192.0.2.1:443", "192.0.2.1"),
            ("[2001:DB8:0::1]:443", "[2001:db8::1]"),
            ("[::1]:8443", "[::1]:8443"),
        ] {
            assert_eq!(host(sent).as_deref(), Ok(expected), "{sent}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let long = "a.".repeat(127) + "example";
        for sent in [
            "user@a",
            "a@b@c",
            "@a",
            "",
            ".",
            "..",
            ".a",
            "a..b",
            "a..",
            "a,b",
            "a%2eb",
            "a b",
            "a/b",
            "a;b",
            "a'b",
            "a*",
            "[::1",
            "[::g]",
            "[fe80::1%25eth0]",
            "a:0",
            "a:x",
            "a:65536",
            "a:+1",
            "a:1:2",
            "b\u{fc}cher.example",
            &long,
        ] {
            assert!(host(sent).is_err(), "{sent}");
        }
    }
}
