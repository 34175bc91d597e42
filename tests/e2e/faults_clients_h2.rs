//! What clients may do wrong over HTTP/2, as frames on raw sockets. Numbers are those of the
//! table of faults; sections those of RFC 9113, as h2spec checks them.

use witgate_tests::{
    Http,
    gateway::{Gateway, Pool, Setup},
    raw_h2::{
        END_HEADERS, END_STREAM, Frame, RawH2, block, frame, get, headers, kind, request, settings,
    },
    upstream::Upstream,
};

const URL: &str = "https://shop.example/";
/// More than a test's limits allow, and what a flood may cost the machine.
const MANY: usize = 20_000;

async fn gateway(change: impl FnOnce(Setup) -> Setup) -> (Upstream, Gateway) {
    let upstream = Upstream::pinned("web-1").await;
    let setup = Setup::new().default_pool("web", Pool::pinned(&[&upstream]));
    let gateway = change(setup).start().await;
    (upstream, gateway)
}

async fn serves(gateway: &Gateway) {
    for http in [Http::One, Http::Two] {
        assert_eq!(gateway.client(http).get(URL).await.status, 200);
    }
}

fn ended(cause: &str) -> String {
    format!("witgate_connections_ended_total{{listener=\"public\",cause=\"{cause}\"}}")
}

/// Sends this as stream 1, and returns what became of the stream; none when the connection
/// ended.
async fn outcome(gateway: &Gateway, bytes: &[u8]) -> Option<Frame> {
    let mut socket = RawH2::open(gateway, &[]).await;
    socket.send(bytes).await;
    socket.outcome(1).await
}

/// Whether a stream was refused: reset, the connection ended, or answered with 400 (static
/// table entry 12, or a literal).
fn is_refused(outcome: &Option<Frame>) -> bool {
    match outcome {
        None => true,
        Some(frame) if frame.kind == kind::HEADERS => {
            frame.payload.first() == Some(&0x8c) || frame.payload.windows(3).any(|w| w == b"400")
        }
        Some(_) => true,
    }
}

type Fields<'a> = Vec<(&'a [u8], &'a [u8])>;

fn with<'a>(more: &[(&'a [u8], &'a [u8])]) -> Fields<'a> {
    let mut fields = request("GET", "/");
    fields.extend(more);
    fields
}

fn replaced<'a>(name: &'a [u8], value: Option<&'a [u8]>) -> Fields<'a> {
    let fields = request("GET", "/").into_iter();
    fields
        .filter_map(|(old, kept)| match value {
            _ if old != name => Some((old, kept)),
            value => value.map(|value| (old, value)),
        })
        .collect()
}

#[tokio::test]
async fn fault_24_requests_that_would_be_bad_http_1_are_refused() {
    let (upstream, gateway) = gateway(|setup| setup).await;
    let mut cases: Vec<Fields<'_>> = vec![
        with(&[(b"X-Upper", b"1")]),
        with(&[(b"x y", b"1")]),
        with(&[(b"x:y", b"1")]),
        with(&[(b"", b"1")]),
        with(&[(b"x\r\ny", b"1")]),
        with(&[(b"x", b"1\r\ny: 2")]),
        with(&[(b"x", b"1\ny: 2")]),
        with(&[(b"x", b"1\r")]),
        with(&[(b"x", b"1\0")]),
        with(&[(b"connection", b"close")]),
        with(&[(b"keep-alive", b"1")]),
        with(&[(b"proxy-connection", b"close")]),
        with(&[(b"upgrade", b"h2c")]),
        with(&[(b"transfer-encoding", b"chunked")]),
        with(&[(b"te", b"gzip")]),
        with(&[(b"host", b"other.example")]),
        with(&[(b":path", b"/twice")]),
        with(&[(b":unknown", b"1")]),
        with(&[(b":status", b"200")]),
        with(&[(b"x", b"1"), (b":method", b"GET")]),
        replaced(b":path", None),
        replaced(b":method", None),
        replaced(b":scheme", None),
        replaced(b":authority", None),
        replaced(b":path", Some(b"")),
        replaced(b":path", Some(b"a")),
        replaced(b":path", Some(b"*")),
        replaced(b":path", Some(b"/a b")),
        replaced(b":path", Some(b"/a\r\nx: y")),
        replaced(b":path", Some(b"/ HTTP/1.1\r\nhost: evil\r\n\r\nGET /b")),
        replaced(b":method", Some(b"GET / HTTP/1.1\r\nx: ")),
        replaced(b":scheme", Some(b"ftp")),
        replaced(b":authority", Some(b"user@shop.example")),
        replaced(b":authority", Some(b"shop.example/x")),
        replaced(b":authority", Some(b"")),
    ];
    let mut late = with(&[(b"x", b"1")]);
    late.rotate_left(4);
    cases.push(late);
    for fields in &cases {
        let found = outcome(&gateway, &headers(1, END_STREAM, fields)).await;
        let shown: Vec<_> = fields
            .iter()
            .map(|(n, v)| (n.escape_ascii().to_string(), v.escape_ascii().to_string()))
            .collect();
        assert!(is_refused(&found), "{shown:?}: {found:?}");
        assert_eq!(upstream.requests(), 0, "{shown:?}: {found:?}");
    }
    serves(&gateway).await;
}

