//! Configuration, reloads, the end and the signals: faults 51 to 54 and 56. Upgrades have a file
//! of their own.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    time::{Duration, Instant},
};

use http_body_util::BodyExt as _;
use witgate_tests::{
    Http,
    certs::GATEWAY_NAMES,
    client::get,
    dns::{NameServer, Zone},
    eventually,
    gateway::{self, Gateway, Pool, Setup},
    over_h1_and_h2,
    raw_h2::{self, RawH2, kind},
    upstream::Upstream,
    wasm,
};

const URL: &str = "https://shop.example/cart";

async fn setup() -> (Upstream, Setup) {
    let upstream = Upstream::pinned("web-1").await;
    let setup = Setup::new().default_pool("web", Pool::pinned(&[&upstream]));
    (upstream, setup)
}

/// An address that is free now.
fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// What may be wrong with a configuration, and a word of what is said of it.
fn wrong(good: &str) -> Vec<(String, &'static str)> {
    let taken =
        |text: &str| format!("{text}[[listeners]]\nname = \"taken\"\nprotocol = \"http\"\n");
    vec![
        (String::new(), "there is no listener"),
        (good[..good.len() / 2].to_owned(), "witgate.toml:"),
        (format!("{good}colour = \"red\"\n"), "colour"),
        (format!("workers = 2\n{good}"), "stands twice"),
        (good.replace("workers = 2", "workers = \"two\""), "workers"),
        (good.replace("gateway.pem", "missing.pem"), "missing.pem"),
        (good.replace("gateway.key", "other.key"), "does not fit"),
        (good.replace("\"plugins\"", "\"nowhere\""), "nowhere"),
        (
            taken(good) + "address = \"192.0.2.1:80\"\n",
            "cannot listen on 192.0.2.1:80",
        ),
    ]
}

#[tokio::test]
async fn fault_51_a_wrong_configuration_ends_the_start_with_code_1_and_the_reason() {
    let (_upstream, setup) = setup().await;
    setup
        .authority()
        .issue(&GATEWAY_NAMES)
        .write(setup.dir(), "other");
    let file = setup.file().display().to_string();
    for (text, said) in wrong(&setup.text()) {
        fs::write(setup.file(), &text).unwrap();
        let output = gateway::output(&["run", "--config", &file]).await;
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}: {message}");
        assert!(message.contains(said), "{said:?} is missing: {message}");
        assert!(message.contains("witgate.toml"), "{message}");
    }
}

#[tokio::test]
async fn fault_51_a_wrong_configuration_is_refused_at_reload_and_told() {
    let (_upstream, setup) = setup().await;
    let gateway = setup.start().await;
    let setup = gateway.setup();
    setup
        .authority()
        .issue(&GATEWAY_NAMES)
        .write(setup.dir(), "other");
    let client = gateway.client(Http::Two);
    for (text, said) in wrong(&setup.text()) {
        let entries = gateway.log().len();
        fs::write(setup.file(), text).unwrap();
        gateway.logged_after(entries, &["ERROR", said]).await;
        gateway
            .counted("witgate_reloads_total{result=\"refused\"}", 1.0)
            .await;
        assert_eq!(gateway.metric("witgate_last_reload_ok").await, 0.0);
        let (status, text) = gateway.admin("/readyz").await;
        assert_eq!(
            (status, text.contains("the last reload was refused")),
            (200, true)
        );
        assert_eq!(client.get(URL).await.status, 200);
    }
    setup.write();
    let is_good = || gateway.admin("/readyz");
    eventually!(
        "a good reload",
        (is_good().await.1 == "ready\n").then_some(())
    );
}

