//! What is refused before any request: the key's place, and what was expected there.

use witgate_sdk::testing;

use super::JwtAuth;
use super::signer::{Signer, encode};

#[track_caller]
fn assert_refused(config: &str, problem: &str) {
    let refusal = testing::configure::<JwtAuth>(config)
        .err()
        .expect("a refusal")
        .to_string();
    assert!(refusal.starts_with(problem), "{refusal}");
}

/// A set with one good key and the one in question behind it.
fn set(jwk: &str) -> String {
    let good = Signer::ed25519().jwk("");
    format!("[[keys]]\nissuers = ['a']\njwks = '{{\"keys\": [{good}, {jwk}]}}'")
}

#[test]
fn a_wrong_key_in_a_set_names_its_member() {
    let at = |member: &str| format!("keys[0].jwks.keys[1].{member}: expected");
    let rsa = Signer::rsa("RS256").jwk("");
    let bits = |bytes: usize, last: u8| {
        let mut n = vec![0xc1; bytes];
        n[bytes - 1] = last;
        format!(
            r#"{{"kty": "RSA", "alg": "RS256", "e": "AQAB", "n": "{}"}}"#,
            encode(n)
        )
    };
    for (jwk, member) in [
        (
            r#"{"kty": "RSA", "alg": "RS256", "n": "AQAB"}"#.to_owned(),
            "e",
        ),
        (
            r#"{"kty": "RSA", "alg": "RS256", "n": "A+/=", "e": "AQAB"}"#.to_owned(),
            "n",
        ),
        (
            bits(128, 1),
            "n: expected an RSA key of 2048 to 4096 bits, found",
        ),
        (
            bits(255, 1),
            "n: expected an RSA key of 2048 to 4096 bits, found",
        ),
        (
            bits(513, 1),
            "n: expected an RSA key of 2048 to 4096 bits, found",
        ),
        (
            bits(256, 2),
            "n: expected an RSA key of 2048 to 4096 bits, found",
        ),
        (rsa.replace("\"alg\": \"RS256\",", ""), "alg"),
        (rsa.replace("\"kty\"", "\"d\": \"AQAB\", \"kty\""), "d"),
        (
            r#"{"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"}"#.to_owned(),
            "x",
        ),
        (
            // The neutral element: anyone can sign for it.
            format!(
                r#"{{"kty": "OKP", "crv": "Ed25519", "x": "AQ{}"}}"#,
                "A".repeat(41)
            ),
            "x",
        ),
        (
            r#"{"kty": "OKP", "crv": "Ed25519", "x": "AQ"}"#.to_owned(),
            "x",
        ),
        (
            format!(r#"{{"kty": "oct", "k": "{}"}}"#, encode([7; 31])),
            "k: expected at least 32 bytes, found 31",
        ),
    ] {
        let problem = match member.contains(':') {
            true => format!("keys[0].jwks.keys[1].{member}"),
            false => at(member),
        };
        assert_refused(&set(&jwk), &problem);
    }
}

#[test]
fn keys_of_a_set_that_are_for_others_are_left_out() {
    let p256 = Signer::p256().jwk("");
    for jwk in [
        p256.replace("\"kty\"", "\"use\": \"enc\", \"kty\""),
        p256.replace("\"kty\"", "\"key_ops\": [\"deriveKey\"], \"kty\""),
        p256.replace("ES256", "ECDH-ES"),
        r#"{"kty": "EC", "crv": "P-521", "alg": "ES512"}"#.to_owned(),
        r#"{"kty": "OKP", "crv": "X25519"}"#.to_owned(),
        r#"{"kty": "PQC"}"#.to_owned(),
    ] {
        assert!(testing::configure::<JwtAuth>(&set(&jwk)).is_ok(), "{jwk}");
        let alone = format!("[[keys]]\njwks = '{{\"keys\": [{jwk}]}}'");
        assert_refused(
            &alone,
            "keys[0].jwks: expected a key for RS256, PS256, ES256, EdDSA or HS256, found none in a set of 1",
        );
    }
}

#[test]
fn a_wrong_pem_is_refused() {
    let (rsa, p256) = (Signer::rsa("RS256").pem(), Signer::p256().pem());
    let private = p256.replace("PUBLIC", "PRIVATE");
    let cut = p256.replacen("MFkw", "MFkx", 1);
    for (key, problem) in [
        (
            format!("pem = '''{rsa}'''"),
            "keys[0].alg: expected \"RS256\" or \"PS256\"",
        ),
        (
            format!("alg = 'ES256'\npem = '''{rsa}'''"),
            "keys[0].alg: expected \"RS256\"",
        ),
        (
            format!("alg = 'RS256'\npem = '''{p256}'''"),
            "keys[0].alg: expected the one of the key",
        ),
        (
            format!("pem = '''{private}'''"),
            "keys[0].pem: expected a PUBLIC KEY in PEM, found a PRIVATE KEY",
        ),
        (
            format!("pem = '''{cut}'''"),
            "keys[0].pem: expected a PUBLIC KEY in PEM",
        ),
        (
            "pem = 'keys/id.pem'".to_owned(),
            "keys[0].pem: expected a PUBLIC KEY in PEM",
        ),
    ] {
        assert_refused(&format!("[[keys]]\n{key}"), problem);
    }
}

#[test]
fn a_wrong_secret_is_refused_and_not_repeated() {
    for (secret, problem) in [
        (
            "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ+EstJQLg==",
            "keys[0].secret: expected at least 32 bytes, found 31",
        ),
        (
            "not base64 at all, but a passphrase",
            "keys[0].secret: expected base64",
        ),
    ] {
        let config = format!("[[keys]]\nsecret = '{secret}'");
        assert_refused(&config, problem);
        let refusal = testing::configure::<JwtAuth>(&config)
            .err()
            .unwrap()
            .to_string();
        assert!(!refusal.contains(secret), "{refusal}");
    }
    let secret = "secret = 'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr8'";
    assert!(testing::configure::<JwtAuth>(&format!("[[keys]]\n{secret}")).is_ok());
    assert_refused(
        &format!("[[keys]]\nalg = 'ES256'\n{secret}"),
        "keys[0].alg: expected \"HS256\"",
    );
}

#[test]
fn keys_are_few_and_can_be_told_apart() {
    assert_refused("keys = []", "keys: expected 1 to 16, found 0");
    let key = |kid: &str| format!("[[keys]]\n{kid}\nsecret = '{}'\n", "A".repeat(43));
    let keys = |count: usize| {
        (0..count)
            .map(|i| key(&format!("kid = '{i}'")))
            .collect::<String>()
    };
    assert!(testing::configure::<JwtAuth>(&keys(16)).is_ok());
    assert_refused(&keys(17), "keys: expected 1 to 16, found 17");
    assert!(testing::configure::<JwtAuth>(&key("").repeat(4)).is_ok());
    assert_refused(
        &key("").repeat(5),
        "keys: expected 4 at most that have the same kid, or none, and the same alg, found 5",
    );
}

#[test]
fn a_wrong_configuration_names_its_key() {
    let secret = format!("secret = '{}'", "A".repeat(43));
    let headers = |count: usize| {
        let lines = (0..count).map(|i| format!("x-{i} = 'sub'\n"));
        format!("[headers]\n{}", lines.collect::<String>())
    };
    let most = format!("{}\n[[keys]]\n{secret}", headers(16));
    assert!(testing::configure::<JwtAuth>(&most).is_ok());
    for (more, problem) in [
        ("audience = ['a']", "audience: unknown field `audience`"),
        (
            "leeway = 601",
            "leeway: expected 0 to 600 seconds, found 601",
        ),
        (
            "token_bytes = 0",
            "token_bytes: expected 1 to 8192, found 0",
        ),
        (
            "token_bytes = 8193",
            "token_bytes: expected 1 to 8192, found 8193",
        ),
        ("realm = 'a\"b'", "realm: expected visible ASCII"),
        (
            "scopes = ['a', 'b c']",
            "scopes[1]: expected one scope, found \"b c\"",
        ),
        ("token.header = 'a b'", "token: expected a name"),
        ("token.cookie = ''", "token: expected a name"),
        ("token = 'query'", "token: unknown variant `query`"),
        ("expiry = 'never'", "expiry: unknown variant `never`"),
        (
            "without_token = 'ask'",
            "without_token: unknown variant `ask`",
        ),
        (
            "hosts = ['shop.example:1']",
            "hosts[0]: expected a host without a port",
        ),
        ("paths = ['/a', 'b']", "paths[1]: expected a path such as"),
        ("except = ['/a*b']", "except[0]: expected a path such as"),
        (
            "required = { roles = ['a'] }",
            "required.roles: expected a string, a number or a boolean",
        ),
        (
            "headers = { 'x user' = 'sub' }",
            "headers.x user: expected the name of a header field",
        ),
        (
            "headers = { Authorization = 'sub' }",
            "headers.Authorization: expected a name that no other use",
        ),
        (
            "headers = { Host = 'sub' }",
            "headers.Host: expected a name that no other use",
        ),
        (
            "headers = { x-user = '' }",
            "headers.x-user: expected the name of a claim",
        ),
        (
            "headers = { x-user = 'sub', X-User = 'sub' }",
            "headers.X-User: expected each name once",
        ),
        (
            "token.header = 'X-T'\nheaders = { x-t = 'sub' }",
            "headers.x-t: expected a name that no other use",
        ),
        (&headers(17), "headers: expected 16 at most, found 17"),
    ] {
        assert_refused(&format!("{more}\n[[keys]]\n{secret}"), problem);
    }
    for (key, problem) in [
        (
            "alg = 'none'",
            "keys[0].alg: expected RS256, PS256, ES256, EdDSA or HS256, found \"none\"",
        ),
        ("issuers = []", "keys[0].issuers: expected at least one"),
        ("kid = 'a'", "keys[0]: expected one of jwks, pem and secret"),
        (
            "jwks = '{}'\npem = ''",
            "keys[0]: expected one of jwks, pem and secret",
        ),
        (
            "kid = 'a'\njwks = '{}'",
            "keys[0].kid: expected none beside jwks",
        ),
        (
            "jwks = 'https://id.example/keys'",
            "keys[0].jwks: expected a JWK Set as JSON",
        ),
        (
            "jwks = '{\"keys\": [{}]}'",
            "keys[0].jwks: expected a JWK Set as JSON: missing field `kty`",
        ),
    ] {
        assert_refused(&format!("[[keys]]\n{key}"), problem);
    }
    assert_refused("issuers = []", "missing field `keys`");
}