#[tokio::test]
async fn fault_24_a_length_that_lies_never_looks_whole() {
    let (upstream, gateway) = gateway(|setup| setup).await;
    for (length, data) in [
        ("5", "abc"),
        ("2", "abc"),
        ("-1", ""),
        ("1, 2", "a"),
        ("x", ""),
    ] {
        let mut fields = request("POST", "/count");
        fields.push((b"content-length", length.as_bytes()));
        let mut bytes = headers(1, 0, &fields);
        bytes.extend(frame(kind::DATA, END_STREAM, 1, data.as_bytes()));
        let found = outcome(&gateway, &bytes).await;
        assert!(is_refused(&found), "{length} {data}: {found:?}");
    }
    let line = gateway.access_lines();
    assert!(line.iter().all(|line| line["status"] != 200), "{line:?}");
    drop(upstream);
}

/// The HTTP/2 library drops them where RFC 9113 §8.1 would have the stream reset.
#[tokio::test]
async fn fault_24_pseudo_fields_in_trailers_end_at_the_gateway() {
    let (_upstream, gateway) = gateway(|setup| setup).await;
    let mut socket = RawH2::open(&gateway, &[]).await;
    socket.send(&headers(1, 0, &request("POST", "/a"))).await;
    socket.send(&frame(kind::DATA, 0, 1, b"abc")).await;
    let trailers: Fields<'_> = vec![(b":path", b"/smuggled"), (b"x-checksum", b"1")];
    socket.send(&headers(1, END_STREAM, &trailers)).await;
    let outcome = socket.outcome(1).await;
    if outcome.is_some_and(|frame| frame.kind == kind::HEADERS) {
        let body = socket.read_kind(kind::DATA).await.unwrap().payload;
        let body = String::from_utf8_lossy(&body).into_owned();
        assert!(!body.contains("smuggled"), "{body}");
        assert!(body.contains("\"target\":\"/a\""), "{body}");
    }
}

