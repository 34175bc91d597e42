//! Interim answers (RFC 9110 §15.2): what an upstream says before its answer reaches an HTTP/1.1
//! client when it is said.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use witgate_tests::{
    gateway::{Gateway, Pool, Setup},
    raw_h2::{RawH2Server, headers},
};

const HINTS: &[u8] = b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nconnection: x-own\r\nx-own: 1\r\n\r\n";
const SEEN: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone";

/// A gateway before an upstream that the test itself plays.
async fn stage() -> (TcpListener, Gateway) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let pool = Pool::of(&format!("protocol = \"http\"\nendpoints = [\"{address}\"]"));
    let gateway = Setup::new().default_pool("web", pool).start().await;
    (listener, gateway)
}

/// A connection whose request has come.
async fn requested(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    stream
}

async fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
}

fn request(version: &str) -> Vec<u8> {
    format!("GET / HTTP/{version}\r\nhost: shop.example\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn early_hints_reach_the_client_before_the_answer_does() {
    let (listener, gateway) = stage().await;
    let mut client = gateway.raw().await;
    client.send(&request("1.1")).await;
    let mut upstream = requested(&listener).await;
    upstream.write_all(HINTS).await.unwrap();
    assert_eq!(client.read_until("\r\n\r\n").await, SEEN);
    upstream.write_all(HINTS).await.unwrap();
    assert_eq!(client.read_until("\r\n\r\n").await, SEEN);
    upstream.write_all(ANSWER).await.unwrap();
    let answer = client.read_until("done").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn hints_and_answer_in_one_piece_keep_their_order_on_a_reused_connection() {
    let (listener, gateway) = stage().await;
    let mut client = gateway.raw().await;
    let mut upstream = None;
    for _ in 0..3 {
        client.send(&request("1.1")).await;
        match &mut upstream {
            None => upstream = Some(requested(&listener).await),
            Some(upstream) => read_head(upstream).await,
        }
        let all = [HINTS, HINTS, ANSWER].concat();
        upstream.as_mut().unwrap().write_all(&all).await.unwrap();
        let answer = client.read_until("done").await;
        let rest = answer.strip_prefix(&SEEN.repeat(2)).expect("two hints");
        assert!(rest.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_no_interim_answer() {
    let (listener, gateway) = stage().await;
    let mut client = gateway.raw().await;
    client.send(&request("1.0")).await;
    let mut upstream = requested(&listener).await;
    let all = [HINTS, ANSWER].concat();
    upstream.write_all(&all).await.unwrap();
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn hints_over_http_2_reach_a_client_of_http_1_1() {
    let server = RawH2Server::start().await;
    let pool = Pool::of(&format!(
        "endpoints = [\"{}\"]\nprotocol = \"http\"\nhttp = \"h2\"",
        server.address()
    ));
    let gateway = Setup::new().default_pool("web", pool).start().await;
    let mut client = gateway.raw().await;
    client.send(&request("1.1")).await;
    let mut upstream = server.accept(&[]).await;
    let stream = upstream.request().await;
    for _ in 0..2 {
        let hints: [(&[u8], &[u8]); 2] =
            [(b":status", b"103"), (b"link", b"</a.css>; rel=preload")];
        upstream.send(&headers(stream, 0, &hints)).await;
        assert_eq!(client.read_until("\r\n\r\n").await, SEEN);
    }
    upstream.answer(stream, b"done").await;
    let answer = client.read_until("done").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}
