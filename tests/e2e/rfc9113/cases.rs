//! The frames, one case for each rule. Streams that a case leaves open wait for an answer that
//! never comes.

use witgate_tests::raw_h2::{
    END_HEADERS, END_STREAM, block, frame, get, headers, kind, request, settings,
};

use super::{
    COMPRESSION, Case, FLOW_CONTROL, FRAME_SIZE,
    Must::{BeIgnored, BeServed, EndTheConnection, EndTheStream},
    PROTOCOL, REFUSED, STREAM_CLOSED,
};

const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

type Fields<'a> = Vec<(&'a [u8], &'a [u8])>;

pub(super) fn all() -> Vec<Case> {
    let groups = [
        frames(),
        states(),
        data_and_headers(),
        control(),
        windows(),
        continuations(),
        messages(),
        compression(),
    ];
    groups.into_iter().flatten().collect()
}

/// HEADERS of a request whose body is to come.
fn open(stream: u32) -> Vec<u8> {
    headers(stream, 0, &request("POST", "/hold"))
}

/// HEADERS of a request that is never answered.
fn hang(stream: u32) -> Vec<u8> {
    headers(stream, END_STREAM, &request("GET", "/hang"))
}

fn after(first: Vec<u8>, then: Vec<u8>) -> Vec<u8> {
    [first, then].concat()
}

fn reset(stream: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8])
}

fn window_update(stream: u32, by: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

/// HEADERS without END_HEADERS.
fn half(stream: u32) -> Vec<u8> {
    frame(
        kind::HEADERS,
        END_STREAM,
        stream,
        &block(&request("GET", "/")),
    )
}

fn continuation(stream: u32, flags: u8) -> Vec<u8> {
    frame(kind::CONTINUATION, flags, stream, &block(&[(b"x-a", b"1")]))
}

fn ping() -> Vec<u8> {
    frame(kind::PING, 0, 0, &[7; 8])
}

/// §4: the format of frames; §5.5: frames of extensions.
fn frames() -> Vec<Case> {
    let mut reserved = ping();
    reserved[5] |= 0x80;
    vec![
        (
            "4.1 an unknown frame",
            frame(0x16, 0, 0, b"whatever"),
            BeIgnored,
        ),
        (
            "4.1 an unknown flag",
            frame(kind::PING, 0x16, 0, &[7; 8]),
            BeIgnored,
        ),
        ("4.1 the reserved bit", reserved, BeIgnored),
        (
            "4.2 DATA of 16384 bytes",
            after(
                headers(1, 0, &request("POST", "/count")),
                frame(kind::DATA, END_STREAM, 1, &vec![0; 16_384]),
            ),
            BeServed,
        ),
        (
            "4.2 DATA of 16385 bytes",
            after(open(1), frame(kind::DATA, 0, 1, &vec![0; 16_385])),
            EndTheStream(&[FRAME_SIZE]),
        ),
        (
            "4.2 HEADERS of 16385 bytes",
            frame(
                kind::HEADERS,
                END_STREAM | END_HEADERS,
                1,
                &block(&with(&[(b"x", &[b'a'; 16_385])])),
            ),
            EndTheConnection(&[FRAME_SIZE]),
        ),
        (
            "4.3 a header block that is none",
            frame(
                kind::HEADERS,
                END_STREAM | END_HEADERS,
                1,
                &[0x0f, 0xff, 0xff, 0xff, 0xff, 0xff],
            ),
            EndTheConnection(&[COMPRESSION]),
        ),
        (
            "4.3 PRIORITY within a header block",
            [
                half(1),
                frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 0, 1]),
                continuation(1, END_HEADERS),
            ]
            .concat(),
            EndTheConnection(&[PROTOCOL]),
        ),
        (
            "4.3 HEADERS of another stream within a header block",
            after(half(1), get(3, "/")),
            EndTheConnection(&[PROTOCOL]),
        ),
        (
            "5.5 an unknown frame of a stream",
            after(open(1), frame(0x16, 0, 1, b"whatever")),
            BeIgnored,
        ),
        (
            "5.5 an unknown frame within a header block",
            after(half(1), frame(0x16, 0, 0, b"whatever")),
            EndTheConnection(&[PROTOCOL]),
        ),
    ]
}