#[tokio::test]
async fn frames_against_the_rules_end_the_connection_or_the_stream() {
    let (_upstream, gateway) = gateway(|setup| setup).await;
    let open = headers(1, 0, &request("POST", "/hold"));
    let after = |piece: Vec<u8>| [open.clone(), piece].concat();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("5.1 DATA on an idle stream", frame(kind::DATA, 0, 1, b"x")),
        (
            "5.1 RST_STREAM on an idle stream",
            frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8]),
        ),
        (
            "5.1 WINDOW_UPDATE on an idle stream",
            frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
        ),
        (
            "5.1.1 an even stream",
            headers(2, END_STREAM, &request("GET", "/")),
        ),
        ("5.1.1 a lower stream", [get(5, "/"), get(3, "/")].concat()),
        (
            "4.2 a frame that is too long",
            frame(kind::DATA, 0, 1, &vec![0; 16_385]),
        ),
        (
            "4.3 a broken header block",
            frame(
                kind::HEADERS,
                END_STREAM | END_HEADERS,
                1,
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            ),
        ),
        ("6.1 DATA on stream 0", frame(kind::DATA, 0, 0, b"x")),
        (
            "6.1 padding longer than the frame",
            after(frame(kind::DATA, 8, 1, &[9, 0])),
        ),
        (
            "6.2 HEADERS on stream 0",
            headers(0, END_STREAM, &request("GET", "/")),
        ),
        (
            "6.3 PRIORITY of a wrong size",
            frame(kind::PRIORITY, 0, 1, &[0; 4]),
        ),
        (
            "6.4 RST_STREAM of a wrong size",
            after(frame(kind::RST_STREAM, 0, 1, &[0; 3])),
        ),
        ("6.5 SETTINGS on a stream", frame(kind::SETTINGS, 0, 1, &[])),
        (
            "6.5 SETTINGS of a wrong size",
            frame(kind::SETTINGS, 0, 0, &[0; 5]),
        ),
        (
            "6.5 an acknowledgement with a payload",
            frame(kind::SETTINGS, 1, 0, &[0; 6]),
        ),
        ("6.5.2 ENABLE_PUSH of 2", settings(&[(2, 2)])),
        ("6.5.2 a window above 2^31-1", settings(&[(4, 1 << 31)])),
        ("6.5.2 frames below 16384", settings(&[(5, 100)])),
        (
            "6.6 PUSH_PROMISE from a client",
            after(frame(kind::PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])),
        ),
        ("6.7 PING on a stream", frame(kind::PING, 0, 1, &[0; 8])),
        ("6.7 PING of a wrong size", frame(kind::PING, 0, 0, &[0; 7])),
        (
            "6.9 WINDOW_UPDATE of 0",
            frame(kind::WINDOW_UPDATE, 0, 0, &[0; 4]),
        ),
        (
            "6.9.1 a window that overflows",
            frame(kind::WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]),
        ),
        (
            "6.9.1 a stream window that overflows",
            after(frame(kind::WINDOW_UPDATE, 0, 1, &[0x7f, 0xff, 0xff, 0xff])),
        ),
        (
            "6.10 CONTINUATION without HEADERS",
            frame(kind::CONTINUATION, END_HEADERS, 1, &[]),
        ),
        (
            "6.10 a frame between HEADERS and CONTINUATION",
            [
                frame(kind::HEADERS, END_STREAM, 1, &block(&request("GET", "/"))),
                frame(kind::PING, 0, 0, &[0; 8]),
            ]
            .concat(),
        ),
        (
            "8.1 a second HEADERS without END_STREAM",
            after(headers(1, 0, &[(b"x", b"1")])),
        ),
    ];
    for (name, bytes) in cases {
        let mut socket = RawH2::open(&gateway, &[]).await;
        socket.send(&bytes).await;
        let found = loop {
            match socket.read().await {
                None => break None,
                Some(frame) if matches!(frame.kind, kind::GOAWAY | kind::RST_STREAM) => {
                    break Some(frame);
                }
                Some(_) => {}
            }
        };
        if let Some(frame) = found {
            assert_ne!(frame.code(), 0, "{name}: {frame:?}");
        }
    }
    gateway.counted(&ended("h2-invalid"), 10.0).await;
    serves(&gateway).await;
}

#[tokio::test]
async fn a_preface_that_is_wrong_ends_the_connection() {
    let (upstream, gateway) = gateway(|setup| setup).await;
    for preface in [
        &b"GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r!",
    ] {
        let mut socket = RawH2::without_preface(&gateway).await;
        socket.send(preface).await;
        socket.ends().await;
    }
    assert_eq!(upstream.requests(), 0);
}

#[tokio::test]
async fn unknown_frames_flags_and_settings_are_ignored() {
    let (_upstream, gateway) = gateway(|setup| setup).await;
    let mut socket = RawH2::open(&gateway, &[(0x99, 7)]).await;
    socket.send(&frame(0x55, 0xff, 0, b"whatever")).await;
    socket.send(&frame(kind::PING, 0xfe, 0, &[7; 8])).await;
    let pong = loop {
        let frame = socket.read_kind(kind::PING).await.unwrap();
        if frame.payload == [7; 8] {
            break frame;
        }
    };
    assert_eq!(pong.flags, 1);
    socket.send(&get(1, "/")).await;
    assert_eq!(socket.outcome(1).await.unwrap().kind, kind::HEADERS);
}

#[tokio::test]
async fn fault_25_rapid_reset_ends_the_connection() {
    let (upstream, gateway) = gateway(|setup| setup).await;
    let socket = RawH2::open(&gateway, &[]).await;
    let storm: Vec<u8> = (0..2000_u32)
        .flat_map(|n| {
            let id = 1 + 2 * n;
            [
                get(id, "/hang"),
                frame(kind::RST_STREAM, 0, id, &[0, 0, 0, 8]),
            ]
            .concat()
        })
        .collect();
    assert!(socket.flood(&storm, 1).await, "the connection goes on");
    assert!(
        upstream.requests() <= 300,
        "{} requests",
        upstream.requests()
    );
    serves(&gateway).await;
}

