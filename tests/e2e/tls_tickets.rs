//! Sessions that are resumed: on any worker, under shared keys on another gateway, and never
//! under other rules than those that they began with.

use std::fs;

use rustls::HandshakeKind::{Full, Resumed};
use witgate_tests::{
    certs::{Authority, Validity},
    eventually,
    gateway::{Gateway, Pool, Setup},
    tls::{Offer, TlsClient},
    upstream::Upstream,
};

/// 32 bytes, base64.
const FIRST: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
const SECOND: &str = "YWJjZGVmZ2hpamFiY2RlZmdoaWphYmNkZWZnaGlqYWI=";
const KEYS: &str = "tls.tickets = { keys = \"tickets.keys\" }";

fn put_keys(setup: &Setup, keys: &[&str]) {
    let text = format!("# the first issues\n{}\n", keys.join("\n"));
    let beside = setup.dir().join("tickets.keys.new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, setup.dir().join("tickets.keys")).unwrap();
}

/// A setup with its own pool; upstreams stay with the caller.
fn setup(upstream: &Upstream) -> Setup {
    Setup::new().default_pool("web", Pool::pinned(&[upstream]))
}

fn offer(gateway: &Gateway) -> Offer {
    Offer::trusting(gateway.setup().authority().certificate())
}

async fn kind(client: &TlsClient, gateway: &Gateway) -> rustls::HandshakeKind {
    let outcome = client
        .get(gateway.address(), "shop.example", "shop.example")
        .await
        .unwrap();
    assert_eq!(outcome.status(), 200);
    outcome.kind
}

#[tokio::test]
async fn a_session_is_resumed_on_any_worker_in_both_versions() {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = setup(&upstream).workers(4).start().await;
    for offer in [offer(&gateway).tls13(), offer(&gateway).tls12()] {
        let client = offer.client();
        assert_eq!(kind(&client, &gateway).await, Full);
        // The kernel spreads connections over the workers' sockets by their ports.
        for _ in 0..16 {
            assert_eq!(kind(&client, &gateway).await, Resumed);
        }
    }
}

#[tokio::test]
async fn a_session_survives_a_renewed_certificate_and_a_reload() {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = setup(&upstream).start().await;
    let client = offer(&gateway).client();
    assert_eq!(kind(&client, &gateway).await, Full);
    let setup = gateway.setup();
    let renewed = setup.authority().issue(&["shop.example"]);
    renewed.write(setup.dir(), "gateway");
    eventually!("the new certificate", {
        let fresh = offer(&gateway).client();
        let address = gateway.address();
        let outcome = fresh
            .get(address, "shop.example", "shop.example")
            .await
            .unwrap();
        (outcome.certificate == renewed.certificate()).then_some(())
    });
    assert_eq!(kind(&client, &gateway).await, Resumed);
}

#[tokio::test]
async fn without_tickets_every_handshake_is_whole() {
    let upstream = Upstream::pinned("web-1").await;
    let setup = setup(&upstream).listener("tls.tickets = { enabled = false }");
    let gateway = setup.start().await;
    for offer in [offer(&gateway).tls13(), offer(&gateway).tls12()] {
        let client = offer.client();
        for _ in 0..2 {
            assert_eq!(kind(&client, &gateway).await, Full);
        }
    }
}

#[tokio::test]
async fn gateways_that_share_a_key_file_resume_each_others_sessions() {
    let upstream = Upstream::pinned("web-1").await;
    let (one, other) = (setup(&upstream), setup(&upstream));
    put_keys(&one, &[FIRST]);
    put_keys(&other, &[SECOND, FIRST]);
    // Each has the other's certificate, so that one client can trust both.
    for file in ["gateway.pem", "gateway.key", "root.pem"] {
        fs::copy(one.dir().join(file), other.dir().join(file)).unwrap();
    }
    let one = one.listener(KEYS).start().await;
    let other = other.listener(KEYS).start().await;
    for offer in [offer(&one).tls13(), offer(&one).tls12()] {
        let client = offer.client();
        assert_eq!(kind(&client, &one).await, Full);
        assert_eq!(kind(&client, &other).await, Resumed);
    }
}

#[tokio::test]
async fn keys_rotate_with_their_file() {
    let upstream = Upstream::pinned("web-1").await;
    let setup = setup(&upstream).listener(KEYS);
    put_keys(&setup, &[FIRST]);
    let gateway = setup.start().await;
    let address = gateway.address();
    let client = offer(&gateway).client();
    assert_eq!(kind(&client, &gateway).await, Full);
    // Both are accepted, the second issues.
    put_keys(gateway.setup(), &[SECOND, FIRST]);
    gateway.reload().await;
    assert_eq!(kind(&client, &gateway).await, Resumed);
    // The ticket of that handshake is sealed under the second.
    put_keys(gateway.setup(), &[SECOND]);
    gateway.reload().await;
    assert_eq!(kind(&client, &gateway).await, Resumed);
    // A bad file changes nothing.
    let entries = gateway.log().len();
    put_keys(gateway.setup(), &["c2hvcnQ="]);
    gateway
        .logged_after(entries, &["ERROR", "tickets.keys", "line 2", "5 bytes"])
        .await;
    assert_eq!(kind(&client, &gateway).await, Resumed);
    // Keys that are gone open nothing.
    put_keys(gateway.setup(), &[FIRST]);
    gateway.reload().await;
    let outcome = client
        .get(address, "shop.example", "shop.example")
        .await
        .unwrap();
    assert_eq!(outcome.kind, Full);
}

/// Two listeners that differ in one line of their TLS share a key file: a session of the first
/// is no good on the second.
async fn is_not_carried_over(line: &str) {
    let upstream = Upstream::pinned("web-1").await;
    let setup = setup(&upstream).listener(KEYS);
    put_keys(&setup, &[FIRST]);
    let clients = Authority::new("clients");
    clients.write(setup.dir(), "clients");
    let second = format!(
        "[[listeners]]\nname = \"second\"\naddress = \"127.0.0.1:0\"\ndefault_pool = \"web\"\n\
         tls.certificates = [{{ chain = \"gateway.pem\", key = \"gateway.key\" }}]\n{KEYS}\n{line}"
    );
    let gateway = setup.table(&second).start().await;
    let (first, second) = (gateway.address_of("public"), gateway.address_of("second"));
    let identity = std::sync::Arc::new(clients.issue_client("ada", Validity::Now));
    let client = offer(&gateway).identity(identity, &[]).client();
    let mut kinds = Vec::new();
    for address in [first, first, second, second] {
        let outcome = client
            .get(address, "shop.example", "shop.example")
            .await
            .unwrap();
        kinds.push(outcome.kind);
    }
    assert_eq!(kinds, [Full, Resumed, Full, Resumed], "{line}");
}

#[tokio::test]
async fn a_session_is_not_carried_over_to_another_policy() {
    is_not_carried_over("tls.policy = \"AppGwSslPolicy20220101S\"").await;
}

#[tokio::test]
async fn a_session_is_not_carried_over_to_a_listener_that_wants_client_certificates() {
    let line = "tls.client_certificates = { mode = \"require\", ca = [\"clients.pem\"] }";
    is_not_carried_over(line).await;
}

#[tokio::test]
async fn a_changed_client_ca_ends_the_sessions_that_began_under_the_old_one() {
    let upstream = Upstream::pinned("web-1").await;
    let setup = setup(&upstream)
        .listener(KEYS)
        .listener("tls.client_certificates = { mode = \"require\", ca = [\"clients.pem\"] }");
    put_keys(&setup, &[FIRST]);
    let clients = Authority::new("clients");
    clients.write(setup.dir(), "clients");
    let gateway = setup.start().await;
    let identity = std::sync::Arc::new(clients.issue_client("ada", Validity::Now));
    let client = offer(&gateway).identity(identity, &[]).client();
    assert_eq!(kind(&client, &gateway).await, Full);
    assert_eq!(kind(&client, &gateway).await, Resumed);
    Authority::new("clients").write(gateway.setup().dir(), "clients");
    gateway.reload().await;
    client
        .get(gateway.address(), "shop.example", "shop.example")
        .await
        .unwrap_err();
}
