//! Plugins that look at the start of a request's body before they decide: only they wait for it,
//! within limits, and it goes upstream as it came.

use std::time::Duration;

use http::Request;
use hyper::body::Frame;
use witgate_tests::{
    Http, body, eventually,
    gateway::{Gateway, Pool, Setup},
    over_h1_and_h2,
    raw::RawSocket,
    upstream::Upstream,
    wasm::guest,
};

const SIDECAR: &str = r#"
deadline = "500ms"
grants = ["callout", "body"]
callout = { pools = ["web"] }
[body]
bytes = "64KiB"
timeout = "500ms"
"#;

async fn gateway(upstream: &Upstream) -> Gateway {
    Setup::new()
        .default_pool("web", Pool::pinned(&[upstream]))
        .plugin("10-waits", &guest("waits"))
        .sidecar("10-waits", SIDECAR)
        .start()
        .await
}

fn post(query: &str, body: body::Body) -> Request<body::Body> {
    let url = format!("https://shop.example/body{query}");
    Request::post(url).body(body).unwrap()
}

over_h1_and_h2! {
    async fn the_start_decides_and_all_of_it_goes_upstream(http) {
        let upstream = Upstream::pinned("web-1").await;
        let gateway = gateway(&upstream).await;
        let client = gateway.client(http);
        for (sent, seen) in [
            ("", "|true"),
            ("short", "short|true"),
            ("0123456789abcdef", "0123456789abcdef|true"),
            ("0123456789abcdefg", "0123456789abcdef|false"),
        ] {
            let echo = client.fetch(post("", body::full(sent.to_owned()))).await.unwrap().echo();
            assert_eq!(echo.header("x-seen"), Some(seen));
            assert_eq!(echo.bytes, sent.len() as u64);
            let length = (!sent.is_empty()).then(|| sent.len().to_string());
            assert_eq!(echo.header("content-length").filter(|length| *length != "0"), length.as_deref());
        }
        let refused = client.fetch(post("", body::full("bad words".to_owned()))).await.unwrap();
        assert_eq!(refused.status, 403);
        assert_eq!(upstream.requests(), 4);
    }

    async fn a_body_that_has_gone_upstream_is_gone(http) {
        let upstream = Upstream::pinned("web-1").await;
        let gateway = gateway(&upstream).await;
        let mut request = post("", body::full("whole".to_owned()));
        request.headers_mut().insert("x-stamp", "body".parse().unwrap());
        let answer = gateway.client(http).fetch(request).await.unwrap();
        assert_eq!(answer.header("x-stamp"), "Failure::Gone");
        assert_eq!(answer.echo().bytes, 5);
    }

    async fn a_long_body_is_streamed_behind_its_start(http) {
        let upstream = Upstream::pinned("web-1").await;
        let gateway = gateway(&upstream).await;
        let client = gateway.client(http);
        let answer = client.fetch(post("?65536", body::zeros(20_000_000))).await.unwrap();
        assert_eq!(answer.echo().bytes, 20_000_000);
        assert!(gateway.peak() - gateway.resident() < 16 << 20);
    }

    async fn more_than_the_sidecar_allows_is_not_read(http) {
        let upstream = Upstream::pinned("web-1").await;
        let gateway = gateway(&upstream).await;
        let client = gateway.client(http);
        let refused = client.fetch(post("?65537", body::full("x".to_owned()))).await.unwrap();
        assert_eq!((refused.status.as_u16(), refused.text()), (400, "Failure::TooMuch(65536)"));
    }

    async fn a_body_of_unknown_length_keeps_its_trailers(http) {
        let upstream = Upstream::pinned("web-1").await;
        let gateway = gateway(&upstream).await;
        let client = gateway.client(http);
        let trailers = [("x-checksum", "7")].map(|(name, value)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
        });
        let trailers = trailers.into_iter().collect();
        let sent = body::frames(vec![Ok(Frame::data("0123456789".into())), Ok(Frame::trailers(trailers))]);
        let mut request = post("", sent);
        request.headers_mut().insert("trailer", "x-checksum".parse().unwrap());
        let echo = client.fetch(request).await.unwrap().echo();
        assert_eq!((echo.header("x-seen"), echo.bytes), (Some("0123456789|true"), 10));
        assert_eq!(echo.trailers, [("x-checksum".to_owned(), "7".to_owned())]);
    }
}

async fn raw(gateway: &Gateway, head: &str) -> RawSocket {
    let mut raw = gateway.raw().await;
    let head = format!("POST /body HTTP/1.1\r\nhost: shop.example\r\n{head}\r\n");
    raw.send(head.as_bytes()).await;
    raw
}

