//! Faults of HTTP/2 endpoints, frame by frame, by their numbers in the table of faults.

use std::{sync::Arc, time::Duration};

use http::Request;
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};
use witgate_tests::{
    Http, body,
    client::{Answer, Client, Error},
    gateway::{Gateway, Pool, Setup},
    over_h1_and_h2,
    raw_h2::{END_STREAM, RawH2, RawH2Server, frame, headers, kind, settings},
    upstream::{Manner, Upstream},
};

const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
/// SETTINGS_MAX_CONCURRENT_STREAMS and SETTINGS_INITIAL_WINDOW_SIZE.
const MAX_STREAMS: u16 = 3;
const WINDOW: u16 = 4;

const URL: &str = "https://shop.example/cart";

struct Bench {
    server: RawH2Server,
    gateway: Gateway,
    client: Arc<Client>,
}

type Asked = JoinHandle<Result<Answer, Error>>;

impl Bench {
    async fn new(http: Http) -> Self {
        let server = RawH2Server::start().await;
        let pool = Pool::of(&format!(
            "endpoints = [\"{}\"]\nprotocol = \"http\"\nhttp = \"h2\"\nejection = {{ time = \"0s\" }}",
            server.address()
        ));
        let setup = Setup::new().workers(1);
        let gateway = setup.default_pool("web", pool).start().await;
        let client = Arc::new(gateway.client(http));
        Self {
            server,
            gateway,
            client,
        }
    }

    fn get(&self) -> Asked {
        let client = Arc::clone(&self.client);
        tokio::spawn(async move { client.try_get(URL).await })
    }

    fn post(&self, length: u64) -> Asked {
        let client = Arc::clone(&self.client);
        let request = Request::post(URL).body(body::zeros(length)).unwrap();
        tokio::spawn(async move { client.fetch(request).await })
    }

    /// A connection that has served a request.
    async fn used(&self) -> RawH2<TcpStream> {
        let first = self.get();
        let mut socket = self.server.accept(&[]).await;
        let stream = socket.request().await;
        socket.answer(stream, b"first").await;
        assert_eq!(got(first).await.text(), "first");
        socket
    }
}

/// Waits until the gateway has read all that was sent.
async fn is_known(socket: &mut RawH2<TcpStream>) {
    socket.send(&frame(kind::PING, 0, 0, b"are here")).await;
    let pong = socket.read_kind(kind::PING).await.unwrap();
    assert_eq!((pong.flags, &pong.payload[..]), (1, &b"are here"[..]));
}

async fn got(asked: Asked) -> Answer {
    asked.await.unwrap().unwrap()
}

fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, &code.to_be_bytes())
}

fn go_away(last: u32, code: u32) -> Vec<u8> {
    let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
    frame(kind::GOAWAY, 0, 0, &payload)
}

