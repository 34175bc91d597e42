//! TLS towards endpoints: names, versions, the gateway's own certificate, sessions.

use std::{
    fs,
    sync::Arc,
    time::{Duration, SystemTime},
};

use witgate_tests::{
    Http,
    certs::{Authority, Identity, Validity},
    client::{Answer, Client},
    eventually,
    gateway::{Gateway, Pool, Setup},
    tls_server::{Handshake, Running, TlsServer},
    upstream::{Speaks, Upstream},
};

const URL: &str = "https://shop.example/";

fn identity() -> Arc<Identity> {
    Arc::new(Identity::self_signed(&["web.internal"]))
}

/// A pool of this endpoint, trusted by its certificate, with these lines besides.
fn pool(endpoint: &Running, identity: &Identity, lines: &[&str]) -> Pool {
    let (address, pin) = (endpoint.address(), identity.fingerprint());
    let base = format!("endpoints = [\"{address}\"]\ntrust.certificates = [\"{pin}\"]");
    lines
        .iter()
        .fold(Pool::of(&base), |pool, line| pool.with(line))
}

fn handshake(answer: &Answer) -> Handshake {
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_str(answer.text()).unwrap()
}

async fn get(client: &Client, url: &str) -> Handshake {
    handshake(&client.get(url).await)
}

#[tokio::test]
async fn the_name_can_be_the_requests_and_connections_are_kept_apart_by_it() {
    let identity = identity();
    let endpoint = TlsServer::new(&identity).start().await;
    let pool = pool(&endpoint, &identity, &["server_name_from = \"request\""]);
    // One worker, so that all requests share their connections.
    let gateway = Setup::new()
        .workers(1)
        .default_pool("web", pool)
        .start()
        .await;
    let client = gateway.client(Http::One);
    let mut connections = Vec::new();
    for (host, name) in [
        ("shop.example", "shop.example"),
        ("api.example", "api.example"),
        ("SHOP.example:8443", "shop.example"),
        ("api.example.", "api.example"),
    ] {
        let found = handshake(&client.get_with(URL, &[("host", host)]).await);
        assert_eq!(found.server_name.as_deref(), Some(name));
        connections.push(found.connection);
    }
    assert_eq!(connections, [1, 2, 1, 2]);
}

#[tokio::test]
async fn the_requests_name_is_verified_where_cas_are_trusted() {
    let ca = Authority::new("upstreams' root");
    let identity = Arc::new(ca.issue(&["shop.example"]));
    let endpoint = TlsServer::new(&identity).start().await;
    let setup = Setup::new();
    ca.write(setup.dir(), "ca");
    let base = format!("endpoints = [\"{}\"]", endpoint.address());
    let pool = Pool::of(&base)
        .with("trust.roots = [\"ca.pem\"]")
        .with("server_name_from = \"request\"");
    let gateway = setup.default_pool("web", pool).start().await;
    let client = gateway.client(Http::One);
    for _ in 0..3 {
        assert_eq!(client.get(URL).await.status, 200);
        let other = client.get_with(URL, &[("host", "api.example")]).await;
        assert_eq!(
            other.cause(),
            "certificate-name-mismatch",
            "{}",
            other.text()
        );
    }
}

#[tokio::test]
async fn the_gateway_has_a_certificate_of_its_own_for_endpoints_that_ask() {
    let identity = identity();
    let clients = Authority::new("clients");
    let endpoint = TlsServer::new(&identity)
        .clients_of(clients.certificate())
        .start()
        .await;
    let setup = Setup::new();
    let own = clients.issue_client("gateway", Validity::Now);
    own.write(setup.dir(), "own");
    let lines = [
        "tls.client_certificate = { chain = \"own.pem\", key = \"own.key\" }",
        "max_idle = 0",
    ];
    let bare = pool(&endpoint, &identity, &["max_idle = 0"]);
    let mut gateway = setup.default_pool("web", bare).start().await;
    let client = gateway.client(Http::One);
    let refused = client.get(URL).await;
    assert_eq!(refused.cause(), "tls-failed");
    gateway
        .logged(&[
            "WARN",
            "certificate_required",
            "it wants a client certificate",
        ])
        .await;
    gateway.configure(|setup| setup.pool("web", pool(&endpoint, &identity, &lines)));
    let found = eventually!("the certificate", {
        let answer = client.get(URL).await;
        (answer.status == 200).then(|| handshake(&answer))
    });
    assert_eq!(found.client, Some(own.fingerprint()));
    // It is followed; one whose key does not fit is refused while the old one goes on.
    let next = clients.issue_client("gateway", Validity::Now);
    let entries = gateway.log().len();
    fs::write(
        gateway.setup().dir().join("own.pem"),
        next.certificate_pem(),
    )
    .unwrap();
    gateway
        .logged_after(
            entries,
            &["ERROR", "pools.web.tls.client_certificate.key", "own.key"],
        )
        .await;
    assert_eq!(get(&client, URL).await.client, Some(own.fingerprint()));
    fs::write(gateway.setup().dir().join("own.key"), next.key_pem()).unwrap();
    eventually!("the next one", {
        (get(&client, URL).await.client == Some(next.fingerprint())).then_some(())
    });
}

