//! Upstreams that answer before they have the whole request: the client gets the answer, and
//! the connection behind it carries no other request.

use std::sync::Arc;

use witgate_tests::{
    body::{self, Body},
    certs::Identity,
    client::{Answer, Client},
    gateway::{Gateway, Pool, Setup},
    over_h1_and_h2,
    upstream::{Manner, Upstream},
};

const URL: &str = "https://shop.example/upload";

/// More than all buffers on the way hold.
const UPLOAD: u64 = 64 << 20;

const TOO_LARGE: &[u8] =
    b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 10\r\nconnection: close\r\n\r\ntoo large\n";

const KEPT: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nenough";

async fn before(manner: Manner) -> (Upstream, Gateway) {
    let identity = Arc::new(Identity::self_signed(&["web.internal"]));
    let upstream = Upstream::start("web-1", Some(&identity), manner).await;
    let pool = Pool::pinned(&[&upstream]);
    let gateway = Setup::new().default_pool("web", pool).start().await;
    (upstream, gateway)
}

async fn post(client: &Client, body: Body) -> Answer {
    let request = http::Request::post(URL).body(body).unwrap();
    client.fetch(request).await.unwrap()
}

over_h1_and_h2! {
    async fn an_answer_does_not_wait_for_the_rest_of_the_request(http) {
        let (upstream, gateway) = before(Manner::EarlyAndClosed(TOO_LARGE)).await;
        let answer = post(&gateway.client(http), body::unfinished("the beginning")).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (413, "too large\n"));
        let line = gateway.access_line_where(|line| line["path"] == "/upload").await;
        assert_eq!(line["status"], 413, "{line}");
        assert_eq!(upstream.requests(), 1);
    }

    async fn an_answer_reaches_a_client_that_is_still_sending(http) {
        let (upstream, gateway) = before(Manner::EarlyAndClosed(TOO_LARGE)).await;
        for requests in 1..=10 {
            let answer = post(&gateway.client(http), body::zeros(UPLOAD)).await;
            assert_eq!((answer.status.as_u16(), answer.text()), (413, "too large\n"));
            assert_eq!(upstream.requests(), requests);
        }
        assert!(upstream.bytes() < 10 * UPLOAD, "{} bytes", upstream.bytes());
    }

    async fn a_connection_that_owes_the_rest_of_a_request_carries_no_other(http) {
        let (upstream, gateway) = before(Manner::Early(KEPT)).await;
        for requests in 1..4 {
            let answer = post(&gateway.client(http), body::unfinished("the beginning")).await;
            assert_eq!((answer.status.as_u16(), answer.text()), (200, "enough"));
            assert_eq!(upstream.requests(), requests);
            assert_eq!(upstream.connections(), requests);
        }
    }
}
