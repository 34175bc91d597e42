//! The reference plugin `jwks-auth`: keys come from the issuer's service, over a trusted pool, when
//! they are needed and no more often.

use std::{
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use witgate_tests::{
    Http, eventually,
    gateway::{Gateway, Pool, Setup},
    over_h1_and_h2,
    scripted::{Scripted, Talk},
    upstream::Upstream,
    wasm::reference,
};

const URL: &str = "https://shop.example/cart";
const NAME: &str = "05-jwks-auth";
const SIDECAR: &str = r#"
deadline = "2s"
grants = ["clock", "kv", "callout"]
callout = { pools = ["id"], timeout = "2s" }
[config]
headers = { x-user = "sub" }
[config.jwks]
pool = "id"
path = "/jwks.json"
authority = "id.example"
min_interval = 1
"#;

/// Who makes tokens, with a key of this name.
struct Issuer(EcdsaKeyPair, &'static str);

impl Issuer {
    fn new(kid: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        Self(pair.unwrap(), kid)
    }

    fn set(&self) -> String {
        let (x, y) = self.0.public_key().as_ref()[1..].split_at(32);
        let (x, y, kid) = (encode(x), encode(y), self.1);
        format!(
            r#"{{"keys": [{{"kty": "EC", "crv": "P-256", "kid": "{kid}", "x": "{x}", "y": "{y}"}}]}}"#
        )
    }

    fn bearer(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let claims = format!(r#"{{"sub": "ada", "exp": {}}}"#, now.as_secs() + 3600);
        let header = format!(r#"{{"alg": "ES256", "kid": "{}"}}"#, self.1);
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes());
        format!("Bearer {signed}.{}", encode(signature.unwrap()))
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

type Set = Arc<Mutex<Option<String>>>;

/// Tells the set, over TLS; 500 where there is none.
async fn service(set: &Set) -> Scripted {
    let set = Arc::clone(set);
    Scripted::tls(move |mut talk: Talk| {
        let set = Arc::clone(&set);
        async move {
            while let Some(request) = talk.request().await {
                assert!(
                    request.starts_with("GET /jwks.json HTTP/1.1\r\n"),
                    "{request}"
                );
                assert!(
                    request
                        .to_ascii_lowercase()
                        .contains("host: id.example\r\n"),
                    "{request}"
                );
                let set = set.lock().unwrap().clone();
                let (status, body) = match set {
                    Some(set) => ("200 OK", set),
                    None => ("500 Oops", String::new()),
                };
                let length = body.len();
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n");
                talk.send(head + &body).await;
            }
        }
    })
    .await
}

async fn guarded(id: Pool) -> (Upstream, Gateway) {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = Setup::new()
        .default_pool("web", Pool::pinned(&[&upstream]))
        .pool("id", id)
        .plugin(NAME, &reference("jwks-auth"))
        .sidecar(NAME, SIDECAR)
        .start()
        .await;
    (upstream, gateway)
}

over_h1_and_h2! {
    async fn a_key_is_fetched_once_and_a_new_one_when_it_is_named(http) {
        let (old, new) = (Issuer::new("k1"), Issuer::new("k2"));
        let set = Set::new(Mutex::new(Some(old.set())));
        let service = service(&set).await;
        let (_upstream, gateway) = guarded(service.pool()).await;
        let client = gateway.client(http);
        let bearer = old.bearer();
        for _ in 0..5 {
            let fields = [("authorization", bearer.as_str()), ("x-user", "root")];
            let echo = client.get_with(URL, &fields).await.echo();
            assert_eq!(echo.all("x-user"), ["ada"]);
        }
        assert_eq!(client.get(URL).await.status, 401);
        assert_eq!(service.requests(), 1);
        // The issuer has another key from now on.
        *set.lock().unwrap() = Some(new.set());
        let bearer = new.bearer();
        let fields = [("authorization", bearer.as_str())];
        eventually!("the new key is known", {
            (client.get_with(URL, &fields).await.status == 200).then_some(())
        });
        let bearer = old.bearer();
        let fields = [("authorization", bearer.as_str())];
        assert_eq!(client.get_with(URL, &fields).await.status, 401);
    }
}

/// Over two workers, 64 connections at a time: nobody is refused while the set is fetched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_waits_for_the_first_fetch() {
    let issuer = Issuer::new("k1");
    let set = Set::new(Mutex::new(Some(issuer.set())));
    let service = service(&set).await;
    let (_upstream, gateway) = guarded(service.pool()).await;
    let gateway = Arc::new(gateway);
    let bearer = Arc::new(issuer.bearer());
    let clients = (0..64).map(|_| {
        let (client, bearer) = (gateway.client(Http::One), Arc::clone(&bearer));
        tokio::spawn(async move {
            for _ in 0..3 {
                let answer = client.get_with(URL, &[("authorization", &**bearer)]).await;
                assert_eq!(answer.status, 200);
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    let fetched = service.requests();
    assert!(fetched <= 64, "{fetched}");
    // Made-up names of keys do not make it more than one each second.
    let began = std::time::Instant::now();
    let stranger = Issuer::new("made-up").bearer();
    let client = gateway.client(Http::Two);
    for _ in 0..200 {
        let answer = client
            .get_with(URL, &[("authorization", stranger.as_str())])
            .await;
        assert_eq!(answer.status, 401);
    }
    let most = fetched + 2 + began.elapsed().as_secs();
    assert!(
        service.requests() <= most,
        "{} of {most}",
        service.requests()
    );
}

#[tokio::test]
async fn without_keys_it_is_503_until_there_are_some() {
    let issuer = Issuer::new("k1");
    let set = Set::new(Mutex::new(None));
    let service = service(&set).await;
    let (upstream, gateway) = guarded(service.pool()).await;
    let client = gateway.client(Http::Two);
    let bearer = issuer.bearer();
    let fields = [("authorization", bearer.as_str())];
    let refused = client.get_with(URL, &fields).await;
    assert_eq!(
        (refused.status.as_u16(), refused.header("retry-after")),
        (503, "1")
    );
    gateway
        .logged(&["jwks-auth", "the keys cannot be fetched: status 500"])
        .await;
    assert_eq!(upstream.requests(), 0);
    *set.lock().unwrap() = Some(issuer.set());
    eventually!("it is let in", {
        (client.get_with(URL, &fields).await.status == 200).then_some(())
    });
}

#[tokio::test]
async fn a_service_that_is_not_trusted_is_not_believed() {
    let (issuer, other) = (Issuer::new("k1"), Upstream::pinned("id-1").await);
    let set = Set::new(Mutex::new(Some(issuer.set())));
    let service = service(&set).await;
    let (address, pin) = (service.address(), other.identity().fingerprint());
    let lines = format!("endpoints = [\"{address}\"]\ntrust.certificates = [\"{pin}\"]");
    let (upstream, gateway) = guarded(Pool::of(&lines)).await;
    let bearer = issuer.bearer();
    let fields = [("authorization", bearer.as_str())];
    let refused = gateway.client(Http::Two).get_with(URL, &fields).await;
    assert_eq!(refused.status, 503);
    gateway
        .logged(&["jwks-auth", "certificate-not-allow-listed"])
        .await;
    assert_eq!((service.requests(), upstream.requests()), (0, 0));
}
