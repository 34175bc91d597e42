//! New versions of plugins on trial: as shadows, as canaries, promoted and rolled back by what
//! they do and by command.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use witgate_tests::{
    Http, eventually,
    gateway::{Gateway, Pool, Setup},
    load::Load,
    upstream::Upstream,
    wasm::{self, guest},
};

const URL: &str = "https://shop.example/cart";
const BAD: &str = "https://shop.example/bad";

/// A gateway with version A in service, whose later versions are rolled out like this.
async fn with(rollout: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = Setup::new()
        .table("[control]\nsocket = \"control.sock\"")
        .default_pool("web", Pool::pinned(&[&upstream]))
        .plugin("10-versioned", &guest("version-a"))
        .sidecar("10-versioned", rollout)
        .start()
        .await;
    (upstream, gateway)
}

/// Puts another version into the folder and waits until it is on trial.
async fn on_trial(gateway: &Gateway, wasm: &[u8]) {
    let entries = gateway.log().len();
    gateway.setup().put_plugin("10-versioned", wasm);
    let version = wasm::version(wasm);
    gateway
        .logged_after(entries, &["INFO", "plugin is on trial", &version])
        .await;
    // Workers are told of it next.
    tokio::time::sleep(Duration::from_millis(500)).await;
}

async fn version(gateway: &Gateway, from: u8) -> String {
    let client = gateway.client(Http::One).from([127, 0, 0, from]);
    let answer = client.get(URL).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-version"), sent(&answer), "one version");
    answer.header("x-version").to_owned()
}

/// The version that the upstream was told of.
fn sent(answer: &witgate_tests::client::Answer) -> String {
    let echo = answer.echo();
    let mut fields = echo.headers.into_iter();
    let field = fields.find(|(name, _)| name == "x-version");
    field.map(|(_, value)| value).unwrap_or_default()
}