over_h1_and_h2! {
    async fn fault_17_a_request_above_the_last_stream_of_goaway_goes_out_again(http) {
        let bench = Bench::new(http).await;
        let mut old = bench.used().await;
        let asked = bench.get();
        let stream = old.request().await;
        old.send(&go_away(stream - 2, NO_ERROR)).await;
        let mut new = bench.server.accept(&[]).await;
        let stream = new.request().await;
        new.answer(stream, b"second").await;
        assert_eq!(got(asked).await.text(), "second");
        old.ends().await;
    }

    async fn fault_17_a_request_that_goaway_lets_live_is_served_and_no_other_follows_it(http) {
        let bench = Bench::new(http).await;
        let mut old = bench.used().await;
        let asked = bench.get();
        let stream = old.request().await;
        old.send(&go_away(stream, NO_ERROR)).await;
        old.answer(stream, b"to the end").await;
        assert_eq!(got(asked).await.text(), "to the end");
        old.ends().await;
        let asked = bench.get();
        let mut new = bench.server.accept(&[]).await;
        let stream = new.request().await;
        new.answer(stream, b"new").await;
        assert_eq!(got(asked).await.text(), "new");
    }

    async fn fault_17_a_request_that_goaway_let_live_is_not_sent_twice(http) {
        let bench = Bench::new(http).await;
        for is_post in [true, false] {
            let mut old = bench.used().await;
            let asked = if is_post { bench.post(10) } else { bench.get() };
            let stream = old.request().await;
            old.send(&go_away(stream, NO_ERROR)).await;
            drop(old);
            let answer = got(asked).await;
            assert_eq!((answer.status.as_u16(), answer.cause()), (502, "connection-closed"));
            assert!(!bench.server.is_connected_to(Duration::from_millis(200)).await);
        }
    }

    async fn fault_17_an_idle_connection_that_ends_without_goaway_costs_a_get_nothing(http) {
        let bench = Bench::new(http).await;
        let mut old = bench.used().await;
        let asked = bench.get();
        old.request().await;
        drop(old);
        let mut new = bench.server.accept(&[]).await;
        let stream = new.request().await;
        new.answer(stream, b"second").await;
        assert_eq!(got(asked).await.text(), "second");
    }

    async fn fault_17_a_refused_stream_goes_out_again(http) {
        let bench = Bench::new(http).await;
        let mut old = bench.used().await;
        let asked = bench.get();
        let stream = old.request().await;
        old.send(&reset(stream, REFUSED_STREAM)).await;
        let mut new = bench.server.accept(&[]).await;
        let stream = new.request().await;
        new.answer(stream, b"second").await;
        assert_eq!(got(asked).await.text(), "second");
    }

    async fn fault_17_another_reset_is_an_error_and_the_connection_goes_on(http) {
        let bench = Bench::new(http).await;
        let mut socket = bench.used().await;
        let asked = bench.get();
        let stream = socket.request().await;
        socket.send(&reset(stream, INTERNAL_ERROR)).await;
        let answer = got(asked).await;
        assert_eq!((answer.status.as_u16(), answer.cause()), (502, "stream-reset"));
        let asked = bench.get();
        let stream = socket.request().await;
        socket.answer(stream, b"fine").await;
        assert_eq!(got(asked).await.text(), "fine");
        assert!(!bench.server.is_connected_to(Duration::from_millis(100)).await);
    }

    async fn fault_17_a_reset_in_the_answer_is_never_its_end(http) {
        let bench = Bench::new(http).await;
        let mut socket = bench.used().await;
        for code in [INTERNAL_ERROR, CANCEL, NO_ERROR] {
            let asked = bench.get();
            let stream = socket.request().await;
            socket.send(&headers(stream, 0, &[(b":status", b"200")])).await;
            socket.send(&frame(kind::DATA, 0, stream, b"half of")).await;
            socket.send(&reset(stream, code)).await;
            assert!(asked.await.unwrap().is_err(), "code {code}");
        }
        let cut = |line: &serde_json::Value| line["cause"] == "response-cut";
        bench.gateway.access_line_where(cut).await;
    }

    async fn fault_17_an_early_answer_ends_with_it_and_the_connection_goes_on(http) {
        let bench = Bench::new(http).await;
        let mut socket = bench.used().await;
        let asked = bench.post(8 << 20);
        let stream = socket.request().await;
        socket.answer(stream, b"enough").await;
        socket.send(&reset(stream, NO_ERROR)).await;
        assert_eq!(got(asked).await.text(), "enough");
        let other = Arc::new(bench.gateway.client(http));
        let asked = tokio::spawn(async move { other.try_get(URL).await });
        let stream = socket.request().await;
        socket.answer(stream, b"next").await;
        assert_eq!(got(asked).await.text(), "next");
    }

    async fn fault_17_a_window_of_nothing_holds_the_body_until_it_opens(http) {
        let bench = Bench::new(http).await;
        let mut socket = bench.used().await;
        socket.send(&settings(&[(WINDOW, 0)])).await;
        is_known(&mut socket).await;
        let asked = bench.post(100);
        let stream = socket.request().await;
        let early = timeout(Duration::from_millis(200), socket.read_kind(kind::DATA)).await;
        assert!(early.is_err(), "{early:?}");
        socket.send(&frame(kind::WINDOW_UPDATE, 0, stream, &1000_u32.to_be_bytes())).await;
        let mut bytes = 0;
        while bytes < 100 {
            bytes += socket.read_kind(kind::DATA).await.unwrap().payload.len();
        }
        socket.answer(stream, b"all").await;
        assert_eq!(got(asked).await.text(), "all");
    }

    async fn fault_17_no_streams_at_all_is_a_matter_for_another_connection(http) {
        let bench = Bench::new(http).await;
        let mut old = bench.used().await;
        old.send(&settings(&[(MAX_STREAMS, 0)])).await;
        is_known(&mut old).await;
        let asked = bench.get();
        let mut new = bench.server.accept(&[]).await;
        let stream = new.request().await;
        new.answer(stream, b"elsewhere").await;
        assert_eq!(got(asked).await.text(), "elsewhere");
    }

    async fn fault_17_a_push_that_was_forbidden_ends_the_connection(http) {
        let bench = Bench::new(http).await;
        let mut socket = bench.used().await;
        let asked = bench.get();
        let stream = socket.request().await;
        let promise = [&2_u32.to_be_bytes()[..], &[0x82]].concat();
        socket.send(&frame(kind::PUSH_PROMISE, 4, stream, &promise)).await;
        let answer = got(asked).await;
        assert_eq!((answer.status.as_u16(), answer.cause()), (502, "response-invalid"));
        assert!(socket.read_kind(kind::GOAWAY).await.is_some());
        socket.ends().await;
    }

    async fn fault_17_an_endpoint_that_speaks_http1_after_all_is_an_error(http) {
        let refusal = Manner::Early(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
        let server = Upstream::start("web-1", None, refusal).await;
        let pool = Pool::plain(&[&server]).with("http = \"h2\"");
        let gateway = Setup::new().default_pool("web", pool).start().await;
        let answer = gateway.client(http).get(URL).await;
        assert_eq!((answer.status.as_u16(), answer.cause()), (502, "response-invalid"));
    }

    async fn fault_17_a_doubtful_length_is_refused(http) {
        let bench = Bench::new(http).await;
        let mut socket = bench.used().await;
        for lengths in [&[b"1", b"2"][..], &[b"x"]] {
            let asked = bench.get();
            let stream = socket.request().await;
            let mut fields: Vec<(&[u8], &[u8])> = vec![(b":status", b"200")];
            fields.extend(lengths.iter().map(|length| (&b"content-length"[..], &length[..])));
            socket.send(&headers(stream, 0, &fields)).await;
            socket.send(&frame(kind::DATA, END_STREAM, stream, b"1")).await;
            let answer = got(asked).await;
            assert_eq!((answer.status.as_u16(), answer.cause()), (502, "response-invalid"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_17_floods_of_frames_leave_memory_and_other_clients_alone() {
    let bench = Bench::new(Http::Two).await;
    let socket = bench.used().await;
    let before = bench.gateway.resident();
    // Never sent twice, as a GET would be.
    let asked = bench.post(1);
    let ping = frame(kind::PING, 0, 0, b"12345678");
    let unknown = frame(0xfa, 0, 0, &[0; 100]);
    let update = frame(kind::WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes());
    let empty = settings(&[]);
    let piece = [ping, unknown, update, empty].concat().repeat(50);
    socket.flood(&piece, 1000).await;
    // Whatever became of that connection, the gateway serves on.
    let _ = asked.await;
    let asked = bench.get();
    let mut new = bench.server.accept(&[]).await;
    let stream = new.request().await;
    new.answer(stream, b"fine").await;
    assert_eq!(got(asked).await.text(), "fine");
    let grown = bench.gateway.resident().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more");
}