#[tokio::test]
async fn the_lowest_version_can_be_raised() {
    let identity = identity();
    let endpoint = TlsServer::new(&identity).tls12().start().await;
    let pool_of = |lines: &[&str]| pool(&endpoint, &identity, lines);
    let mut gateway = Setup::new().default_pool("web", pool_of(&[])).start().await;
    let client = gateway.client(Http::One);
    assert_eq!(get(&client, URL).await.version, "TLSv1_2");
    gateway.configure(|setup| setup.pool("web", pool_of(&["tls.min_version = \"1.3\""])));
    eventually!(
        "the refusal",
        (client.get(URL).await.cause() == "tls-failed").then_some(())
    );
    for _ in 0..5 {
        assert_eq!(
            client.get(URL).await.cause(),
            "tls-failed",
            "no pooled connection is used"
        );
    }
}

async fn reload(gateway: &mut Gateway, pool: Pool) {
    gateway.configure(|setup| setup.pool("web", pool));
    gateway.reload().await;
}

#[tokio::test]
async fn sessions_are_resumed_and_a_changed_trust_begins_anew() {
    let identity = identity();
    for server in [TlsServer::new(&identity), TlsServer::new(&identity).tls12()] {
        let endpoint = server.start().await;
        let pool_of = |lines: &[&str]| pool(&endpoint, &identity, lines);
        let setup = Setup::new().default_pool("web", pool_of(&["max_idle = 0"]));
        let mut gateway = setup.start().await;
        let client = gateway.client(Http::One);
        assert!(!get(&client, URL).await.resumed);
        assert!(get(&client, URL).await.resumed);
        // Something else changes: connections and sessions stay.
        reload(
            &mut gateway,
            pool_of(&["max_idle = 0", "timeouts.connect = \"4s\""]),
        )
        .await;
        assert!(get(&client, URL).await.resumed);
        // Another list that also has the certificate: it is looked at again.
        let other = Identity::self_signed(&["web.internal"]).fingerprint();
        let wider = Pool::of(&format!(
            "endpoints = [\"{}\"]\nmax_idle = 0\ntrust.certificates = [\"{}\", \"{other}\"]",
            endpoint.address(),
            identity.fingerprint()
        ));
        reload(&mut gateway, wider).await;
        assert!(!get(&client, URL).await.resumed);
        assert!(get(&client, URL).await.resumed);
    }
}

#[tokio::test]
async fn one_endpoints_session_is_not_offered_to_another() {
    let identity = identity();
    let (one, other) = (
        TlsServer::new(&identity).start().await,
        TlsServer::new(&identity).start().await,
    );
    let base = format!(
        "endpoints = [\"{}\", \"{}\"]\nmax_idle = 0\nserver_name = \"web.internal\"\ntrust.certificates = [\"{}\"]",
        one.address(),
        other.address(),
        identity.fingerprint()
    );
    let gateway = Setup::new()
        .workers(1)
        .default_pool("web", Pool::of(&base))
        .start()
        .await;
    let client = gateway.client(Http::One);
    let mut resumed = Vec::new();
    for _ in 0..4 {
        resumed.push(get(&client, URL).await.resumed);
    }
    assert_eq!(resumed, [false, false, true, true], "in turn");
    assert_eq!((one.connections(), other.connections()), (2, 2));
}

