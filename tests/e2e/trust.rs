//! Which upstream certificates a pool accepts, and what clients and operators are told about
//! the others. No refused upstream ever sees a byte of a request.

use std::{path::Path, sync::Arc};

use witgate_tests::{
    Http,
    certs::{Authority, Identity, Validity},
    client::Answer,
    eventually,
    gateway::{Gateway, Pool, Setup},
    over_h1_and_h2,
    upstream::Upstream,
};

const URL: &str = "https://shop.example/cart";

/// The upstream that presents this, and a setup whose folder is there for more files.
async fn presenting(identity: Identity) -> (Upstream, Setup) {
    (
        Upstream::tls("web-1", &Arc::new(identity)).await,
        Setup::new(),
    )
}

/// A gateway whose only pool expects `web.internal` under this trust.
async fn trusting(setup: Setup, upstream: &Upstream, trust: &str) -> Gateway {
    let pool = Pool::trusting(&[upstream], trust).with("server_name = \"web.internal\"");
    setup.default_pool("web", pool).start().await
}

async fn is_reached(gateway: &Gateway, http: Http) {
    let answer = gateway.client(http).get(URL).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.echo().upstream, "web-1");
}

/// Asserts that client, access log and log agree on the cause and that the upstream saw
/// nothing of the request; returns the answer and the log line.
async fn is_refused(gateway: &Gateway, upstream: &Upstream, cause: &str) -> (Answer, String) {
    let answer = gateway.client(Http::Two).get(URL).await;
    assert_eq!((answer.status.as_u16(), answer.cause()), (502, cause));
    assert_eq!(answer.error_type(), "tls_certificate_error");
    let line = gateway.access_line(&answer).await;
    assert_eq!(
        (&line["cause"], &line["endpoint"]),
        (&cause.into(), &"web-1".into()),
        "{line}"
    );
    let logged = gateway.logged(&["WARN", cause]).await;
    eventually!("the connection", (upstream.connections() > 0).then_some(()));
    assert_eq!(
        (upstream.bytes(), upstream.requests(), upstream.handshakes()),
        (0, 0, 0)
    );
    (answer, logged)
}

fn roots(file: &Path) -> String {
    format!("roots = [\"{}\"]", file.display())
}

fn spki(pin: &str) -> String {
    format!("spki = [\"{pin}\"]")
}

fn fingerprint(pin: &str) -> String {
    format!("certificates = [\"{pin}\"]")
}

over_h1_and_h2! {
    async fn a_self_signed_upstream_is_reached_by_its_fingerprint(http) {
        let (upstream, setup) = presenting(Identity::self_signed(&["any.name"])).await;
        let trust = fingerprint(&upstream.identity().fingerprint());
        is_reached(&trusting(setup, &upstream, &trust).await, http).await;
    }
}

#[tokio::test]
async fn a_self_signed_upstream_is_reached_by_its_file() {
    let (upstream, setup) = presenting(Identity::self_signed(&["any.name"])).await;
    upstream.identity().write(setup.dir(), "web-1");
    let gateway = trusting(setup, &upstream, "certificates = [\"web-1.pem\"]").await;
    is_reached(&gateway, Http::One).await;
}

#[tokio::test]
async fn a_key_is_pinned_in_base64_and_in_hexadecimal() {
    let identity = Identity::self_signed(&["any.name"]);
    for pin in [identity.spki_pin(), identity.spki_pin_hex()] {
        let (upstream, setup) = presenting(identity.same_key()).await;
        is_reached(&trusting(setup, &upstream, &spki(&pin)).await, Http::One).await;
    }
}

#[tokio::test]
async fn a_ca_vouches_for_the_right_name() {
    let ca = Authority::new("upstreams' root");
    let (upstream, setup) = presenting(ca.issue(&["web.internal"])).await;
    let trust = roots(&ca.write(setup.dir(), "ca"));
    is_reached(&trusting(setup, &upstream, &trust).await, Http::One).await;
}

#[tokio::test]
async fn old_and_new_certificate_may_both_be_listed() {
    let next = Identity::self_signed(&["web.internal"]);
    let (upstream, setup) = presenting(Identity::self_signed(&["web.internal"])).await;
    let pins = [next.fingerprint(), upstream.identity().fingerprint()];
    let trust = format!("certificates = [\"{}\"]", pins.join("\", \""));
    is_reached(&trusting(setup, &upstream, &trust).await, Http::One).await;
}

#[tokio::test]
async fn a_certificate_on_no_list_is_named_by_its_fingerprint() {
    let (upstream, setup) = presenting(Identity::self_signed(&["web.internal"])).await;
    let other = fingerprint(&Identity::self_signed(&["web.internal"]).fingerprint());
    let gateway = trusting(setup, &upstream, &other).await;
    let (answer, logged) = is_refused(&gateway, &upstream, "certificate-not-allow-listed").await;
    let presented = upstream.identity().fingerprint();
    assert!(
        answer.header("proxy-status").contains(&presented),
        "{answer:?}"
    );
    assert!(logged.contains(&presented), "{logged}");
}

#[tokio::test]
async fn the_fingerprint_from_the_log_pasted_into_the_configuration_opens_the_way() {
    let (upstream, setup) = presenting(Identity::self_signed(&["web.internal"])).await;
    let other = fingerprint(&Identity::self_signed(&["web.internal"]).fingerprint());
    let mut gateway = trusting(setup, &upstream, &other).await;
    let (_, logged) = is_refused(&gateway, &upstream, "certificate-not-allow-listed").await;
    let digits = logged.split("sha256:").nth(1).unwrap().get(..64).unwrap();
    let trust = fingerprint(&format!("sha256:{digits}"));
    gateway.configure(|setup| setup.pool("web", Pool::trusting(&[&upstream], &trust)));
    let client = gateway.client(Http::Two);
    eventually!("trust", (client.get(URL).await.status == 200).then_some(()));
}

