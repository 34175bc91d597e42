//! Keys as they are written in a configuration: a JWK Set (RFC 7517), a public key in PEM
//! (RFC 7468 §13), or a secret in base64.

use base64::{
    alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _},
};
use hmac::{Hmac, KeyInit as _};
use p256::ecdsa;
use rsa::BoxedUint;
use serde::Deserialize;
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef, der::Document};
use witgate_sdk::prelude::*;

use super::{ALGORITHMS, Algorithm, Key, Material};

/// One table of the list `keys`.
#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Source {
    /// The one algorithm that the key is for; beside `jwks`, of the RSA keys in it that do not
    /// say theirs.
    alg: Option<Algorithm>,
    /// Beside `pem` or `secret`; the keys of a set have their own.
    kid: Option<String>,
    /// Whose keys these are.
    issuers: Option<Vec<String>>,
    /// A JWK Set (RFC 7517) as JSON. Keys for another use, or of a kind that is not below, are
    /// left out.
    jwks: Option<String>,
    /// A public key, as `openssl pkey -pubout` writes it; for a certificate, `openssl x509
    /// -pubkey -noout`.
    pem: Option<String>,
    /// For HS256: at least 32 bytes in base64, of either alphabet.
    secret: Option<String>,
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

/// RFC 7517 §4, RFC 7518 §6, RFC 8037 §2.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    k: Option<String>,
    d: Option<String>,
}

/// RFC 7518 §3.3; above, a signature takes longer than a plugin should.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;
/// As long as the hash (RFC 7518 §3.2).
const LEAST_SECRET: usize = 32;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ELLIPTIC_CURVE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

impl Source {
    /// All keys of the table.
    pub(super) fn keys(self) -> Result<Vec<Key>, ConfigError> {
        let Self {
            alg,
            kid,
            issuers,
            jwks,
            pem,
            secret,
        } = self;
        if issuers.as_ref().is_some_and(Vec::is_empty) {
            let problem = "expected at least one; without the key, those of all keys count";
            return Err(ConfigError::at("issuers", problem));
        }
        let found = match (jwks, pem, secret) {
            (Some(_), None, None) if kid.is_some() => Err(ConfigError::at(
                "kid",
                "expected none beside jwks, whose keys have their own",
            )),
            (Some(jwks), None, None) => of_set(&jwks, alg).map_err(|e| e.within("jwks")),
            (None, Some(pem), None) => Ok(vec![(kid, of_pem(&pem, alg)?)]),
            (None, None, Some(secret)) => Ok(vec![(kid, of_secret(&secret, alg)?)]),
            _ => Err(ConfigError::new("expected one of jwks, pem and secret")),
        }?;
        let key = |(kid, material)| Key {
            kid,
            issuers: issuers.clone(),
            material,
        };
        Ok(found.into_iter().map(key).collect())
    }
}

type Found = (Option<String>, Material);

/// Keys for other uses and of unknown kinds are left out, as RFC 7517 §5 says.
fn of_set(text: &str, alg: Option<Algorithm>) -> Result<Vec<Found>, ConfigError> {
    let set: JwkSet = serde_json::from_str(text)
        .map_err(|error| ConfigError::new(format!("expected a JWK Set as JSON: {error}")))?;
    let mut keys = Vec::new();
    for (index, jwk) in set.keys.iter().enumerate() {
        let found = jwk.material(alg);
        let found = found.map_err(|error| error.within(format_args!("keys[{index}]")))?;
        keys.extend(found.map(|material| (jwk.kid.clone(), material)));
    }
    match keys.is_empty() {
        true => Err(ConfigError::new(format!(
            "expected a key for {ALGORITHMS}, found none in a set of {}",
            set.keys.len()
        ))),
        false => Ok(keys),
    }
}

