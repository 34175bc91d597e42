//! What clients get when an upstream does not answer well: the status, and the same cause in
//! `Proxy-Status` and in the access log.

use std::{net::SocketAddr, sync::Arc};

use witgate_tests::{
    Http,
    certs::Identity,
    client::Answer,
    gateway::{Gateway, Pool, Setup},
    over_h1_and_h2,
    upstream::{Manner, Upstream, refusing},
};

const URL: &str = "https://shop.example/cart";

/// Short deadlines towards the upstream, for tests that must meet them.
const HURRIED: &str =
    "timeouts = { connect = \"300ms\", tls_handshake = \"300ms\", first_byte = \"300ms\" }";

/// One error as client and operator see it.
struct Failure {
    status: u16,
    cause: &'static str,
    error: &'static str,
}

const fn failure(status: u16, cause: &'static str, error: &'static str) -> Failure {
    Failure {
        status,
        cause,
        error,
    }
}

async fn gateway(pool: Pool) -> Gateway {
    Setup::new().default_pool("web", pool).start().await
}

/// A gateway before an upstream that answers every request with these bytes.
async fn before(bytes: &'static [u8]) -> (Upstream, Gateway) {
    let identity = Arc::new(Identity::self_signed(&["web.internal"]));
    let upstream = Upstream::start("web-1", Some(&identity), Manner::Literal(bytes)).await;
    let gateway = gateway(Pool::pinned(&[&upstream])).await;
    (upstream, gateway)
}

fn at(address: SocketAddr) -> Pool {
    Pool::of(&format!("endpoints = [\"{address}\"]")).with("protocol = \"http\"")
}

async fn fails(gateway: &Gateway, http: Http, expected: Failure) -> Answer {
    let answer = gateway.client(http).get(URL).await;
    let seen = (answer.status.as_u16(), answer.cause(), answer.error_type());
    assert_eq!(
        seen,
        (expected.status, expected.cause, expected.error),
        "{answer:?}"
    );
    assert!(
        answer.header("proxy-status").starts_with("witgate;"),
        "{answer:?}"
    );
    assert_eq!(
        answer.header("content-type").split(';').next(),
        Some("text/plain")
    );
    let line = gateway.access_line(&answer).await;
    assert_eq!(
        (&line["cause"], &line["status"]),
        (&expected.cause.into(), &expected.status.into())
    );
    answer
}

over_h1_and_h2! {
    async fn nobody_listening_is_502(http) {
        let gateway = gateway(at(refusing().await)).await;
        fails(&gateway, http, failure(502, "connect-refused", "connection_refused")).await;
    }

    async fn an_upstream_that_never_answers_is_504(http) {
        let upstream = Upstream::start("web-1", None, Manner::Silent).await;
        let gateway = gateway(Pool::plain(&[&upstream]).with(HURRIED)).await;
        fails(&gateway, http, failure(504, "first-byte-timeout", "http_response_timeout")).await;
    }

    async fn an_upstream_that_closes_before_the_head_is_502(http) {
        let (_upstream, gateway) = before(b"").await;
        fails(&gateway, http, failure(502, "connection-closed", "connection_terminated")).await;
    }

    async fn an_answer_that_is_not_http_is_502(http) {
        let (_upstream, gateway) = before(b"220 mail.internal ESMTP\r\n").await;
        fails(&gateway, http, failure(502, "response-invalid", "http_protocol_error")).await;
    }
}

#[tokio::test]
async fn half_a_head_is_502() {
    let (_upstream, gateway) = before(b"HTTP/1.1 200 OK\r\ncontent-le").await;
    let answer = gateway.client(Http::One).get(URL).await;
    let causes = ["connection-closed", "response-invalid"];
    assert!(causes.contains(&answer.cause()), "{answer:?}");
    assert_eq!(answer.status, 502);
}

#[tokio::test]
async fn an_answer_with_two_lengths_is_502() {
    let bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc";
    let (_upstream, gateway) = before(bytes).await;
    fails(
        &gateway,
        Http::Two,
        failure(502, "response-invalid", "http_protocol_error"),
    )
    .await;
}

