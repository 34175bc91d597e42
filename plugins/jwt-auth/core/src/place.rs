//! Takes the token out of a request: first to read it, then, where the operator wants that, for
//! good.

use witgate_sdk::prelude::*;

use crate::{config::Place, refusal::Refusal};

impl Place {
    /// The token; none when the request has none. More than one is refused: the upstream might
    /// read another one than this plugin.
    pub(crate) fn find(&self, request: &Request) -> Result<Option<String>, Refusal> {
        let mut values = match self {
            Self::Bearer => request.header_values("authorization"),
            Self::Header(name) => request.header_values(name),
            Self::Cookie(name) => {
                let cookies = cookies(request);
                let ours = cookies.into_iter().filter(|cookie| is_named(cookie, name));
                ours.map(|cookie| value(&cookie).to_vec()).collect()
            }
        };
        if values.len() > 1 {
            return Err(Refusal::Request("more than one token was sent"));
        }
        match (values.pop(), self) {
            (None, _) => Ok(None),
            (Some(value), Self::Bearer) => bearer(&value),
            // What is no text is no token either, which is found where it is read.
            (Some(value), _) => Ok(Some(String::from_utf8_lossy(&value).into_owned())),
        }
    }

    /// The edit that takes the token out.
    pub(crate) fn strip(&self, request: &Request) -> RequestEdit {
        match self {
            Self::Bearer => RequestEdit::remove("authorization"),
            Self::Header(name) => RequestEdit::remove(name),
            Self::Cookie(name) => {
                let mut cookies = cookies(request);
                cookies.retain(|cookie| !is_named(cookie, name));
                match cookies.is_empty() {
                    true => RequestEdit::remove("cookie"),
                    false => RequestEdit::set("cookie", cookies.join(&b"; "[..])),
                }
            }
        }
    }
}

/// `Bearer`, in any case, and one token (RFC 6750 §2.1, RFC 9110 §11.1). Another scheme is none
/// of ours.
fn bearer(value: &[u8]) -> Result<Option<String>, Refusal> {
    let end = value.iter().position(|byte| *byte == b' ');
    let (scheme, token) = value.split_at(end.unwrap_or(value.len()));
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Ok(None);
    }
    let of_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    let token = token.trim_ascii();
    match std::str::from_utf8(token) {
        Ok(text) if !token.is_empty() && token.iter().all(of_token) => Ok(Some(text.to_owned())),
        _ => Err(Refusal::Request("behind Bearer there is no token")),
    }
}

/// All cookies of all fields (RFC 6265 §4.2.1), as sent: `a=1`.
fn cookies(request: &Request) -> Vec<Vec<u8>> {
    let fields = request.header_values("cookie");
    let pairs = fields
        .iter()
        .flat_map(|field| field.split(|byte| *byte == b';'));
    let pairs = pairs.map(|pair| pair.trim_ascii().to_vec());
    pairs.filter(|pair| !pair.is_empty()).collect()
}

fn is_named(cookie: &[u8], name: &str) -> bool {
    let end = cookie.iter().position(|byte| *byte == b'=');
    let found = cookie
        .get(..end.unwrap_or(cookie.len()))
        .unwrap_or_default();
    found.trim_ascii() == name.as_bytes()
}

/// Without the quotes that it may have around it.
fn value(cookie: &[u8]) -> &[u8] {
    let start = cookie
        .iter()
        .position(|byte| *byte == b'=')
        .map_or(cookie.len(), |at| at + 1);
    let value = cookie.get(start..).unwrap_or_default().trim_ascii();
    let inner = value
        .strip_prefix(b"\"")
        .and_then(|value| value.strip_suffix(b"\""));
    inner.unwrap_or(value)
}