/// §5.1: what may come in which state of a stream.
fn states() -> Vec<Case> {
    let data = |stream| frame(kind::DATA, END_STREAM, stream, b"x");
    vec![
        ("5.1 idle: DATA", data(1), EndTheConnection(&[PROTOCOL])),
        (
            "5.1 idle: RST_STREAM",
            reset(1),
            EndTheConnection(&[PROTOCOL]),
        ),
        (
            "5.1 idle: WINDOW_UPDATE",
            window_update(1, 100),
            EndTheConnection(&[PROTOCOL]),
        ),
        (
            "5.1 idle: CONTINUATION",
            continuation(1, END_HEADERS),
            EndTheConnection(&[PROTOCOL]),
        ),
        (
            "5.1 idle: PRIORITY",
            frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 0, 1]),
            BeIgnored,
        ),
        (
            "5.1 half-closed: DATA",
            after(hang(1), data(1)),
            EndTheStream(&[STREAM_CLOSED]),
        ),
        (
            "5.1 half-closed: HEADERS",
            after(hang(1), hang(1)),
            EndTheStream(&[STREAM_CLOSED]),
        ),
        (
            "5.1 half-closed: CONTINUATION",
            after(hang(1), continuation(1, END_HEADERS)),
            EndTheConnection(&[STREAM_CLOSED, PROTOCOL]),
        ),
        (
            "5.1 half-closed: WINDOW_UPDATE and PRIORITY",
            [
                hang(1),
                window_update(1, 5),
                frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 0, 1]),
            ]
            .concat(),
            BeIgnored,
        ),
        (
            "5.1 closed by RST_STREAM: DATA",
            [open(1), reset(1), data(1)].concat(),
            EndTheStream(&[STREAM_CLOSED]),
        ),
        (
            "5.1 closed by RST_STREAM: HEADERS",
            [open(1), reset(1), hang(1)].concat(),
            EndTheStream(&[STREAM_CLOSED]),
        ),
        (
            "5.1 closed by RST_STREAM: CONTINUATION",
            [open(1), reset(1), continuation(1, END_HEADERS)].concat(),
            EndTheConnection(&[STREAM_CLOSED, PROTOCOL]),
        ),
        (
            "5.1 closed by RST_STREAM: WINDOW_UPDATE",
            [open(1), reset(1), window_update(1, 5)].concat(),
            BeIgnored,
        ),
        (
            "5.1 closed by RST_STREAM: RST_STREAM",
            [open(1), reset(1), reset(1)].concat(),
            BeIgnored,
        ),
        (
            "5.1.1 an even stream",
            get(2, "/"),
            EndTheConnection(&[PROTOCOL]),
        ),
        (
            "5.1.1 a lower stream",
            after(hang(5), get(3, "/")),
            EndTheConnection(&[PROTOCOL]),
        ),
        (
            "5.1.2 more streams than allowed",
            (0..101).flat_map(|n| hang(1 + 2 * n)).collect(),
            EndTheStream(&[PROTOCOL, REFUSED]),
        ),
        (
            "5.3.1 HEADERS that depend on themselves",
            frame(
                kind::HEADERS,
                END_STREAM | END_HEADERS | PRIORITY,
                1,
                &after(vec![0, 0, 0, 1, 16], block(&request("GET", "/"))),
            ),
            EndTheStream(&[PROTOCOL]),
        ),
        (
            "5.3.1 PRIORITY that depends on itself",
            frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 1, 16]),
            EndTheStream(&[PROTOCOL]),
        ),
    ]
}

