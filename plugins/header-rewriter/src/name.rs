//! Names of header fields that a rule may change.

use witgate_sdk::{is_protected_field, prelude::*};

/// The field whose lines cannot be joined, so that replacing one drops the others.
pub(crate) const SET_COOKIE: &str = "set-cookie";

/// The name in lower case.
pub(crate) fn changeable(name: &str) -> Result<String, ConfigError> {
    let lower = name.to_ascii_lowercase();
    if !is_token(&lower) {
        return Err(ConfigError::new(format!(
            "expected the name of a header field, found {name:?}"
        )));
    }
    if lower == "host" {
        return Err(ConfigError::new(
            "expected another name; for host, a request's rule has the key \"host\"",
        ));
    }
    if is_protected_field(&lower) {
        let problem = "frames the message, belongs to one connection or says who the client is, \
                       so only the gateway may change it";
        return Err(ConfigError::new(format!("{lower} {problem}")));
    }
    Ok(lower)
}

/// RFC 9110 §5.6.2, and the gateway's limit.
pub(crate) fn is_token(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.len() <= 256 && name.bytes().all(token)
}
