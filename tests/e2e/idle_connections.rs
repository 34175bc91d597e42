//! Connections of HTTP/1.1 that idle for longer than the gateway keeps buffers for them.

use std::time::{Duration, Instant};

use witgate_tests::{
    gateway::{Gateway, Pool, Setup},
    raw::RawSocket,
    upstream::Upstream,
    wait,
};

const REQUEST: &[u8] = b"HEAD / HTTP/1.1\r\nhost: shop.example\r\n\r\n";
/// Longer than a connection idles before its buffers go.
const LONG: Duration = Duration::from_millis(900);

async fn gateway(timeouts: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = Setup::new()
        .workers(1)
        .default_pool("web", Pool::pinned(&[&upstream]))
        .table(&format!("[timeouts]\n{timeouts}"))
        .start()
        .await;
    (upstream, gateway)
}

async fn answered(socket: &mut RawSocket) {
    let head = socket.read_until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
}

/// Its connection ends, and nothing comes before that.
async fn ended(socket: &mut RawSocket) {
    let read = tokio::time::timeout(wait::DEADLINE, socket.read_to_end()).await;
    assert_eq!(read.expect("the end of the connection"), "");
}

#[tokio::test]
async fn a_connection_serves_on_after_each_pause() {
    let (upstream, gateway) = gateway("request_head = \"30s\"").await;
    let mut socket = gateway.raw().await;
    tokio::time::sleep(LONG).await;
    for _ in 0..3 {
        socket.send(REQUEST).await;
        answered(&mut socket).await;
        socket.send(REQUEST).await;
        answered(&mut socket).await;
        tokio::time::sleep(LONG).await;
    }
    assert_eq!(upstream.requests(), 6);
    let accepted = gateway.metric("witgate_connections_total{listener=\"public\"}");
    assert_eq!(accepted.await, 1.0);
}

#[tokio::test]
async fn a_head_may_pause_in_its_middle() {
    let (_upstream, gateway) = gateway("request_head = \"30s\"").await;
    let mut socket = gateway.raw().await;
    let (begin, rest) = REQUEST.split_at(12);
    // Behind a request, so that the pieces come in one read; then byte by byte.
    socket.send(&[REQUEST, begin].concat()).await;
    answered(&mut socket).await;
    tokio::time::sleep(LONG).await;
    socket.send(rest).await;
    answered(&mut socket).await;
    for byte in REQUEST {
        socket.send(&[*byte]).await;
        tokio::time::sleep(LONG / 16).await;
    }
    answered(&mut socket).await;
}

#[tokio::test]
async fn two_requests_at_once_after_a_pause_are_both_answered() {
    let (_upstream, gateway) = gateway("request_head = \"30s\"").await;
    let mut socket = gateway.raw().await;
    tokio::time::sleep(LONG).await;
    socket.send(&[REQUEST, REQUEST].concat()).await;
    answered(&mut socket).await;
    answered(&mut socket).await;
}

#[tokio::test]
async fn an_idle_connection_ends_at_its_time() {
    let (_upstream, gateway) = gateway("request_head = \"1500ms\"").await;
    let mut socket = gateway.raw().await;
    socket.send(REQUEST).await;
    answered(&mut socket).await;
    let begin = Instant::now();
    ended(&mut socket).await;
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(1400), "{took:?}");
    let ended = "witgate_connections_ended_total{listener=\"public\",cause=\"head-timeout\"}";
    gateway.counted(ended, 1.0).await;
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_the_end() {
    let (_upstream, gateway) = gateway("request_head = \"60s\"\nshutdown_grace = \"60s\"").await;
    let mut socket = gateway.raw().await;
    socket.send(REQUEST).await;
    answered(&mut socket).await;
    tokio::time::sleep(LONG).await;
    let begin = Instant::now();
    let (status, ()) = tokio::join!(gateway.stop(), ended(&mut socket));
    assert!(status.success(), "{status:?}");
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn an_idle_connection_takes_little_memory() {
    const CONNECTIONS: u64 = 1000;
    let (_upstream, gateway) = gateway("request_head = \"60s\"").await;
    let mut held = Vec::new();
    let mut open = async |count| {
        for _ in 0..count {
            let mut socket = gateway.raw().await;
            socket.send(REQUEST).await;
            answered(&mut socket).await;
            held.push(socket);
        }
        tokio::time::sleep(LONG * 2).await;
        gateway.resident()
    };
    let before = open(50).await;
    let after = open(CONNECTIONS).await;
    let each = after.saturating_sub(before) / CONNECTIONS;
    assert!(each < 36 << 10, "{each} bytes for each connection");
}