/// §6.1 and §6.2.
fn data_and_headers() -> Vec<Case> {
    let padded = |padding: u8, rest: &[u8]| [&[padding], rest].concat();
    let fields = block(&request("GET", "/"));
    let flags = END_STREAM | END_HEADERS | PADDED;
    vec![
        (
            "6.1 DATA on stream 0",
            after(open(1), frame(kind::DATA, END_STREAM, 0, b"x")),
            EndTheConnection(&[PROTOCOL]),
        ),
        (
            "6.1 padding of all of DATA",
            after(open(1), frame(kind::DATA, PADDED, 1, &padded(2, b"xy"))),
            BeIgnored,
        ),
        (
            "6.1 padding longer than DATA",
            after(open(1), frame(kind::DATA, PADDED, 1, &padded(3, b"xy"))),
            EndTheConnection(&[PROTOCOL]),
        ),
        (
            "6.1 padded DATA without the length",
            after(open(1), frame(kind::DATA, PADDED, 1, b"")),
            EndTheConnection(&[PROTOCOL, FRAME_SIZE]),
        ),
        (
            "6.2 HEADERS on stream 0",
            headers(0, END_STREAM, &request("GET", "/")),
            EndTheConnection(&[PROTOCOL]),
        ),
        (
            "6.2 padded HEADERS",
            frame(
                kind::HEADERS,
                flags,
                1,
                &[padded(3, &fields), vec![0; 3]].concat(),
            ),
            BeServed,
        ),
        (
            "6.2 padding longer than HEADERS",
            frame(kind::HEADERS, flags, 1, &padded(255, &fields)),
            EndTheConnection(&[PROTOCOL]),
        ),
        (
            "6.2 HEADERS with a priority",
            frame(
                kind::HEADERS,
                END_STREAM | END_HEADERS | PRIORITY,
                1,
                &after(vec![0, 0, 0, 0, 16], fields),
            ),
            BeServed,
        ),
    ]
}

/// §6.3 to §6.8.
fn control() -> Vec<Case> {
    vec![
        (
            "6.3 PRIORITY on stream 0",
            frame(kind::PRIORITY, 0, 0, &[0, 0, 0, 1, 16]),
            EndTheConnection(&[PROTOCOL]),
        ),
        (
            "6.3 PRIORITY of four bytes",
            after(open(1), frame(kind::PRIORITY, 0, 1, &[0; 4])),
            EndTheStream(&[FRAME_SIZE]),
        ),
        (
            "6.4 RST_STREAM on stream 0",
            reset(0),
            EndTheConnection(&[PROTOCOL]),
        ),
        (
            "6.4 RST_STREAM of three bytes",
            after(open(1), frame(kind::RST_STREAM, 0, 1, &[0; 3])),
            EndTheConnection(&[FRAME_SIZE]),
        ),
        (
            "6.5 an acknowledgement with a payload",
            frame(kind::SETTINGS, 1, 0, &[0; 6]),
            EndTheConnection(&[FRAME_SIZE]),
        ),
        (
            "6.5 SETTINGS on a stream",
            after(open(1), frame(kind::SETTINGS, 0, 1, &[0, 3, 0, 0, 0, 100])),
            EndTheConnection(&[PROTOCOL]),
        ),
        (
            "6.5 SETTINGS of five bytes",
            frame(kind::SETTINGS, 0, 0, &[0, 3, 0, 0, 0]),
            EndTheConnection(&[FRAME_SIZE]),
        ),
        (
            "6.5.2 ENABLE_PUSH of 2",
            settings(&[(2, 2)]),
            EndTheConnection(&[PROTOCOL]),
        ),
        (
            "6.5.2 INITIAL_WINDOW_SIZE of 2^31",
            settings(&[(4, 1 << 31)]),
            EndTheConnection(&[FLOW_CONTROL]),
        ),
        (
            "6.5.2 MAX_FRAME_SIZE of 16383",
            settings(&[(5, 16_383)]),
            EndTheConnection(&[PROTOCOL]),
        ),
        (
            "6.5.2 MAX_FRAME_SIZE of 2^24",
            settings(&[(5, 1 << 24)]),
            EndTheConnection(&[PROTOCOL]),
        ),
        (
            "6.5.2 an unknown setting",
            settings(&[(0xff, 1)]),
            BeIgnored,
        ),
        (
            "6.6 PUSH_PROMISE of a client",
            after(
                open(1),
                frame(
                    kind::PUSH_PROMISE,
                    END_HEADERS,
                    1,
                    &after(vec![0, 0, 0, 2], block(&request("GET", "/"))),
                ),
            ),
            EndTheConnection(&[PROTOCOL]),
        ),
        (
            "6.7 an acknowledgement that nobody waits for",
            frame(kind::PING, 1, 0, b"invalid."),
            BeIgnored,
        ),
        (
            "6.7 PING on a stream",
            frame(kind::PING, 0, 1, &[0; 8]),
            EndTheConnection(&[PROTOCOL]),
        ),
        (
            "6.7 PING of six bytes",
            frame(kind::PING, 0, 0, &[0; 6]),
            EndTheConnection(&[FRAME_SIZE]),
        ),
        (
            "6.8 GOAWAY on a stream",
            frame(kind::GOAWAY, 0, 1, &[0; 8]),
            EndTheConnection(&[PROTOCOL]),
        ),
        (
            "6.8 GOAWAY of four bytes",
            frame(kind::GOAWAY, 0, 0, &[0; 4]),
            EndTheConnection(&[FRAME_SIZE]),
        ),
    ]
}

