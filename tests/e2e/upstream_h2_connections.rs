//! HTTP/2 connections to endpoints: shared as far as they have room, opened when they have
//! none, and closed when nobody needs them or nobody is there.

use std::{sync::Arc, time::Duration};

use http::Request;
use tokio::task::JoinHandle;
use witgate_tests::{
    Http, body,
    certs::Identity,
    client::{Answer, Client},
    eventually,
    gateway::{Gateway, Pool, Setup},
    raw_h2::{Frame, RawH2Server, kind},
    upstream::{Speaks, Upstream},
};

const HOLD: &str = "https://shop.example/hold";
const CANCEL: u32 = 8;
/// SETTINGS_MAX_CONCURRENT_STREAMS.
const MAX_STREAMS: u16 = 3;

async fn one_worker(upstream: &Upstream, lines: &str) -> Gateway {
    let pool = Pool::pinned(&[upstream]).with(lines);
    let setup = Setup::new().workers(1);
    setup.default_pool("web", pool).start().await
}

async fn raw(server: &RawH2Server, lines: &str) -> Gateway {
    let pool = Pool::of(&format!(
        "endpoints = [\"{}\"]\nprotocol = \"http\"\nhttp = \"h2\"\n{lines}",
        server.address()
    ));
    let setup = Setup::new().workers(1);
    setup.default_pool("web", pool).start().await
}

fn ask(client: &Arc<Client>, url: &'static str) -> JoinHandle<Answer> {
    let client = Arc::clone(client);
    tokio::spawn(async move { client.get(url).await })
}

fn held(client: &Arc<Client>, requests: usize) -> Vec<JoinHandle<Answer>> {
    (0..requests).map(|_| ask(client, HOLD)).collect()
}

