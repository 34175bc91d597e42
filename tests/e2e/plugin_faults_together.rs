//! Every plugin that misbehaves, in one gateway, under load, with bad files that come and go: what
//! others wait for stays within twice of what it is without them, and nothing fails.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use witgate_tests::{
    Http, body,
    client::Client,
    gateway::{Gateway, Pool, Setup},
    load::Load,
    upstream::Upstream,
    wasm::{self, guest},
};

const GOOD: &str = "https://shop.example/good";
const BAD: &str = "https://shop.example/bad";

/// All of them misbehave for bad requests. Each fails open, so that a bad request meets all.
const GUESTS: [&str; 12] = [
    "loops-in-route",
    "loops-in-host-calls",
    "panics",
    "recurses",
    "eats-memory",
    "names-undeclared-pool",
    "floods-the-log",
    "reads-everything",
    "logs-fields",
    "edits-a-million-times",
    "edits-content-length",
    "breaks-lines",
];

/// Waits for a pool that never answers, or for a body.
const WAITS: &str = r#"
roles = ["routing"]
grants = ["callout", "body"]
instances = 20
callout = { pools = ["auth"], timeout = "500ms" }
body = { timeout = "500ms" }
"#;

/// A gateway with all of them.
async fn gateway() -> (Upstream, Gateway) {
    let upstream = Upstream::pinned("web-1").await;
    let mut setup = Setup::new()
        .workers(2)
        .plugin_defaults("on_error = \"fail-open\"\nsuspend_after = 0")
        .default_pool(
            "web",
            Pool::pinned(&[&upstream]).with("affinity = \"panics-in-affinity\""),
        )
        .pool("auth", Pool::pinned(&[&upstream]))
        .plugin("50-waits", &guest("waits"))
        .sidecar("50-waits", WAITS)
        .sidecar("17-reads-everything", "isolation = \"request\"")
        .plugin("90-panics-in-affinity", &guest("panics-in-affinity"));
    for (number, name) in GUESTS.iter().enumerate() {
        setup = setup.plugin(&format!("{:02}-{name}", number + 10), &guest(name));
    }
    (upstream, setup.start().await)
}

/// How long good requests take, while they are asked for.
type Times = Arc<Mutex<Vec<Duration>>>;

/// Clients that ask again as soon as they are answered: they keep the gateway busy.
fn good_load(gateway: &Gateway, times: &Times) -> Load {
    let mut load = Load::default();
    for http in [Http::One, Http::Two].repeat(4) {
        let client = Arc::new(gateway.client(http));
        let times = Arc::clone(times);
        load.add(move || timed(Arc::clone(&client), Arc::clone(&times)));
    }
    load
}

async fn timed(client: Arc<Client>, times: Times) {
    let begin = Instant::now();
    assert_eq!(client.get(GOOD).await.status, 200);
    times.lock().unwrap().push(begin.elapsed());
}

/// What 99 of 100 good requests take at most, within five seconds.
async fn p99(times: &Times) -> Duration {
    times.lock().unwrap().clear();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut times = std::mem::take(&mut *times.lock().unwrap());
    times.sort();
    times[times.len() * 99 / 100]
}

/// Ten bad requests a second.
async fn bad(client: Client) {
    let mut due = tokio::time::interval(Duration::from_millis(100));
    loop {
        due.tick().await;
        let status = client.get(BAD).await.status;
        assert_eq!(status, 200, "all of them fail open");
    }
}

/// Calls that wait for what does not come, that loop or crash once they have waited, and clients
/// that leave in the middle of one; ten of each a second.
async fn waiting(client: Client) {
    let client = Arc::new(client);
    let mut due = tokio::time::interval(Duration::from_millis(100));
    loop {
        due.tick().await;
        for path in ["ask/hang", "loop", "panic", "body?9", "bad"] {
            let client = Arc::clone(&client);
            let url = format!("https://shop.example/{path}");
            let sent = http::Request::post(url)
                .body(body::unfinished("x"))
                .unwrap();
            let asked = tokio::spawn(async move { client.fetch(sent).await });
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                asked.abort();
            });
        }
    }
}

/// Files that are not fit, and versions that trap or lie in each call, one after the other: each
/// goes once the gateway has said what it makes of it.
async fn files(gateway: &Gateway) {
    let live = "plugin is live";
    let all: [(&str, Vec<u8>, &str); 10] = [
        (
            "",
            b"\0asm, but no more".to_vec(),
            "is not valid WebAssembly",
        ),
        ("", b"garbage".to_vec(), "is not WebAssembly"),
        ("", b"\x7fELF".to_vec(), "is compiled code"),
        ("", wasm::unknown_import(), "does not offer"),
        ("", wasm::wrong_world(), "has none of the roles"),
        (
            "",
            guest("refuses-configuration"),
            "refuses its configuration",
        ),
        (
            "compile_timeout = \"300ms\"",
            wasm::laborious(1_000_000),
            "was not compiled within",
        ),
        (
            "memory = \"64KiB\"",
            wasm::with_pages(100),
            "failed while it started",
        ),
        ("", wasm::executing("unreachable"), live),
        ("", wasm::routing("", "(i32.const -4)"), live),
    ];
    let setup = gateway.setup();
    for (number, (sidecar, file, told)) in all.iter().enumerate().cycle() {
        let name = format!("60-comes-{number}");
        let entries = gateway.log().len();
        setup.put_sidecar(&name, sidecar);
        setup.put_plugin(&name, file);
        let plugin = format!("comes-{number}");
        gateway.logged_after(entries, &[&plugin, told]).await;
        for end in ["wasm", "toml"] {
            std::fs::remove_file(setup.plugins().join(format!("{name}.{end}"))).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_faults_at_once_leave_other_requests_their_time() {
    let (_upstream, gateway) = gateway().await;
    let times = Times::default();
    let load = good_load(&gateway, &times);
    load.more(500).await;
    let mut tries = Vec::new();
    while tries.len() < 5
        && tries
            .last()
            .is_none_or(|(alone, beside)| *beside > *alone * 2)
    {
        let alone = p99(&times).await;
        let client = tokio::spawn(bad(gateway.client(Http::Two)));
        let waiting = tokio::spawn(waiting(gateway.client(Http::Two)));
        let measured = async {
            // What overtime there was to be taken at once is taken then.
            tokio::time::sleep(Duration::from_secs(2)).await;
            p99(&times).await
        };
        let beside = tokio::select! {
            beside = measured => beside,
            () = files(&gateway) => unreachable!("they come and go without end"),
        };
        assert!(!client.is_finished(), "a bad request has failed");
        client.abort();
        waiting.abort();
        tries.push((alone, beside));
    }
    load.stop().await;
    for name in GUESTS {
        let calls = format!("witgate_plugin_calls_total{{plugin=\"{name}\"}}");
        assert!(gateway.metric(&calls).await > 500.0, "{name} was asked");
    }
    let (alone, beside) = tries.last().unwrap();
    assert!(*beside <= *alone * 2, "p99 alone and beside: {tries:?}");
}
