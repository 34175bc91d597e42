//! The faults of endpoints that pools must survive, by their numbers in the table of faults.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use witgate_tests::{
    Http, body,
    client::{Client, get},
    eventually,
    gateway::{Pool, Setup},
    over_h1_and_h2,
    upstream::{Dropping, Manner, Upstream, refusing},
};

const URL: &str = "https://shop.example/cart";

fn plain(endpoints: &[(&str, std::net::SocketAddr)]) -> Pool {
    let list = endpoints
        .iter()
        .map(|(id, address)| format!("{{ id = \"{id}\", address = \"{address}\" }}"));
    let list: Vec<_> = list.collect();
    Pool::of(&format!(
        "endpoints = [{}]\nprotocol = \"http\"",
        list.join(", ")
    ))
}

over_h1_and_h2! {
    async fn fault_01_a_refusing_endpoint_costs_no_request(http) {
        let upstream = Upstream::plain("web-1").await;
        let pool = plain(&[("gone", refusing().await), ("web-1", upstream.address())]);
        let gateway = Setup::new().default_pool("web", pool).start().await;
        let client = gateway.client(http);
        for _ in 0..8 {
            // A body too: none of it is sent before there is a connection.
            let request = http::Request::post(URL).body(body::zeros(100_000)).unwrap();
            let answer = client.fetch(request).await.unwrap();
            assert_eq!(answer.echo().bytes, 100_000);
        }
        assert_eq!(upstream.requests(), 8, "never twice");
        assert_eq!(gateway.endpoint("web", "gone").await["state"], "ejected");
    }

    async fn fault_01_an_endpoint_that_drops_packets_costs_one_connect_timeout(http) {
        let upstream = Upstream::plain("web-1").await;
        let dropping = Dropping::start().await;
        let pool = plain(&[("dark", dropping.address()), ("web-1", upstream.address())])
            .with("timeouts = { connect = \"300ms\" }");
        let gateway = Setup::new().workers(1).default_pool("web", pool).start().await;
        let client = gateway.client(http);
        let begun = Instant::now();
        for _ in 0..8 {
            assert_eq!(client.get(URL).await.echo().upstream, "web-1");
        }
        // One that is passed over is not waited for again.
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        let errors = "witgate_upstream_errors_total{pool=\"web\",endpoint=\"dark\",cause=\"connect-timeout\"}";
        assert_eq!(gateway.metric(errors).await, 1.0);
    }
}

#[tokio::test]
async fn fault_01_alone_a_dropped_port_is_504_within_the_connect_timeout() {
    let dropping = Dropping::start().await;
    let pool = plain(&[("dark", dropping.address())]).with("timeouts = { connect = \"300ms\" }");
    let gateway = Setup::new().default_pool("web", pool).start().await;
    let begun = Instant::now();
    let answer = gateway.client(Http::One).get(URL).await;
    assert_eq!(
        (answer.status.as_u16(), answer.cause()),
        (504, "connect-timeout")
    );
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

/// What the clients of a load saw.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    done: AtomicU64,
    failed: AtomicU64,
    most_by_one: AtomicU64,
}

/// Asks again and again until told to stop.
async fn ask(client: Client, load: Arc<Load>) {
    let mut failed = 0;
    while !load.stop.load(Relaxed) {
        match client.fetch(get("https://shop.example/slow/2")).await {
            Ok(answer) if answer.status == 200 => {}
            Ok(_) | Err(_) => {
                failed += 1;
                load.failed.fetch_add(1, Relaxed);
            }
        }
        load.done.fetch_add(1, Relaxed);
    }
    load.most_by_one.fetch_max(failed, Relaxed);
}

over_h1_and_h2! {
    async fn an_endpoint_killed_under_load_costs_at_most_what_ran_on_it(http) {
        const CLIENTS: usize = 16;
        let identity = Arc::new(witgate_tests::certs::Identity::self_signed(&["web.internal"]));
        let one = Upstream::tls("web-1", &identity).await;
        let two = Upstream::tls("web-2", &identity).await;
        let pool = Pool::pinned(&[&one, &two])
            .with("health = { interval = \"100ms\", timeout = \"1s\", unhealthy_after = 2 }");
        let gateway = Setup::new().default_pool("web", pool).start().await;
        gateway.endpoint_is("web", "web-2", "healthy").await;
        let load = Arc::new(Load::default());
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| tokio::spawn(ask(gateway.client(http), Arc::clone(&load))))
            .collect();
        let goes_on = async |more: u64| {
            let now = load.done.load(Relaxed);
            eventually!("more answers", (load.done.load(Relaxed) >= now + more).then_some(()));
        };
        goes_on(200).await;
        let address = two.address();
        drop(two);
        let killed = Instant::now();
        gateway.endpoint_is("web", "web-2", "unhealthy").await;
        // Two probes of at most 110 ms and what a loaded machine adds.
        assert!(killed.elapsed() < Duration::from_secs(3), "{:?}", killed.elapsed());
        goes_on(50).await;
        let failed = load.failed.load(Relaxed);
        goes_on(200).await;
        assert_eq!(load.failed.load(Relaxed), failed, "once it is known nothing fails");
        let two = Upstream::bind(address, "web-2", Some(&identity), Manner::Http).await;
        gateway.endpoint_is("web", "web-2", "healthy").await;
        eventually!("requests on it again", (two.requests() > 20).then_some(()));
        load.stop.store(true, Relaxed);
        for client in clients {
            client.await.unwrap();
        }
        assert_eq!(load.failed.load(Relaxed), failed, "its return costs nothing");
        // Each client had at most one request on it when it died.
        assert!(load.most_by_one.load(Relaxed) <= 1);
    }
}

