//! Every plugin that misbehaves, in one gateway, under load: what others wait for stays within
//! twice of what it is without bad requests, and nothing fails.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use witgate_tests::{
    Http,
    client::Client,
    gateway::{Gateway, Pool, Setup},
    load::Load,
    upstream::Upstream,
    wasm::guest,
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
        .plugin("90-panics-in-affinity", &guest("panics-in-affinity"));
    for (number, name) in GUESTS.iter().enumerate() {
        setup = setup.plugin(&format!("{:02}-{name}", number + 10), &guest(name));
    }
    (upstream, setup.start().await)
}

/// How long good requests take, while they are asked for.
type Times = Arc<Mutex<Vec<Duration>>>;

fn good_load(gateway: &Gateway, times: &Times) -> Load {
    let mut load = Load::default();
    for http in [Http::One, Http::Two] {
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
    tokio::time::sleep(Duration::from_millis(2)).await;
}

/// What 99 of 100 good requests take at most, within three seconds.
async fn p99(times: &Times) -> Duration {
    times.lock().unwrap().clear();
    tokio::time::sleep(Duration::from_secs(3)).await;
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
        // What overtime there was to be taken at once is taken then.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let beside = p99(&times).await;
        assert!(!client.is_finished(), "a bad request has failed");
        client.abort();
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
