//! The value of the cookies: a keyed hash of pool and endpoint, so that it is the same on
//! every node and after every restart, and tells a client nothing.

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher24};
use witgate_sdk::prelude::*;

/// Used when the configuration has no key: anyone can then compute the values, and so choose
/// an endpoint of a pool whose ids they know, which is no more than a client may do by trying.
const DEFAULT: [u8; 16] = *b"witgate-affinity";

/// Of 128 bits.
#[derive(Debug, Clone)]
pub(crate) struct Key([u8; 16]);

impl Key {
    pub(crate) fn new(hex: Option<&str>) -> Result<Self, ConfigError> {
        let Some(hex) = hex else {
            return Ok(Self(DEFAULT));
        };
        let digits = hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u128::from_str_radix(hex, 16) {
            Ok(key) if digits => Ok(Self(key.to_be_bytes())),
            // The key is a secret: it is not shown.
            _ => Err(ConfigError::at(
                "key",
                format!(
                    "expected 32 hexadecimal digits, found {} characters",
                    hex.len()
                ),
            )),
        }
    }

    /// SipHash-2-4-128 of both names, as 32 hexadecimal digits. The first is written with its
    /// length, so that no other two names read the same.
    pub(crate) fn token(&self, pool: &str, endpoint: &str) -> String {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(&(pool.len() as u64).to_le_bytes());
        hasher.write(pool.as_bytes());
        hasher.write(endpoint.as_bytes());
        format!("{:032x}", hasher.finish128().as_u128())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_changes() {
        // Were it to, every session would move at the update.
        assert_eq!(
            Key::new(None).unwrap().token("web", "10.0.0.4:443"),
            "84f3fc78f606b3be4afb462ccb80dc20"
        );
    }

    #[test]
    fn pool_endpoint_and_key_make_a_token() {
        let key = Key::new(None).unwrap();
        let other = Key::new(Some("000102030405060708090a0b0c0d0e0f")).unwrap();
        let token = key.token("web", "a");
        assert_eq!(token.len(), 32);
        assert_ne!(token, key.token("web", "b"));
        assert_ne!(token, key.token("api", "a"));
        assert_ne!(token, key.token("we", "ba"));
        assert_ne!(token, other.token("web", "a"));
    }

    #[test]
    fn a_key_has_32_digits() {
        for wrong in [
            "",
            "00",
            "+0102030405060708090a0b0c0d0e0f0",
            "g00102030405060708090a0b0c0d0e0f",
        ] {
            let refusal = Key::new(Some(wrong)).unwrap_err().to_string();
            assert!(
                refusal.starts_with("key: expected 32 hexadecimal digits"),
                "{refusal}"
            );
        }
    }
}
