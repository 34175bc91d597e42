//! Interim answers (RFC 9110 §15.2) to clients of HTTP/2: those of an upstream come when they are
//! said and ahead of the answer, and `100 Continue` when a body is waited for.

use std::{
    future::{Future as _, poll_fn},
    pin::Pin,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use h2::{
    RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
};
use http::{HeaderMap, Request, Response};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use witgate_tests::{
    Http,
    gateway::{Gateway, Pool, Setup},
    raw_h2::{RawH2, RawH2Server, headers, kind, request},
    upstream::Upstream,
    wait,
};

const HINTS: &[u8] =
    b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nconnection: x-own\r\n\
    x-own: 1\r\nkeep-alive: timeout=5\r\nte: gzip\r\ncontent-length: 3\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone";

/// A gateway before an upstream that the test itself plays.
async fn stage() -> (TcpListener, Gateway) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let pool = Pool::of(&format!("protocol = \"http\"\nendpoints = [\"{address}\"]"));
    // One worker: requests share its connections.
    let setup = Setup::new().workers(1).default_pool("web", pool);
    (listener, setup.start().await)
}

async fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
}

/// A connection whose request has come.
async fn requested(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    stream
}

async fn connect(gateway: &Gateway) -> SendRequest<Bytes> {
    let stream = gateway.raw_with(&["h2"]).await.into_inner();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    client.ready().await.unwrap()
}

fn get(client: &mut SendRequest<Bytes>) -> ResponseFuture {
    let request = Request::get("https://shop.example/").body(()).unwrap();
    client.send_request(request, true).unwrap().0
}

/// The next interim answer.
async fn interim(answer: &mut ResponseFuture) -> Response<()> {
    let came = poll_fn(|cx| answer.poll_informational(cx));
    let came = timeout(wait::DEADLINE, came).await.expect("in time");
    came.expect("an interim answer").unwrap()
}

/// The answer, and the interim ones that come before it.
async fn all(mut answer: ResponseFuture) -> (Vec<Response<()>>, Response<RecvStream>) {
    let mut before = Vec::new();
    let answered = poll_fn(|cx| {
        while let Poll::Ready(Some(came)) = answer.poll_informational(cx) {
            before.push(came.unwrap());
        }
        Pin::new(&mut answer).poll(cx)
    });
    let answered = timeout(wait::DEADLINE, answered).await.expect("in time");
    (before, answered.unwrap())
}

async fn text(answer: Response<RecvStream>) -> String {
    let (mut body, mut text) = (answer.into_body(), Vec::new());
    while let Some(data) = body.data().await {
        text.extend(data.unwrap());
    }
    String::from_utf8(text).unwrap()
}

fn is_hint(came: &Response<()>) {
    assert_eq!(came.status(), 103);
    let link = (
        "link".parse().unwrap(),
        "</a.css>; rel=preload".parse().unwrap(),
    );
    assert_eq!(*came.headers(), HeaderMap::from_iter([link]));
}

#[tokio::test]
async fn hints_over_http_1_1_reach_the_client_before_the_answer_does() {
    let (listener, gateway) = stage().await;
    let mut client = connect(&gateway).await;
    let mut answer = get(&mut client);
    let mut upstream = requested(&listener).await;
    for _ in 0..3 {
        upstream.write_all(HINTS).await.unwrap();
        is_hint(&interim(&mut answer).await);
    }
    upstream.write_all(ANSWER).await.unwrap();
    let (before, answer) = all(answer).await;
    assert!(before.is_empty(), "{before:?}");
    assert_eq!(
        (answer.status().as_u16(), &*text(answer).await),
        (200, "done")
    );
}

#[tokio::test]
async fn hints_over_http_2_reach_the_client_before_the_answer_does() {
    let server = RawH2Server::start().await;
    let pool = Pool::of(&format!(
        "endpoints = [\"{}\"]\nprotocol = \"http\"\nhttp = \"h2\"",
        server.address()
    ));
    let gateway = Setup::new().default_pool("web", pool).start().await;
    let mut client = connect(&gateway).await;
    let mut answer = get(&mut client);
    let mut upstream = server.accept(&[]).await;
    let stream = upstream.request().await;
    for _ in 0..3 {
        let hints: [(&[u8], &[u8]); 2] =
            [(b":status", b"103"), (b"link", b"</a.css>; rel=preload")];
        upstream.send(&headers(stream, 0, &hints)).await;
        is_hint(&interim(&mut answer).await);
    }
    upstream.answer(stream, b"done").await;
    let (before, answer) = all(answer).await;
    assert!(before.is_empty(), "{before:?}");
    assert_eq!(
        (answer.status().as_u16(), &*text(answer).await),
        (200, "done")
    );
}

#[tokio::test]
async fn hints_and_answer_in_one_piece_keep_their_order_and_a_hundred_is_kept() {
    let (listener, gateway) = stage().await;
    let mut client = connect(&gateway).await;
    let mut upstream = None;
    for _ in 0..3 {
        let answer = get(&mut client);
        match &mut upstream {
            None => upstream = Some(requested(&listener).await),
            Some(upstream) => read_head(upstream).await,
        }
        let own = b"HTTP/1.1 100 Continue\r\n\r\n";
        let pieces = [own, HINTS, HINTS, ANSWER].concat();
        upstream.as_mut().unwrap().write_all(&pieces).await.unwrap();
        let (before, answer) = all(answer).await;
        assert_eq!(before.len(), 2, "{before:?}");
        before.iter().for_each(is_hint);
        assert_eq!(
            (answer.status().as_u16(), &*text(answer).await),
            (200, "done")
        );
    }
}

