//! Probes, ejection and draining: which endpoints get requests, and what operators are told.

use std::{collections::HashSet, sync::Arc};

use witgate_tests::{
    Http,
    certs::Identity,
    client::Client,
    eventually,
    gateway::{Gateway, Pool, Setup},
    upstream::Upstream,
    wasm::reference,
};

const URL: &str = "https://shop.example/cart";
const QUICK: &str = "health = { interval = \"30ms\", timeout = \"2s\", unhealthy_after = 2 }";

async fn gateway(pool: Pool) -> Gateway {
    Setup::new().default_pool("web", pool).start().await
}

async fn plain() -> (Upstream, Upstream) {
    (
        Upstream::plain("web-1").await,
        Upstream::plain("web-2").await,
    )
}

/// Who serves this many requests, of which none fails.
async fn serving(client: &Client, requests: usize) -> HashSet<String> {
    let mut serving = HashSet::new();
    for _ in 0..requests {
        serving.insert(client.get(URL).await.echo().upstream);
    }
    serving
}

#[tokio::test]
async fn what_fails_its_probes_gets_no_request_until_they_succeed() {
    let (one, two) = plain().await;
    let gateway = gateway(Pool::plain(&[&one, &two]).with(QUICK)).await;
    gateway.endpoint_is("web", "web-2", "healthy").await;
    let address = two.address();
    drop(two);
    let view = gateway.endpoint_is("web", "web-2", "unhealthy").await;
    assert_eq!(
        (&view["cause"], &view["available"]),
        (&"connect-refused".into(), &false.into())
    );
    assert!(view["since"].as_str().unwrap().ends_with('Z'), "{view}");
    let client = gateway.client(Http::One);
    let before = gateway.access_lines().len();
    assert_eq!(
        serving(&client, 6).await,
        HashSet::from(["web-1".to_owned()])
    );
    let lines = eventually!(
        "six lines",
        Some(gateway.access_lines().split_off(before)).filter(|lines| lines.len() == 6)
    );
    assert!(lines.iter().all(|line| line["attempts"] == 1), "{lines:?}");

    let _two = Upstream::bind(
        address,
        "web-2",
        None,
        witgate_tests::upstream::Manner::Http,
    )
    .await;
    gateway.endpoint_is("web", "web-2", "healthy").await;
    assert_eq!(serving(&client, 6).await.len(), 2);
    let told = |part: &str| {
        gateway
            .log()
            .iter()
            .filter(|entry| entry.contains(part))
            .count()
    };
    assert_eq!(
        told("endpoint is unhealthy"),
        1,
        "once per change: {:?}",
        gateway.log()
    );
    gateway
        .logged(&["endpoint is healthy again", "web-2"])
        .await;
}

#[tokio::test]
async fn probes_need_the_trust_that_requests_need() {
    let listed = Upstream::pinned("web-1").await;
    let impostor = Upstream::pinned("web-2").await;
    let pin = listed.identity().fingerprint();
    let pool = Pool::trusting(
        &[&listed, &impostor],
        &format!("certificates = [\"{pin}\"]"),
    );
    let gateway = gateway(pool.with(QUICK)).await;
    gateway.endpoint_is("web", "web-1", "healthy").await;
    let view = gateway.endpoint_is("web", "web-2", "unhealthy").await;
    assert_eq!(view["cause"], "certificate-not-allow-listed", "{view}");
    let detail = view["detail"].as_str().unwrap();
    assert!(
        detail.contains(&impostor.identity().fingerprint().to_string()),
        "{view}"
    );
    assert_eq!((impostor.requests(), impostor.bytes()), (0, 0));
    let series = "witgate_upstream_state{pool=\"web\",endpoint=\"web-2\",state=\"unhealthy\"}";
    assert_eq!(gateway.metric(series).await, 1.0);
    let probes = "witgate_upstream_probes_total{pool=\"web\",endpoint=\"web-2\",result=\"failed\"}";
    assert!(gateway.metric(probes).await >= 2.0);
}

