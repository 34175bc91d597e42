//! The faults of upstreams and clients that are slow or stop, by their numbers in the table of
//! faults: nobody is waited for without an end, and nothing is gathered meanwhile.

use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use tokio::io::AsyncReadExt as _;
use witgate_tests::{
    Http, body,
    client::get,
    eventually,
    gateway::{Gateway, Pool, Setup},
    over_h1_and_h2,
    raw_h2::{self, RawH2, frame as frame_bytes, kind},
    scripted::{Scripted, Talk},
    upstream::Upstream,
    wait,
};

const URL: &str = "https://shop.example/cart";

/// What the gateway's memory may grow by while 50 MB go through: buffers of two connections.
const GROWTH: u64 = 24 << 20;

async fn gateway(pool: Pool, timeouts: &str) -> Gateway {
    let setup = Setup::new().default_pool("web", pool);
    let setup = setup.table(&format!("[timeouts]\n{timeouts}"));
    setup.start().await
}

over_h1_and_h2! {
    async fn fault_11_an_answer_that_stops_is_cut_at_the_read_timeout(http) {
        let upstream = Scripted::tls(|mut talk: Talk| async move {
            talk.request().await;
            talk.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
            talk.held().await;
        })
        .await;
        let gateway = gateway(upstream.pool(), "body_idle = \"500ms\"").await;
        gateway.client(http).try_get(URL).await.unwrap_err();
        let line = gateway.access_line_where(|line| line["path"] == "/cart").await;
        assert_eq!(line["cause"], "response-body-timeout", "{line}");
        eventually!("the end of its connection", (upstream.ended() == 1).then_some(()));
    }

    async fn fault_11_an_upstream_that_stops_reading_the_request_is_504(http) {
        let upstream = Scripted::tls(|mut talk: Talk| async move {
            talk.request().await;
            // It reads no further, and is silent.
            tokio::time::sleep(wait::DEADLINE).await;
        })
        .await;
        let pool = upstream.pool().with("timeouts = { first_byte = \"500ms\" }");
        let gateway = gateway(pool, "").await;
        let begun = Instant::now();
        let request = http::Request::put(URL).body(body::zeros(50_000_000)).unwrap();
        let answer = gateway.client(http).fetch(request).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.cause()), (504, "first-byte-timeout"));
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert_eq!(upstream.requests(), 1);
    }

    async fn fault_12_a_slow_upstream_holds_the_client_back_and_no_memory(http) {
        const LENGTH: u64 = 50_000_000;
        let upstream = Scripted::tls(|mut talk: Talk| async move {
            talk.request().await;
            for _ in 0..100 {
                talk.body(500_000).await.unwrap();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            talk.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            talk.held().await;
        })
        .await;
        let gateway = gateway(upstream.pool(), "").await;
        let before = gateway.peak();
        let begun = Instant::now();
        let request = http::Request::post(URL).body(body::zeros(LENGTH)).unwrap();
        assert_eq!(gateway.client(http).fetch(request).await.unwrap().text(), "ok");
        assert!(begun.elapsed() > Duration::from_millis(800), "it was slow");
        let grown = gateway.peak() - before;
        assert!(grown < GROWTH, "{} KiB more", grown >> 10);
    }

    async fn fault_12_a_slow_client_holds_the_upstream_back_and_no_memory(http) {
        const LENGTH: usize = 50_000_000;
        let upstream = Upstream::pinned("web-1").await;
        let gateway = gateway(Pool::pinned(&[&upstream]), "").await;
        let before = gateway.peak();
        let client = gateway.client(http);
        let url = format!("https://shop.example/bytes/{LENGTH}");
        let mut body = client.send(get(&url)).await.unwrap().into_body();
        let (mut read, mut pause) = (0, 0);
        while let Some(frame) = body.frame().await {
            let more = frame.unwrap().data_ref().map_or(0, |data| data.len());
            read += more;
            pause += more;
            if pause > 1 << 19 {
                pause = 0;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        assert_eq!(read, LENGTH);
        let grown = gateway.peak() - before;
        assert!(grown < GROWTH, "{} KiB more", grown >> 10);
    }

    async fn fault_29_a_body_that_trickles_is_408_and_one_that_only_pauses_is_not(http) {
        let upstream = Upstream::pinned("web-1").await;
        let timeouts = "body_idle = \"1s\"\nbody_min_rate = \"1KB\"";
        let gateway = gateway(Pool::pinned(&[&upstream]), timeouts).await;
        // One byte every 50 ms are 20 a second, without ever a pause.
        let request = http::Request::post(URL).body(body::paced(1, 1_000, Duration::from_millis(50)));
        let begun = Instant::now();
        let slow = gateway.client(http).fetch(request.unwrap()).await.unwrap();
        assert_eq!((slow.status.as_u16(), slow.cause()), (408, "request-body-slow"), "{slow:?}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        let line = gateway.access_line(&slow).await;
        assert_eq!((&line["cause"], &line["status"]), (&"request-body-slow".into(), &408.into()));
        // 4 kB a second are enough, in whichever pieces they come.
        let request = http::Request::post(URL).body(body::paced(2_000, 6, Duration::from_millis(500)));
        let enough = gateway.client(http).fetch(request.unwrap()).await.unwrap();
        assert_eq!(enough.echo().bytes, 12_000);
        // A call of gRPC may be silent for most of its time.
        let request = http::Request::post(URL)
            .header("content-type", "application/grpc+proto")
            .body(body::paced(1, 30, Duration::from_millis(100)));
        let grpc = gateway.client(http).fetch(request.unwrap()).await.unwrap();
        assert_eq!(grpc.echo().bytes, 30);
    }
}

#[tokio::test]
async fn a_body_may_trickle_once_its_answer_has_begun() {
    let upstream = Scripted::tls(|mut talk: Talk| async move {
        talk.request().await;
        talk.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n")
            .await;
        // The end of the answer follows that of the request; neither is ever silent for long.
        for _ in 0..30 {
            talk.until("\r\na\r\n").await;
            talk.send("1\r\n.\r\n").await;
        }
        talk.until("0\r\n\r\n").await;
        talk.send("0\r\n\r\n").await;
        talk.held().await;
    })
    .await;
    let timeouts = "body_idle = \"1s\"\nbody_min_rate = \"1KB\"";
    let gateway = gateway(upstream.pool(), timeouts).await;
    let body = body::paced(1, 30, Duration::from_millis(100));
    let request = http::Request::post(URL).body(body).unwrap();
    let answer = gateway.client(Http::Two).fetch(request).await.unwrap();
    assert_eq!(answer.text(), format!("ok{}", ".".repeat(30)));
}

#[tokio::test]
async fn fault_28_a_client_that_reads_one_byte_at_a_time_is_cut_over_h1() {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = gateway(Pool::pinned(&[&upstream]), "body_idle = \"1s\"").await;
    let mut socket = gateway.raw().await;
    let head = b"GET /bytes/100000000 HTTP/1.1\r\nhost: shop.example\r\n\r\n";
    socket.send(head).await;
    // The bytes of the wire, as those of TLS come a record at a time.
    let (mut tcp, _) = socket.into_inner().into_inner();
    let begun = Instant::now();
    let mut byte = [0];
    let line = loop {
        let _ = tokio::time::timeout(Duration::from_millis(20), tcp.read(&mut byte)).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        let lines = gateway.access_lines();
        if let Some(line) = lines.into_iter().next() {
            break line;
        }
        assert!(begun.elapsed() < wait::DEADLINE, "it is never cut");
    };
    assert_eq!(
        (&line["cause"], &line["status"]),
        (&"client-stalled".into(), &200.into())
    );
    assert_eq!(gateway.client(Http::One).get(URL).await.status, 200);
}

#[tokio::test]
async fn fault_28_a_client_that_opens_its_window_by_one_byte_at_a_time_is_cut_over_h2() {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = gateway(Pool::pinned(&[&upstream]), "body_idle = \"1s\"").await;
    let mut socket = RawH2::open(&gateway, &[(4, 0)]).await;
    socket.send(&raw_h2::get(1, "/bytes/10000000")).await;
    let (begun, mut bytes) = (Instant::now(), 0);
    loop {
        let frame = socket.read().await.expect("the connection goes on");
        match frame.kind {
            kind::RST_STREAM => break,
            kind::DATA => bytes += frame.payload.len(),
            kind::HEADERS => {}
            _ => continue,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        let one = frame_bytes(kind::WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes());
        socket.send(&one).await;
        assert!(begun.elapsed() < wait::DEADLINE, "it is never reset");
    }
    assert!((1..1000).contains(&bytes), "{bytes} bytes");
    let path = "/bytes/10000000";
    let line = gateway.access_line_where(|line| line["path"] == path).await;
    assert_eq!(
        (&line["cause"], &line["status"]),
        (&"client-stalled".into(), &200.into())
    );
}