#[tokio::test]
async fn a_negative_length_is_502() {
    let (_upstream, gateway) = before(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n").await;
    fails(
        &gateway,
        Http::Two,
        failure(502, "response-invalid", "http_protocol_error"),
    )
    .await;
}

#[tokio::test]
async fn a_tls_handshake_that_never_ends_is_504() {
    let identity = Arc::new(Identity::self_signed(&["web.internal"]));
    let upstream = Upstream::start("web-1", Some(&identity), Manner::Silent).await;
    let gateway = gateway(Pool::pinned(&[&upstream]).with(HURRIED)).await;
    fails(
        &gateway,
        Http::One,
        failure(504, "tls-timeout", "connection_timeout"),
    )
    .await;
}

#[tokio::test]
async fn a_plain_upstream_behind_an_https_pool_is_502() {
    let upstream = Upstream::plain("web-1").await;
    let pin = Identity::self_signed(&["web.internal"]).fingerprint();
    let pool = Pool::trusting(&[&upstream], &format!("certificates = [\"{pin}\"]"));
    let gateway = gateway(pool).await;
    fails(
        &gateway,
        Http::One,
        failure(502, "tls-failed", "tls_protocol_error"),
    )
    .await;
    assert_eq!(upstream.requests(), 0);
}

#[tokio::test]
async fn no_route_is_404() {
    let upstream = Upstream::plain("web-1").await;
    let gateway = Setup::new()
        .pool("web", Pool::plain(&[&upstream]))
        .start()
        .await;
    fails(
        &gateway,
        Http::Two,
        failure(404, "no-route", "destination_not_found"),
    )
    .await;
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_pool_that_takes_no_new_session_is_503() {
    let address = refusing().await;
    let endpoint = format!("endpoints = [{{ address = \"{address}\", weight = 0 }}]");
    let gateway = gateway(Pool::of(&endpoint).with("protocol = \"http\"")).await;
    fails(
        &gateway,
        Http::Two,
        failure(503, "no-endpoint", "destination_unavailable"),
    )
    .await;
}

#[tokio::test]
async fn an_endpoint_that_refuses_is_passed_over_for_one_that_does_not() {
    let upstream = Upstream::plain("web-2").await;
    let endpoints = format!(
        "endpoints = [\"{}\", \"{}\"]",
        refusing().await,
        upstream.address()
    );
    let gateway = gateway(Pool::of(&endpoints).with("protocol = \"http\"")).await;
    let client = gateway.client(Http::Two);
    for _ in 0..10 {
        assert_eq!(client.get(URL).await.echo().upstream, "web-2");
    }
}

over_h1_and_h2! {
    async fn an_answer_cut_in_its_body_never_looks_whole(http) {
        let upstream = Upstream::pinned("web-1").await;
        let gateway = gateway(Pool::pinned(&[&upstream])).await;
        let client = gateway.client(http);
        client.try_get("https://shop.example/cut/100000").await.unwrap_err();
        let line = gateway.access_line_where(|line| line["path"] == "/cut/100000").await;
        assert_eq!(line["cause"], "response-cut", "{line}");
        assert_eq!(client.get(URL).await.status, 200);
    }
}

#[tokio::test]
async fn a_cut_chunked_answer_never_looks_whole() {
    let bytes = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let (_upstream, gateway) = before(bytes).await;
    gateway.client(Http::One).try_get(URL).await.unwrap_err();
    gateway.client(Http::Two).try_get(URL).await.unwrap_err();
}

#[tokio::test]
async fn an_upstreams_own_error_is_passed_on_as_it_is() {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = gateway(Pool::pinned(&[&upstream])).await;
    let answer = gateway
        .client(Http::Two)
        .get("https://shop.example/status/503")
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("proxy-status")),
        (503, "")
    );
    let line = gateway
        .access_line_where(|line| line["path"] == "/status/503")
        .await;
    assert!(line.get("cause").is_none(), "{line}");
}
