//! The faults of what upstreams send, by their numbers in the table of faults: answers that are
//! not HTTP, that two readers would read in two ways, or that are out of all proportion.

use std::time::Duration;

use witgate_tests::{
    Http, eventually,
    gateway::{Gateway, Setup},
    over_h1_and_h2,
    scripted::{End, Scripted, Talk},
};

const URL: &str = "https://shop.example/cart";

/// What the gateway's memory may grow by in these tests: some buffers.
const GROWTH: u64 = 24 << 20;

async fn before(upstream: &Scripted) -> Gateway {
    let setup = Setup::new().default_pool("web", upstream.pool());
    setup.start().await
}

/// Each of these is answered once, in turn, by a connection of its own; the last ones stay open.
async fn answering(messages: &'static [&'static [u8]]) -> Scripted {
    Scripted::tls(move |mut talk: Talk| async move {
        let message = messages.get(usize::try_from(talk.number - 1).unwrap());
        if talk.request().await.is_some() {
            talk.send(message.copied().unwrap_or(b"no more")).await;
            talk.held().await;
        }
    })
    .await
}

/// All are 502, and none of their connections carries another request.
async fn are_502(http: Http, messages: &'static [&'static [u8]]) {
    let upstream = answering(messages).await;
    let gateway = before(&upstream).await;
    let client = gateway.client(http);
    for (number, message) in (1..).zip(messages) {
        let answer = client.get(URL).await;
        let seen = (answer.status.as_u16(), answer.cause());
        let message = String::from_utf8_lossy(message);
        assert_eq!(seen, (502, "response-invalid"), "{message:?}: {answer:?}");
        assert_eq!(upstream.connections(), number, "{message:?}");
        eventually!(
            "its connection is closed",
            (upstream.ended() == number).then_some(())
        );
    }
}

