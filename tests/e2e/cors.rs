//! The reference plugin `basic-cors`: what browsers are told.

use http::Request;
use witgate_tests::{
    body,
    gateway::{Gateway, Pool, Setup},
    over_h1_and_h2,
    upstream::Upstream,
    wasm::reference,
};

const URL: &str = "https://shop.example/cart";
const ORIGIN: &str = "https://www.shop.example";

async fn gateway() -> (Upstream, Gateway) {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = Setup::new()
        .default_pool("web", Pool::pinned(&[&upstream]))
        .plugin("15-basic-cors", &reference("basic-cors"))
        .sidecar(
            "15-basic-cors",
            "[config]\norigins = [\"https://*.shop.example\"]\nmethods = [\"PUT\"]\ncredentials = true",
        )
        .start()
        .await;
    (upstream, gateway)
}

over_h1_and_h2! {
    async fn a_preflight_never_reaches_the_upstream(http) {
        let (upstream, gateway) = gateway().await;
        let client = gateway.client(http);
        for (origin, status, allowed) in [(ORIGIN, 204, ORIGIN), ("https://evil.example", 403, "")] {
            let request = Request::options(URL)
                .header("origin", origin)
                .header("access-control-request-method", "PUT")
                .body(body::empty())
                .unwrap();
            let answer = client.fetch(request).await.unwrap();
            assert_eq!(answer.status, status, "{answer:?}");
            assert_eq!(answer.header("access-control-allow-origin"), allowed);
            assert_eq!(answer.header("vary"), "origin");
        }
        assert_eq!(upstream.requests(), 0);
    }

    async fn an_answer_says_who_may_read_it(http) {
        let (_upstream, gateway) = gateway().await;
        let client = gateway.client(http);
        for (origin, allowed, credentials) in
            [(ORIGIN, ORIGIN, "true"), ("https://shop.example.evil.example", "", "")]
        {
            let answer = client.get_with(URL, &[("origin", origin)]).await;
            assert_eq!(answer.echo().upstream, "web-1");
            assert_eq!(answer.header("access-control-allow-origin"), allowed);
            assert_eq!(answer.header("access-control-allow-credentials"), credentials);
            assert!(answer.all("vary").contains(&"origin"), "{answer:?}");
        }
    }
}