/// Two pools behind the path router: `/slow…` and all else.
async fn two_pools(slow: Pool, fast: Pool) -> witgate_tests::gateway::Gateway {
    let rules = "[[config.rules]]\npaths = [\"/hold\"]\npool = \"slow\"\n";
    Setup::new()
        .pool("slow", slow)
        .default_pool("fast", fast)
        .plugin(
            "20-path-router",
            &witgate_tests::wasm::reference("path-router"),
        )
        .sidecar("20-path-router", rules)
        .start()
        .await
}

over_h1_and_h2! {
    async fn fault_61_a_slow_pool_fills_its_own_queue_and_harms_no_other(http) {
        const HOLD: &str = "https://shop.example/hold";
        let slow = Upstream::plain("slow").await;
        let fast = Upstream::plain("fast").await;
        let limited = Pool::plain(&[&slow])
            .with("limits = { requests = 3, queue = 2, queue_timeout = \"20s\" }");
        let gateway = two_pools(limited, Pool::plain(&[&fast])).await;
        let mut held: Vec<_> = (0..5)
            .map(|_| gateway.client(http))
            .map(|client| tokio::spawn(async move { client.get(HOLD).await }))
            .collect();
        eventually!("three requests on it", (slow.requests() == 3).then_some(()));
        let waiting = "witgate_upstream_requests_waiting{pool=\"slow\",endpoint=\"slow\"}";
        eventually!("two that wait", (gateway.metric(waiting).await == 2.0).then_some(()));
        let begun = Instant::now();
        for _ in 0..20 {
            let refused = gateway.client(http).get(HOLD).await;
            let seen = (refused.status.as_u16(), refused.cause());
            assert_eq!(seen, (503, "endpoint-queue-full"));
            let line = gateway.access_line(&refused).await;
            assert_eq!(line["cause"], "endpoint-queue-full");
            assert_eq!(gateway.client(http).get(URL).await.echo().upstream, "fast");
        }
        // Nothing of this waits for the slow one.
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
        assert_eq!(slow.requests(), 3);
        slow.release(5);
        for held in held.drain(..) {
            assert_eq!(held.await.unwrap().status, 200);
        }
        assert_eq!(slow.requests(), 5);
        assert_eq!(gateway.endpoint("slow", "slow").await["ejections"], 0);
    }

    async fn fault_61_of_a_pool_one_slow_endpoint_keeps_only_what_it_may_have(http) {
        let slow = Upstream::plain("slow").await;
        let fast = Upstream::plain("fast").await;
        let pool = Pool::plain(&[&slow, &fast]).with("limits = { requests = 2 }");
        let gateway = Setup::new().default_pool("web", pool).start().await;
        let mut held = Vec::new();
        while slow.requests() < 2 {
            let client = gateway.client(http);
            held.push(tokio::spawn(async move { client.get("https://shop.example/hold").await }));
            fast.release(1);
            let before = held.len() as u64;
            eventually!(
                "the request somewhere",
                (slow.requests() + fast.requests() >= before).then_some(())
            );
        }
        for _ in 0..20 {
            assert_eq!(gateway.client(http).get(URL).await.echo().upstream, "fast");
        }
        assert_eq!(slow.requests(), 2);
        slow.release(2);
        for held in held {
            assert_eq!(held.await.unwrap().status, 200);
        }
    }

    async fn fault_61_who_waits_too_long_is_told_so(http) {
        let slow = Upstream::plain("slow").await;
        let pool = Pool::plain(&[&slow])
            .with("limits = { requests = 1, queue_timeout = \"100ms\" }");
        let gateway = Setup::new().default_pool("web", pool).start().await;
        let client = gateway.client(http);
        let held = tokio::spawn(async move { client.get("https://shop.example/hold").await });
        eventually!("the held request", (slow.requests() == 1).then_some(()));
        let late = gateway.client(http).get(URL).await;
        assert_eq!((late.status.as_u16(), late.cause()), (503, "endpoint-queue-timeout"));
        // A client that leaves gives its slot back.
        held.abort();
        eventually!(
            "room again",
            (gateway.client(http).get(URL).await.status == 200).then_some(())
        );
    }
}

#[tokio::test]
async fn fault_61_connections_stay_within_their_limit_over_all_workers() {
    let upstream = Upstream::plain("web-1").await;
    let pool =
        Pool::plain(&[&upstream]).with("limits = { connections = 1, queue_timeout = \"20s\" }");
    let gateway = Setup::new().default_pool("web", pool).start().await;
    // One worker keeps the only connection idle while requests come to the other.
    let clients: Vec<_> = (0..8).map(|_| gateway.client(Http::One)).collect();
    for client in &clients {
        assert_eq!(client.get(URL).await.status, 200);
    }
    let open = "witgate_upstream_connections_open{pool=\"web\",endpoint=\"web-1\"}";
    assert!(gateway.metric(open).await <= 1.0);
    let all = clients
        .into_iter()
        .map(|client| tokio::spawn(async move { client.get("https://shop.example/slow/5").await }));
    for answer in all.collect::<Vec<_>>() {
        assert_eq!(answer.await.unwrap().status, 200);
    }
    assert!(gateway.metric(open).await <= 1.0);
}
