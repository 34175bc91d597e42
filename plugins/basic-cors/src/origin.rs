//! Origins (RFC 6454 §6.2), and patterns for them: `https://shop.example`,
//! `https://*.shop.example`, or `*` for all.

use serde::Deserialize;
use witgate_sdk::{HostPattern, Schema};

/// A string of the configuration's `origins`.
#[derive(Debug, PartialEq, Eq, Deserialize, Schema)]
#[serde(try_from = "String")]
#[schema(words = "an origin such as \"https://shop.example\" or \"https://*.shop.example\"")]
pub(crate) enum Pattern {
    /// Any origin, `null` too.
    All,
    Some {
        scheme: String,
        host: HostPattern,
        port: Option<u16>,
    },
}

impl Pattern {
    /// Whether an `Origin` field, as the browser sent it, falls under the pattern.
    pub(crate) fn matches(&self, origin: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some { scheme, host, port } => parts(origin).is_some_and(|found| {
                found.scheme == *scheme && found.port == *port && host.matches(found.host)
            }),
        }
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::All);
        }
        let expected = "an origin such as \"https://shop.example\" or \"https://*.shop.example\"";
        let wrong = || format!("expected {expected}, found {text:?}");
        let found = parts(&text).ok_or_else(wrong)?;
        Ok(Self::Some {
            scheme: found.scheme.to_owned(),
            host: found.host.parse().map_err(|_| wrong())?,
            port: found.port,
        })
    }
}

struct Parts<'a> {
    scheme: &'a str,
    host: &'a str,
    port: Option<u16>,
}

/// None for what is no origin of a web page, such as `null`. Browsers leave a scheme's own port
/// out and write the host in lower case.
fn parts(origin: &str) -> Option<Parts<'_>> {
    let (scheme, authority) = origin.split_once("://")?;
    let end = match authority.starts_with('[') {
        true => authority.find(']')? + 1,
        false => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at_checked(end)?;
    let port = match port.strip_prefix(':') {
        Some(port) => Some(port.parse().ok()?),
        None if port.is_empty() => None,
        None => return None,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let of_host = |c: char| c.is_ascii_alphanumeric() || "-._:*?".contains(c);
    let is_web = ["http", "https"].contains(&scheme);
    (is_web && !host.is_empty() && host.chars().all(of_host)).then_some(Parts {
        scheme,
        host,
        port,
    })
}