#[tokio::test]
async fn a_trust_that_is_taken_away_is_gone_from_kept_connections_too() {
    let (upstream, setup) = presenting(Identity::self_signed(&["web.internal"])).await;
    let trust = fingerprint(&upstream.identity().fingerprint());
    let mut gateway = trusting(setup, &upstream, &trust).await;
    is_reached(&gateway, Http::One).await;
    let other = fingerprint(&Identity::self_signed(&["web.internal"]).fingerprint());
    gateway.configure(|setup| setup.pool("web", Pool::trusting(&[&upstream], &other)));
    let client = gateway.client(Http::One);
    let cause = "certificate-not-allow-listed";
    eventually!(
        "distrust",
        (client.get(URL).await.cause() == cause).then_some(())
    );
    for _ in 0..20 {
        assert_eq!(client.get(URL).await.cause(), cause);
    }
}

#[tokio::test]
async fn the_listed_key_under_another_certificate_is_told_apart() {
    let listed = Identity::self_signed(&["web.internal"]);
    let (upstream, setup) = presenting(listed.same_key()).await;
    listed.write(setup.dir(), "listed");
    let gateway = trusting(setup, &upstream, "certificates = [\"listed.pem\"]").await;
    let (answer, logged) = is_refused(&gateway, &upstream, "certificate-key-listed-only").await;
    let presented = upstream.identity().fingerprint();
    assert!(
        answer.header("proxy-status").contains(&presented),
        "{answer:?}"
    );
    assert!(logged.contains(&presented), "{logged}");
}

#[tokio::test]
async fn another_key_than_the_pinned_one_is_refused() {
    let (upstream, setup) = presenting(Identity::self_signed(&["web.internal"])).await;
    let other = spki(&Identity::self_signed(&["web.internal"]).spki_pin());
    let gateway = trusting(setup, &upstream, &other).await;
    let (_, logged) = is_refused(&gateway, &upstream, "certificate-not-allow-listed").await;
    let pin = upstream.identity().spki_pin_hex();
    assert!(
        logged.contains(&pin),
        "what to paste into trust.spki: {pin} in {logged}"
    );
}

#[tokio::test]
async fn an_expired_certificate_is_refused_although_listed() {
    let identity = Identity::self_signed_while(&["web.internal"], Validity::Expired);
    let (upstream, setup) = presenting(identity).await;
    let trust = fingerprint(&upstream.identity().fingerprint());
    let gateway = trusting(setup, &upstream, &trust).await;
    is_refused(&gateway, &upstream, "certificate-expired").await;
}

#[tokio::test]
async fn an_expired_certificate_of_a_known_ca_is_refused() {
    let ca = Authority::new("upstreams' root");
    let identity = ca.issue_while(&["web.internal"], Validity::Expired);
    let (upstream, setup) = presenting(identity).await;
    let trust = roots(&ca.write(setup.dir(), "ca"));
    let gateway = trusting(setup, &upstream, &trust).await;
    is_refused(&gateway, &upstream, "certificate-expired").await;
}

#[tokio::test]
async fn a_certificate_from_the_future_is_refused() {
    let ca = Authority::new("upstreams' root");
    let identity = ca.issue_while(&["web.internal"], Validity::NotYet);
    let (upstream, setup) = presenting(identity).await;
    let trust = roots(&ca.write(setup.dir(), "ca"));
    let gateway = trusting(setup, &upstream, &trust).await;
    is_refused(&gateway, &upstream, "certificate-not-yet-valid").await;
}

#[tokio::test]
async fn a_good_certificate_of_somebody_else_is_refused() {
    let ca = Authority::new("upstreams' root");
    let (upstream, setup) = presenting(ca.issue(&["mail.internal"])).await;
    let trust = roots(&ca.write(setup.dir(), "ca"));
    let gateway = trusting(setup, &upstream, &trust).await;
    let (_, logged) = is_refused(&gateway, &upstream, "certificate-name-mismatch").await;
    let names = ["web.internal", "mail.internal"];
    assert!(names.iter().all(|name| logged.contains(name)), "{logged}");
}

#[tokio::test]
async fn a_certificate_of_an_unknown_ca_is_refused() {
    let unknown = Authority::new("somebody's root");
    let (upstream, setup) = presenting(unknown.issue(&["web.internal"])).await;
    let trust = roots(&Authority::new("upstreams' root").write(setup.dir(), "ca"));
    let gateway = trusting(setup, &upstream, &trust).await;
    is_refused(&gateway, &upstream, "certificate-unknown-issuer").await;
}

#[tokio::test]
async fn a_ca_of_the_same_name_with_another_key_is_an_unknown_ca() {
    let twin = Authority::new("upstreams' root");
    let (upstream, setup) = presenting(twin.issue(&["web.internal"])).await;
    let trust = roots(&Authority::new("upstreams' root").write(setup.dir(), "ca"));
    let gateway = trusting(setup, &upstream, &trust).await;
    is_refused(&gateway, &upstream, "certificate-unknown-issuer").await;
}

#[tokio::test]
async fn a_self_signed_certificate_is_unknown_to_the_platforms_cas() {
    let (upstream, setup) = presenting(Identity::self_signed(&["web.internal"])).await;
    let gateway = trusting(setup, &upstream, "public = true").await;
    is_refused(&gateway, &upstream, "certificate-unknown-issuer").await;
}
