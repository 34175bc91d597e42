//! Tokens for the reference plugin `jwt-auth`, and sidecars that trust them.

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
        RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
    },
};
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};

/// A token that is good until 2100, of the size that identity providers make.
const CLAIMS: &str = r#"{"iss": "https://id.example", "aud": "shop", "sub": "248289761001",
    "exp": 4102444800, "iat": 1767225600, "scope": "openid cart:read cart:write", "azp": "web",
    "sid": "0b1f5a0e-5d8e-4f5c-9d55-4a9c9f6f1e0f", "email": "ada@shop.example",
    "realm_access": {"roles": ["user", "admin"]}}"#;

/// A token and the key that has signed it.
pub(crate) struct Token {
    pub(crate) alg: &'static str,
    pub(crate) text: String,
    key: String,
}

impl Token {
    /// A sidecar with the key, and more configuration.
    pub(crate) fn sidecar(&self, more: &str) -> String {
        format!(
            "grants = [\"clock\"]\n[config]\naudiences = [\"shop\"]\nheaders = {{ x-user = \"sub\" }}\n{more}\n\
             [[config.keys]]\nalg = \"{}\"\n{}",
            self.alg, self.key
        )
    }

    fn new(alg: &'static str, key: String, sign: impl Fn(&[u8]) -> Vec<u8>) -> Self {
        let encode = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
        let header = format!(r#"{{"alg": "{alg}", "typ": "JWT"}}"#);
        let signed = format!(
            "{}.{}",
            encode(header.as_bytes()),
            encode(CLAIMS.as_bytes())
        );
        let signature = encode(&sign(signed.as_bytes()));
        let text = format!("{signed}.{signature}");
        Self { alg, text, key }
    }
}

/// One of each algorithm; RSA keys have 2048 bits.
pub(crate) fn all() -> Vec<Token> {
    let random = SystemRandom::new();
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let with_rsa = |padding: &'static dyn RsaEncoding| {
        let (rsa, random) = (&rsa, &random);
        move |message: &[u8]| {
            let mut signature = vec![0; rsa.public_modulus_len()];
            rsa.sign(padding, random, message, &mut signature)
                .expect("a signature");
            signature
        }
    };
    let rsa_pem = pem(&rsa.public_key().as_der().expect("a key"));
    let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let p256_pem = pem(&p256.public_key().as_der().expect("a key"));
    let ed25519 = Ed25519KeyPair::generate().expect("a key");
    let ed25519_pem = pem(&ed25519.public_key().as_der().expect("a key"));
    let secret = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
    let secret_text = format!("secret = \"{}\"", BASE64_STANDARD.encode([7; 32]));
    vec![
        Token::new("RS256", rsa_pem.clone(), with_rsa(&RSA_PKCS1_SHA256)),
        Token::new("PS256", rsa_pem, with_rsa(&RSA_PSS_SHA256)),
        Token::new("ES256", p256_pem, |message| {
            p256.sign(&random, message)
                .expect("a signature")
                .as_ref()
                .to_vec()
        }),
        Token::new("EdDSA", ed25519_pem, |message| {
            ed25519.sign(message).as_ref().to_vec()
        }),
        Token::new("HS256", secret_text, |message| {
            hmac::sign(&secret, message).as_ref().to_vec()
        }),
    ]
}

fn pem(der: &PublicKeyX509Der<'_>) -> String {
    let text = BASE64_STANDARD.encode(der.as_ref());
    let lines = text
        .as_bytes()
        .chunks(64)
        .map(String::from_utf8_lossy)
        .collect::<Vec<_>>();
    let lines = lines.join("\n");
    format!("pem = '''\n-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n'''")
}
