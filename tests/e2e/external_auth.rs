//! The reference plugin `external-auth`: a service of the operator's decides who passes.

use witgate_tests::{
    Http,
    gateway::{Gateway, Pool, Setup},
    over_h1_and_h2,
    scripted::{Scripted, Talk},
    upstream::Upstream,
    wasm::reference,
};

const SIDECAR: &str = r#"
grants = ["callout"]
callout = { pools = ["auth"], timeout = "300ms" }
[config]
pool = "auth"
path = "/check"
except = ["/assets/*"]
tell = ["x-user"]
"#;

/// Knows Ada by her cookie.
async fn service() -> Scripted {
    Scripted::tls(|mut talk: Talk| async move {
        while let Some(request) = talk.request().await {
            assert!(request.starts_with("GET /check HTTP/1.1\r\n"), "{request}");
            let answer = match () {
                () if request.contains("user=ada") => "200 OK\r\nx-user: ada\r\ncontent-length: 0\r\n\r\n",
                () if request.contains("user=slow") => {
                    talk.held().await;
                    return;
                }
                () if request.contains("user=broken") => "500 Oops\r\ncontent-length: 0\r\n\r\n",
                () => "302 Found\r\nlocation: /login\r\nx-internal: 1\r\ncontent-length: 6\r\n\r\nlog in",
            };
            talk.send(&format!("HTTP/1.1 {answer}")).await;
        }
    })
    .await
}

async fn gateway(service: &Scripted, upstream: &Upstream) -> Gateway {
    Setup::new()
        .default_pool("web", Pool::pinned(&[upstream]))
        .pool("auth", service.pool())
        .plugin("03-external-auth", &reference("external-auth"))
        .sidecar("03-external-auth", SIDECAR)
        .start()
        .await
}

over_h1_and_h2! {
    async fn the_service_decides_and_tells_the_upstream_who_it_is(http) {
        let upstream = Upstream::pinned("web-1").await;
        let service = service().await;
        let gateway = gateway(&service, &upstream).await;
        let client = gateway.client(http);
        let url = "https://shop.example/cart";
        let forged = [("x-user", "root"), ("cookie", "user=ada")];
        for _ in 0..3 {
            let echo = client.get_with(url, &forged).await.echo();
            assert_eq!(echo.all("x-user"), ["ada"]);
        }
        assert_eq!(service.connections(), 1);
        let refused = client.get_with(url, &[("x-user", "root")]).await;
        assert_eq!((refused.status.as_u16(), refused.text()), (302, "log in"));
        assert_eq!(refused.header("location"), "/login");
        assert_eq!(refused.header("x-internal"), "");
        let asset = "https://shop.example/assets/a.css";
        let echo = client.get_with(asset, &[("x-user", "root")]).await.echo();
        assert!(echo.all("x-user").is_empty());
        let line = gateway.access_line_where(|line| line["status"] == 302).await;
        assert_eq!(line["rule"], "external-auth", "{line}");
        assert_eq!(upstream.requests(), 4);
    }
}

#[tokio::test]
async fn without_an_answer_in_time_nobody_passes() {
    let upstream = Upstream::pinned("web-1").await;
    let service = service().await;
    let gateway = gateway(&service, &upstream).await;
    let client = gateway.client(Http::Two);
    for cookie in ["user=slow", "user=broken"] {
        let url = "https://shop.example/cart";
        let refused = client.get_with(url, &[("cookie", cookie)]).await;
        assert_eq!(refused.status, 503, "{cookie}");
    }
    gateway.logged(&["external-auth", "Timeout"]).await;
    gateway.logged(&["external-auth", "status 500"]).await;
    assert_eq!(upstream.requests(), 0);
}
