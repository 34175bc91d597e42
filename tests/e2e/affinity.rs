//! Sessions stick to an endpoint by the cookies of the reference plugin `cookie-affinity`.

use std::collections::HashSet;

use witgate_tests::{
    Http,
    client::Client,
    eventually,
    gateway::{Gateway, Pool, Setup},
    over_h1_and_h2,
    upstream::Upstream,
    wasm::{guest, reference},
};

const URL: &str = "https://shop.example/cart";

/// The cookies that Azure Application Gateway sets.
const COOKIES: [&str; 2] = [
    "ApplicationGatewayAffinity",
    "ApplicationGatewayAffinityCORS",
];

async fn upstreams() -> [Upstream; 3] {
    let [a, b, c] = ["web-1", "web-2", "web-3"].map(Upstream::pinned);
    [a.await, b.await, c.await]
}

fn sticky(upstreams: &[&Upstream]) -> Pool {
    Pool::pinned(upstreams).with("affinity = \"cookie-affinity\"")
}

async fn gateway(upstreams: &[Upstream; 3]) -> Gateway {
    let [a, b, c] = upstreams;
    Setup::new()
        .default_pool("web", sticky(&[a, b, c]))
        .plugin("50-cookie-affinity", &reference("cookie-affinity"))
        .start()
        .await
}

/// A first visit: who served it, and what the client sends from then on.
async fn visit(client: &Client) -> (String, String) {
    let answer = client.get(URL).await;
    let set = answer.all("set-cookie");
    assert_eq!(set.len(), 2, "{set:?}");
    let pairs: Vec<_> = set
        .iter()
        .filter_map(|cookie| cookie.split(';').next())
        .collect();
    for (pair, name) in pairs.iter().zip(COOKIES) {
        assert_eq!(pair.split('=').next(), Some(name));
    }
    (answer.echo().upstream, pairs.join("; "))
}

/// Who serves a session, and whether it got new cookies.
async fn revisit(client: &Client, cookies: &str) -> (String, bool) {
    let answer = client.get_with(URL, &[("cookie", cookies)]).await;
    (answer.echo().upstream, !answer.all("set-cookie").is_empty())
}

over_h1_and_h2! {
    async fn a_session_stays_where_it_began(http) {
        let upstreams = upstreams().await;
        let gateway = gateway(&upstreams).await;
        let client = gateway.client(http);
        let mut served = HashSet::new();
        for _ in 0..9 {
            let (upstream, cookies) = visit(&client).await;
            for _ in 0..5 {
                assert_eq!(revisit(&client, &cookies).await, (upstream.clone(), false));
            }
            served.insert(upstream);
        }
        assert!(served.len() > 1, "new sessions are spread: {served:?}");
    }
}

#[tokio::test]
async fn another_gateway_with_the_same_pool_knows_the_session() {
    let upstreams = upstreams().await;
    let (upstream, cookies) = visit(&gateway(&upstreams).await.client(Http::Two)).await;
    let other = gateway(&upstreams).await;
    assert_eq!(
        revisit(&other.client(Http::One), &cookies).await,
        (upstream, false)
    );
}

#[tokio::test]
async fn a_session_whose_endpoint_left_the_pool_moves_and_stays() {
    let upstreams = upstreams().await;
    let mut gateway = gateway(&upstreams).await;
    let client = gateway.client(Http::Two);
    let (upstream, cookies) = visit(&client).await;
    let left: Vec<_> = upstreams
        .iter()
        .filter(|other| other.name() != upstream)
        .collect();
    gateway.configure(|setup| setup.pool("web", sticky(&left)));
    let moved =
        || async { Some(revisit(&client, &cookies).await).filter(|(to, _)| *to != upstream) };
    let (to, renewed) = eventually!("another endpoint", moved().await);
    assert!(renewed, "the session gets cookies for {to}");
}

#[tokio::test]
async fn a_session_whose_endpoint_died_moves_and_gets_new_cookies() {
    let upstreams = upstreams().await;
    let gateway = gateway(&upstreams).await;
    let client = gateway.client(Http::One);
    let (upstream, cookies) = visit(&client).await;
    let left: Vec<_> = upstreams
        .into_iter()
        .filter(|other| other.name() != upstream)
        .collect();
    let (to, renewed) = eventually!("another endpoint", {
        let answer = client.get_with(URL, &[("cookie", &cookies)]).await;
        (answer.status == 200)
            .then(|| (answer.echo().upstream, !answer.all("set-cookie").is_empty()))
    });
    assert!(
        left.iter().any(|other| other.name() == to) && renewed,
        "{to}"
    );
}

#[tokio::test]
async fn cookies_that_nobody_gave_are_replaced() {
    let upstreams = upstreams().await;
    let gateway = gateway(&upstreams).await;
    let client = gateway.client(Http::Two);
    let (_, renewed) = revisit(&client, "ApplicationGatewayAffinity=0123456789abcdef").await;
    assert!(renewed);
}

#[tokio::test]
async fn a_pool_whose_affinity_plugin_is_gone_is_kept_as_it_was() {
    let upstreams = upstreams().await;
    let gateway = gateway(&upstreams).await;
    let client = gateway.client(Http::Two);
    let (upstream, cookies) = visit(&client).await;
    let entries = gateway.log().len();
    std::fs::remove_file(gateway.setup().plugins().join("50-cookie-affinity.wasm")).unwrap();
    gateway
        .logged_after(entries, &["ERROR", "cookie-affinity"])
        .await;
    assert_eq!(revisit(&client, &cookies).await, (upstream, false));
}

#[tokio::test]
async fn a_wish_for_an_endpoint_that_nobody_knows_moves_the_session() {
    let upstreams = upstreams().await;
    let [a, b, c] = &upstreams;
    let pool = Pool::pinned(&[a, b, c]).with("affinity = \"sticks-by-id\"");
    let gateway = Setup::new()
        .default_pool("web", pool)
        .plugin("50-sticks-by-id", &guest("sticks-by-id"))
        .start()
        .await;
    let client = gateway.client(Http::Two);
    for (cookie, outcome) in [
        ("other=1", "balanced"),
        ("endpoint=web-9", "moved"),
        ("endpoint=web-2", "honoured"),
    ] {
        let path = format!("/{outcome}");
        let url = format!("https://shop.example{path}");
        let answer = client.get_with(&url, &[("cookie", cookie)]).await;
        let line = gateway.access_line_where(|line| line["path"] == path).await;
        assert_eq!(line["affinity"], outcome, "{line}");
        let upstream = answer.echo().upstream;
        let renewed = match outcome {
            "honoured" => vec![],
            _ => vec![format!("endpoint={upstream}")],
        };
        assert_eq!(answer.all("set-cookie"), renewed, "{cookie}");
        assert_eq!(line["endpoint"], upstream, "{line}");
    }
}