/// §6.9.
fn windows() -> Vec<Case> {
    vec![
        (
            "6.9 WINDOW_UPDATE of 0 for the connection",
            window_update(0, 0),
            EndTheConnection(&[PROTOCOL]),
        ),
        (
            "6.9 WINDOW_UPDATE of 0 for a stream",
            after(open(1), window_update(1, 0)),
            EndTheStream(&[PROTOCOL]),
        ),
        (
            "6.9 WINDOW_UPDATE of three bytes",
            frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 1]),
            EndTheConnection(&[FRAME_SIZE]),
        ),
        (
            "6.9.1 a window of the connection above 2^31-1",
            after(window_update(0, 0x7fff_ffff), window_update(0, 0x7fff_ffff)),
            EndTheConnection(&[FLOW_CONTROL]),
        ),
        (
            "6.9.1 a window of a stream above 2^31-1",
            [
                open(1),
                window_update(1, 0x7fff_ffff),
                window_update(1, 0x7fff_ffff),
            ]
            .concat(),
            EndTheStream(&[FLOW_CONTROL]),
        ),
        (
            "6.9.1 more than the window of a stream",
            after(
                open(1),
                frame(kind::DATA, 0, 1, &vec![0; 16_384]).repeat(80),
            ),
            EndTheStream(&[FLOW_CONTROL]),
        ),
        (
            "6.9.2 a window that a setting makes overflow",
            [
                open(1),
                window_update(1, 0x7fff_0000),
                settings(&[(4, 0x7fff_ffff)]),
            ]
            .concat(),
            EndTheConnection(&[FLOW_CONTROL]),
        ),
    ]
}

