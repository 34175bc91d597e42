//! `timeouts.request` of a pool: a request that is not over in time is answered with 504 or, once its
//! answer has begun, cut.

use std::time::{Duration, Instant};

use witgate_tests::{
    client::get,
    eventually,
    gateway::{Gateway, Pool, Setup},
    over_h1_and_h2,
    scripted::{Scripted, Talk},
    upstream::{Dropping, Upstream},
};

const URL: &str = "https://shop.example/cart";

async fn gateway(pool: Pool) -> Gateway {
    Setup::new().default_pool("web", pool).start().await
}

fn soon(begun: Instant) {
    let elapsed = begun.elapsed();
    assert!(elapsed >= Duration::from_millis(700), "{elapsed:?}");
    assert!(elapsed < Duration::from_secs(8), "{elapsed:?}");
}

over_h1_and_h2! {
    async fn without_an_answer_it_is_504(http) {
        let upstream = Scripted::tls(|mut talk: Talk| async move {
            talk.request().await;
            talk.held().await;
        })
        .await;
        let gateway = gateway(upstream.pool().with("timeouts = { request = \"700ms\" }")).await;
        let begun = Instant::now();
        let late = gateway.client(http).get(URL).await;
        soon(begun);
        assert_eq!((late.status.as_u16(), late.cause()), (504, "request-timeout"));
        assert_eq!(late.error_type(), "http_response_timeout");
        let line = gateway.access_line(&late).await;
        assert_eq!(line["cause"], "request-timeout", "{line}");
        eventually!("the end of the upstream request", (upstream.ended() == 1).then_some(()));
    }

    async fn all_tries_and_connects_are_within_it(http) {
        let dark = [Dropping::start().await, Dropping::start().await, Dropping::start().await];
        let list: Vec<_> = dark.iter().map(|dark| format!("\"{}\"", dark.address())).collect();
        let pool = Pool::of(&format!("protocol = \"http\"\nendpoints = [{}]", list.join(", ")))
            .with("timeouts = { connect = \"500ms\", request = \"700ms\" }");
        let gateway = gateway(pool).await;
        let begun = Instant::now();
        let late = gateway.client(http).get(URL).await;
        soon(begun);
        assert_eq!((late.status.as_u16(), late.cause()), (504, "request-timeout"));
        assert_eq!(gateway.access_line(&late).await["attempts"], 2);
    }

    async fn the_queue_of_an_endpoint_is_within_it(http) {
        let upstream = Upstream::plain("web-1").await;
        let pool = Pool::plain(&[&upstream])
            .with("limits = { requests = 1, queue_timeout = \"20s\" }")
            .with("timeouts = { request = \"3s\" }");
        let gateway = gateway(pool).await;
        let client = gateway.client(http);
        let held = tokio::spawn(async move { client.get("https://shop.example/hang").await });
        eventually!("the held request", (upstream.requests() == 1).then_some(()));
        let late = gateway.client(http).get(URL).await;
        assert!(late.status == 504 && late.cause() == "request-timeout" || late.status == 200);
        let late = held.await.unwrap();
        assert_eq!((late.status.as_u16(), late.cause()), (504, "request-timeout"));
        eventually!(
            "room again",
            (gateway.client(http).get(URL).await.status == 200).then_some(())
        );
    }

    async fn an_answer_that_goes_on_for_ever_is_cut(http) {
        let upstream = Scripted::tls(|mut talk: Talk| async move {
            talk.request().await;
            talk.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
            while talk.send("1\r\na\r\n").await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            talk.held().await;
        })
        .await;
        let gateway = gateway(upstream.pool().with("timeouts = { request = \"700ms\" }")).await;
        let begun = Instant::now();
        gateway.client(http).try_get(URL).await.unwrap_err();
        soon(begun);
        let line = gateway.access_line_where(|line| line["path"] == "/cart").await;
        assert_eq!((&line["cause"], &line["status"]), (&"request-timeout".into(), &200.into()));
        assert!(line["bytes_out"].as_u64().unwrap() > 0, "{line}");
        eventually!("the end of the upstream request", (upstream.ended() == 1).then_some(()));
    }

    async fn a_client_that_does_not_read_is_cut_as_well(http) {
        let upstream = Upstream::pinned("web-1").await;
        let gateway = gateway(Pool::pinned(&[&upstream]).with("timeouts = { request = \"700ms\" }")).await;
        let begun = Instant::now();
        let url = "https://shop.example/bytes/1000000000";
        let unread = gateway.client(http).send(get(url)).await.unwrap();
        let line = gateway.access_line_where(|line| line["path"] == "/bytes/1000000000").await;
        soon(begun);
        assert_eq!((&line["cause"], &line["status"]), (&"request-timeout".into(), &200.into()));
        drop(unread);
    }

    async fn a_download_within_it_is_whole_and_so_is_the_next(http) {
        let upstream = Upstream::pinned("web-1").await;
        let gateway = gateway(Pool::pinned(&[&upstream]).with("timeouts = { request = \"20s\" }")).await;
        let client = gateway.client(http);
        for _ in 0..3 {
            let answer = client.get("https://shop.example/bytes/5000000").await;
            assert_eq!(answer.body.len(), 5_000_000);
        }
        assert_eq!(upstream.connections(), 1);
    }
}
