//! A thousand reloads, good and bad, of all parts, with everything going on at once: short
//! requests, long downloads, WebSockets (faults 47 and 52). No request fails, no connection is
//! dropped, and memory and descriptors stay as they were.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use http_body_util::BodyExt as _;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, task::JoinSet};
use witgate_tests::{
    Http, body,
    client::{Client, get},
    eventually,
    gateway::{Gateway, Pool, Setup},
    load::Load,
    raw::TlsClient,
    tunnel::{Endpoint, gets, head},
    upstream::Upstream,
    wasm,
};

const RELOADS: usize = 1000;
/// So many, and what grows at first has grown.
const SETTLED: usize = 200;
/// Reloads at whose ends memory is looked at, after that and at the end.
const WATCHED: usize = 100;
/// Bytes that memory may grow by meanwhile: less than two hundred versions of a plugin have, were
/// they kept.
const GROWTH: u64 = 32 << 20;
const WEBSOCKETS: usize = 50;
const DOWNLOADS: usize = 20;
/// Bytes of each, and how many are read a second: enough for longer than all reloads take.
const DOWNLOAD: usize = 60_000_000;
const PACE: usize = 50_000;
const ROUTER: &str = "10-path-router";
const URL: &str = "https://shop.example/cart";
const APPLIED: &str = "witgate_reloads_total{result=\"applied\"}";
const REFUSED: &str = "witgate_reloads_total{result=\"refused\"}";

/// Tells WebSockets apart.
const RULES: &str = "[config]\nrules = [{ paths = [\"/chat*\"], pool = \"chat\" }]\n";
const UPGRADE: &[u8] = b"GET /chat HTTP/1.1\r\nhost: shop.example\r\nconnection: upgrade\r\n\
    upgrade: websocket\r\nsec-websocket-version: 13\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Of each HTTP one client that keeps its connection, and one that connects for each request.
fn load(gateway: &Gateway) -> Load {
    let root = gateway.setup().authority().certificate();
    let address = gateway.address();
    let mut load = Load::default();
    for http in [Http::One, Http::Two] {
        let kept = Arc::new(gateway.client(http));
        load.add(move || read_and_written(Arc::clone(&kept)));
        let root = root.clone();
        load.add(move || {
            let fresh = Client::new(address, "shop.example", root.clone(), http);
            read_and_written(Arc::new(fresh))
        });
    }
    load
}

async fn read_and_written(client: Arc<Client>) {
    assert_eq!(client.get(URL).await.status, 200);
    let request = http::Request::post(URL).body(body::full("x".repeat(5000)));
    let answer = client.fetch(request.unwrap()).await.unwrap();
    assert_eq!(answer.echo().bytes, 5000);
}

