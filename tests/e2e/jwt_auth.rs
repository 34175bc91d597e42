//! The reference plugin `jwt-auth`: who is let in with a token, and what the upstream is told.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use witgate_tests::{
    Http, eventually,
    gateway::{Gateway, Pool, Setup},
    over_h1_and_h2,
    upstream::{Echo, Upstream},
    wasm::reference,
};

const URL: &str = "https://shop.example/cart";
const NAME: &str = "05-jwt-auth";

/// Who makes the tokens.
struct Issuer(EcdsaKeyPair);

impl Issuer {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    /// A whole sidecar that trusts it.
    fn sidecar(&self, grants: &str) -> String {
        let (x, y) = self.0.public_key().as_ref()[1..].split_at(32);
        let (x, y) = (encode(x), encode(y));
        format!(
            r#"
{grants}
[config]
issuers = ["https://id.example"]
audiences = ["shop"]
scopes = ["cart"]
except = ["/health"]
strip = true
headers = {{ x-user = "sub", x-tenant = "tenant" }}

[[config.keys]]
jwks = '{{"keys": [{{"kty": "EC", "crv": "P-256", "kid": "k1", "x": "{x}", "y": "{y}"}}]}}'
"#
        )
    }

    /// An `Authorization` field with a token of these scopes that is good for so many seconds.
    fn bearer(&self, scope: &str, seconds: i64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let expires = i64::try_from(now.as_secs()).unwrap() + seconds;
        let claims = format!(
            r#"{{"iss": "https://id.example", "aud": "shop", "sub": "ada", "scope": "{scope}", "exp": {expires}}}"#
        );
        let header = r#"{"alg": "ES256", "kid": "k1"}"#;
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes());
        format!("Bearer {signed}.{}", encode(signature.unwrap()))
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

async fn guarded(issuer: &Issuer) -> (Upstream, Gateway) {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = Setup::new()
        .default_pool("web", Pool::pinned(&[&upstream]))
        .plugin(NAME, &reference("jwt-auth"))
        .sidecar(NAME, &issuer.sidecar("grants = [\"clock\"]"))
        .start()
        .await;
    (upstream, gateway)
}

/// All values of a field, as the upstream saw it.
fn seen<'a>(echo: &'a Echo, name: &str) -> Vec<&'a str> {
    let fields = echo.headers.iter();
    let of_name = fields.filter(|(found, _)| found == name);
    of_name.map(|(_, value)| value.as_str()).collect()
}

over_h1_and_h2! {
    async fn the_upstream_is_told_who_it_is_and_not_who_the_client_says(http) {
        let issuer = Issuer::new();
        let (_upstream, gateway) = guarded(&issuer).await;
        let client = gateway.client(http);
        let token = issuer.bearer("openid cart", 600);
        let forged = [("authorization", token.as_str()), ("x-user", "eve"), ("x-user", "root"), ("x-tenant", "all")];
        // The second time the token is known.
        for _ in 0..2 {
            let answer = client.get_with(URL, &forged).await;
            let echo = answer.echo();
            assert_eq!(seen(&echo, "x-user"), ["ada"]);
            assert!(seen(&echo, "x-tenant").is_empty(), "{echo:?}");
            assert!(seen(&echo, "authorization").is_empty(), "{echo:?}");
        }
        let line = gateway.access_line_where(|line| line["status"] == 200).await;
        assert_eq!(line["fields"]["jwt-auth"]["sub"], "ada");
        assert_eq!(line["fields"]["jwt-auth"]["kid"], "k1");
        assert!(!line.to_string().contains(&token[7..]), "{line}");
        let open = client.get_with("https://shop.example/health", &forged[1..]).await;
        assert!(seen(&open.echo(), "x-user").is_empty());
    }

    async fn who_has_no_good_token_is_told_why_and_reaches_no_upstream(http) {
        let issuer = Issuer::new();
        let (upstream, gateway) = guarded(&issuer).await;
        let client = gateway.client(http);
        let good = issuer.bearer("cart", 600);
        let forged = Issuer::new().bearer("cart", 600);
        let challenge = |error: &str, reason: &str| {
            format!("Bearer realm=\"api\", error=\"{error}\", error_description=\"{reason}\"")
        };
        let none = "Bearer realm=\"api\"".to_owned();
        let lacks = "the token lacks a scope";
        for (fields, status, expected, logged) in [
            (vec![], 401, none, "no token was sent"),
            (vec![forged.clone()], 401, challenge("invalid_token", "its signature is not good"), "its signature is not good"),
            (vec![issuer.bearer("cart", -1)], 401, challenge("invalid_token", "it has expired"), "it has expired"),
            (vec![good.clone(), forged], 400, challenge("invalid_request", "more than one token was sent"), "more than one token was sent"),
            (vec![issuer.bearer("openid", 600)], 403, challenge("insufficient_scope", lacks) + ", scope=\"cart\"", lacks),
        ] {
            let fields: Vec<_> = fields.iter().map(|value| ("authorization", value.as_str())).collect();
            let answer = client.get_with(URL, &fields).await;
            assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (status, expected.as_str()));
            let is_told = |line: &serde_json::Value| line["fields"]["jwt-auth"]["refused"] == logged;
            let line = gateway.access_line_where(is_told).await;
            assert_eq!((&line["rule"], &line["status"]), (&"jwt-auth".into(), &status.into()));
        }
        assert_eq!(upstream.requests(), 0);
    }
}

#[tokio::test]
async fn without_the_clock_it_is_refused_by_name() {
    let issuer = Issuer::new();
    let upstream = Upstream::pinned("web-1").await;
    let gateway = Setup::new()
        .default_pool("web", Pool::pinned(&[&upstream]))
        .start()
        .await;
    let setup = gateway.setup();
    setup.put_sidecar(NAME, &issuer.sidecar(""));
    setup.put_plugin(NAME, &reference("jwt-auth"));
    gateway
        .logged(&[
            "05-jwt-auth.toml",
            "imports `witgate:plugin/clock@0.1.0`",
            "add the line `grants = [\"clock\"]`",
        ])
        .await;
    let client = gateway.client(Http::Two);
    assert_eq!(client.get(URL).await.status, 200);
    setup.put_sidecar(NAME, &issuer.sidecar("grants = [\"clock\"]"));
    eventually!(
        "a plugin in service",
        (client.get(URL).await.status == 401).then_some(())
    );
}

/// What was known of a token does not outlive it.
#[tokio::test]
async fn a_known_token_ends_when_it_says() {
    let issuer = Issuer::new();
    let (_upstream, gateway) = guarded(&issuer).await;
    let client = gateway.client(Http::Two);
    let token = issuer.bearer("cart", 3);
    let fields = [("authorization", token.as_str())];
    assert_eq!(client.get_with(URL, &fields).await.status, 200);
    eventually!(
        "the token's end",
        (client.get_with(URL, &fields).await.status == 401).then_some(())
    );
    let line = gateway
        .access_line_where(|line| line["status"] == 401)
        .await;
    assert_eq!(line["fields"]["jwt-auth"]["refused"], "it has expired");
}
