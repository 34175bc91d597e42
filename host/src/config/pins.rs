//! Hashes of certificates and keys as people write them: `sha256:` and hexadecimal digits, for
//! keys also base64.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Marks a hash, and tells it from a file's name.
const PREFIX: &str = "sha256:";

/// The hash after `sha256:`; none when `text` is no hash but, say, a path.
pub(super) fn fingerprint(text: &str) -> Option<Result<[u8; 32], String>> {
    let wrong = |why: &str| {
        Err(format!(
            "found {text:?}, expected \"sha256:\" and 64 hexadecimal digits{why}"
        ))
    };
    if let Some(digits) = prefixed(text) {
        let count = digits.bytes().filter(u8::is_ascii_hexdigit).count();
        let shown = format!("; there are {count}");
        let hash = hexadecimal(digits).map_or_else(|| wrong(&shown), Ok);
        return Some(hash);
    }
    let bare = text.rsplit('=').next().unwrap_or(text);
    hexadecimal(bare).map(|_| wrong(&format!(": write \"sha256:{bare}\"")))
}

/// The hash of a key.
pub(super) fn spki(text: &str) -> Result<[u8; 32], String> {
    let hash = prefixed(text).and_then(|hash| hexadecimal(hash).or_else(|| base64(hash)));
    hash.ok_or_else(|| {
        format!(
            "found {text:?}, expected \"sha256:\" and 64 hexadecimal digits or the base64 of \
             32 bytes"
        )
    })
}

fn prefixed(text: &str) -> Option<&str> {
    let (prefix, rest) = text.split_at_checked(PREFIX.len())?;
    prefix.eq_ignore_ascii_case(PREFIX).then_some(rest)
}

/// 64 digits, with or without a colon between each two as openssl prints them.
fn hexadecimal(text: &str) -> Option<[u8; 32]> {
    let colons = text.contains(':');
    if colons && text.split(':').any(|pair| pair.len() != 2) {
        return None;
    }
    let digits: Vec<u8> = text
        .chars()
        .filter(|letter| *letter != ':')
        .map(|digit| {
            digit
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        })
        .collect::<Option<_>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
    bytes.try_into().ok()
}

fn base64(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}
