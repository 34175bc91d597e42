//! Calls that a plugin says it does without are not made.

use witgate_tests::{
    Http,
    client::Answer,
    gateway::{Gateway, Pool, Setup},
    upstream::Upstream,
    wasm::guest,
};

const CALLS: &str = "witgate_plugin_calls_total{plugin=\"quiet\"}";

async fn with(sidecar: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::pinned("web-1").await;
    let pool = Pool::pinned(&[&upstream]).with("affinity = \"quiet\"");
    let gateway = Setup::new()
        .workers(1)
        .default_pool("web", pool)
        .plugin("10-quiet", &guest("does-without"))
        .sidecar("10-quiet", sidecar)
        .start()
        .await;
    (upstream, gateway)
}

async fn ask(gateway: &Gateway, endpoint: Option<&str>) -> Answer {
    let fields: Vec<_> = endpoint.map(|id| ("x-endpoint", id)).into_iter().collect();
    let client = gateway.client(Http::One);
    client.get_with("https://shop.example/", &fields).await
}

#[tokio::test]
async fn what_a_plugin_does_without_it_is_not_asked() {
    let (_upstream, gateway) = with("").await;
    let first = ask(&gateway, None).await;
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(first.echo().header("x-request"), Some("asked"));
    let endpoint = first.header("x-stick");
    assert!(!endpoint.is_empty(), "{first:?}");
    assert_eq!(gateway.metric(CALLS).await, 3.0, "all but the response");

    let second = ask(&gateway, Some(endpoint)).await;
    assert_eq!(second.status, 200, "{second:?}");
    assert_eq!(second.header("x-stick"), "", "the endpoint was honoured");
    assert_eq!(gateway.metric(CALLS).await, 5.0, "nor about that");
}

#[tokio::test]
async fn a_plugin_that_says_nothing_is_asked_everything() {
    let (_upstream, gateway) = with("[config]\nsays_nothing = true").await;
    let answer = ask(&gateway, None).await;
    assert_eq!(answer.status, 500, "{answer:?}");
    gateway.logged(&["asked about a response"]).await;
}