over_h1_and_h2! {
    async fn fault_06_what_is_no_answer_is_502_and_its_connection_is_closed(http) {
        are_502(http, &[
            b"220 mail.internal ESMTP\r\n",
            b"<html>HTTP/0.9</html>\r\n",
            b"\x15\x03\x01\x00\x02\x02\x50\r\n",
            b"HTTP/1.1\r\n\r\n",
            b"HTTP/1.1 \r\n\r\n",
            b"HTTP/1.1 99 Low\r\n\r\n",
            b"HTTP/1.1 1000 High\r\n\r\n",
            b"HTTP/1.1 -20 Negative\r\n\r\n",
            b"HTTP/1.1 20O OK\r\n\r\n",
            b"HTTP/3.0 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
            b"HTTP/1.1 200 OK\r\na name: with a space\r\n\r\n",
        ]).await;
    }

    async fn fault_06_half_a_head_is_502(http) {
        for end in [End::Whole, End::Cut, End::Reset] {
            let upstream = Scripted::tls(move |mut talk: Talk| async move {
                talk.request().await;
                talk.send("HTTP/1.1 200 OK\r\ncontent-le").await;
                talk.end(end).await;
            })
            .await;
            let answer = before(&upstream).await.client(http).get(URL).await;
            assert_eq!(answer.status, 502, "{end:?}: {answer:?}");
            assert_eq!(upstream.requests(), 1);
        }
    }

    async fn fault_07_lengths_that_contradict_are_502(http) {
        are_502(http, &[
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\ncontent-length: 2, 3\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\ncontent-length: 0x2\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, identity\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ]).await;
    }

    async fn fault_07_chunks_count_more_than_a_length_and_end_the_connection(http) {
        let upstream = answering(&[
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 9\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ]).await;
        let gateway = before(&upstream).await;
        let client = gateway.client(http);
        for connections in 1..3 {
            let answer = client.get(URL).await;
            assert_eq!((answer.status.as_u16(), answer.text()), (200, "abc"));
            assert_eq!(answer.all("content-length"), Vec::<&str>::new());
            assert_eq!(upstream.connections(), connections);
        }
    }

    async fn fault_07_a_bad_chunk_never_looks_whole(http) {
        const BAD: &[&[u8]] = &[
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        ];
        let upstream = answering(BAD).await;
        let gateway = before(&upstream).await;
        for (number, message) in (1..).zip(BAD) {
            let message = String::from_utf8_lossy(message);
            // Of what came before the bad chunk the client may see some, but never an end.
            if let Ok(answer) = gateway.client(http).try_get(URL).await {
                assert_eq!(answer.status, 502, "{message:?}: {answer:?}");
            }
            assert_eq!(upstream.connections(), number, "{message:?}");
            eventually!("its connection is closed", (upstream.ended() == number).then_some(()));
        }
    }

    async fn fault_08_bytes_behind_an_answer_reach_nobody(http) {
        const POISON: &str = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
        // With the answer, a little later, and behind answers that have no body.
        let upstream = Scripted::tls(|mut talk: Talk| async move {
            let Some(head) = talk.request().await else { return };
            let number = talk.number;
            let body = if head.starts_with("HEAD") { "" } else { "own" };
            let own = format!("HTTP/1.1 200 OK\r\nx-number: {number}\r\ncontent-length: 3\r\n\r\n{body}");
            match number % 2 {
                0 => talk.send(own + POISON).await,
                _ => talk.send(own).await && {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    talk.send(POISON).await
                },
            };
            talk.held().await;
        })
        .await;
        let gateway = before(&upstream).await;
        let client = gateway.client(http);
        for number in 1..=12 {
            let method = if number % 3 == 0 { "HEAD" } else { "GET" };
            let request = http::Request::builder().method(method).uri(URL);
            let request = request.body(witgate_tests::body::empty()).unwrap();
            let answer = client.fetch(request).await.unwrap();
            assert_eq!(answer.status, 200);
            assert_ne!(answer.text(), "poison");
            // What comes later comes on an idle connection, which ends of it.
            eventually!("its connection is closed", (upstream.ended() == number).then_some(()));
            assert_eq!(answer.header("x-number"), number.to_string());
        }
        assert_eq!(upstream.connections(), 12);
    }

    async fn fault_09_control_characters_in_a_value_never_reach_a_client(http) {
        are_502(http, &[
            b"HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nx: a\x7fb\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nx: a\r\n folded\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nx: a\nno colon\r\ncontent-length: 0\r\n\r\n",
        ]).await;
    }

    async fn fault_10_answers_out_of_all_proportion_are_502_in_bounded_memory(http) {
        let upstream = Scripted::tls(|mut talk: Talk| async move {
            talk.request().await;
            let fields: String = match talk.number {
                1 => format!("x: {}\r\n", "a".repeat(1 << 20)),
                _ => (0..20_000).map(|n| format!("x-{n}: 1\r\n")).collect(),
            };
            talk.send(format!("HTTP/1.1 200 OK\r\n{fields}content-length: 0\r\n\r\n")).await;
            talk.held().await;
        })
        .await;
        let gateway = before(&upstream).await;
        let before = gateway.peak();
        for number in 1..3 {
            let answer = gateway.client(http).get(URL).await;
            assert_eq!((answer.status.as_u16(), answer.cause()), (502, "response-invalid"));
            eventually!("its connection is closed", (upstream.ended() == number).then_some(()));
        }
        let grown = gateway.peak() - before;
        assert!(grown < GROWTH, "{} KiB more", grown >> 10);
    }

    async fn fault_10_interim_answers_are_passed_over_until_the_answer_is_late(http) {
        // 5,000 are legal (RFC 9110 §15.2); they never end at the second request.
        let upstream = Scripted::tls(|mut talk: Talk| async move {
            let head = talk.request().await.unwrap_or_default();
            let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(50);
            let mut left = if head.contains("/endless") { usize::MAX } else { 100 };
            while left > 0 && talk.send(&interim).await {
                left -= 1;
            }
            talk.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            talk.held().await;
        })
        .await;
        let pool = upstream.pool().with("timeouts = { first_byte = \"2s\" }");
        let gateway = Setup::new().default_pool("web", pool).start().await;
        let client = gateway.client(http);
        let before = gateway.peak();
        assert_eq!(client.get(URL).await.text(), "ok");
        let late = client.get("https://shop.example/endless").await;
        assert_eq!((late.status.as_u16(), late.cause()), (504, "first-byte-timeout"));
        let grown = gateway.peak() - before;
        assert!(grown < GROWTH, "{} KiB more", grown >> 10);
    }

    async fn fault_10_a_switch_of_protocols_that_was_not_asked_for_is_502(http) {
        are_502(http, &[
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: other\r\n\r\nbytes",
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        ]).await;
    }
}