#[tokio::test]
async fn a_client_that_does_not_send_costs_the_request_alone() {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = gateway(&upstream).await;
    let mut slow = raw(&gateway, "content-length: 10\r\n").await;
    let answer = slow.read_until("Timeout").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(
        gateway
            .client(Http::One)
            .get("https://shop.example/")
            .await
            .status,
        200
    );
    assert_eq!(upstream.requests(), 1);
}

#[tokio::test]
async fn bodies_of_all_requests_take_no_more_than_they_may() {
    let upstream = Upstream::pinned("web-1").await;
    let sidecar = SIDECAR.replace(
        "bytes = \"64KiB\"\ntimeout = \"500ms\"",
        "bytes = \"1MiB\"\ntimeout = \"1m\"",
    );
    let gateway = Setup::new()
        .default_pool("web", Pool::pinned(&[&upstream]))
        .plugin_defaults("total_bodies = \"1MiB\"")
        .plugin("10-waits", &guest("waits"))
        .sidecar("10-waits", &sidecar)
        .start()
        .await;
    let kept = "witgate_plugins_bodies_bytes";
    let client = gateway.client(Http::Two);
    assert_eq!(gateway.metric(kept).await, 0.0);
    // Known to be short, it takes no more than it has.
    let short = async || {
        client
            .fetch(post("?1048576", body::full("short")))
            .await
            .unwrap()
    };
    assert_eq!(short().await.status, 200);
    let holder = gateway.client(Http::Two);
    let waiting = tokio::spawn(async move {
        let unfinished = post("?1048576", body::unfinished("x"));
        drop(holder.fetch(unfinished).await);
    });
    gateway.counted(kept, 1_048_576.0).await;
    let refused = short().await;
    assert_eq!(
        (refused.status.as_u16(), refused.cause()),
        (500, "plugin-memory")
    );
    gateway
        .logged(&[
            "WARN",
            "gets no body: what is kept of bodies for plugins is at its limit of 1048576 bytes",
        ])
        .await;
    let kind = r#"witgate_plugin_errors_total{plugin="waits",kind="total-bodies"}"#;
    gateway.counted(kind, 1.0).await;
    // Who asks for no body does not notice.
    assert_eq!(client.get("https://shop.example/").await.status, 200);
    waiting.abort();
    eventually!(
        "room again",
        (gateway.metric(kept).await == 0.0).then_some(())
    );
    assert_eq!(short().await.status, 200);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_never_taken_for_a_whole_one() {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = gateway(&upstream).await;
    let mut broken = raw(&gateway, "transfer-encoding: chunked\r\n").await;
    broken.send(b"5\r\nab").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(broken);
    let line = gateway
        .access_line_where(|line| line["path"] == "/body")
        .await;
    assert_ne!(line["status"], 200, "{line}");
    assert_eq!(upstream.requests(), 0);
}

#[tokio::test]
async fn a_client_that_waits_to_be_asked_is_asked() {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = gateway(&upstream).await;
    let head = "content-length: 5\r\nexpect: 100-continue\r\n";
    let mut raw = raw(&gateway, head).await;
    let asked = raw.read_until("\r\n\r\n").await;
    assert!(asked.starts_with("HTTP/1.1 100 "), "{asked}");
    raw.send(b"hello").await;
    raw.read_until(r#"["x-seen","hello|true"]"#).await;
}

#[tokio::test]
async fn a_shadow_sees_what_the_version_in_service_has_not_read_and_delays_nothing() {
    let upstream = Upstream::pinned("web-1").await;
    let rollout = SIDECAR.replace("[body]", "[rollout.shadow]\nshare = 100\n[body]");
    let gateway = Setup::new()
        .table("[control]\nsocket = \"control.sock\"")
        .default_pool("web", Pool::pinned(&[&upstream]))
        .plugin("10-waits", &guest("version-a"))
        .sidecar("10-waits", &rollout)
        .start()
        .await;
    gateway.setup().put_plugin("10-waits", &guest("waits"));
    gateway.logged(&["plugin is on trial"]).await;
    // Workers are told of it next.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut whole = raw(&gateway, "content-length: 20\r\n").await;
    whole.send(b"0123").await;
    // The request goes on, whatever the shadow waits for.
    eventually!("it is upstream", (upstream.requests() == 1).then_some(()));
    whole.send(b"456789abcdefghij").await;
    whole.read_until("\"bytes\":20").await;
    differs(&gateway, "[set x-seen: 0123456789abcdef|false]").await;
    let mut cut = raw(&gateway, "content-length: 20\r\n").await;
    cut.send(b"0123").await;
    eventually!("it is upstream", (upstream.requests() == 2).then_some(()));
    drop(cut);
    differs(&gateway, "Failure::Gone").await;
}

/// Waits until a shadow has decided this.
async fn differs(gateway: &Gateway, decision: &str) {
    eventually!(decision, {
        let (_, shown) = gateway.plugin_command(&["status", "waits"]).await;
        shown.contains(decision).then_some(())
    });
}