/// As [`of_set`], of a set that nobody here has written: what is faulty is left out as well, and so
/// are secrets, which no service has to tell.
pub(super) fn public_of_set(text: &str, alg: Option<Algorithm>) -> Result<Vec<Found>, ConfigError> {
    let set: JwkSet = serde_json::from_str(text)
        .map_err(|error| ConfigError::new(format!("expected a JWK Set as JSON: {error}")))?;
    let keys = set.keys.iter().filter_map(|jwk| {
        let material = jwk.material(alg).ok().flatten();
        let material = material.filter(|it| it.algorithm() != Algorithm::Hs256)?;
        Some((jwk.kid.clone(), material))
    });
    let keys: Vec<_> = keys.collect();
    match keys.is_empty() {
        true => Err(ConfigError::new(format!(
            "expected a public key for {ALGORITHMS}, found none in a set of {}",
            set.keys.len()
        ))),
        false => Ok(keys),
    }
}

impl Jwk {
    /// None when the key is not for this plugin. `alg` is for RSA keys that do not say theirs.
    fn material(&self, alg: Option<Algorithm>) -> Result<Option<Material>, ConfigError> {
        let verifies = |ops: &Vec<String>| ops.iter().any(|op| op == "verify");
        if self.r#use.as_deref().is_some_and(|r#use| r#use != "sig")
            || self.key_ops.as_ref().is_some_and(|ops| !verifies(ops))
        {
            return Ok(None);
        }
        let own = match self.alg.as_deref().map(str::parse) {
            Some(Ok(own)) => Some(own),
            Some(Err(_)) => return Ok(None),
            None => None,
        };
        let material = match (self.kty.as_str(), self.crv.as_deref(), own) {
            ("RSA", _, Some(Algorithm::Rs256 | Algorithm::Ps256) | None) => {
                let (n, e) = (number("n", &self.n)?, number("e", &self.e)?);
                let key = rsa::PublicKey::new_with_size_limits(n, e, RSA_BITS);
                let key = key.map_err(|error| ConfigError::at("n", bad_rsa(error)))?;
                of_rsa(key, own.or(alg))?
            }
            ("EC", Some("P-256"), Some(Algorithm::Es256) | None) => {
                // The form of SEC 1 §2.3.3 for both coordinates.
                let point = [vec![4], bytes("x", &self.x)?, bytes("y", &self.y)?].concat();
                let key = ecdsa::VerifyingKey::from_sec1_bytes(&point);
                Material::Es256(key.map_err(|_| {
                    ConfigError::at("x", "expected with y a point of P-256, found another")
                })?)
            }
            ("OKP", Some("Ed25519"), Some(Algorithm::EdDsa) | None) => {
                let x = bytes("x", &self.x)?;
                let key = ed25519_dalek::VerifyingKey::try_from(x.as_slice());
                let key = key.ok().filter(|key| !key.is_weak()).ok_or_else(|| {
                    ConfigError::at("x", "expected 32 bytes that are a key of Ed25519")
                })?;
                Material::EdDsa(key)
            }
            ("oct", _, Some(Algorithm::Hs256) | None) => {
                return Ok(Some(of_bytes("k", &bytes("k", &self.k)?)?));
            }
            _ => return Ok(None),
        };
        match self.d.is_some() {
            true => Err(ConfigError::at(
                "d",
                "expected a public key, found a private one",
            )),
            false => Ok(Some(material)),
        }
    }
}

/// A member's bytes. What is in them is not repeated: it may be a secret.
fn bytes(name: &str, member: &Option<String>) -> Result<Vec<u8>, ConfigError> {
    let expected = "expected base64url without padding";
    let text = member.as_deref();
    let text = text.ok_or_else(|| ConfigError::at(name, format!("{expected}, found nothing")))?;
    let decoded = BASE64_URL_SAFE_NO_PAD.decode(text);
    decoded.map_err(|error| ConfigError::at(name, format!("{expected}: {error}")))
}

fn number(name: &str, member: &Option<String>) -> Result<BoxedUint, ConfigError> {
    Ok(BoxedUint::from_be_slice_vartime(&bytes(name, member)?))
}

