//! The reference plugin `rate-limiter`: as many requests as it says, over all workers.

use std::{sync::Arc, time::Instant};

use witgate_tests::{
    Http,
    gateway::{Gateway, Pool, Setup},
    over_h1_and_h2,
    upstream::Upstream,
    wasm::reference,
};

const URL: &str = "https://shop.example/";

async fn limited(config: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = Setup::new()
        .default_pool("web", Pool::pinned(&[&upstream]))
        .plugin("05-rate-limiter", &reference("rate-limiter"))
        .sidecar(
            "05-rate-limiter",
            &format!("grants = [\"kv\"]\n[config]\n{config}"),
        )
        .start()
        .await;
    (upstream, gateway)
}

over_h1_and_h2! {
    async fn what_is_too_much_is_429_and_told_when_to_come_again(http) {
        let (upstream, gateway) = limited("requests = 2\nseconds = 1000").await;
        let client = gateway.client(http);
        for _ in 0..2 {
            assert_eq!(client.get(URL).await.echo().upstream, "web-1");
        }
        let answer = client.get(URL).await;
        assert_eq!(answer.status, 429);
        let seconds: u64 = answer.header("retry-after").parse().unwrap();
        assert!((900..=1000).contains(&seconds), "{seconds}");
        let line = gateway.access_line_where(|line| line["status"] == 429).await;
        assert_eq!(line["rule"], "rate-limit");
        assert_eq!(upstream.requests(), 2);
    }
}

#[tokio::test]
async fn a_window_ends() {
    let (_upstream, gateway) = limited("requests = 1\nseconds = 1").await;
    let client = gateway.client(Http::Two);
    assert_eq!(client.get(URL).await.status, 200);
    let refused = client.get(URL).await;
    assert_eq!(
        (refused.status.as_u16(), refused.header("retry-after")),
        (429, "1")
    );
    witgate_tests::eventually!(
        "the next window",
        (client.get(URL).await.status == 200).then_some(())
    );
}

#[tokio::test]
async fn values_of_a_field_are_counted_apart() {
    let (_upstream, gateway) =
        limited("requests = 1\nseconds = 1000\nby.header = \"x-api-key\"").await;
    let client = gateway.client(Http::One);
    for (key, status) in [("a", 200), ("b", 200), ("a", 429)] {
        let answer = client.get_with(URL, &[("x-api-key", key)]).await;
        assert_eq!(answer.status, status, "{key}");
    }
}

const CLIENTS: usize = 16;
const EACH: usize = 625;

/// 10,000 requests over 16 connections to two workers, both of which take part; how many pass.
async fn passed_of_ten_thousand(config: &str) -> (Upstream, usize) {
    let (upstream, gateway) = limited(config).await;
    let gateway = Arc::new(gateway);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let client = gateway.client(Http::Two);
            tokio::spawn(async move {
                let mut passed = 0;
                for _ in 0..EACH {
                    match client.get(URL).await.status.as_u16() {
                        200 => passed += 1,
                        429 => {}
                        status => panic!("{status}"),
                    }
                }
                passed
            })
        })
        .collect();
    let mut passed = 0;
    for client in clients {
        passed += client.await.unwrap();
    }
    let calls = gateway.metric("witgate_plugin_calls_total{plugin=\"rate-limiter\"}");
    assert_eq!(calls.await, (CLIENTS * EACH) as f64);
    let instances = gateway.metric("witgate_plugin_instances{plugin=\"rate-limiter\"}");
    assert!(instances.await >= 2.0, "both workers");
    (upstream, passed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_as_many_as_allowed_pass_over_all_workers() {
    let (upstream, passed) = passed_of_ten_thousand("requests = 3000\nseconds = 3600").await;
    assert_eq!((passed, upstream.requests()), (3_000, 3_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_is_emptied_exactly_over_all_workers() {
    // No token comes for as long as the test may take.
    let config = "requests = 1\nseconds = 86400\nburst = 3003";
    let (upstream, passed) = passed_of_ten_thousand(config).await;
    assert_eq!((passed, upstream.requests()), (3_003, 3_003));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_fills_at_its_rate_over_all_workers() {
    let began = Instant::now();
    let config = "requests = 200\nseconds = 1\nburst = 100";
    let (_, passed) = passed_of_ten_thousand(config).await;
    // The start of the gateway is in the time as well.
    let most = 100.0 + 200.0 * began.elapsed().as_secs_f64() + 10.0;
    assert!(passed >= 100 && passed as f64 <= most, "{passed} of {most}");
}