async fn all_answered(held: Vec<JoinHandle<Answer>>) {
    for task in held {
        assert_eq!(task.await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_burst_of_first_requests_shares_one_connection() {
    let upstream = Upstream::h2("web-1").await;
    let gateway = one_worker(&upstream, "").await;
    let client = Arc::new(gateway.client(Http::Two));
    let tasks = held(&client, 50);
    eventually!("all of them", (upstream.requests() == 50).then_some(()));
    assert_eq!(upstream.connections(), 1);
    upstream.release(50);
    all_answered(tasks).await;
}

#[tokio::test]
async fn a_full_connection_gets_another_beside_it() {
    let identity = Arc::new(Identity::self_signed(&["web.internal"]));
    let upstream = Upstream::speaking("web-1", Some(&identity), Speaks::H2(4)).await;
    let gateway = one_worker(&upstream, "").await;
    let client = Arc::new(gateway.client(Http::Two));
    // From here on it is known how many streams the endpoint allows.
    client.get("https://shop.example/").await;
    let tasks = held(&client, 10);
    eventually!("all of them", (upstream.requests() == 11).then_some(()));
    assert_eq!(upstream.connections(), 3);
    upstream.release(10);
    all_answered(tasks).await;
}

#[tokio::test]
async fn streams_can_be_limited() {
    let upstream = Upstream::h2("web-1").await;
    let gateway = one_worker(&upstream, "h2 = { streams = 2 }").await;
    let client = Arc::new(gateway.client(Http::Two));
    let tasks = held(&client, 6);
    eventually!("all of them", (upstream.requests() == 6).then_some(()));
    assert_eq!(upstream.connections(), 3);
    upstream.release(6);
    all_answered(tasks).await;
}

#[tokio::test]
async fn one_connection_serves_more_requests_than_it_has_streams() {
    let upstream = Upstream::h2("web-1").await;
    let lines = "h2 = { streams = 2 }\nlimits = { connections = 1, queue_timeout = \"20s\" }";
    let gateway = one_worker(&upstream, lines).await;
    let client = Arc::new(gateway.client(Http::Two));
    let tasks = held(&client, 6);
    eventually!("two of them", (upstream.requests() == 2).then_some(()));
    upstream.release(6);
    all_answered(tasks).await;
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn a_client_that_goes_away_resets_its_stream_alone() {
    let server = RawH2Server::start().await;
    let gateway = raw(&server, "").await;
    let (stays, goes) = (
        Arc::new(gateway.client(Http::Two)),
        gateway.client(Http::Two),
    );
    let answered = ask(&stays, "https://shop.example/a");
    let mut socket = server.accept(&[]).await;
    let first = socket.request().await;
    let request = Request::post("https://shop.example/b").body(body::unfinished("a part"));
    let gone = tokio::spawn(async move { goes.send(request.unwrap()).await.map(drop) });
    let second = socket.request().await;
    gone.abort();
    let reset = socket.read_kind(kind::RST_STREAM).await.unwrap();
    assert_eq!((reset.stream, reset.code()), (second, CANCEL));
    socket.answer(first, b"still here").await;
    assert_eq!(answered.await.unwrap().text(), "still here");
}

#[tokio::test]
async fn an_unused_connection_closes_in_time() {
    let server = RawH2Server::start().await;
    let gateway = raw(&server, "timeouts = { idle = \"200ms\" }").await;
    let client = Arc::new(gateway.client(Http::Two));
    let answered = ask(&client, "https://shop.example/a");
    let mut socket = server.accept(&[]).await;
    let stream = socket.request().await;
    socket.answer(stream, b"ok").await;
    assert_eq!(answered.await.unwrap().text(), "ok");
    let goaway = socket.read_kind(kind::GOAWAY).await.unwrap();
    assert_eq!(goaway.payload[4..8], [0; 4], "NO_ERROR");
    socket.ends().await;
}

#[tokio::test]
async fn an_endpoint_that_answers_no_ping_loses_its_connection() {
    let server = RawH2Server::start().await;
    let lines = "h2 = { ping_after = \"100ms\", ping_timeout = \"200ms\" }";
    let gateway = raw(&server, lines).await;
    let client = Arc::new(gateway.client(Http::Two));
    let answered = ask(&client, "https://shop.example/a");
    let mut socket = server.accept(&[]).await;
    socket.request().await;
    let Frame { flags, .. } = socket.read_kind(kind::PING).await.unwrap();
    assert_eq!(flags, 0);
    let answer = answered.await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), answer.cause()),
        (502, "connection-closed")
    );
    socket.ends().await;
}

#[tokio::test]
async fn an_endpoint_that_answers_pings_keeps_its_connection() {
    let server = RawH2Server::start().await;
    let lines = "h2 = { ping_after = \"100ms\", ping_timeout = \"5s\" }";
    let gateway = raw(&server, lines).await;
    let client = Arc::new(gateway.client(Http::Two));
    let answered = ask(&client, "https://shop.example/a");
    let mut socket = server.accept(&[]).await;
    let stream = socket.request().await;
    for _ in 0..2 {
        let ping = socket.read_kind(kind::PING).await.unwrap();
        let pong = witgate_tests::raw_h2::frame(kind::PING, 1, 0, &ping.payload);
        socket.send(&pong).await;
    }
    socket.answer(stream, b"ok").await;
    assert_eq!(answered.await.unwrap().text(), "ok");
}

#[tokio::test]
async fn a_connection_under_another_trust_carries_no_request_after_a_reload() {
    let identity = Arc::new(Identity::self_signed(&["web.internal"]));
    let upstream = Upstream::speaking("web-1", Some(&identity), Speaks::H2(100)).await;
    let mut gateway = one_worker(&upstream, "").await;
    let client = Arc::new(gateway.client(Http::Two));
    let running = held(&client, 1);
    eventually!("it runs", (upstream.requests() == 1).then_some(()));
    let nobodys = format!("spki = [\"sha256:{}\"]", "0".repeat(64));
    let pool = Pool::trusting(&[&upstream], &nobodys);
    let applied = "witgate_reloads_total{result=\"applied\"}";
    let before = gateway.metric(applied).await;
    gateway.configure(|setup| setup.default_pool("web", pool));
    gateway.counted(applied, before + 1.0).await;
    let refused = client.get("https://shop.example/new").await;
    assert_eq!(refused.cause(), "certificate-not-allow-listed");
    upstream.release(1);
    all_answered(running).await;
}

#[tokio::test]
async fn probes_speak_http2_where_the_pool_does() {
    let tls = Upstream::h2("web-1").await;
    let plain = Upstream::speaking("web-2", None, Speaks::H2(100)).await;
    let health = "http = \"h2\"\nhealth = { interval = \"50ms\" }";
    let gateway = Setup::new()
        .default_pool("web", Pool::pinned(&[&tls]).with(health))
        .pool("other", Pool::plain(&[&plain]).with(health))
        .start()
        .await;
    gateway.endpoint_is("web", "web-1", "healthy").await;
    gateway.endpoint_is("other", "web-2", "healthy").await;
}

#[tokio::test]
async fn a_stream_that_is_answered_too_late_leaves_the_connection_to_others() {
    let server = RawH2Server::start().await;
    let gateway = raw(&server, "timeouts = { first_byte = \"500ms\" }").await;
    let client = Arc::new(gateway.client(Http::Two));
    let late = ask(&client, "https://shop.example/late");
    let mut socket = server.accept(&[(MAX_STREAMS, 10)]).await;
    let first = socket.request().await;
    let second = ask(&client, "https://shop.example/b");
    let stream = socket.request().await;
    socket.answer(stream, b"ok").await;
    assert_eq!(second.await.unwrap().text(), "ok");
    let answer = late.await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), answer.cause()),
        (504, "first-byte-timeout")
    );
    let reset = socket.read_kind(kind::RST_STREAM).await.unwrap();
    assert_eq!((reset.stream, reset.code()), (first, CANCEL));
    let third = ask(&client, "https://shop.example/c");
    let stream = socket.request().await;
    socket.answer(stream, b"again").await;
    assert_eq!(third.await.unwrap().text(), "again");
    assert!(!server.is_connected_to(Duration::from_millis(100)).await);
}