#[tokio::test]
async fn hints_may_come_before_an_error() {
    let (listener, gateway) = stage().await;
    let mut client = connect(&gateway).await;
    let mut answer = get(&mut client);
    let mut upstream = requested(&listener).await;
    upstream.write_all(HINTS).await.unwrap();
    is_hint(&interim(&mut answer).await);
    drop(upstream);
    let (before, answer) = all(answer).await;
    assert!(before.is_empty(), "{before:?}");
    assert_eq!(answer.status(), 502);
}

#[tokio::test]
async fn a_client_that_ignores_hints_gets_the_answer() {
    let (listener, gateway) = stage().await;
    let client = gateway.client(Http::Two);
    let play = async {
        let mut upstream = requested(&listener).await;
        let pieces = [HINTS, HINTS, ANSWER].concat();
        upstream.write_all(&pieces).await.unwrap();
        upstream
    };
    let (answer, _upstream) = tokio::join!(client.get("https://shop.example/"), play);
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "done"));
}

#[tokio::test]
async fn a_flood_of_hints_is_cut_short_and_the_answer_comes() {
    let (listener, gateway) = stage().await;
    let mut client = connect(&gateway).await;
    let answer = get(&mut client);
    let mut upstream = requested(&listener).await;
    let value = "a".repeat(1000);
    let flood = format!("HTTP/1.1 103 Early Hints\r\nlink: {value}\r\n\r\n").repeat(5000);
    upstream.write_all(flood.as_bytes()).await.unwrap();
    upstream.write_all(ANSWER).await.unwrap();
    let (before, answer) = all(answer).await;
    // 64 KiB, at 1000 bytes, 4 for the name, and 32 each for the field and the head.
    assert_eq!(before.len(), (64 << 10) / 1068);
    assert_eq!(
        (answer.status().as_u16(), &*text(answer).await),
        (200, "done")
    );
}

#[tokio::test]
async fn hints_for_a_request_that_was_given_up_harm_no_other() {
    let (listener, gateway) = stage().await;
    let mut client = connect(&gateway).await;
    let mut answer = get(&mut client);
    let mut upstream = requested(&listener).await;
    upstream.write_all(HINTS).await.unwrap();
    is_hint(&interim(&mut answer).await);
    drop(answer);
    // The gateway leaves; until then it takes what is said.
    while upstream.write_all(HINTS).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let answer = get(&mut client);
    let mut upstream = requested(&listener).await;
    upstream.write_all(ANSWER).await.unwrap();
    let (before, answer) = all(answer).await;
    assert!(before.is_empty(), "{before:?}");
    assert_eq!(text(answer).await, "done");
}

/// `POST` of so many bytes, which waits for the gateway to ask for them.
fn post(client: &mut SendRequest<Bytes>, length: u64) -> (ResponseFuture, SendStream<Bytes>) {
    let request = Request::post("https://shop.example/count")
        .header("expect", "100-Continue")
        .header("content-length", length)
        .body(())
        .unwrap();
    client.send_request(request, false).unwrap()
}

#[tokio::test]
async fn a_body_that_waits_for_it_is_asked_for_once() {
    let upstream = Upstream::pinned("web-1").await;
    let setup = Setup::new().default_pool("web", Pool::pinned(&[&upstream]));
    let gateway = setup.start().await;
    let mut client = connect(&gateway).await;
    let (mut answer, mut body) = post(&mut client, 10);
    assert_eq!(interim(&mut answer).await.status(), 100);
    body.send_data(Bytes::from_static(b"first"), false).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    body.send_data(Bytes::from_static(b"later"), true).unwrap();
    let (before, answer) = all(answer).await;
    assert!(before.is_empty(), "{before:?}");
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_body_that_is_refused_is_not_asked_for() {
    let upstream = Upstream::pinned("web-1").await;
    let setup = Setup::new().default_pool("web", Pool::pinned(&[&upstream]));
    let gateway = setup.start().await;
    let mut client = connect(&gateway).await;
    let (answer, body) = post(&mut client, 1 << 50);
    let (before, answer) = all(answer).await;
    assert!(before.is_empty(), "{before:?}");
    assert_eq!(answer.status(), 413);
    drop(body);
}

#[tokio::test]
async fn the_rest_of_a_refused_request_is_refused_without_an_error() {
    let upstream = Upstream::pinned("web-1").await;
    let setup = Setup::new().default_pool("web", Pool::pinned(&[&upstream]));
    let gateway = setup.start().await;
    let mut socket = RawH2::open(&gateway, &[]).await;
    let mut fields = request("POST", "/count");
    fields.push((b"content-length", b"1125899906842624"));
    socket.send(&headers(1, 0, &fields)).await;
    assert_eq!(socket.outcome(1).await.unwrap().kind, kind::HEADERS);
    let reset = socket.read_kind(kind::RST_STREAM).await.unwrap();
    assert_eq!((reset.stream, reset.code()), (1, 0));
}