/// §6.10.
fn continuations() -> Vec<Case> {
    let data = frame(kind::DATA, 0, 1, b"x");
    vec![
        (
            "6.10 several CONTINUATIONs",
            [half(1), continuation(1, 0), continuation(1, END_HEADERS)].concat(),
            BeServed,
        ),
        (
            "6.10 an empty CONTINUATION",
            after(half(1), frame(kind::CONTINUATION, END_HEADERS, 1, &[])),
            BeServed,
        ),
        (
            "6.10 DATA behind a CONTINUATION that goes on",
            [half(1), continuation(1, 0), data.clone()].concat(),
            EndTheConnection(&[PROTOCOL]),
        ),
        (
            "6.10 CONTINUATION on stream 0",
            after(half(1), continuation(0, END_HEADERS)),
            EndTheConnection(&[PROTOCOL]),
        ),
        (
            "6.10 CONTINUATION of another stream",
            after(half(1), continuation(3, END_HEADERS)),
            EndTheConnection(&[PROTOCOL]),
        ),
        (
            "6.10 CONTINUATION behind whole HEADERS",
            after(open(1), continuation(1, END_HEADERS)),
            EndTheConnection(&[PROTOCOL]),
        ),
        (
            "6.10 CONTINUATION behind a whole CONTINUATION",
            [
                half(1),
                continuation(1, END_HEADERS),
                continuation(1, END_HEADERS),
            ]
            .concat(),
            EndTheConnection(&[PROTOCOL]),
        ),
        (
            "6.10 CONTINUATION behind DATA",
            [open(1), data, continuation(1, END_HEADERS)].concat(),
            EndTheConnection(&[PROTOCOL]),
        ),
    ]
}

fn with<'a>(more: &[(&'a [u8], &'a [u8])]) -> Fields<'a> {
    let mut fields = request("GET", "/");
    fields.extend(more);
    fields
}

fn without(name: &[u8]) -> Fields<'static> {
    let mut fields = request("GET", "/");
    fields.retain(|(found, _)| *found != name);
    fields
}

/// §8: fields, and messages as a whole.
fn messages() -> Vec<Case> {
    let must = EndTheStream(&[PROTOCOL]);
    let whole = |fields: &Fields<'_>| headers(1, END_STREAM, fields);
    let sized = |length: &'static [u8], pieces: &[&[u8]]| {
        let mut fields = request("POST", "/count");
        fields.push((b"content-length", length));
        let mut bytes = headers(1, 0, &fields);
        for (n, piece) in pieces.iter().enumerate() {
            let flags = if n + 1 == pieces.len() { END_STREAM } else { 0 };
            bytes.extend(frame(kind::DATA, flags, 1, piece));
        }
        bytes
    };
    let trailers = |flags, fields: &[(&[u8], &[u8])]| after(open(1), headers(1, flags, fields));
    vec![
        (
            "8.1 a second HEADERS that does not end the stream",
            trailers(0, &[(b"x-a", b"1")]),
            must,
        ),
        (
            "8.1 trailers with a pseudo-field",
            trailers(END_STREAM, &[(b":method", b"GET")]),
            must,
        ),
        (
            "8.1 a request of HEADERS and trailers alone",
            after(
                headers(1, 0, &request("POST", "/a")),
                headers(1, END_STREAM, &[(b"x-a", b"1")]),
            ),
            BeServed,
        ),
        (
            "8.2.1 an upper-case name",
            whole(&with(&[(b"X-A", b"1")])),
            must,
        ),
        (
            "8.2.1 a value with a blank ahead",
            whole(&[request("GET", "/hang"), vec![(b"x-a", b" 1")]].concat()),
            must,
        ),
        (
            "8.2.1 a value with LF",
            whole(&with(&[(b"x-a", b"1\n2")])),
            must,
        ),
        (
            "8.2.1 a name with a colon within",
            whole(&with(&[(b"x:a", b"1")])),
            must,
        ),
        (
            "8.2.2 connection",
            whole(&with(&[(b"connection", b"keep-alive")])),
            must,
        ),
        (
            "8.2.2 transfer-encoding",
            whole(&with(&[(b"transfer-encoding", b"chunked")])),
            must,
        ),
        (
            "8.2.2 te: trailers",
            whole(&with(&[(b"te", b"trailers")])),
            BeServed,
        ),
        (
            "8.2.2 te: trailers, deflate",
            whole(&with(&[(b"te", b"trailers, deflate")])),
            must,
        ),
        (
            "8.3 an unknown pseudo-field",
            whole(&with(&[(b":test", b"1")])),
            must,
        ),
        (
            "8.3 a pseudo-field of answers",
            whole(&with(&[(b":status", b"200")])),
            must,
        ),
        (
            "8.3 a pseudo-field behind a field",
            whole(
                &[
                    with(&[(b"x-a", b"1")])[1..].to_vec(),
                    request("GET", "/")[..1].to_vec(),
                ]
                .concat(),
            ),
            must,
        ),
        (
            "8.3.1 an empty :path",
            whole(&[without(b":path"), vec![(b":path", b"")]].concat()),
            must,
        ),
        ("8.3.1 no :method", whole(&without(b":method")), must),
        ("8.3.1 no :scheme", whole(&without(b":scheme")), must),
        ("8.3.1 no :path", whole(&without(b":path")), must),
        (
            "8.3.1 two :method",
            whole(&[request("GET", "/")[..1].to_vec(), request("GET", "/")].concat()),
            must,
        ),
        (
            "8.3.1 two :scheme",
            whole(&[request("GET", "/")[1..2].to_vec(), request("GET", "/")].concat()),
            must,
        ),
        (
            "8.3.1 two :path",
            whole(&[request("GET", "/")[3..].to_vec(), request("GET", "/")].concat()),
            must,
        ),
        (
            "8.1.1 a length above that of DATA",
            sized(b"3", &[b"x"]),
            must,
        ),
        (
            "8.1.1 a length below that of DATA",
            sized(b"1", &[b"xy"]),
            must,
        ),
        (
            "8.1.1 a length above that of several DATA",
            sized(b"5", &[b"x", b"y"]),
            must,
        ),
        (
            "8.1.1 a length without DATA",
            {
                let mut fields = request("POST", "/count");
                fields.push((b"content-length", b"3"));
                whole(&fields)
            },
            must,
        ),
        (
            "8.1.1 a length that is right",
            sized(b"2", &[b"x", b"y"]),
            BeServed,
        ),
        (
            "8.5 CONNECT with :path",
            whole(&request("CONNECT", "/")),
            must,
        ),
    ]
}

