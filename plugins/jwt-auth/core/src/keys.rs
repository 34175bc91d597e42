//! Keys, and the algorithm that each is bound to (RFC 8725 §3.1): a token that names another
//! algorithm than its key's does not reach the key. `source` makes keys of a configuration.

mod source;

use std::str::FromStr;

use ed25519_dalek::Signature as Ed25519Signature;
use hmac::{Hmac, Mac as _};
use p256::ecdsa::{self, signature::Verifier as _};
use rsa::{Pkcs1v15Sign, Pss};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use witgate_sdk::prelude::*;

use crate::{refusal::Refusal, token::Token};

pub(crate) use source::Source;

/// A signature algorithm (RFC 7518 §3.1, RFC 8037 §3.1). `none` is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Schema)]
#[serde(try_from = "String")]
#[schema(choice("RS256", "PS256", "ES256", "EdDSA", "Ed25519", "HS256"))]
pub(crate) enum Algorithm {
    Rs256,
    Ps256,
    Es256,
    /// Ed25519, whether it is called `EdDSA` or, as in RFC 9864, `Ed25519`.
    EdDsa,
    Hs256,
}

/// For messages.
const ALGORITHMS: &str = "RS256, PS256, ES256, EdDSA or HS256";

impl FromStr for Algorithm {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "RS256" => Ok(Self::Rs256),
            "PS256" => Ok(Self::Ps256),
            "ES256" => Ok(Self::Es256),
            "EdDSA" | "Ed25519" => Ok(Self::EdDsa),
            "HS256" => Ok(Self::Hs256),
            _ => Err(format!("expected {ALGORITHMS}, found {name:?}")),
        }
    }
}

impl TryFrom<String> for Algorithm {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

/// One key, for one algorithm.
pub(crate) struct Key {
    kid: Option<String>,
    /// Whose it is; none where the configuration does not say.
    pub(crate) issuers: Option<Vec<String>>,
    material: Material,
}

enum Material {
    Rs256(rsa::PublicKey),
    Ps256(rsa::PublicKey),
    Es256(ecdsa::VerifyingKey),
    EdDsa(ed25519_dalek::VerifyingKey),
    Hs256(Hmac<Sha256>),
}

impl Material {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rs256(_) => Algorithm::Rs256,
            Self::Ps256(_) => Algorithm::Ps256,
            Self::Es256(_) => Algorithm::Es256,
            Self::EdDsa(_) => Algorithm::EdDsa,
            Self::Hs256(_) => Algorithm::Hs256,
        }
    }

    fn has_signed(&self, signed: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rs256(key) => {
                let scheme = Pkcs1v15Sign::new::<Sha256>();
                key.verify(scheme, &Sha256::digest(signed), signature)
                    .is_ok()
            }
            // The salt is as long as the hash (RFC 7518 §3.5), which is the default.
            Self::Ps256(key) => {
                let scheme = Pss::<Sha256>::new();
                key.verify(scheme, &Sha256::digest(signed), signature)
                    .is_ok()
            }
            // Both numbers at their full length, not DER (RFC 7518 §3.4).
            Self::Es256(key) => ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(signed, &signature).is_ok()),
            Self::EdDsa(key) => Ed25519Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(signed, &signature).is_ok()),
            Self::Hs256(mac) => {
                let mac = mac.clone().chain_update(signed);
                mac.verify_slice(signature).is_ok()
            }
        }
    }
}

/// All keys of the configuration.
pub(crate) struct Keys(Vec<Key>);

/// Most keys in all: a set that is being rotated has four or five.
const MOST_KEYS: usize = 16;
/// Most keys that one token is tried with, so that a bad one costs no more than this.
const MOST_TRIES: usize = 4;

impl Keys {
    /// Makes the keys; an error names the place of the one that is not good.
    pub(crate) fn new(sources: Vec<Source>) -> Result<Self, ConfigError> {
        let mut keys = Vec::new();
        for (index, source) in sources.into_iter().enumerate() {
            let found = source.keys();
            keys.extend(found.map_err(|error| error.within(format_args!("keys[{index}]")))?);
        }
        if !(1..=MOST_KEYS).contains(&keys.len()) {
            let problem = format!("expected 1 to {MOST_KEYS}, found {}", keys.len());
            return Err(ConfigError::at("keys", problem));
        }
        for key in &keys {
            let is_alike = |other: &&Key| {
                other.kid == key.kid && other.material.algorithm() == key.material.algorithm()
            };
            let alike = keys.iter().filter(is_alike).count();
            if alike > MOST_TRIES {
                let problem = format!(
                    "expected {MOST_TRIES} at most that have the same kid, or none, and the same alg, found {alike}"
                );
                return Err(ConfigError::at("keys", problem));
            }
        }
        Ok(Self(keys))
    }

    /// None at all.
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    /// The public keys of a set that a service tells, the first of them when there are too many.
    pub(crate) fn fetched(
        set: &str,
        alg: Option<Algorithm>,
        issuers: Option<&[String]>,
    ) -> Result<Self, ConfigError> {
        let found = source::public_of_set(set, alg)?;
        let key = |(kid, material)| Key {
            kid,
            issuers: issuers.map(<[String]>::to_vec),
            material,
        };
        Ok(Self(found.into_iter().take(MOST_KEYS).map(key).collect()))
    }

    /// The key that has signed the token. A key without `kid` is for tokens with any; a token
    /// without is tried with the keys of its algorithm, in order.
    pub(crate) fn signer(&self, token: &Token<'_>) -> Result<&Key, Refusal> {
        let is_meant = |key: &&Key| {
            key.material.algorithm() == token.algorithm
                && (key.kid.is_none() || token.kid.is_none() || key.kid == token.kid)
        };
        let mut meant = self.0.iter().filter(is_meant).take(MOST_TRIES).peekable();
        if meant.peek().is_none() {
            return Err(Refusal::UnknownKey(token.kid.clone()));
        }
        meant
            .find(|key| key.material.has_signed(token.signed, &token.signature))
            .ok_or(Refusal::Token("its signature is not good"))
    }
}