#[tokio::test]
async fn a_probe_says_what_the_endpoint_should_have_answered() {
    let (one, two) = plain().await;
    let quick = "interval = \"30ms\", unhealthy_after = 1";
    let health = |lines: &str| format!("health = {{ {quick}, {lines} }}");
    let setup = Setup::new()
        .default_pool(
            "web",
            Pool::plain(&[&one]).with(&health("path = \"/status/503\"")),
        )
        .pool(
            "fine",
            Pool::plain(&[&one]).with(&health(
                "path = \"/status/404\", status = [200, \"404-410\"]",
            )),
        )
        .pool(
            "body",
            Pool::plain(&[&one, &two]).with(&health(
                "body = \"web-1\", host = \"up.internal\", path = \"/up?deep=1\"",
            )),
        );
    let gateway = setup.start().await;
    let view = gateway.endpoint_is("web", "web-1", "unhealthy").await;
    let told = (&view["cause"], &view["detail"]);
    assert_eq!(
        told,
        (
            &"probe-status".into(),
            &"status 503, expected 200-399".into()
        )
    );
    gateway.endpoint_is("fine", "web-1", "healthy").await;
    gateway.endpoint_is("body", "web-1", "healthy").await;
    let view = gateway.endpoint_is("body", "web-2", "unhealthy").await;
    assert_eq!(view["cause"], "probe-body");
    let answer = gateway.client(Http::Two).get(URL).await;
    assert_eq!(
        (answer.status.as_u16(), answer.cause()),
        (503, "no-endpoint")
    );
}

#[tokio::test]
async fn a_probe_that_hangs_ends_at_its_timeout() {
    let hanging = Upstream::plain("web-1").await;
    let health = "health = { path = \"/hang\", interval = \"30ms\", timeout = \"50ms\", unhealthy_after = 1 }";
    let gateway = gateway(Pool::plain(&[&hanging]).with(health)).await;
    let view = gateway.endpoint_is("web", "web-1", "unhealthy").await;
    assert_eq!(view["cause"], "probe-timeout", "{view}");
}

#[tokio::test]
async fn with_a_panic_threshold_bad_probes_do_not_stop_the_service() {
    let (one, two) = plain().await;
    let health = "health = { interval = \"30ms\", unhealthy_after = 1, path = \"/status/500\" }";
    let pool = Pool::plain(&[&one, &two])
        .with(health)
        .with("panic_threshold = 50");
    let gateway = gateway(pool).await;
    gateway.endpoint_is("web", "web-1", "unhealthy").await;
    gateway.endpoint_is("web", "web-2", "unhealthy").await;
    assert_eq!(serving(&gateway.client(Http::One), 4).await.len(), 2);
}

#[tokio::test]
async fn a_reload_keeps_what_probes_said_and_forgets_it_with_them() {
    let upstream = Upstream::plain("web-1").await;
    let health = "health = { interval = \"30ms\", unhealthy_after = 1, path = \"/status/500\" }";
    let pool = Pool::plain(&[&upstream]);
    let mut gateway = gateway(pool.clone().with(health)).await;
    let before = gateway.endpoint_is("web", "web-1", "unhealthy").await;
    gateway.configure(|setup| setup.table("[limits]\nhead_fields = 50"));
    gateway.reload().await;
    assert_eq!(gateway.endpoint("web", "web-1").await, before);
    gateway.configure(|setup| setup.default_pool("web", pool));
    gateway.endpoint_is("web", "web-1", "unprobed").await;
    assert_eq!(gateway.client(Http::One).get(URL).await.status, 200);
}

#[tokio::test]
async fn answers_that_count_as_failures_eject() {
    let (one, two) = plain().await;
    let ejection =
        "ejection = { requests = 2, status = \"500-503\", time = \"1h\", max_time = \"1h\" }";
    let gateway = gateway(Pool::plain(&[&one, &two]).with(ejection)).await;
    let client = gateway.client(Http::One);
    // Each answers badly in turn; at most half of the pool is passed over.
    for _ in 0..12 {
        client.get("https://shop.example/status/503").await;
    }
    gateway
        .logged(&["endpoint is ejected", "failure=\"request\""])
        .await;
    assert_eq!(serving(&client, 6).await.len(), 1);
    let states = [
        gateway.endpoint("web", "web-1").await["state"].clone(),
        gateway.endpoint("web", "web-2").await["state"].clone(),
    ];
    assert!(
        states.contains(&"ejected".into()) && states.contains(&"unprobed".into()),
        "{states:?}"
    );
}

