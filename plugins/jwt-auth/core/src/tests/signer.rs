//! Key pairs that sign tokens, and their public keys in the forms that operators have.

use std::sync::OnceLock;

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    hmac, rand, rsa,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
        RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
    },
};
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};

/// A key pair, or a secret.
pub(super) enum Signer {
    /// With the name of its algorithm.
    Rsa(&'static RsaKeyPair, &'static str),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Secret(Vec<u8>),
}

impl Signer {
    /// The same RSA key for all tests: one takes a while to make.
    pub(super) fn rsa(alg: &'static str) -> Self {
        static PAIR: OnceLock<RsaKeyPair> = OnceLock::new();
        let make = || RsaKeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
        Self::Rsa(PAIR.get_or_init(make), alg)
    }

    pub(super) fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(super) fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    pub(super) fn secret() -> Self {
        let mut secret = vec![0; 32];
        rand::fill(&mut secret).unwrap();
        Self::Secret(secret)
    }

    /// One of each algorithm.
    pub(super) fn all() -> [Self; 5] {
        let rsa = [Self::rsa("RS256"), Self::rsa("PS256")];
        let [pkcs1, pss] = rsa;
        [pkcs1, pss, Self::p256(), Self::ed25519(), Self::secret()]
    }

    pub(super) fn alg(&self) -> &'static str {
        match self {
            Self::Rsa(_, alg) => alg,
            Self::P256(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
            Self::Secret(_) => "HS256",
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = rand::SystemRandom::new();
        match self {
            Self::Rsa(pair, alg) => {
                let padding: &dyn RsaEncoding = match *alg {
                    "PS256" => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Self::P256(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Secret(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, message).as_ref().to_vec()
            }
        }
    }

    /// A token with the header of the `kid` that [`jwks`](Self::jwks) has for the key.
    pub(super) fn token(&self, claims: &str) -> String {
        let header = format!(r#"{{"alg": "{}", "typ": "JWT", "kid": "k1"}}"#, self.alg());
        self.token_of(&header, claims)
    }

    pub(super) fn token_of(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = encode(self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    pub(super) fn jwks(&self, kid: &str) -> String {
        format!(
            r#"{{"keys": [{}]}}"#,
            self.jwk(&format!(r#""kid": "{kid}","#))
        )
    }

    /// With more members, each followed by a comma.
    pub(super) fn jwk(&self, more: &str) -> String {
        let alg = self.alg();
        let members = match self {
            Self::Rsa(pair, _) => {
                let key = pair.public_key();
                let n = encode(key.modulus().big_endian_without_leading_zero());
                let e = encode(key.exponent().big_endian_without_leading_zero());
                format!(r#""kty": "RSA", "n": "{n}", "e": "{e}""#)
            }
            Self::P256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                let (x, y) = (encode(x), encode(y));
                format!(r#""kty": "EC", "crv": "P-256", "x": "{x}", "y": "{y}""#)
            }
            Self::Ed25519(pair) => {
                let x = encode(pair.public_key());
                format!(r#""kty": "OKP", "crv": "Ed25519", "x": "{x}""#)
            }
            Self::Secret(secret) => format!(r#""kty": "oct", "k": "{}""#, encode(secret)),
        };
        format!(r#"{{{more} "alg": "{alg}", {members}}}"#)
    }

    /// A public key as openssl writes it.
    pub(super) fn pem(&self) -> String {
        let der: PublicKeyX509Der<'_> = match self {
            Self::Rsa(pair, _) => pair.public_key().as_der().unwrap(),
            Self::P256(pair) => pair.public_key().as_der().unwrap(),
            Self::Ed25519(pair) => pair.public_key().as_der().unwrap(),
            Self::Secret(_) => panic!("a secret is not public"),
        };
        let text = BASE64_STANDARD.encode(der.as_ref());
        let lines: Vec<_> = text
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        let lines = lines.join("\n");
        format!("-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n")
    }
}

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