/// The algorithm of an EC or Ed25519 key follows from the key, that of an RSA key has to be said.
fn of_pem(text: &str, alg: Option<Algorithm>) -> Result<Material, ConfigError> {
    let at = |problem: String| ConfigError::at("pem", problem);
    let expected = "expected a PUBLIC KEY in PEM";
    let (label, document) =
        Document::from_pem(text.trim()).map_err(|error| at(format!("{expected}: {error}")))?;
    if label != "PUBLIC KEY" {
        return Err(at(format!("{expected}, found a {label}")));
    }
    let wrong = |kind: &str| at(format!("{expected}, found one of {kind} that is not good"));
    let info = SubjectPublicKeyInfoRef::try_from(document.as_bytes())
        .map_err(|error| at(format!("{expected}: {error}")))?;
    let kind = info.algorithm.oid;
    let material = if kind == RSA {
        let key = rsa::PublicKey::try_from(info).map_err(|_| wrong("RSA"))?;
        let bits = rsa::traits::PublicKeyParts::n(&key).bit_width_vartime() as usize;
        if !RSA_BITS.contains(&bits) {
            return Err(at(bad_rsa(format_args!("{bits} bits"))));
        }
        of_rsa(key, alg)?
    } else if kind == ELLIPTIC_CURVE {
        Material::Es256(ecdsa::VerifyingKey::try_from(info).map_err(|_| wrong("a curve"))?)
    } else if kind == ED25519 {
        let key = ed25519_dalek::VerifyingKey::try_from(info).ok();
        let key = key.filter(|key| !key.is_weak());
        Material::EdDsa(key.ok_or_else(|| wrong("Ed25519"))?)
    } else {
        return Err(at(format!(
            "{expected} of RSA, P-256 or Ed25519, found one of {kind}"
        )));
    };
    match alg {
        Some(alg) if alg != material.algorithm() => Err(ConfigError::at(
            "alg",
            "expected the one of the key in pem, found another",
        )),
        _ => Ok(material),
    }
}

fn of_rsa(key: rsa::PublicKey, alg: Option<Algorithm>) -> Result<Material, ConfigError> {
    match alg {
        Some(Algorithm::Rs256) => Ok(Material::Rs256(key)),
        Some(Algorithm::Ps256) => Ok(Material::Ps256(key)),
        _ => Err(ConfigError::at(
            "alg",
            "expected \"RS256\" or \"PS256\" for an RSA key, here or in `keys`",
        )),
    }
}

fn bad_rsa(found: impl std::fmt::Display) -> String {
    let (least, most) = (RSA_BITS.start(), RSA_BITS.end());
    format!("expected an RSA key of {least} to {most} bits, found: {found}")
}

/// Both alphabets of base64, with padding or without.
fn of_secret(text: &str, alg: Option<Algorithm>) -> Result<Material, ConfigError> {
    if alg.is_some_and(|alg| alg != Algorithm::Hs256) {
        return Err(ConfigError::at(
            "alg",
            "expected \"HS256\" for a secret, found another",
        ));
    }
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = GeneralPurpose::new(&alphabet::STANDARD, config);
    let text = text.trim().replace('-', "+").replace('_', "/");
    let secret = engine.decode(text);
    let secret =
        secret.map_err(|error| ConfigError::at("secret", format!("expected base64: {error}")))?;
    of_bytes("secret", &secret)
}

fn of_bytes(name: &str, secret: &[u8]) -> Result<Material, ConfigError> {
    let found = secret.len();
    let wrong = || {
        let problem = format!("expected at least {LEAST_SECRET} bytes, found {found}");
        ConfigError::at(name, problem)
    };
    if found < LEAST_SECRET {
        return Err(wrong());
    }
    Hmac::new_from_slice(secret)
        .map(Material::Hs256)
        .map_err(|_| wrong())
}
