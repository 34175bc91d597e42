//! HTTP/2 frames against the rules, section by section of RFC 9113 and RFC 7541 as h2spec checks
//! them, and frames within the rules that must not be taken for such. What the HTTP/2 library
//! does otherwise is on a list with its reason, and in `docs/faults.md`.

mod cases;

use tokio::time::timeout;
use witgate_tests::{
    gateway::{Gateway, Pool, Setup},
    raw_h2::{Frame, RawH2, frame, kind},
    upstream::Upstream,
    wait,
};

/// Error codes (RFC 9113 §7).
const PROTOCOL: u32 = 1;
const FLOW_CONTROL: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE: u32 = 6;
const REFUSED: u32 = 7;
const COMPRESSION: u32 = 9;

/// What must become of the frames.
#[derive(Debug, Clone, Copy)]
enum Must {
    /// GOAWAY with one of these codes, and the end of the connection.
    EndTheConnection(&'static [u32]),
    /// A stream reset with one of these codes or answered with 400, or the connection ended so.
    EndTheStream(&'static [u32]),
    /// The stream is answered.
    BeServed,
    /// Nothing, and the connection goes on.
    BeIgnored,
}

/// A section and what is special, the frames behind the preface, what must become of them.
type Case = (&'static str, Vec<u8>, Must);

/// What became of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    GoAway(u32),
    Reset(u32),
    Refused,
    Answered,
    Ignored,
    /// The end without a word.
    End,
}

impl Outcome {
    fn is_right(self, must: Must) -> bool {
        match (must, self) {
            (Must::EndTheConnection(codes), Self::GoAway(code)) => codes.contains(&code),
            (Must::EndTheStream(codes), Self::GoAway(code) | Self::Reset(code)) => {
                codes.contains(&code)
            }
            (Must::EndTheStream(_), Self::Refused) => true,
            (Must::BeServed, Self::Answered) | (Must::BeIgnored, Self::Ignored) => true,
            _ => false,
        }
    }
}

/// Where the library does otherwise: the case, what it does, why that is good enough.
const DEVIATIONS: &[(&str, Outcome, &str)] = &[
    ("4.3 a header block that is none", ENDED, INEXACT),
    ("5.1 half-closed: DATA", ENDED, INEXACT),
    ("5.1 half-closed: HEADERS", ENDED, INEXACT),
    ("5.1 closed by RST_STREAM: HEADERS", ENDED, INEXACT),
    ("6.3 PRIORITY of four bytes", ENDED, INEXACT),
    ("6.4 RST_STREAM of three bytes", ENDED, INEXACT),
    ("6.5 an acknowledgement with a payload", ENDED, INEXACT),
    ("6.5 SETTINGS of five bytes", ENDED, INEXACT),
    ("6.5.2 INITIAL_WINDOW_SIZE of 2^31", ENDED, INEXACT),
    ("6.7 PING of six bytes", ENDED, INEXACT),
    ("6.8 GOAWAY of four bytes", ENDED, INEXACT),
    ("6.9 WINDOW_UPDATE of three bytes", ENDED, INEXACT),
    (
        "8.1 trailers with a pseudo-field",
        Outcome::Ignored,
        "The pseudo-field is dropped; the route was decided without it, and it does not go on.",
    ),
    (
        "8.2.1 a value with a blank ahead",
        Outcome::Ignored,
        "The value goes on; HTTP/1.1 does not tell such blanks from those behind the colon.",
    ),
    ("HPACK 2.3.3 an index behind the table", ENDED, INEXACT),
    (
        "HPACK 2.3.3 a name's index behind the table",
        ENDED,
        INEXACT,
    ),
    ("HPACK 4.2 a table size behind fields", ENDED, INEXACT),
    ("HPACK 5.1 an integer of ten bytes", ENDED, INEXACT),
    ("HPACK 5.2 padding of more than seven bits", ENDED, INEXACT),
    ("HPACK 5.2 padding of zeros", ENDED, INEXACT),
    ("HPACK 5.2 the end of the string within it", ENDED, INEXACT),
    ("HPACK 6.1 the index 0", ENDED, INEXACT),
    ("HPACK 6.3 a table size above the setting", ENDED, INEXACT),
];

const ENDED: Outcome = Outcome::GoAway(PROTOCOL);
const INEXACT: &str = "The connection ends, with PROTOCOL_ERROR for a more exact code.";

/// Sends the frames, and sees what becomes of them. What a server has to say of them is said
/// before it has answered two pings, each sent after the answer to all before it.
async fn outcome(gateway: &Gateway, frames: &[u8], must: Must) -> Outcome {
    let mut socket = RawH2::open(gateway, &[]).await;
    socket.send(frames).await;
    socket.send(&frame(kind::PING, 0, 0, b"first...")).await;
    let mut found = Outcome::Ignored;
    while let Some(frame) = socket.read().await {
        match frame.kind {
            kind::GOAWAY => {
                socket.ends().await;
                return Outcome::GoAway(frame.code());
            }
            kind::RST_STREAM if found == Outcome::Ignored => found = Outcome::Reset(frame.code()),
            kind::HEADERS if found == Outcome::Ignored => found = answered(&frame),
            kind::PING if frame.flags == 1 && frame.payload == b"first..." => {
                socket
                    .send(&self::frame(kind::PING, 0, 0, b"second.."))
                    .await;
            }
            kind::PING if frame.payload == b"second.." && !matches!(must, Must::BeServed) => {
                return found;
            }
            _ => {}
        }
        if matches!(must, Must::BeServed) && found != Outcome::Ignored {
            return found;
        }
    }
    Outcome::End
}

/// Whether an answer is an error: entry 12 of the static table is 400.
fn answered(frame: &Frame) -> Outcome {
    match frame.payload.first() {
        Some(0x8c) => Outcome::Refused,
        _ => Outcome::Answered,
    }
}

#[tokio::test]
async fn fault_24_frames_get_what_the_rfc_says_or_stand_on_the_list() {
    let upstream = Upstream::pinned("web-1").await;
    let setup = Setup::new().default_pool("web", Pool::pinned(&[&upstream]));
    let gateway = setup.start().await;
    let mut wrong = Vec::new();
    let cases = cases::all();
    for (name, frames, must) in &cases {
        let found = timeout(wait::DEADLINE, outcome(&gateway, frames, *must)).await;
        let found = found.unwrap_or_else(|_| panic!("{name}: neither an answer nor an end"));
        let listed = DEVIATIONS.iter().find(|(listed, _, _)| listed == name);
        match listed {
            None if found.is_right(*must) => {}
            None => wrong.push(format!("{name}: {must:?}, found {found:?}")),
            Some((_, known, _)) if *known == found => {}
            Some((_, known, _)) => wrong.push(format!("{name}: listed {known:?}, found {found:?}")),
        }
        if listed.is_some() && found.is_right(*must) {
            wrong.push(format!("{name}: listed, and right"));
        }
    }
    let names: Vec<_> = cases.iter().map(|(name, _, _)| *name).collect();
    for (listed, _, _) in DEVIATIONS {
        assert!(names.contains(listed), "on the list and no case: {listed}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let answer = gateway
        .client(witgate_tests::Http::Two)
        .get("https://shop.example/")
        .await;
    assert_eq!(answer.status, 200);
}

#[test]
fn the_documentation_tells_of_each_deviation() {
    let page = include_str!("../../docs/faults.md");
    for (name, _, why) in DEVIATIONS {
        let row = format!("| {name} | {why} |");
        assert!(page.contains(&row), "docs/faults.md lacks: {row}");
    }
}
