//! Plugins that wait: callouts to pools, within what their sidecar allows, without holding the
//! worker.

use std::time::{Duration, Instant};

use witgate_tests::{
    Http,
    certs::Identity,
    client::Client,
    eventually,
    gateway::{Gateway, Pool, Setup},
    scripted::{Scripted, Talk},
    upstream::{Upstream, refusing},
    wasm::{guest, reference},
};

const SIDECAR: &str = r#"
deadline = "500ms"
grants = ["callout", "body"]
[callout]
pools = ["auth"]
timeout = "2s"
"#;

/// A gateway whose plugin may ask the pool `auth`; other requests go to `web`.
fn setup(auth: Pool, web: &Upstream) -> Setup {
    Setup::new()
        .default_pool("web", Pool::pinned(&[web]))
        .pool("auth", auth)
        .plugin("10-waits", &guest("waits"))
        .sidecar("10-waits", SIDECAR)
}

async fn said(client: &Client, path: &str) -> String {
    let answer = client.get(&format!("https://shop.example{path}")).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.cause());
    answer.text().to_owned()
}

#[tokio::test]
async fn an_answer_of_a_pool_decides_over_either_http_and_its_connection_is_kept() {
    for auth in [
        Upstream::pinned("auth-1").await,
        Upstream::h2("auth-1").await,
    ] {
        let web = Upstream::pinned("web-1").await;
        let gateway = setup(Pool::pinned(&[&auth]), &web).workers(1).start().await;
        let client = gateway.client(Http::Two);
        for _ in 0..3 {
            assert_eq!(said(&client, "/ask/status/204").await, "204 ");
        }
        let echo = said(&client, "/ask/check?user=7").await;
        assert!(echo.starts_with("200 {"), "{echo}");
        assert!(echo.contains(r#""target":"/check?user=7""#), "{echo}");
        assert!(!echo.contains("transfer-encoding"), "{echo}");
        let echo = said(&client, "/ask-post").await;
        for part in [
            r#""method":"POST""#,
            r#"["x-asked","1"]"#,
            r#"["content-length","10"]"#,
            r#""bytes":10"#,
        ] {
            assert!(echo.contains(part), "{part}: {echo}");
        }
        assert_eq!(auth.connections(), 1);
        assert_eq!(auth.requests(), 5);
        // It is a rewriter as well, and a plain plugin would decide behind it.
        let url = "https://shop.example/cart";
        let stamped = client.get_with(url, &[("x-stamp", "?")]).await;
        assert_eq!(stamped.header("x-stamp"), "204 ");
        assert_eq!(stamped.echo().upstream, "web-1");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_told_to_the_plugin() {
    let auth = Upstream::pinned("auth-1").await;
    let web = Upstream::pinned("web-1").await;
    let setup = setup(Pool::pinned(&[&auth]), &web);
    let gateway = setup
        .sidecar(
            "10-waits",
            &SIDECAR.replace("timeout = \"2s\"", "bytes = \"1KiB\"\nper_call = 3"),
        )
        .start()
        .await;
    let client = gateway.client(Http::One);
    let expected = [
        (
            "/ask-another",
            r#"Failure::NotGranted("`[callout]` does not name pool \"web\"")"#,
        ),
        (
            "/ask-badly",
            r#"Failure::Invalid("\"no path\" is no path")"#,
        ),
        (
            "/ask-framing",
            r#"Failure::Invalid("\"content-length\" is no field that can be sent")"#,
        ),
        ("/ask-briefly", "Failure::Timeout"),
        ("/ask/bytes/1025", "Failure::TooLarge"),
        (
            "/ask/cut/100",
            r#"Failure::Unavailable("connection-closed")"#,
        ),
        ("/ask-often", "Failure::TooMany"),
    ];
    for (path, failure) in expected {
        assert_eq!(said(&client, path).await, failure, "{path}");
    }
    assert!(said(&client, "/ask/bytes/1024").await.starts_with("200 "));
    assert_eq!(web.requests(), 0);
}

#[tokio::test]
async fn an_endpoint_that_is_not_trusted_or_not_there_is_never_asked() {
    let web = Upstream::pinned("web-1").await;
    let other = Upstream::pinned("auth-1").await;
    let listed = format!(
        "certificates = [\"{}\"]",
        Identity::self_signed(&["web.internal"]).fingerprint()
    );
    let untrusted = Pool::trusting(&[&other], &listed);
    let gone = Pool::of(&format!(
        "protocol = \"http\"\nendpoints = [\"{}\"]",
        refusing().await
    ));
    let expected = [
        (
            untrusted,
            r#"Failure::Unavailable("certificate-not-allow-listed")"#,
        ),
        (gone, r#"Failure::Unavailable("connect-refused")"#),
    ];
    for (pool, failure) in expected {
        let gateway = setup(pool, &web).start().await;
        assert_eq!(
            said(&gateway.client(Http::One), "/ask/check").await,
            failure
        );
    }
    assert_eq!(other.requests(), 0);
}

#[tokio::test]
async fn another_endpoint_is_asked_where_one_cannot_be_reached() {
    let web = Upstream::pinned("web-1").await;
    let auth = Upstream::plain("auth-2").await;
    let pool = Pool::of(&format!(
        "protocol = \"http\"\nendpoints = [\"{}\", \"{}\"]",
        refusing().await,
        auth.address()
    ));
    let gateway = setup(pool, &web).start().await;
    let client = gateway.client(Http::One);
    for _ in 0..6 {
        assert!(said(&client, "/ask/check").await.starts_with("200 {"));
    }
}

#[tokio::test]
async fn waiting_does_not_count_to_the_deadline_and_running_does() {
    let auth = Upstream::pinned("auth-1").await;
    let web = Upstream::pinned("web-1").await;
    let gateway = setup(Pool::pinned(&[&auth]), &web).start().await;
    let client = gateway.client(Http::One);
    assert!(said(&client, "/ask/slow/600").await.starts_with("200 {"));
    for path in ["/loop", "/never"] {
        let begun = Instant::now();
        let late = client.get(&format!("https://shop.example{path}")).await;
        let took = begun.elapsed();
        let cause = late.cause();
        assert_eq!(late.status, 500, "{path}");
        assert!(
            ["plugin-deadline", "plugin-overtime", "plugin-trap"].contains(&cause),
            "{path}: {cause}"
        );
        assert!(took < Duration::from_secs(2), "{path}: {took:?}");
    }
    let crashed = client.get("https://shop.example/panic").await;
    assert_eq!(
        (crashed.status.as_u16(), crashed.cause()),
        (500, "plugin-trap")
    );
    gateway.logged(&["after 200 {", "waits.rs"]).await;
    assert!(said(&client, "/ask/status/204").await.starts_with("204"));
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_callout() {
    let auth = Upstream::pinned("auth-1").await;
    let web = Upstream::pinned("web-1").await;
    let gateway = setup(Pool::pinned(&[&auth]), &web).start().await;
    let client = gateway.client(Http::Two);
    let hung = tokio::spawn(async move { client.try_get("https://shop.example/ask/hang").await });
    eventually!("the callout", (auth.requests() == 1).then_some(()));
    hung.abort();
    let line = gateway
        .access_line_where(|line| line["path"] == "/ask/hang")
        .await;
    assert_eq!(line["cause"], "client-closed", "{line}");
    let running = "witgate_upstream_requests_running{pool=\"auth\",endpoint=\"auth-1\"}";
    assert_eq!(gateway.metric(running).await, 0.0);
}

#[tokio::test]
async fn a_swap_leaves_calls_that_wait_to_their_end() {
    let auth = Upstream::pinned("auth-1").await;
    let web = Upstream::pinned("web-1").await;
    let gateway = setup(Pool::pinned(&[&auth]), &web).start().await;
    let client = gateway.client(Http::One);
    let waiting = tokio::spawn(async move { said(&client, "/ask/hold").await });
    eventually!("the callout", (auth.requests() == 1).then_some(()));
    // One of WIT 0.1 takes its place: both versions are served side by side.
    gateway.setup().put_sidecar(
        "10-waits",
        "[config]\nrules = [{ paths = [\"/api/*\"], pool = \"auth\" }]",
    );
    gateway
        .setup()
        .put_plugin("10-waits", &reference("path-router"));
    gateway.reload().await;
    let client = gateway.client(Http::One);
    let answer = client.get("https://shop.example/api/x").await;
    assert_eq!(answer.echo().upstream, "auth-1");
    assert!(!waiting.is_finished());
    auth.release(1);
    assert!(waiting.await.unwrap().starts_with("200 {"));
}

/// A hundred callouts wait for a second on two workers; others do not notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_waiting_callouts_hold_no_worker() {
    let auth = Upstream::pinned("auth-1").await;
    let web = Upstream::pinned("web-1").await;
    let sidecar = SIDECAR.replace("deadline", "instances = 200\ndeadline");
    let gateway = setup(Pool::pinned(&[&auth]), &web)
        .sidecar("10-waits", &sidecar)
        .start()
        .await;
    let client = gateway.client(Http::Two);
    let mut tries = Vec::new();
    for _ in 0..3 {
        let alone = median(&client).await;
        let seen = auth.requests();
        let waiting: Vec<_> = (0..100)
            .map(|_| {
                let client = gateway.client(Http::Two);
                tokio::spawn(async move { said(&client, "/ask/slow/1000").await })
            })
            .collect();
        eventually!(
            "a hundred callouts",
            (auth.requests() == seen + 100).then_some(())
        );
        let begun = Instant::now();
        let beside = median(&client).await;
        let all_waited = begun.elapsed() < Duration::from_millis(900);
        for waited in waiting {
            assert!(waited.await.unwrap().starts_with("200 {"));
        }
        tries.push((alone, beside, all_waited));
        if beside < alone * 2 && all_waited {
            return;
        }
    }
    panic!("alone, beside, in time: {tries:?}");
}

/// Of the times of some requests that the same plugin routes at once.
async fn median(client: &Client) -> Duration {
    let mut times = Vec::new();
    for _ in 0..50 {
        let begun = Instant::now();
        assert_eq!(client.get("https://shop.example/cart").await.status, 200);
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2]
}

/// A gateway whose new version is a shadow by this rule.
async fn with_shadow(auth: &Upstream, web: &Upstream, rule: &str) -> Gateway {
    let gateway = setup(Pool::pinned(&[auth]), web).start().await;
    let rollout = format!("{SIDECAR}[rollout.shadow]\nshare = 100\nrequests = 1000\n{rule}");
    gateway.setup().put_sidecar("10-waits", &rollout);
    let next = witgate_tests::wasm::stamped(&guest("waits"), 1);
    gateway.setup().put_plugin("10-waits", &next);
    gateway.logged(&["plugin is on trial"]).await;
    // Workers are told of it next.
    tokio::time::sleep(Duration::from_millis(500)).await;
    gateway
}

async fn compared(gateway: &Gateway, tally: &str) {
    eventually!(tally, {
        let (_, plugins) = gateway.admin("/plugins").await;
        plugins.contains(tally).then_some(())
    });
}

#[tokio::test]
async fn a_shadow_is_answered_what_the_version_in_service_was() {
    let (auth, web) = (
        Upstream::pinned("auth-1").await,
        Upstream::pinned("web-1").await,
    );
    let gateway = with_shadow(&auth, &web, "").await;
    let client = gateway.client(Http::One);
    assert_eq!(said(&client, "/ask/status/204").await, "204 ");
    compared(&gateway, "\"alike\":1").await;
    // As many as it may make, each answered as that of the version in service.
    assert_eq!(said(&client, "/ask-often").await, "Failure::TooMany");
    compared(&gateway, "\"alike\":2").await;
    assert_eq!(auth.requests(), 5, "nobody was asked twice");
}

#[tokio::test]
async fn a_shadow_asks_as_well_where_it_may() {
    let (auth, web) = (
        Upstream::pinned("auth-1").await,
        Upstream::pinned("web-1").await,
    );
    let gateway = with_shadow(&auth, &web, "callouts = \"make\"").await;
    let client = gateway.client(Http::One);
    assert_eq!(said(&client, "/ask/status/204").await, "204 ");
    compared(&gateway, "\"alike\":1").await;
    assert_eq!(auth.requests(), 2);
}

#[tokio::test]
async fn a_shadow_that_may_not_ask_is_told_so() {
    let (auth, web) = (
        Upstream::pinned("auth-1").await,
        Upstream::pinned("web-1").await,
    );
    let gateway = with_shadow(&auth, &web, "callouts = \"refuse\"").await;
    let client = gateway.client(Http::One);
    assert_eq!(said(&client, "/ask/status/204").await, "204 ");
    compared(&gateway, "\"differing\":1").await;
    gateway
        .logged(&[
            "decides otherwise",
            "a shadow may not ask (`rollout.shadow.callouts`)",
        ])
        .await;
    assert_eq!(auth.requests(), 1);
}

#[tokio::test]
async fn an_endpoint_that_hangs_is_counted_and_ejected() {
    let web = Upstream::pinned("web-1").await;
    let auth = Upstream::pinned("auth-1").await;
    let pool = Pool::pinned(&[&auth]).with("ejection = { requests = 2, max_share = 100 }");
    let gateway = setup(pool, &web).workers(1).start().await;
    let client = gateway.client(Http::One);
    for _ in 0..2 {
        assert_eq!(said(&client, "/ask-briefly").await, "Failure::Timeout");
    }
    let errors = "witgate_upstream_errors_total{pool=\"auth\",endpoint=\"auth-1\",cause=\"first-byte-timeout\"}";
    assert_eq!(gateway.metric(errors).await, 2.0);
    let ejections = "witgate_upstream_ejections_total{pool=\"auth\",endpoint=\"auth-1\"}";
    assert_eq!(gateway.metric(ejections).await, 1.0);
}

#[tokio::test]
async fn a_connection_with_an_answer_of_doubtful_end_carries_no_other_request() {
    let web = Upstream::pinned("web-1").await;
    let auth = Scripted::tls(|mut talk: Talk| async move {
        while talk.request().await.is_some() {
            talk.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n").await;
        }
    })
    .await;
    let gateway = setup(auth.pool(), &web).workers(1).start().await;
    let client = gateway.client(Http::One);
    for _ in 0..2 {
        assert_eq!(said(&client, "/ask/check").await, "200 ok");
    }
    assert_eq!(auth.connections(), 2);
}

const CASES: &str = r#"
[[cases]]
request = "https://shop.example/ask/check"
callouts = [{ pool = "auth", request = "/check", status = 201, body = "yes" }]
route = { respond = 200, body = "201 yes" }

[[cases]]
request = "https://shop.example/ask/check"
callouts = [{ pool = "auth", request = "/check", unavailable = true }]
route = { respond = 200, body = "Failure::Unavailable(\"connect-refused\")" }

[[cases]]
request = "POST https://shop.example/body?4"
body = "hello"
route = { forward = "web", edits = ["set x-seen: hell|false"] }
"#;

#[tokio::test]
async fn cases_answer_for_pools_and_have_bodies() {
    let auth = Upstream::pinned("auth-1").await;
    let web = Upstream::pinned("web-1").await;
    let gateway = setup(Pool::pinned(&[&auth]), &web)
        .cases("10-waits", CASES)
        .start()
        .await;
    assert_eq!(auth.requests(), 0);
    let wrong = CASES
        .replace("status = 201", "status = 202")
        .replace("\"/check\"", "\"POST /check\"");
    gateway.setup().put_cases("10-waits", &wrong);
    gateway
        .logged(&[
            "10-waits.cases.toml:5",
            "the case has no answer of pool",
            "to GET /check",
        ])
        .await;
    let wrong = CASES.replace("\"/check\", status", "\"check\", status");
    gateway.setup().put_cases("10-waits", &wrong);
    gateway
        .logged(&[
            "10-waits.cases.toml:4",
            "expected such as",
            "GET /check?user=7",
        ])
        .await;
}

#[tokio::test]
async fn a_pool_that_is_not_there_is_warned_of() {
    let web = Upstream::pinned("web-1").await;
    let gateway = Setup::new()
        .default_pool("web", Pool::pinned(&[&web]))
        .plugin("10-waits", &guest("waits"))
        .sidecar("10-waits", SIDECAR)
        .start()
        .await;
    gateway
        .logged(&["WARN", "callout.pools", "pool=\"auth\""])
        .await;
    let said = said(&gateway.client(Http::One), "/ask/check").await;
    assert_eq!(
        said,
        r#"Failure::NotGranted("pool \"auth\" is not declared")"#
    );
    let failed = "witgate_plugin_callouts_failed_total{plugin=\"waits\"}";
    assert_eq!(gateway.metric(failed).await, 1.0);
}