fn sticky(upstreams: &[&Upstream], lines: &str) -> Pool {
    Pool::plain(upstreams)
        .with("affinity = \"cookie-affinity\"")
        .with(lines)
}

async fn with_sessions(pool: Pool) -> Gateway {
    let setup = Setup::new().default_pool("web", pool);
    let setup = setup.plugin("50-cookie-affinity", &reference("cookie-affinity"));
    setup.start().await
}

/// The cookie of a session that is served by this upstream.
async fn session_on(client: &Client, upstream: &str) -> String {
    for _ in 0..50 {
        let answer = client.get(URL).await;
        if answer.echo().upstream == upstream {
            return answer.all("set-cookie")[0]
                .split(';')
                .next()
                .unwrap()
                .to_owned();
        }
    }
    panic!("50 new sessions and none on {upstream}");
}

async fn resumed(client: &Client, cookie: &str) -> String {
    client
        .get_with(URL, &[("cookie", cookie)])
        .await
        .echo()
        .upstream
}

#[tokio::test]
async fn sessions_stay_on_an_endpoint_that_drains_and_new_ones_do_not_come() {
    let (one, two) = plain().await;
    let mut gateway = with_sessions(sticky(&[&one, &two], "")).await;
    let client = gateway.client(Http::One);
    let cookie = session_on(&client, "web-2").await;
    let drains = format!(
        "endpoints = [{{ id = \"web-1\", address = \"{}\" }}, {{ id = \"web-2\", address = \"{}\", drain = true }}]\n\
         protocol = \"http\"\naffinity = \"cookie-affinity\"",
        one.address(),
        two.address()
    );
    gateway.configure(|setup| setup.default_pool("web", Pool::of(&drains)));
    let view = gateway.endpoint_is("web", "web-2", "draining").await;
    assert_eq!(
        (&view["cause"], &view["weight"]),
        (&"drain".into(), &0.into())
    );
    assert_eq!(
        serving(&client, 8).await,
        HashSet::from(["web-1".to_owned()])
    );
    assert_eq!(resumed(&client, &cookie).await, "web-2");
}

#[tokio::test]
async fn a_removed_endpoint_serves_its_sessions_until_its_time_is_up() {
    let (one, two) = plain().await;
    let mut gateway = with_sessions(sticky(&[&one, &two], "")).await;
    let client = gateway.client(Http::One);
    let cookie = session_on(&client, "web-2").await;
    let held = gateway.client(Http::One);
    let held_cookie = cookie.clone();
    let held = tokio::spawn(async move {
        held.get_with("https://shop.example/hold", &[("cookie", &held_cookie)])
            .await
    });
    let requests = two.requests();
    eventually!(
        "the held request",
        (two.requests() > requests || requests > 1).then_some(())
    );
    gateway.configure(|setup| setup.default_pool("web", sticky(&[&one], "")));
    let view = gateway.endpoint_is("web", "web-2", "draining").await;
    assert_eq!(view["cause"], "removed", "{view}");
    assert_eq!(
        serving(&client, 8).await,
        HashSet::from(["web-1".to_owned()])
    );
    assert_eq!(resumed(&client, &cookie).await, "web-2");
    gateway.configure(|setup| setup.default_pool("web", sticky(&[&one], "drain_for = \"0s\"")));
    // What was promised when it was removed still holds; a new removal is at once.
    gateway.configure(|setup| setup.default_pool("web", sticky(&[&two], "drain_for = \"0s\"")));
    eventually!(
        "web-1 is gone",
        gateway
            .endpoint("web", "web-1")
            .await
            .is_null()
            .then_some(())
    );
    two.release(1);
    assert_eq!(held.await.unwrap().echo().upstream, "web-2");
}

#[tokio::test]
async fn a_plain_probe_port_serves_an_encrypted_pool() {
    let identity = Arc::new(Identity::self_signed(&["web.internal"]));
    let upstream = Upstream::tls("web-1", &identity).await;
    let probed = Upstream::plain("probed").await;
    let health = format!(
        "health = {{ protocol = \"http\", port = {}, interval = \"30ms\", body = \"probed\" }}",
        probed.address().port()
    );
    let gateway = gateway(Pool::pinned(&[&upstream]).with(&health)).await;
    gateway.endpoint_is("web", "web-1", "healthy").await;
    assert_eq!(upstream.requests(), 0);
}
