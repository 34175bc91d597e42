//! What clients may do wrong over HTTP/1.1, as bytes on raw sockets: each message is refused, or
//! goes on in one unambiguous form and the connection is closed. Numbers are those of the table
//! of faults.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use witgate_tests::{
    Http, body,
    gateway::{Gateway, Pool, Setup},
    over_h1_and_h2,
    raw::RawSocket,
    upstream::Upstream,
    wait, wasm,
};

const URL: &str = "https://shop.example/";

async fn gateway(change: impl FnOnce(Setup) -> Setup) -> (Upstream, Gateway) {
    let upstream = Upstream::pinned("web-1").await;
    let setup = Setup::new().default_pool("web", Pool::pinned(&[&upstream]));
    let gateway = change(setup).start().await;
    (upstream, gateway)
}

/// All that the gateway answers to these bytes, up to the end of the connection.
async fn answer(gateway: &Gateway, bytes: &[u8]) -> String {
    let mut socket = gateway.raw().await;
    socket.try_send(bytes).await;
    let read = tokio::time::timeout(wait::DEADLINE, socket.read_to_end()).await;
    read.unwrap_or_else(|_| panic!("no end of the connection after {}", bytes.escape_ascii()))
}

/// Reads to the end of the connection, which must come.
async fn ended(socket: &mut RawSocket) -> String {
    tokio::time::timeout(wait::DEADLINE, socket.read_to_end())
        .await
        .expect("the end of the connection")
}

/// The echo in an answer.
fn echo(answer: &str) -> Value {
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let json = &body[body.find('{').unwrap()..=body.rfind('}').unwrap()];
    serde_json::from_str(json).unwrap()
}

fn fields<'a>(echo: &'a Value, name: &str) -> Vec<&'a str> {
    let all = echo["headers"].as_array().unwrap().iter();
    let named = all.filter(|field| field[0] == name);
    named.map(|field| field[1].as_str().unwrap()).collect()
}

/// Good clients get good answers, whatever others have sent.
async fn serves(gateway: &Gateway) {
    for http in [Http::One, Http::Two] {
        assert_eq!(gateway.client(http).get(URL).await.status, 200);
    }
}

const HOST: &str = "host: shop.example\r\n";