#[tokio::test]
async fn fault_25_slow_rapid_reset_ends_the_connection_and_frees_the_upstream() {
    let (upstream, gateway) = gateway(|setup| setup.table("[limits]\nh2_resets = 20")).await;
    let mut socket = RawH2::open(&gateway, &[]).await;
    for n in 0..21 {
        let id = 1 + 2 * n;
        socket.send(&get(id, "/hang")).await;
        witgate_tests::eventually!(
            "the request upstream",
            (upstream.requests() > u64::from(n)).then_some(())
        );
        socket
            .send(&frame(kind::RST_STREAM, 0, id, &[0, 0, 0, 8]))
            .await;
    }
    socket.ends().await;
    gateway.counted(&ended("h2-resets"), 1.0).await;
    serves(&gateway).await;
}

#[tokio::test]
async fn fault_25_streams_that_are_made_to_be_reset_end_the_connection() {
    let (upstream, gateway) = gateway(|setup| setup.table("[limits]\nh2_resets = 20")).await;
    let socket = RawH2::open(&gateway, &[]).await;
    let storm: Vec<u8> = (0..200_u32)
        .flat_map(|n| {
            let id = 1 + 2 * n;
            [
                headers(id, 0, &request("POST", "/hang")),
                frame(kind::WINDOW_UPDATE, 0, id, &[0; 4]),
            ]
            .concat()
        })
        .collect();
    assert!(socket.flood(&storm, 1).await, "the connection goes on");
    assert!(
        upstream.requests() <= 150,
        "{} requests",
        upstream.requests()
    );
    serves(&gateway).await;
}

#[tokio::test]
async fn fault_26_floods_of_continuation_end_the_connection_in_bounded_memory() {
    let (upstream, gateway) = gateway(|setup| setup).await;
    serves(&gateway).await;
    let before = gateway.peak();
    for piece in [vec![], block(&[(b"x", &[b'a'; 4000])])] {
        let mut socket = RawH2::open(&gateway, &[]).await;
        socket
            .send(&frame(
                kind::HEADERS,
                END_STREAM,
                1,
                &block(&request("GET", "/")),
            ))
            .await;
        let ended = socket
            .flood(&frame(kind::CONTINUATION, 0, 1, &piece), MANY)
            .await;
        assert!(ended, "pieces of {}", piece.len());
    }
    assert_eq!(upstream.requests(), 2);
    assert!(
        gateway.peak() - before < 16 << 20,
        "{} KiB more",
        (gateway.peak() - before) >> 10
    );
    serves(&gateway).await;
}

#[tokio::test]
async fn fault_26_a_header_bomb_is_refused_in_bounded_memory() {
    let (upstream, gateway) = gateway(|setup| setup).await;
    serves(&gateway).await;
    let before = gateway.peak();
    // One field of 4000 bytes into the dynamic table, and then 12,000 references to it.
    let mut bomb = block(&request("GET", "/"));
    bomb.push(0x40);
    bomb.extend([1, b'x', 127, 0xa1, 0x1e]);
    bomb.extend([b'a'; 4000]);
    bomb.resize(bomb.len() + 12_000, 0x80 | 62);
    let (first, rest) = bomb.split_at(16_000);
    for _ in 0..20 {
        let mut bytes = frame(kind::HEADERS, END_STREAM, 1, first);
        bytes.extend(frame(kind::CONTINUATION, END_HEADERS, 1, rest));
        let found = outcome(&gateway, &bytes).await;
        let answered_431 = found.as_ref().is_some_and(|frame| {
            frame.kind == kind::HEADERS && frame.payload.windows(3).any(|digits| digits == b"431")
        });
        let ended = found
            .as_ref()
            .is_none_or(|frame| frame.kind != kind::HEADERS);
        assert!(answered_431 || ended || is_huffman_431(&found), "{found:?}");
    }
    assert_eq!(upstream.requests(), 2);
    assert!(
        gateway.peak() - before < 32 << 20,
        "{} KiB more",
        (gateway.peak() - before) >> 10
    );
    serves(&gateway).await;
}

/// `431` in the code of RFC 7541, appendix B.
fn is_huffman_431(found: &Option<Frame>) -> bool {
    let found = found.as_ref().map(|frame| &frame.payload[..]);
    found.is_some_and(|payload| {
        payload
            .windows(3)
            .any(|bytes| bytes == [0x68, 0xc8, 0x7f] || bytes[..2] == [0x68, 0xcb])
    })
}

