//! More floods over HTTP/2: of GOAWAY, of empty HEADERS, of header lists that are large but
//! within the limits. Numbers are those of the table of faults.

use witgate_tests::{
    Http, eventually,
    gateway::{Gateway, Pool, Setup},
    raw_h2::{END_HEADERS, END_STREAM, RawH2, block, frame, get, kind, request},
    upstream::Upstream,
};

async fn gateway(change: impl FnOnce(Setup) -> Setup) -> (Upstream, Gateway) {
    let upstream = Upstream::pinned("web-1").await;
    let setup = Setup::new().default_pool("web", Pool::pinned(&[&upstream]));
    (upstream, change(setup).start().await)
}

async fn serves(gateway: &Gateway) {
    for http in [Http::One, Http::Two] {
        let answer = gateway.client(http).get("https://shop.example/").await;
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test]
async fn fault_27_a_flood_of_goaway_ends_the_connection() {
    let (_upstream, gateway) =
        gateway(|setup| setup.table("[limits]\nh2_idle_frames = 1000")).await;
    let mut socket = RawH2::open(&gateway, &[]).await;
    socket.send(&get(1, "/hang")).await;
    let piece = frame(kind::GOAWAY, 0, 0, &[0; 8]);
    assert!(socket.flood(&piece.repeat(100), 200).await);
    serves(&gateway).await;
}

#[tokio::test]
async fn fault_27_a_flood_of_empty_headers_ends_the_connection() {
    let (upstream, gateway) = gateway(|setup| setup.table("[limits]\nh2_resets = 100")).await;
    let socket = RawH2::open(&gateway, &[]).await;
    let empty = |n: u32| frame(kind::HEADERS, END_STREAM | END_HEADERS, 1 + 2 * n, &[]);
    let storm: Vec<u8> = (0..20_000).flat_map(empty).collect();
    assert!(socket.flood(&storm, 1).await);
    assert_eq!(upstream.requests(), 0);
    serves(&gateway).await;
}

#[tokio::test]
async fn fault_26_hundreds_of_large_header_lists_stay_within_memory() {
    let (upstream, gateway) = gateway(|setup| setup).await;
    serves(&gateway).await;
    let before = gateway.peak();
    let value = [b'a'; 15_000];
    let mut fields = request("GET", "/hold");
    fields.extend([(&b"x-a"[..], &value[..]); 4]);
    let fields = block(&fields);
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let mut socket = RawH2::open(&gateway, &[]).await;
        for n in 0..100 {
            let mut pieces = fields.chunks(16_384).peekable();
            let first = pieces.next().unwrap();
            let mut bytes = frame(kind::HEADERS, END_STREAM, 1 + 2 * n, first);
            while let Some(piece) = pieces.next() {
                let flags = if pieces.peek().is_none() {
                    END_HEADERS
                } else {
                    0
                };
                bytes.extend(frame(kind::CONTINUATION, flags, 1 + 2 * n, piece));
            }
            socket.send(&bytes).await;
        }
        sockets.push(socket);
    }
    eventually!("300 requests", (upstream.requests() >= 302).then_some(()));
    let more = gateway.peak() - before;
    // 18 MB of fields, each held as received and as sent on.
    assert!(more < 96 << 20, "{} KiB more", more >> 10);
    serves(&gateway).await;
    drop(sockets);
}