#[tokio::test]
async fn the_end_of_a_pools_certificates_is_told_ahead_in_log_and_metric() {
    const DAY: Duration = Duration::from_hours(24);
    let authority = Authority::new("everybody's root");
    let setup = Setup::new();
    for (file, days) in [("own", 3), ("pinned", 5), ("root", 7), ("lasting", 30)] {
        let end = SystemTime::now() + days * DAY;
        let identity = authority.issue_until(&["web.internal"], end);
        identity.write(setup.dir(), file);
    }
    // Of two in a file the first to end counts.
    let dir = setup.dir().to_owned();
    let read = |file: &str| fs::read_to_string(dir.join(file)).unwrap();
    let both = read("lasting.pem") + &read("root.pem");
    fs::write(dir.join("roots.pem"), both).unwrap();
    let pinned = Pool::of(
        "endpoints = [\"127.0.0.1:1\"]\ntrust.certificates = [\"lasting.pem\", \"pinned.pem\"]",
    )
    .with("tls.client_certificate = { chain = \"own.pem\", key = \"own.key\" }");
    let rooted = Pool::of("endpoints = [\"127.0.0.1:1\"]\ntrust.roots = [\"roots.pem\"]");
    let gateway = setup
        .default_pool("pinned", pinned)
        .pool("rooted", rooted)
        .start()
        .await;
    for (pool, purpose, file, days) in [
        ("pinned", "own", "own.pem", 3),
        ("pinned", "pinned", "pinned.pem", 5),
        ("rooted", "root", "roots.pem", 7),
        ("pinned", "pinned", "lasting.pem", 30),
    ] {
        let series = format!(
            "witgate_pool_certificate_expiry_seconds{{pool=\"{pool}\",certificate=\"{purpose}\",file=\"{}\"}}",
            dir.join(file).display()
        );
        let (left, end) = (gateway.metric(&series).await, (days * DAY).as_secs_f64());
        assert!(left <= end && left > end - 60.0, "{series} {left}");
        if days < 14 {
            let (pool, purpose) = (
                format!("pool=\"{pool}\""),
                format!("certificate=\"{purpose}\""),
            );
            gateway
                .logged(&["WARN", file, "expires at", &pool, &purpose])
                .await;
        }
    }
    let early = gateway
        .log()
        .into_iter()
        .filter(|line| line.contains("lasting.pem"));
    assert_eq!(early.count(), 0);
}

/// Long enough for some requests before it.
const SHORT: Duration = Duration::from_secs(4);

async fn kept_connections_end_with_their_certificate(speaks: Speaks) {
    let authority = Authority::new("everybody's root");
    let end = SystemTime::now() + SHORT;
    let identity = Arc::new(authority.issue_until(&["web.internal"], end));
    let upstream = Upstream::speaking("web-1", Some(&identity), speaks).await;
    let gateway = Setup::new()
        .workers(1)
        .default_pool("web", Pool::pinned(&[&upstream]))
        .start()
        .await;
    let client = gateway.client(Http::Two);
    for _ in 0..2 {
        assert_eq!(client.get(URL).await.status, 200);
    }
    assert_eq!(upstream.connections(), 1, "it is kept");
    let held = gateway.client(Http::Two);
    let held = tokio::spawn(async move { held.get("https://shop.example/hold").await });
    eventually!("the held request", (upstream.requests() == 3).then_some(()));
    let connections = upstream.connections();
    // There is one to be had all the time, and then none.
    let mut reached = 3;
    let refused = eventually!("the end", {
        let answer = client.get(URL).await;
        reached += u64::from(answer.status == 200);
        (answer.status != 200).then_some(answer)
    });
    assert_eq!(refused.cause(), "certificate-expired");
    assert!(SystemTime::now() >= end);
    assert!(upstream.connections() > connections, "a new one was tried");
    assert_eq!(upstream.requests(), reached);
    upstream.release(1);
    assert_eq!(held.await.unwrap().status, 200, "what runs goes on");
    assert_ne!(client.get(URL).await.status, 200);
    assert_eq!(upstream.requests(), reached);
}

#[tokio::test]
async fn kept_connections_end_with_their_certificate_over_http_1() {
    kept_connections_end_with_their_certificate(Speaks::H1).await;
}

#[tokio::test]
async fn kept_connections_end_with_their_certificate_over_http_2() {
    kept_connections_end_with_their_certificate(Speaks::H2(100)).await;
}

#[tokio::test]
async fn kept_connections_end_with_the_gateways_own_certificate() {
    let identity = identity();
    let authority = Authority::new("gateways' root");
    let endpoint = TlsServer::new(&identity)
        .clients_of(authority.certificate())
        .start()
        .await;
    let setup = Setup::new();
    let end = SystemTime::now() + SHORT;
    let own = authority.issue_until(&["gateway"], end);
    own.write(setup.dir(), "own");
    let line = "tls.client_certificate = { chain = \"own.pem\", key = \"own.key\" }";
    let pool = pool(&endpoint, &identity, &[line]);
    let gateway = setup.workers(1).default_pool("web", pool).start().await;
    let client = gateway.client(Http::One);
    assert_eq!(get(&client, URL).await.connection, 1);
    let next = eventually!("another connection", {
        let now = get(&client, URL).await;
        (now.connection > 1).then_some(now)
    });
    assert!(SystemTime::now() >= end);
    // What this endpoint makes of a certificate that is over is its own affair: it has resumed
    // the session, and the connection is kept.
    assert!(next.resumed);
    for _ in 0..3 {
        assert_eq!(get(&client, URL).await.connection, next.connection);
    }
}
