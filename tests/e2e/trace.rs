//! Traces (W3C Trace Context): continued or begun, named to the endpoint and to who is called out
//! to; and the spans of a request's way in the access log.

use serde_json::Value;
use witgate_tests::{
    Http, eventually,
    gateway::{Gateway, Pool, Setup},
    over_h1_and_h2,
    upstream::Upstream,
    wasm::{guest, reference},
};

const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
const URL: &str = "https://shop.example/cart";

async fn traced(keys: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = Setup::new()
        .workers(1)
        .table(&format!("[trace]\n{keys}"))
        .default_pool("web", Pool::pinned(&[&upstream]))
        .plugin("10-waits", &guest("waits"))
        .sidecar(
            "10-waits",
            "deadline = \"2s\"\ngrants = [\"callout\", \"body\"]\ncallout.pools = [\"web\", \"auth\"]",
        )
        .pool("auth", Pool::pinned(&[&upstream]))
        .plugin("50-forwarded", &reference("forwarded-headers"))
        .start()
        .await;
    (upstream, gateway)
}

async fn line(gateway: &Gateway, path: &str) -> Value {
    gateway.access_line_where(|line| line["path"] == path).await
}

over_h1_and_h2! {
    async fn a_trace_goes_on_with_the_gateways_own_span(http) {
        let (_upstream, gateway) = traced("context = \"accept\"").await;
        let client = gateway.client(http);
        let fields = [("traceparent", GIVEN), ("tracestate", "a=1")];
        let echo = client.get_with(URL, &fields).await.echo();
        let line = line(&gateway, "/cart").await;
        let trace = &line["trace"];
        assert_eq!(trace["id"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(trace["parent"], "00f067aa0ba902b7");
        assert_eq!(trace["sampled"], false);
        let span = trace["span"].as_str().unwrap();
        let named = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{span}-00");
        assert_eq!(echo.all("traceparent"), [named.as_str()]);
        assert_eq!(echo.all("tracestate"), ["a=1"]);
        assert!(line["spans"].is_null(), "{line}");
    }
}

#[tokio::test]
async fn without_a_trace_of_the_clients_one_begins_here() {
    for (keys, fields, sampled) in [
        ("context = \"accept\"", vec![], "01"),
        (
            "context = \"accept\"\nsampled = 0",
            vec![("traceparent", "nonsense"), ("tracestate", "a=1")],
            "00",
        ),
        (
            "context = \"start\"",
            vec![("traceparent", GIVEN), ("tracestate", "a=1")],
            "01",
        ),
    ] {
        let (_upstream, gateway) = traced(keys).await;
        let echo = gateway
            .client(Http::Two)
            .get_with(URL, &fields)
            .await
            .echo();
        let line = line(&gateway, "/cart").await;
        let (id, span) = (&line["trace"]["id"], &line["trace"]["span"]);
        assert_eq!(*id, line["id"], "{line}");
        assert!(line["trace"]["parent"].is_null(), "{line}");
        let named = format!(
            "00-{}-{}-{sampled}",
            id.as_str().unwrap(),
            span.as_str().unwrap()
        );
        assert_eq!(echo.all("traceparent"), [named.as_str()], "{keys}");
        assert!(echo.all("tracestate").is_empty(), "{keys}");
    }
}

#[tokio::test]
async fn by_default_the_gateway_has_no_part_in_traces() {
    let (_upstream, gateway) = traced("").await;
    let fields = [("traceparent", GIVEN), ("tracestate", "a=1")];
    let echo = gateway
        .client(Http::Two)
        .get_with(URL, &fields)
        .await
        .echo();
    assert_eq!(echo.all("traceparent"), [GIVEN]);
    assert_eq!(echo.all("tracestate"), ["a=1"]);
    let line = line(&gateway, "/cart").await;
    assert!(line["trace"].is_null() && line["spans"].is_null(), "{line}");
}

fn spans(line: &Value, fields: [&str; 3]) -> Vec<[String; 3]> {
    let all = line["spans"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    all.map(|span| fields.map(|field| text(&span[field])))
        .collect()
}

#[tokio::test]
async fn the_log_has_the_spans_of_a_requests_way() {
    let (_upstream, gateway) = traced("context = \"start\"\nspans = true").await;
    let client = gateway.client(Http::Two);
    assert_eq!(client.get(URL).await.status, 200);
    let first = line(&gateway, "/cart").await;
    let way = [
        ["plugin", "waits", "pass"],
        ["plugin", "forwarded", "ok"],
        ["connect", "", "ok"],
        ["first-byte", "", "200"],
    ];
    let seen = spans(&first, ["span", "plugin", "outcome"]);
    for part in way {
        assert!(
            seen.contains(&part.map(str::to_owned)),
            "{part:?} in {first}"
        );
    }
    let all = first["spans"].as_array().unwrap();
    let mut last = -1.0;
    for span in all {
        let (start, took) = (
            span["start_us"].as_f64().unwrap(),
            span["us"].as_f64().unwrap(),
        );
        assert!(start >= last, "in the order of their beginnings: {first}");
        assert!(
            start + took <= first["duration_us"].as_f64().unwrap() + 1.0,
            "{first}"
        );
        last = start;
    }
    assert!(
        all.iter().any(|span| span["endpoint"] == "web-1"),
        "{first}"
    );
    assert!(all.iter().any(|span| span["role"] == "routing"), "{first}");
    // Each has an id of its own, as part of the request's span.
    let own = first["trace"]["span"].as_str().unwrap();
    let mut ids: Vec<_> = all
        .iter()
        .map(|span| span["id"].as_str().unwrap())
        .collect();
    assert!(all.iter().all(|span| span["parent"] == own), "{first}");
    ids.push(own);
    let number = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), number, "{first}");
    assert!(ids.iter().all(|id| id.len() == 16), "{first}");
}

#[tokio::test]
async fn a_callout_is_part_of_the_trace() {
    let (_upstream, gateway) = traced("context = \"start\"\nspans = true").await;
    let client = gateway.client(Http::Two);
    let asked = client.get("https://shop.example/ask/check").await;
    let line = line(&gateway, "/ask/check").await;
    let trace = &line["trace"];
    let all = line["spans"].as_array().unwrap();
    let of = |kind: &str| all.iter().find(|span| span["span"] == kind).unwrap();
    // Who is asked is told of the callout's own span, which is part of the plugin's.
    let callout = of("callout");
    assert_eq!(callout["parent"], of("plugin")["id"], "{line}");
    let named = format!(
        "00-{}-{}-01",
        trace["id"].as_str().unwrap(),
        callout["id"].as_str().unwrap()
    );
    assert!(asked.text().contains(&named), "{named} in {}", asked.text());
    let seen = spans(&line, ["span", "pool", "outcome"]);
    assert!(
        seen.contains(&["callout", "auth", "200"].map(str::to_owned)),
        "{line}"
    );
    assert!(
        seen.contains(&["plugin", "", "respond"].map(str::to_owned)),
        "{line}"
    );
}

#[tokio::test]
async fn what_fails_is_told_by_its_cause() {
    let gateway = Setup::new()
        .workers(1)
        .table("[trace]\nspans = true")
        .default_pool(
            "web",
            Pool::of("endpoints = [\"127.0.0.1:1\"]\nprotocol = \"http\""),
        )
        .plugin("10-panics", &guest("panics"))
        .sidecar(
            "10-panics",
            "on_error = \"fail-open\"\nroles = [\"routing\"]",
        )
        .start()
        .await;
    let client = gateway.client(Http::Two);
    assert_eq!(client.get("https://shop.example/bad").await.status, 502);
    let line = eventually!("a line", gateway.access_lines().pop());
    // Without a trace there is nobody to whom an id would mean anything.
    assert!(line["spans"][0]["id"].is_null(), "{line}");
    let seen = spans(&line, ["span", "endpoint", "outcome"]);
    assert!(
        seen.contains(&["plugin", "", "plugin-trap"].map(str::to_owned)),
        "{line}"
    );
    assert!(
        seen.contains(&["connect", "127.0.0.1:1", "connect-refused"].map(str::to_owned)),
        "{line}"
    );
}