/// Downloads that trickle until `hurry`; each returns how much it got.
async fn downloads(gateway: &Gateway, hurry: &Arc<AtomicBool>) -> JoinSet<usize> {
    let mut downloads = JoinSet::new();
    for number in 0..DOWNLOADS {
        let http = [Http::One, Http::Two][number % 2];
        let client = gateway.client(http);
        let url = format!("https://shop.example/bytes/{DOWNLOAD}");
        let mut body = client.send(get(&url)).await.unwrap().into_body();
        let hurry = Arc::clone(hurry);
        downloads.spawn(async move {
            let _client = client;
            let (mut read, begin) = (0, Instant::now());
            while let Some(frame) = body.frame().await {
                read += frame.unwrap().data_ref().map_or(0, |data| data.len());
                while !hurry.load(Ordering::Relaxed)
                    && read as f64 > begin.elapsed().as_secs_f64() * PACE as f64
                {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            read
        });
    }
    downloads
}

async fn websockets(gateway: &Gateway, endpoint: &Endpoint) -> Vec<(TlsClient, TcpStream)> {
    let mut open = Vec::new();
    for _ in 0..WEBSOCKETS {
        let mut client = gateway.raw().await.into_inner();
        client.write_all(UPGRADE).await.unwrap();
        client.flush().await.unwrap();
        let server = endpoint.switched().await;
        let answer = head(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        open.push((client, server));
    }
    open
}

async fn works((client, server): &mut (TlsClient, TcpStream)) {
    client.write_all(b"up").await.unwrap();
    client.flush().await.unwrap();
    gets(server, b"up").await;
    server.write_all(b"down").await.unwrap();
    gets(client, b"down").await;
}

/// Reloads once, with another change each time; three of eight are wrong.
async fn reload(gateway: &mut Gateway, number: usize, upstreams: &[Upstream; 2]) {
    let router = |number| wasm::stamped(&wasm::reference("path-router"), number);
    let ended = async |gateway: &Gateway| {
        let metrics = gateway.metrics().await;
        [APPLIED, REFUSED].map(|series| {
            let value = metrics.lines().find_map(|line| line.strip_prefix(series));
            value.map_or(0.0, |value| value.trim().parse::<f64>().unwrap())
        })
    };
    let before = ended(gateway).await;
    let applied = match number % 8 {
        0 => {
            gateway.configure(|setup| setup.pool("web", Pool::pinned(&[&upstreams[0]])));
            Some(true)
        }
        1 => {
            let version = u32::try_from(number).unwrap();
            gateway.setup().put_plugin(ROUTER, &router(version));
            Some(true)
        }
        2 => {
            gateway.configure(|setup| setup.pool("more", Pool::pinned(&[&upstreams[1]])));
            Some(true)
        }
        3 => {
            fs::write(gateway.setup().file(), "colour = 1").unwrap();
            Some(false)
        }
        4 => {
            let both = Pool::pinned(&[&upstreams[0], &upstreams[1]]);
            gateway.configure(|setup| setup.pool("web", both));
            Some(true)
        }
        5 => {
            // The version before stays; whether the rest of a reload counts is not the point.
            gateway.setup().put_plugin(ROUTER, b"not Wasm");
            None
        }
        6 => {
            let deadline = format!("deadline = \"{}ms\"\n{RULES}", 500 + number);
            gateway.setup().put_sidecar(ROUTER, &deadline);
            gateway.setup().put_plugin(ROUTER, &router(0));
            Some(true)
        }
        _ => {
            let text = gateway.setup().text();
            fs::write(gateway.setup().file(), &text[..text.len() / 2]).unwrap();
            Some(false)
        }
    };
    gateway.hang_up().await;
    eventually!(format!("the end of reload {number}"), {
        let now = ended(gateway).await;
        let more = [now[0] > before[0], now[1] > before[1]];
        match applied {
            Some(true) => more[0].then_some(()),
            Some(false) => more[1].then_some(()),
            None => (more[0] || more[1]).then_some(()),
        }
    });
    if applied == Some(false) {
        gateway.setup().write();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_52_a_thousand_reloads_under_everything_at_once_drop_nothing() {
    let upstreams = [
        Upstream::pinned("web-1").await,
        Upstream::pinned("web-2").await,
    ];
    let endpoint = Endpoint::start().await;
    let both = Pool::pinned(&[&upstreams[0], &upstreams[1]]);
    let mut gateway = Setup::new()
        .default_pool("web", both)
        .pool("chat", endpoint.pool())
        .plugin(ROUTER, &wasm::reference("path-router"))
        .sidecar(ROUTER, &format!("deadline = \"500ms\"\n{RULES}"))
        .start()
        .await;
    let hurry = Arc::<AtomicBool>::default();
    let mut downloads = downloads(&gateway, &hurry).await;
    let mut websockets = websockets(&gateway, &endpoint).await;
    let load = load(&gateway);
    // Of a time, the least counts: what compiling or a connection takes for a moment is no leak.
    let mut early = (u64::MAX, usize::MAX);
    let mut late = early;
    let least = |before: (u64, usize), gateway: &Gateway| {
        let (memory, open) = before;
        (
            memory.min(gateway.resident()),
            open.min(gateway.descriptors()),
        )
    };
    for number in 0..RELOADS {
        reload(&mut gateway, number, &upstreams).await;
        match number {
            SETTLED.. if number < SETTLED + WATCHED => early = least(early, &gateway),
            _ if number >= RELOADS - WATCHED => late = least(late, &gateway),
            _ => {}
        }
        works(&mut websockets[number % WEBSOCKETS]).await;
        assert!(!load.has_failed(), "a client has failed");
        assert!(
            downloads.try_join_next().is_none(),
            "a download has ended before its time"
        );
    }
    for websocket in &mut websockets {
        works(websocket).await;
    }
    hurry.store(true, Ordering::Relaxed);
    while let Some(read) = downloads.join_next().await {
        assert_eq!(read.unwrap(), DOWNLOAD);
    }
    let answered = load.stop().await;
    assert!(answered > RELOADS as u64, "only {answered} answers");
    let grown = late.0.saturating_sub(early.0);
    assert!(grown < GROWTH, "{} KiB more", grown >> 10);
    let (before, after) = (early.1, late.1);
    assert!(after <= before + 16, "{before} descriptors, then {after}");
    let tunnels = gateway
        .metric("witgate_tunnels_open{listener=\"public\"}")
        .await;
    assert_eq!(tunnels, WEBSOCKETS as f64);
}