#[tokio::test]
async fn fault_27_floods_of_frames_without_use_end_the_connection() {
    let (_upstream, gateway) =
        gateway(|setup| setup.table("[limits]\nh2_idle_frames = 1000")).await;
    serves(&gateway).await;
    let before = gateway.peak();
    let opened = headers(1, 0, &request("POST", "/hold"));
    for (name, first, piece) in [
        ("PING", vec![], frame(kind::PING, 0, 0, &[0; 8])),
        (
            "PING acknowledgements",
            vec![],
            frame(kind::PING, 1, 0, &[0; 8]),
        ),
        ("SETTINGS", vec![], settings(&[])),
        (
            "table sizes",
            vec![],
            [settings(&[(1, 0)]), settings(&[(1, 4096)])].concat(),
        ),
        (
            "PRIORITY",
            vec![],
            frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 3, 0]),
        ),
        (
            "WINDOW_UPDATE",
            vec![],
            frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        ),
        ("unknown frames", vec![], frame(0x77, 0, 0, b"x")),
        ("empty DATA", opened.clone(), frame(kind::DATA, 0, 1, &[])),
        ("padding", opened, frame(kind::DATA, 8, 1, &[3, 0, 0, 0])),
    ] {
        let mut socket = RawH2::open(&gateway, &[]).await;
        socket.send(&first).await;
        let before = gateway.metric(&ended("h2-flood")).await;
        assert!(
            socket.flood(&piece.repeat(100), MANY / 100).await,
            "{name}: the connection goes on"
        );
        gateway.counted(&ended("h2-flood"), before + 1.0).await;
    }
    assert!(
        gateway.peak() - before < 16 << 20,
        "{} KiB more",
        (gateway.peak() - before) >> 10
    );
    serves(&gateway).await;
}

#[tokio::test]
async fn frames_that_a_reading_client_has_to_send_are_no_flood() {
    let (_upstream, gateway) = gateway(|setup| setup.table("[limits]\nh2_idle_frames = 100")).await;
    let client = gateway.client(Http::Two);
    for _ in 0..3 {
        let answer = client.get("https://shop.example/bytes/50000000").await;
        assert_eq!(answer.body.len(), 50_000_000);
    }
}

#[tokio::test]
async fn fault_28_windows_of_zero_hold_no_stream_for_ever() {
    let (_upstream, gateway) = gateway(|setup| setup.table("[timeouts]\nbody_idle = \"1s\"")).await;
    serves(&gateway).await;
    let before = gateway.peak();
    let mut socket = RawH2::open(&gateway, &[(4, 0)]).await;
    for n in 0..100 {
        socket.send(&get(1 + 2 * n, "/bytes/10000000")).await;
    }
    let mut reset = 0;
    while reset < 100 {
        let frame = socket
            .read()
            .await
            .expect("the connection goes on until all streams are reset");
        assert_ne!(frame.kind, kind::DATA);
        reset += usize::from(frame.kind == kind::RST_STREAM);
    }
    let line = gateway
        .access_line_where(|line| line["path"] == "/bytes/10000000")
        .await;
    assert_eq!(
        (&line["cause"], &line["status"]),
        (&"client-stalled".into(), &200.into()),
        "{line}"
    );
    assert!(
        gateway.peak() - before < 64 << 20,
        "{} KiB more",
        (gateway.peak() - before) >> 10
    );
    serves(&gateway).await;
}

#[tokio::test]
async fn fault_30_a_large_header_list_is_431() {
    let (upstream, gateway) =
        gateway(|setup| setup.table("[limits]\nhead_bytes = \"8KiB\"\nhead_fields = 20")).await;
    let client = gateway.client(Http::Two);
    let many: Vec<_> = (0..21).map(|n| (format!("x-{n}"), "1")).collect();
    let many: Vec<_> = many
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    assert_eq!(client.get_with(URL, &many).await.status, 431);
    let long = "a".repeat(10_000);
    let refused = client.get_with(URL, &[("x", &long)]).await;
    assert_eq!(refused.status, 431);
    assert_eq!(upstream.requests(), 0);
    serves(&gateway).await;
}

#[tokio::test]
async fn more_streams_than_allowed_are_refused_and_the_others_answered() {
    let (upstream, gateway) = gateway(|setup| setup.table("[limits]\nh2_streams = 2")).await;
    let mut socket = RawH2::open(&gateway, &[]).await;
    for id in [1, 3, 5] {
        socket.send(&get(id, "/hold")).await;
    }
    let refused = socket.read_kind(kind::RST_STREAM).await.unwrap();
    assert_eq!((refused.stream, refused.code()), (5, 7));
    upstream.release(2);
    assert_eq!(socket.outcome(1).await.unwrap().kind, kind::HEADERS);
}