#[tokio::test]
async fn a_canary_decides_for_its_share_of_clients_until_it_is_promoted() {
    let (_upstream, gateway) = with("rollout.canary = { share = 40 }").await;
    on_trial(&gateway, &guest("version-b")).await;
    let mut first = Vec::new();
    for client in 1..=60 {
        first.push(version(&gateway, client).await);
    }
    let canaries = first.iter().filter(|version| *version == "B").count();
    assert!((8..=45).contains(&canaries), "{canaries} of 60 at 40 %");
    for (client, before) in (1..=60).zip(&first) {
        assert_eq!(version(&gateway, client).await, *before, "clients stick");
    }
    let (ok, shown) = gateway.plugin_command(&["status"]).await;
    assert!(ok, "{shown}");
    for part in [
        "is canary (40 %) for",
        &format!("{} requests, 0 errors", 2 * canaries),
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let (ok, shown) = gateway.plugin_command(&["promote", "versioned"]).await;
    assert!(ok, "{shown}");
    for client in 1..=60 {
        assert_eq!(version(&gateway, client).await, "B");
    }
}

#[tokio::test]
async fn a_canary_that_does_well_goes_live_by_itself() {
    let stages = "rollout.shadow = { share = 100, requests = 10, max_differences = 100 }\n\
                  rollout.canary = { share = 100, requests = 20 }";
    let (_upstream, gateway) = with(stages).await;
    on_trial(&gateway, &guest("version-b")).await;
    let client = gateway.client(Http::Two);
    for _ in 0..10 {
        assert_eq!(client.get(URL).await.header("x-version"), "A");
    }
    gateway.logged(&["plugin is on trial", "canary"]).await;
    eventually!(
        "the canary decides",
        (client.get(URL).await.header("x-version") == "B").then_some(())
    );
    for _ in 0..20 {
        assert_eq!(client.get(URL).await.header("x-version"), "B");
    }
    gateway.logged(&["plugin is live", "replaces"]).await;
    let (_, shown) = gateway.plugin_command(&["status", "versioned"]).await;
    assert!(shown.starts_with("versioned  live  "), "{shown}");
    let kept = format!("kept: {}", wasm::version(&guest("version-a")));
    assert!(shown.contains(&kept), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_traps_is_rolled_back_by_itself() {
    let (_upstream, gateway) = with("rollout.canary = { share = 50 }").await;
    let gateway = Arc::new(gateway);
    on_trial(&gateway, &guest("panics")).await;
    // Clients of the live version get whatever they ask for.
    let of_canary = async |client: u8| {
        let client = gateway.client(Http::One).from([127, 0, 0, client]);
        client.get(URL).await.header("x-version") != "A"
    };
    let mut split = (Vec::new(), Vec::new());
    for client in 1..=40 {
        match of_canary(client).await {
            true => split.0.push(client),
            false => split.1.push(client),
        }
    }
    let (canaries, others) = split;
    assert!(!canaries.is_empty() && !others.is_empty());
    let mut load = Load::default();
    let client = Arc::new(gateway.client(Http::Two).from([127, 0, 0, others[0]]));
    load.add(move || {
        let client = Arc::clone(&client);
        async move {
            for url in [URL, BAD] {
                let answer = client.get(url).await;
                assert_eq!(
                    (answer.status.as_u16(), answer.header("x-version")),
                    (200, "A")
                );
            }
        }
    });
    // One request of twenty traps.
    let client = gateway.client(Http::Two).from([127, 0, 0, canaries[0]]);
    let mut failed = 0;
    for number in 0..400 {
        let url = if number % 20 == 0 { BAD } else { URL };
        failed += u32::from(client.get(url).await.status != 200);
    }
    load.more(50).await;
    load.stop().await;
    // One of the first hundred is within the limit of 1 %.
    assert_eq!(failed, 2);
    gateway
        .logged(&["ERROR", "plugin is rolled back", "2 errors in"])
        .await;
    eventually!("all clients have version A", {
        let answer = client.get(BAD).await;
        (answer.header("x-version") == "A").then_some(())
    });
    let (_, shown) = gateway.plugin_command(&["status", "versioned"]).await;
    assert!(shown.contains("rejected"), "{shown}");
    assert!(shown.contains("was rolled back (canary"), "{shown}");
    // It is not tried again unless it changes.
    let entries = gateway.log().len();
    gateway.hang_up().await;
    gateway
        .logged_after(entries, &["plugin refused", "was rolled back"])
        .await;
    assert_eq!(client.get(BAD).await.header("x-version"), "A");
    on_trial(&gateway, &guest("version-b")).await;
}

#[tokio::test]
async fn more_plugins_than_a_word_has_bits_are_on_trial_at_a_time() {
    const PLUGINS: usize = 66;
    let upstream = Upstream::pinned("web-1").await;
    let file = |number: usize| format!("{number:02}-p{number:02}");
    let mut setup = Setup::new()
        .plugin_defaults("cache = \"cache\"\ninstances = 2")
        .default_pool("web", Pool::pinned(&[&upstream]));
    for number in 0..PLUGINS {
        let plugin = file(number);
        setup = setup
            .plugin(&plugin, &guest("version-a"))
            .sidecar(&plugin, "rollout.canary = { share = 100 }");
    }
    let gateway = setup.start().await;
    for number in 0..PLUGINS {
        gateway
            .setup()
            .put_plugin(&file(number), &guest("version-b"));
    }
    let trials = async || {
        let (_, plugins) = gateway.admin("/plugins").await;
        plugins.matches("\"state\":\"canary\"").count()
    };
    eventually!(
        "all are on trial",
        (trials().await == PLUGINS).then_some(())
    );
    let client = gateway.client(Http::Two);
    eventually!("all decide", {
        assert_eq!(client.get(URL).await.status, 200);
        let page = gateway.metrics().await;
        let decides = |line: &&str| {
            line.starts_with("witgate_plugin_calls_total{")
                && line.contains("stage=\"canary\"")
                && !line.ends_with(" 0")
        };
        (page.lines().filter(decides).count() == PLUGINS).then_some(())
    });
}

#[tokio::test]
async fn a_shadow_is_compared_and_never_used() {
    let (upstream, gateway) = with("rollout.shadow = { share = 100, requests = 5 }").await;
    on_trial(&gateway, &guest("version-b")).await;
    let client = gateway.client(Http::Two);
    for _ in 0..20 {
        let answer = client.get(URL).await;
        assert_eq!((answer.header("x-version"), &*sent(&answer)), ("A", "A"));
    }
    assert_eq!(upstream.requests(), 20);
    gateway
        .logged(&[
            "WARN",
            "a version on trial decides otherwise",
            "set x-version: B",
        ])
        .await;
    let (_, shown) = gateway.plugin_command(&["status", "versioned"]).await;
    for part in [
        "is shadow (100 %) for",
        "20 requests, 0 errors, 20 decisions alike, 40 not",
        "held: 40 of 60 decisions differ, max_differences is 0 %",
        "rewrite-request of ",
        " GET https://shop.example/cart",
        "live:   [set x-version: A]",
        "shadow: [set x-version: B]",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    // Requests are for the owner of the control socket to see.
    let (_, shown) = gateway.admin("/plugins").await;
    assert!(shown.contains("\"differing\":40"), "{shown}");
    assert!(!shown.contains("shop.example"), "{shown}");
    let (ok, shown) = gateway.plugin_command(&["rollback", "versioned"]).await;
    assert!(ok && shown.contains("was rolled back (shadow"), "{shown}");
    assert_eq!(client.get(URL).await.header("x-version"), "A");
}

#[tokio::test]
async fn each_version_that_serves_has_numbers_of_its_own() {
    let (_upstream, gateway) = with("rollout.canary = { share = 50 }").await;
    let [a, b] = ["version-a", "version-b"].map(|name| wasm::version(&guest(name)));
    for client in 1..=10 {
        assert_eq!(version(&gateway, client).await, "A");
    }
    on_trial(&gateway, &guest("version-b")).await;
    let mut of_canary = 0.0;
    for client in 1..=40 {
        let decided = version(&gateway, client).await;
        of_canary += f64::from(u8::from(decided == "B"));
    }
    let calls = |version: &str, stage: &str| {
        format!(
            "witgate_plugin_calls_total{{plugin=\"versioned\",version=\"{version}\",stage=\"{stage}\"}}"
        )
    };
    // Each request: route, and edits of it and of its answer.
    assert_eq!(gateway.metric(&calls(&b, "canary")).await, 3.0 * of_canary);
    let rest = 10.0 + 40.0 - of_canary;
    assert_eq!(gateway.metric(&calls(&a, "live")).await, 3.0 * rest);
    let made = gateway.metric("witgate_plugin_instances_made_total{plugin=\"versioned\"}");
    assert!(made.await >= 2.0);
    // A canary that goes live goes on counting; what is retired counts no more.
    let (ok, shown) = gateway.plugin_command(&["promote", "versioned"]).await;
    assert!(ok, "{shown}");
    assert_eq!(gateway.metric(&calls(&b, "live")).await, 3.0 * of_canary);
    let page = gateway.metrics().await;
    let series = page.lines().filter(|line| line.contains("versioned"));
    let series: Vec<_> = series.collect();
    assert!(!series.iter().any(|line| line.contains(&a)), "{series:?}");
    assert!(
        !series.iter().any(|line| line.contains("canary")),
        "{series:?}"
    );
    let bucket = "witgate_plugin_call_duration_seconds_bucket";
    let slowest = series.iter().filter(|line| line.starts_with(bucket));
    assert!(
        slowest
            .clone()
            .any(|line| line.contains("le=\"33.554432\"")),
        "{slowest:?}"
    );
    // What is refused counts for the plugin.
    let entries = gateway.log().len();
    gateway
        .setup()
        .put_plugin("10-versioned", b"no WebAssembly");
    gateway.logged_after(entries, &["plugin refused"]).await;
    let rejections = "witgate_plugin_rejections_total{plugin=\"versioned\"}";
    assert_eq!(gateway.metric(rejections).await, 1.0);
}

#[tokio::test]
async fn a_shadow_that_loops_holds_up_no_request() {
    let (_upstream, gateway) = with("deadline = \"5s\"\nrollout.shadow = { share = 100 }").await;
    on_trial(&gateway, &guest("loops-in-route")).await;
    let client = gateway.client(Http::Two);
    let begin = Instant::now();
    for _ in 0..10 {
        assert_eq!(client.get(BAD).await.header("x-version"), "A");
    }
    assert!(
        begin.elapsed() < Duration::from_secs(4),
        "{:?}",
        begin.elapsed()
    );
    gateway.logged(&["ERROR", "plugin is rolled back"]).await;
}

#[tokio::test]
async fn an_earlier_version_can_be_gone_back_to() {
    let (_upstream, gateway) = with("").await;
    let client = gateway.client(Http::Two);
    for (entries, wasm) in [guest("version-b"), guest("panics")].iter().enumerate() {
        gateway.setup().put_plugin("10-versioned", wasm);
        let version = wasm::version(wasm);
        gateway
            .logged(&["plugin is live", &version, "replaces"])
            .await;
        assert!(entries < 2);
    }
    let (ok, shown) = gateway.plugin_command(&["rollback", "versioned"]).await;
    assert!(ok, "{shown}");
    assert_eq!(client.get(URL).await.header("x-version"), "B");
    let first = wasm::version(&guest("version-a"));
    let to = ["rollback", "versioned", "--to", &first[..6]];
    let (ok, shown) = gateway.plugin_command(&to).await;
    assert!(ok, "{shown}");
    assert_eq!(client.get(URL).await.header("x-version"), "A");
    let (status, metrics) = gateway.admin("/plugins").await;
    assert_eq!(status, 200);
    assert!(metrics.contains("\"state\":\"rejected\""), "{metrics}");
    // What was rolled back is taken again when its file is another.
    let again = wasm::stamped(&guest("version-b"), 1);
    gateway.setup().put_plugin("10-versioned", &again);
    eventually!(
        "the new file is live",
        (client.get(URL).await.header("x-version") == "B").then_some(())
    );
}

#[tokio::test]
async fn a_refused_reload_leaves_no_plugin_half_way() {
    let (_upstream, mut gateway) = with("").await;
    let entries = gateway.log().len();
    let sticky =
        Pool::of("endpoints = [\"127.0.0.1:1\"]\nprotocol = \"http\"\naffinity = \"none\"");
    gateway
        .setup()
        .put_plugin("10-versioned", &guest("version-b"));
    gateway.configure(|setup| setup.pool("more", sticky));
    gateway.logged_after(entries, &["reload refused"]).await;
    let (_, shown) = gateway.plugin_command(&["status"]).await;
    assert!(shown.starts_with("versioned  live  "), "{shown}");
}

#[tokio::test]
async fn commands_that_cannot_be_obeyed_say_why() {
    let (_upstream, gateway) = with("").await;
    for (arguments, reason) in [
        (
            &["promote", "versioned"][..],
            "no version of \"versioned\" is on trial",
        ),
        (
            &["promote", "other"],
            "there is no plugin \"other\"; there are: versioned",
        ),
        (
            &["rollback", "versioned"],
            "no such version of \"versioned\" is kept",
        ),
        (&["status", "other"], "there is no plugin \"other\""),
    ] {
        let (ok, shown) = gateway.plugin_command(arguments).await;
        assert!(!ok && shown.contains(reason), "{reason} in {shown}");
    }
    let socket = gateway
        .setup()
        .dir()
        .join("none.sock")
        .display()
        .to_string();
    let output = witgate_tests::gateway::output(&["plugin", "status", "--socket", &socket]).await;
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("no gateway listens at"), "{text}");
}

#[tokio::test]
async fn the_control_socket_is_its_owners_alone_and_goes_with_the_process() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_upstream, gateway) = with("").await;
    let socket = gateway.setup().dir().join("control.sock");
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    gateway.terminate().await;
    let gateway = gateway.restart().await;
    let (ok, shown) = gateway.plugin_command(&["status"]).await;
    assert!(ok, "{shown}");
    let dir = gateway.setup().dir().to_owned();
    gateway.terminate().await;
    eventually!(
        "no socket",
        (!dir.join("control.sock").exists()).then_some(())
    );
}
