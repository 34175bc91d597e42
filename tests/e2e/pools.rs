//! Pools: how requests are spread over endpoints.

use std::collections::{HashMap, HashSet};

use witgate_tests::{
    Http,
    client::Client,
    eventually,
    gateway::{Gateway, Pool, Setup},
    over_h1_and_h2,
    upstream::Upstream,
};

const URL: &str = "https://shop.example/cart";

async fn upstreams() -> [Upstream; 3] {
    let [a, b, c] = ["web-1", "web-2", "web-3"].map(Upstream::plain);
    [a.await, b.await, c.await]
}

async fn gateway(upstreams: &[Upstream; 3], lines: &str) -> Gateway {
    let [a, b, c] = upstreams;
    let pool = Pool::plain(&[a, b, c]).with(lines);
    Setup::new().default_pool("web", pool).start().await
}

/// Who serves a request with this field.
async fn served(client: &Client, name: &str, value: &str) -> String {
    client.get_with(URL, &[(name, value)]).await.echo().upstream
}

over_h1_and_h2! {
    async fn equal_hash_keys_get_equal_endpoints_on_every_gateway(http) {
        let upstreams = upstreams().await;
        let lines = "balance = \"hash\"\nhash_on = \"header:x-user\"";
        let gateways = [gateway(&upstreams, lines).await, gateway(&upstreams, lines).await];
        let mut served_by = HashMap::new();
        for user in (0..30).map(|user| user.to_string()) {
            for gateway in &gateways {
                // A new connection each time: any of the workers.
                let upstream = served(&gateway.client(http), "x-user", &user).await;
                let first = served_by.entry(user.clone()).or_insert_with(|| upstream.clone());
                assert_eq!(*first, upstream, "user {user}");
            }
        }
        let used: HashSet<_> = served_by.values().collect();
        assert_eq!(used.len(), 3, "{served_by:?}");
    }
}

#[tokio::test]
async fn a_request_without_the_hash_key_is_served_in_turn() {
    let upstreams = upstreams().await;
    let gateway = gateway(&upstreams, "balance = \"hash\"\nhash_on = \"cookie:id\"").await;
    let client = gateway.client(Http::One);
    let mut used = HashSet::new();
    for _ in 0..3 {
        used.insert(served(&client, "cookie", "other=1").await);
    }
    assert_eq!(used.len(), 3);
    let mut stuck = HashSet::new();
    for _ in 0..6 {
        stuck.insert(served(&client, "cookie", "other=1; id=alice").await);
    }
    assert_eq!(stuck.len(), 1);
}

#[tokio::test]
async fn a_client_address_is_a_hash_key_on_every_connection() {
    let upstreams = upstreams().await;
    let gateway = gateway(
        &upstreams,
        "balance = \"hash\"\nhash_on = \"client-address\"",
    )
    .await;
    let mut used = HashSet::new();
    for _ in 0..6 {
        used.insert(gateway.client(Http::One).get(URL).await.echo().upstream);
    }
    assert_eq!(used.len(), 1);
}

#[tokio::test]
async fn least_requests_leaves_a_busy_endpoint_alone() {
    let upstreams = upstreams().await;
    let gateway = gateway(&upstreams, "balance = \"least-requests\"").await;
    let held = gateway.client(Http::One);
    let held = tokio::spawn(async move { held.get("https://shop.example/hold").await });
    let busy = eventually!(
        "a held request",
        upstreams
            .iter()
            .position(|upstream| upstream.requests() == 1)
    );
    let name = upstreams[busy].name();
    let running = format!("witgate_upstream_requests_running{{pool=\"web\",endpoint=\"{name}\"}}");
    assert_eq!(gateway.metric(&running).await, 1.0);
    for _ in 0..40 {
        // Each on a new connection, so that both workers must know.
        let upstream = gateway.client(Http::One).get(URL).await.echo().upstream;
        assert_ne!(upstream, name);
    }
    upstreams[busy].release(1);
    assert_eq!(held.await.unwrap().status, 200);
    eventually!(
        "no request left",
        (gateway.metric(&running).await == 0.0).then_some(())
    );
}