#[tokio::test]
async fn fault_51_ten_thousand_pools_are_started_and_reloaded_with() {
    let (upstream, mut setup) = setup().await;
    for number in 0..10_000 {
        setup = setup.pool(&format!("pool-{number}"), Pool::plain(&[&upstream]));
    }
    let mut gateway = setup.start().await;
    assert_eq!(gateway.client(Http::One).get(URL).await.status, 200);
    gateway.configure(|setup| setup.pool("pool-0", Pool::plain(&[&upstream]).with("max_idle = 1")));
    gateway.reload().await;
    assert_eq!(gateway.client(Http::Two).get(URL).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_52_a_thousand_reloads_in_a_row_leave_memory_and_descriptors_as_they_were() {
    let (_upstream, setup) = setup().await;
    let gateway = setup
        .plugin("10-answers", &wasm::answering("good"))
        .start()
        .await;
    let client = gateway.client(Http::Two);
    let applied = || gateway.metric("witgate_reloads_total{result=\"applied\"}");
    let mut settled = (0, 0);
    for number in 0..1000 {
        if number == 200 {
            settled = (gateway.resident(), gateway.descriptors());
        }
        if number % 100 == 50 {
            let entries = gateway.log().len();
            fs::write(gateway.setup().file(), "colour = 1").unwrap();
            gateway.logged_after(entries, &["ERROR", "colour"]).await;
            gateway.setup().write();
        }
        let before = applied().await;
        gateway.hang_up().await;
        eventually!("a reload", (applied().await > before).then_some(()));
        if number % 10 == 0 {
            assert_eq!(client.get(URL).await.header("x-answer"), "good");
        }
    }
    let (memory, descriptors) = settled;
    let grown = gateway.resident().saturating_sub(memory);
    assert!(grown < 16 << 20, "{} KiB more", grown >> 10);
    assert!(
        gateway.descriptors() <= descriptors + 4,
        "{descriptors} descriptors, then {}",
        gateway.descriptors()
    );
}

over_h1_and_h2! {
    async fn fault_52_a_request_ends_under_the_configuration_that_it_began_with(http) {
        let (upstream, setup) = setup().await;
        let mut gateway = setup.start().await;
        let client = gateway.client(http);
        let held = tokio::spawn(async move { client.get("https://shop.example/hold").await });
        eventually!("the request", (upstream.requests() == 1).then_some(()));
        let next = Upstream::pinned("web-2").await;
        gateway.configure(|setup| setup.pool("web", Pool::pinned(&[&next])));
        let client = gateway.client(http);
        eventually!(
            "the new pool",
            (client.get(URL).await.echo().upstream == "web-2").then_some(())
        );
        upstream.release(1);
        assert_eq!(held.await.unwrap().echo().upstream, "web-1");
    }
}

#[tokio::test]
async fn fault_52_changes_during_a_reload_are_seen_after_it() {
    let (_upstream, setup) = setup().await;
    let gateway = setup
        .plugin("10-answers", &wasm::answering("0"))
        .start()
        .await;
    let client = gateway.client(Http::One);
    for version in 1..=20 {
        let wasm = wasm::answering(&version.to_string());
        gateway.setup().put_plugin("10-answers", &wasm);
        gateway.hang_up().await;
        tokio::time::sleep(Duration::from_millis(37)).await;
    }
    eventually!(
        "the last version",
        (client.get(URL).await.header("x-answer") == "20").then_some(())
    );
}

over_h1_and_h2! {
    async fn fault_53_a_download_ends_whole_after_sigterm(http) {
        const LENGTH: usize = 50_000_000;
        let (_upstream, setup) = setup().await;
        let mut gateway = setup.start().await;
        let client = gateway.client(http);
        let url = format!("https://shop.example/bytes/{LENGTH}");
        let mut body = client.send(get(&url)).await.unwrap().into_body();
        let mut read = body.frame().await.unwrap().unwrap().into_data().unwrap().len();
        gateway.terminate().await;
        let late = gateway.client(http);
        eventually!("no new connection", late.try_get(URL).await.err());
        while let Some(frame) = body.frame().await {
            read += frame.unwrap().data_ref().map_or(0, |data| data.len());
        }
        assert_eq!(read, LENGTH);
        assert_eq!(gateway.exit().await.code(), Some(0));
    }

    async fn fault_53_a_second_sigterm_cuts_at_once(http) {
        let (upstream, setup) = setup().await;
        let mut gateway = setup.start().await;
        let client = gateway.client(http);
        let hung = tokio::spawn(async move { client.try_get("https://shop.example/hang").await });
        eventually!("the request", (upstream.requests() == 1).then_some(()));
        gateway.terminate().await;
        gateway.logged(&["draining"]).await;
        gateway.signal("-INT").await;
        let begin = Instant::now();
        assert_eq!(gateway.exit().await.code(), Some(0));
        assert!(begin.elapsed() < Duration::from_secs(10));
        hung.await.unwrap().unwrap_err();
        gateway.logged(&["running requests are cut", "told to end at once"]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_53_under_load_each_request_that_was_taken_is_answered() {
    let (_upstream, setup) = setup().await;
    let mut gateway = setup.start().await;
    let (address, root) = (gateway.address(), gateway.setup().authority().certificate());
    let clients: Vec<_> = [Http::One, Http::Two, Http::One, Http::Two]
        .map(|http| {
            let client =
                witgate_tests::client::Client::new(address, "shop.example", root.clone(), http);
            // An answer, or a connection that was never taken: never half of one.
            tokio::spawn(async move {
                loop {
                    let Ok(head) = client.send(get("https://shop.example/bytes/100000")).await
                    else {
                        return;
                    };
                    let body = head.into_body().collect().await.unwrap();
                    assert_eq!(body.to_bytes().len(), 100_000);
                }
            })
        })
        .into();
    gateway
        .counted(
            "witgate_requests_total{listener=\"public\",class=\"2xx\"}",
            40.0,
        )
        .await;
    gateway.terminate().await;
    assert_eq!(gateway.exit().await.code(), Some(0));
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test]
async fn fault_53_clients_are_told_that_the_connection_ends() {
    let (upstream, setup) = setup().await;
    let gateway = setup.start().await;
    let mut h1 = gateway.raw().await;
    h1.send(b"GET /hold HTTP/1.1\r\nhost: shop.example\r\n\r\n")
        .await;
    let mut h2 = RawH2::open(&gateway, &[]).await;
    h2.send(&raw_h2::get(1, "/hold")).await;
    eventually!("both requests", (upstream.requests() == 2).then_some(()));
    gateway.terminate().await;
    gateway.logged(&["draining"]).await;
    assert!(h2.read_kind(kind::GOAWAY).await.is_some());
    upstream.release(2);
    let answer = h1.read_to_end().await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn fault_54_sigint_ends_well_and_sigpipe_is_nothing() {
    let (_upstream, setup) = setup().await;
    let mut gateway = setup.start().await;
    gateway.signal("-PIPE").await;
    assert_eq!(gateway.client(Http::One).get(URL).await.status, 200);
    gateway.signal("-INT").await;
    assert_eq!(gateway.exit().await.code(), Some(0));
}

#[tokio::test]
async fn fault_54_sigusr1_opens_a_rotated_access_log_again() {
    let (_upstream, setup) = setup().await;
    let gateway = setup
        .table("[access_log]\npath = \"access.jsonl\"")
        .start()
        .await;
    let log = gateway.setup().dir().join("access.jsonl");
    let lines = |path| fs::read_to_string(path).unwrap_or_default().lines().count();
    let client = gateway.client(Http::Two);
    client.get(URL).await;
    eventually!("a line", (lines(&log) == 1).then_some(()));
    let old = log.with_extension("1");
    fs::rename(&log, &old).unwrap();
    gateway.signal("-USR1").await;
    eventually!("a new file", log.exists().then_some(()));
    client.get(URL).await;
    eventually!("its line", (lines(&log) == 1).then_some(()));
    assert_eq!(lines(&old), 1);
    assert_eq!(
        gateway.metric("witgate_access_log_lost_lines_total").await,
        0.0
    );
}

#[tokio::test]
async fn fault_54_after_a_kill_a_start_needs_no_cleaning_up() {
    let (_upstream, setup) = setup().await;
    let gateway = setup
        .address(free())
        .admin(free())
        .table("[access_log]\npath = \"access.jsonl\"")
        .start()
        .await;
    let client = gateway.client(Http::Two);
    assert_eq!(client.get(URL).await.status, 200);
    gateway.signal("-KILL").await;
    let next = gateway.restart().await;
    assert_eq!(next.client(Http::Two).get(URL).await.status, 200);
    assert_eq!(next.admin("/readyz").await, (200, "ready\n".to_owned()));
}

#[tokio::test]
async fn fault_56_a_start_that_takes_long_lives_and_is_not_ready() {
    let silent = NameServer::start(Zone::Silence).await;
    let rules = format!(
        "[dns]\nservers = [\"{}\"]\ntimeout = \"3s\"\nattempts = 1\nallow_loopback = true",
        silent.address()
    );
    let admin = free();
    let pool = Pool::of("endpoints = [\"web.internal:1\"]\nprotocol = \"http\"");
    let setup = Setup::new()
        .admin(admin)
        .table(&rules)
        .default_pool("web", pool);
    let starts = tokio::spawn(setup.start());
    let ask = async |path: &str| gateway::ask_admin(admin, path).await.ok();
    let answer = eventually!("an answer", ask("/readyz").await);
    assert_eq!(answer, (503, "starting\n".to_owned()));
    assert_eq!(ask("/healthz").await, Some((200, "ok\n".to_owned())));
    assert_eq!(ask("/metrics").await.unwrap().0, 503);
    let gateway = starts.await.unwrap();
    let (status, text) = gateway.admin("/readyz").await;
    assert_eq!((status, text.lines().next()), (200, Some("ready")));
}

#[tokio::test]
async fn fault_56_a_drain_is_told_before_accepting_ends() {
    let (_upstream, setup) = setup().await;
    let mut gateway = setup
        .table("[timeouts]\nshutdown_delay = \"2s\"")
        .start()
        .await;
    let kept = gateway.client(Http::One);
    assert_eq!(kept.get(URL).await.header("connection"), "");
    gateway.terminate().await;
    gateway.logged(&["leaving"]).await;
    assert_eq!(gateway.admin("/healthz").await.0, 200);
    assert_eq!(
        gateway.admin("/readyz").await,
        (503, "draining\n".to_owned())
    );
    let answer = kept.get(URL).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("connection")),
        (200, "close")
    );
    for http in [Http::One, Http::Two] {
        assert_eq!(gateway.client(http).get(URL).await.status, 200);
    }
    assert_eq!(gateway.exit().await.code(), Some(0));
}

#[tokio::test]
async fn fault_56_a_pool_without_a_healthy_endpoint_is_told_and_the_gateway_stays_ready() {
    let (_upstream, setup) = setup().await;
    let down = witgate_tests::upstream::refusing().await;
    let pool = format!(
        "endpoints = [\"{down}\"]\nprotocol = \"http\"\nhealth = {{ interval = \"50ms\", unhealthy_after = 1 }}"
    );
    let gateway = setup.pool("other", Pool::of(&pool)).start().await;
    let told = "ready\npool other has no available endpoint\n";
    let answer = || gateway.admin("/readyz");
    eventually!(
        "it is told",
        (answer().await == (200, told.to_owned())).then_some(())
    );
}

#[tokio::test]
async fn the_grace_period_is_the_one_of_the_configuration_in_service() {
    let (upstream, setup) = setup().await;
    let mut gateway: Gateway = setup.start().await;
    gateway.configure(|setup| setup.table("[timeouts]\nshutdown_grace = \"300ms\""));
    gateway.reload().await;
    let client = gateway.client(Http::One);
    let hung = tokio::spawn(async move { client.try_get("https://shop.example/hang").await });
    eventually!("the request", (upstream.requests() == 1).then_some(()));
    let begin = Instant::now();
    gateway.terminate().await;
    assert_eq!(gateway.exit().await.code(), Some(0));
    assert!(
        begin.elapsed() < Duration::from_secs(15),
        "{:?}",
        begin.elapsed()
    );
    hung.await.unwrap().unwrap_err();
}