#[tokio::test]
async fn fault_20_ambiguous_framing_is_refused() {
    let (upstream, gateway) = gateway(|setup| setup).await;
    for framing in [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: 5, 6\r\n",
        "content-length: +5\r\n",
        "content-length: -5\r\n",
        "content-length: 0x5\r\n",
        "content-length: 5 5\r\n",
        "content-length: 5a\r\n",
        "content-length: \r\n",
        "content-length: 99999999999999999999999\r\n",
        "content-length : 5\r\n",
        "transfer-encoding : chunked\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: identity\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: chunked, chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        "transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: \u{b}chunked\r\n",
        "transfer-encoding: \"chunked\"\r\n",
        "transfer-encoding:\r\n chunked\r\n",
        "x: 1\r\n transfer-encoding: chunked\r\n",
        "x: 1\rtransfer-encoding: chunked\r\n",
        "x: 1\0\r\n",
        "x y: 1\r\n",
        "x(y): 1\r\n",
        ": 1\r\n",
        "x\r\n",
    ] {
        let message = format!("POST /a HTTP/1.1\r\n{HOST}{framing}\r\n0\r\n\r\n");
        let answer = answer(&gateway, message.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{framing:?}: {answer}");
        assert_eq!(
            answer.matches("HTTP/1.1 ").count(),
            1,
            "{framing:?}: {answer}"
        );
    }
    assert_eq!(upstream.requests(), 0);
    serves(&gateway).await;
    gateway
        .counted(
            "witgate_connections_ended_total{listener=\"public\",cause=\"head-invalid\"}",
            5.0,
        )
        .await;
}

#[tokio::test]
async fn fault_20_a_bad_request_line_is_refused() {
    let (upstream, gateway) = gateway(|setup| setup).await;
    for line in [
        "GET /a",
        "GET /a HTTP/1.2",
        "GET /a HTTP/2.0",
        "GET /a HTTP/1.1 ",
        "GET /a b HTTP/1.1",
        "GET  /a HTTP/1.1",
        "GET\t/a HTTP/1.1",
        "G(T /a HTTP/1.1",
        " GET /a HTTP/1.1",
        "GET /a\0 HTTP/1.1",
        "GET HTTP/1.1",
        "/a HTTP/1.1",
        "PRI * HTTP/2.0",
    ] {
        let message = format!("{line}\r\n{HOST}\r\n");
        let answer = answer(&gateway, message.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{line:?}: {answer}");
    }
    assert_eq!(upstream.requests(), 0);
}

#[tokio::test]
async fn fault_20_length_beside_chunks_goes_on_as_chunks_alone_and_the_connection_ends() {
    let (upstream, gateway) = gateway(|setup| setup).await;
    for framing in [
        "content-length: 6\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 6\r\n",
        "content-length: 0\r\nTransfer-Encoding: CHUNKED \r\n",
    ] {
        let message = format!(
            "POST /a HTTP/1.1\r\n{HOST}{framing}\r\n3\r\nabc\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n{HOST}\r\n"
        );
        let before = upstream.requests();
        let answer = answer(&gateway, message.as_bytes()).await;
        assert!(!answer.contains("/smuggled"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        if answer.starts_with("HTTP/1.1 200 ") {
            let echo = echo(&answer);
            assert_eq!(fields(&echo, "content-length"), [""; 0], "{echo}");
            assert_eq!(fields(&echo, "transfer-encoding"), ["chunked"], "{echo}");
            assert_eq!(echo["bytes"], 3, "{echo}");
        } else {
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
            assert_eq!(upstream.requests(), before);
        }
    }
}

#[tokio::test]
async fn fault_20_a_transfer_coding_in_http_1_0_is_refused() {
    let (upstream, gateway) = gateway(|setup| setup).await;
    let message = format!("POST /a HTTP/1.0\r\n{HOST}transfer-encoding: chunked\r\n\r\n0\r\n\r\n");
    let answer = answer(&gateway, message.as_bytes()).await;
    assert!(answer.contains(" 400 "), "{answer}");
    assert_eq!(upstream.requests(), 0);
}

#[tokio::test]
async fn fault_20_a_malformed_chunk_ends_the_request_and_the_connection() {
    let (_upstream, gateway) = gateway(|setup| setup).await;
    for chunks in [
        "5x\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "\r\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
    ] {
        let message = format!(
            "POST /count HTTP/1.1\r\n{HOST}transfer-encoding: chunked\r\n\r\n{chunks}GET /smuggled HTTP/1.1\r\n{HOST}\r\n"
        );
        let answer = answer(&gateway, message.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{chunks:?}: {answer}");
        assert!(
            answer.contains("request-body-failed"),
            "{chunks:?}: {answer}"
        );
        assert_eq!(
            answer.matches("HTTP/1.1 ").count(),
            1,
            "{chunks:?}: {answer}"
        );
    }
    serves(&gateway).await;
}

#[tokio::test]
async fn fault_20_chunk_extensions_and_bare_line_feeds_go_on_in_one_form() {
    let (_upstream, gateway) = gateway(|setup| setup).await;
    let message = format!(
        "POST /a HTTP/1.1\r\n{HOST}transfer-encoding: chunked\r\nconnection: close\r\n\r\n\
         3;a=b;c=\"d\"\r\nabc\r\n0;last\r\n\r\n"
    );
    let sent = answer(&gateway, message.as_bytes()).await;
    assert_eq!(echo(&sent)["bytes"], 3, "{sent}");
    let message = "GET /a HTTP/1.1\nhost: shop.example\nconnection: close\n\n";
    let sent = answer(&gateway, message.as_bytes()).await;
    assert!(
        sent.starts_with("HTTP/1.1 400 ") || echo(&sent)["target"] == "/a",
        "{sent}"
    );
}

#[tokio::test]
async fn fault_20_a_host_that_is_missing_or_stands_twice_is_refused() {
    let (upstream, gateway) = gateway(|setup| setup).await;
    for hosts in [
        "",
        "host: a\r\nhost: b\r\n",
        "host: a\r\nHost: a\r\n",
        "host:\r\n",
        "host: a, b\r\n",
    ] {
        let message = format!("GET / HTTP/1.1\r\n{hosts}connection: close\r\n\r\n");
        let answer = answer(&gateway, message.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{hosts:?}: {answer}");
        assert!(answer.contains("host-invalid"), "{hosts:?}: {answer}");
    }
    assert_eq!(upstream.requests(), 0);
}

#[tokio::test]
async fn fault_22_connection_cannot_take_away_what_a_plugin_sets() {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = Setup::new()
        .default_pool("web", Pool::pinned(&[&upstream]))
        .plugin(
            "40-forwarded-headers",
            &wasm::reference("forwarded-headers"),
        )
        .start()
        .await;
    let message = format!(
        "GET / HTTP/1.1\r\n{HOST}connection: close, x-forwarded-for, host, x-a\r\nx-forwarded-for: 203.0.113.1\r\nx-a: 1\r\n\r\n"
    );
    let echo = echo(&answer(&gateway, message.as_bytes()).await);
    assert_eq!(fields(&echo, "x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(fields(&echo, "host"), ["shop.example"]);
    assert_eq!(fields(&echo, "x-a"), [""; 0]);
}

#[tokio::test]
async fn fault_23_a_clients_copies_of_the_gateways_fields_are_replaced() {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = Setup::new()
        .default_pool("web", Pool::pinned(&[&upstream]))
        .plugin(
            "40-forwarded-headers",
            &wasm::reference("forwarded-headers"),
        )
        .start()
        .await;
    let message = format!(
        "GET / HTTP/1.1\r\n{HOST}connection: close\r\nX-Forwarded-For: 203.0.113.1\r\n\
         x_forwarded_for: 203.0.113.2\r\nX-Forwarded_For: 203.0.113.3\r\nx-forwarded-proto: gopher\r\n\r\n"
    );
    let answer = answer(&gateway, message.as_bytes()).await;
    assert_eq!(fields(&echo(&answer), "x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(fields(&echo(&answer), "x-forwarded-proto"), ["https"]);
    assert!(!answer.contains("203.0.113"), "{answer}");
}

#[tokio::test]
async fn fault_29_a_head_that_never_ends_is_cut_and_others_are_served() {
    let (upstream, gateway) =
        gateway(|setup| setup.table("[timeouts]\nrequest_head = \"500ms\"")).await;
    let mut slow = gateway.raw().await;
    slow.send(b"GET / HTTP/1.1\r\nhost: shop.exa").await;
    let mut silent = gateway.raw().await;
    let mut silent_h2 = gateway.raw_with(&["h2"]).await;
    serves(&gateway).await;
    for socket in [&mut slow, &mut silent, &mut silent_h2] {
        ended(socket).await;
    }
    assert_eq!(upstream.requests(), 2);
    gateway
        .counted(
            "witgate_connections_ended_total{listener=\"public\",cause=\"head-timeout\"}",
            2.0,
        )
        .await;
}

#[tokio::test]
async fn fault_29_a_tls_handshake_that_never_ends_is_cut() {
    let (_upstream, gateway) =
        gateway(|setup| setup.table("[timeouts]\ntls_handshake = \"300ms\"")).await;
    let mut silent = TcpStream::connect(gateway.address()).await.unwrap();
    let mut begun = TcpStream::connect(gateway.address()).await.unwrap();
    begun.write_all(&[0x16, 3, 1, 2, 0, 1, 0]).await.unwrap();
    serves(&gateway).await;
    for socket in [&mut silent, &mut begun] {
        let mut sink = Vec::new();
        let read = tokio::time::timeout(wait::DEADLINE, socket.read_to_end(&mut sink));
        let _ = read.await.expect("the end of the connection");
    }
    serves(&gateway).await;
}

over_h1_and_h2! {
    async fn fault_29_a_body_that_stops_is_408(http) {
        let (_upstream, gateway) = gateway(|setup| setup.table("[timeouts]\nbody_idle = \"300ms\"\nbody_min_rate = 0")).await;
        let request = http::Request::post(URL).body(body::unfinished("the beginning")).unwrap();
        let answer = gateway.client(http).fetch(request).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.cause()), (408, "request-body-timeout"));
        serves(&gateway).await;
    }
}

#[tokio::test]
async fn fault_29_a_client_that_reads_nothing_is_cut() {
    let (_upstream, gateway) =
        gateway(|setup| setup.table("[timeouts]\nbody_idle = \"300ms\"")).await;
    let mut socket = gateway.raw().await;
    let head = format!("GET /bytes/1000000000 HTTP/1.1\r\n{HOST}\r\n");
    socket.send(head.as_bytes()).await;
    let line = gateway
        .access_line_where(|line| line["path"] == "/bytes/1000000000")
        .await;
    assert!(line["bytes_out"].as_u64().unwrap() < 100_000_000, "{line}");
    assert!(line["cause"].is_string(), "{line}");
    serves(&gateway).await;
}

#[tokio::test]
async fn fault_30_heads_that_are_too_large_are_refused() {
    let limits = "[limits]\nhead_bytes = \"8KiB\"\nhead_fields = 20\ntarget_bytes = \"1KiB\"";
    let (upstream, gateway) = gateway(|setup| setup.table(limits)).await;
    let long = "a".repeat(10_000);
    let many: String = (0..21).map(|n| format!("x-{n}: 1\r\n")).collect();
    let get = |line: &str, more: &str| {
        format!("{line} HTTP/1.1\r\n{HOST}{more}connection: close\r\n\r\n")
    };
    for (message, status) in [
        (get("GET /", &format!("x: {long}\r\n")), "431"),
        (get("GET /", &format!("cookie: {long}\r\n")), "431"),
        (get("GET /", &format!("x-{long}: 1\r\n")), "431"),
        (get("GET /", &many), "431"),
        (get(&format!("GET /{}", "a".repeat(1024)), ""), "414"),
        (get(&format!("GET /?{}", "a".repeat(2000)), ""), "414"),
        (get(&format!("{long} /"), ""), "431"),
    ] {
        let answer = answer(&gateway, message.as_bytes()).await;
        let start = message.get(..30).unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{start}: {answer}"
        );
    }
    assert_eq!(upstream.requests(), 0);
    serves(&gateway).await;
}

over_h1_and_h2! {
    async fn fault_30_a_declared_body_that_is_too_large_is_413_before_the_upstream_sees_it(http) {
        let (upstream, gateway) = gateway(|setup| setup.listener("requests.body_bytes = \"1KiB\"")).await;
        let client = gateway.client(http);
        let put = |length| http::Request::put("https://shop.example/count").body(body::zeros(length)).unwrap();
        let fits = client.fetch(put(1024)).await.unwrap();
        assert_eq!(fits.text(), "{\"bytes\":1024}");
        let answer = client.fetch(put(1025)).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.cause()), (413, "request-body-too-large"));
        assert_eq!(upstream.requests(), 1);
        let line = gateway.access_line(&answer).await;
        assert_eq!(line["cause"], "request-body-too-large");
    }

    async fn fault_30_a_body_that_becomes_too_large_is_413_and_never_whole_upstream(http) {
        let (upstream, gateway) = gateway(|setup| setup.listener("requests.body_bytes = \"1KiB\"")).await;
        let client = gateway.client(http);
        let pieces = |count: usize| {
            let frames = (0..count).map(|_| Ok(hyper::body::Frame::data("x".repeat(512).into())));
            http::Request::put("https://shop.example/count").body(body::frames(frames.collect())).unwrap()
        };
        assert_eq!(client.fetch(pieces(2)).await.unwrap().text(), "{\"bytes\":1024}");
        let answer = client.fetch(pieces(3)).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.cause()), (413, "request-body-too-large"));
        assert!(upstream.bytes() < 4096, "{}", upstream.bytes());
        serves(&gateway).await;
    }
}

#[tokio::test]
async fn fault_30_ten_thousand_ranges_go_through_as_one_field() {
    let (_upstream, gateway) = gateway(|setup| setup).await;
    let ranges: Vec<_> = (0..10_000).map(|n| format!("{n}-")).collect();
    let range = format!("bytes={}", ranges.join(","));
    let echo = gateway
        .client(Http::Two)
        .get_with(URL, &[("range", &range)])
        .await
        .echo();
    assert_eq!(echo.all("range"), [range]);
}

#[tokio::test]
async fn fault_31_expect_is_answered_once_and_the_body_follows() {
    let (_upstream, gateway) = gateway(|setup| setup).await;
    let mut socket = gateway.raw().await;
    let head = format!(
        "POST /count HTTP/1.1\r\n{HOST}expect: 100-continue\r\ncontent-length: 3\r\nconnection: close\r\n\r\n"
    );
    socket.send(head.as_bytes()).await;
    let first = socket.read_until("\r\n\r\n").await;
    assert!(first.starts_with("HTTP/1.1 100 "), "{first}");
    socket.send(b"abc").await;
    let answer = ended(&mut socket).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains("{\"bytes\":3}"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_client_with_too_many_connections_gets_no_more() {
    let (_upstream, gateway) =
        gateway(|setup| setup.table("[limits]\nconnections_per_client = 2")).await;
    let first = gateway.raw().await;
    let second = gateway.raw().await;
    let refused = gateway.client(Http::One).try_get(URL).await;
    assert!(refused.is_err(), "{refused:?}");
    gateway
        .counted(
            "witgate_connections_ended_total{listener=\"public\",cause=\"client-limit\"}",
            1.0,
        )
        .await;
    drop(first);
    witgate_tests::eventually!("a place", gateway.client(Http::One).try_get(URL).await.ok());
    drop(second);
}

#[tokio::test]
async fn accepting_pauses_at_the_number_of_connections_in_all() {
    let (_upstream, gateway) =
        gateway(|setup| setup.workers(1).table("[limits]\nconnections = 2")).await;
    let first = gateway.raw().await;
    let second = gateway.raw().await;
    let client = gateway.client(Http::One);
    let waiting = tokio::spawn(async move { client.get(URL).await.status });
    gateway.logged(&["accepting pauses"]).await;
    assert!(!waiting.is_finished());
    drop(first);
    assert_eq!(waiting.await.unwrap(), 200);
    drop(second);
}

#[tokio::test]
async fn fault_57_used_up_descriptors_pause_accepting_and_leave_enough_for_upstreams() {
    let (upstream, gateway) = gateway(|setup| setup.descriptors(256)).await;
    let mut sockets = Vec::new();
    for _ in 0..400 {
        sockets.push(TcpStream::connect(gateway.address()).await.unwrap());
    }
    gateway.logged(&["accepting pauses"]).await;
    assert!(
        gateway.descriptors() < 200,
        "{} descriptors",
        gateway.descriptors()
    );
    let (ticks, begin) = (gateway.ticks(), Instant::now());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let busy = (gateway.ticks() - ticks) as f64 / (begin.elapsed().as_secs_f64() * 100.0);
    assert!(busy < 0.5, "{busy} of a processor while accepting pauses");
    let (status, _) = gateway.admin("/healthz").await;
    assert_eq!(status, 200);
    drop(sockets);
    serves(&gateway).await;
    assert_eq!(upstream.requests(), 2);
}
