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