/// RFC 7541.
fn compression() -> Vec<Case> {
    let must = EndTheConnection(&[COMPRESSION]);
    let whole = |more: &[u8]| {
        let payload = [&block(&request("GET", "/")), more].concat();
        frame(kind::HEADERS, END_STREAM | END_HEADERS, 1, &payload)
    };
    // A literal field `x` whose value is in the code of appendix B.
    let coded = |value: &[u8]| {
        let length = 0x80 | u8::try_from(value.len()).unwrap();
        whole(&[&[0, 1, b'x', length], value].concat())
    };
    vec![
        (
            "HPACK 2.3.3 an index behind the table",
            whole(&[0xff, 0]),
            must,
        ),
        (
            "HPACK 2.3.3 a name's index behind the table",
            whole(&[0x7f, 0x7f, 1, b'x']),
            must,
        ),
        ("HPACK 4.2 a table size behind fields", whole(&[0x20]), must),
        (
            "HPACK 5.1 an integer of ten bytes",
            whole(&[
                0xff, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1,
            ]),
            must,
        ),
        (
            "HPACK 5.2 padding of more than seven bits",
            coded(&[0x07, 0xff, 0xff]),
            must,
        ),
        ("HPACK 5.2 padding of zeros", coded(&[0x00]), must),
        (
            "HPACK 5.2 the end of the string within it",
            coded(&[0xff, 0xff, 0xff, 0xff]),
            must,
        ),
        ("HPACK 6.1 the index 0", whole(&[0x80]), must),
        (
            "HPACK 6.3 a table size above the setting",
            frame(
                kind::HEADERS,
                END_STREAM | END_HEADERS,
                1,
                &after(vec![0x3f, 0xe2, 0x1f], block(&request("GET", "/"))),
            ),
            must,
        ),
        (
            "HPACK 6.3 a table size within the setting",
            frame(
                kind::HEADERS,
                END_STREAM | END_HEADERS,
                1,
                &after(vec![0x20, 0x3f, 0xe1, 0x1f], block(&request("GET", "/"))),
            ),
            BeServed,
        ),
    ]
}
