//! Plugins, their sidecars and the configuration change under a running gateway: all or
//! nothing, at once, and no request notices.

use std::{
    fs::{self, File},
    io::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use witgate_tests::{
    Http,
    client::Client,
    eventually,
    gateway::{Gateway, Pool, Setup},
    load::Load,
    upstream::Upstream,
    wasm::{self, guest},
};

const URL: &str = "https://shop.example/cart";
const SLOW: &str = "https://shop.example/slow/30";

/// How soon a copied file must be obeyed; looked at by one test, as a busy machine takes longer.
const PROMISE: Duration = Duration::from_secs(2);

async fn with(plugin: &[u8]) -> (Upstream, Gateway) {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = Setup::new()
        .default_pool("web", Pool::pinned(&[&upstream]))
        .plugin("10-versioned", plugin)
        .start()
        .await;
    (upstream, gateway)
}

/// Waits until requests are answered by this version.
async fn answers(client: &Client, version: &str) {
    eventually!(
        format!("version {version}"),
        (client.get(URL).await.header("x-answer") == version).then_some(())
    );
}

/// Four clients over each protocol, half of them with an upstream that takes its time, so that
/// swaps fall into requests.
fn load(gateway: &Gateway) -> Load {
    let mut load = Load::default();
    for http in [Http::One, Http::Two].repeat(2) {
        for url in [URL, SLOW] {
            let client = Arc::new(gateway.client(http));
            load.add(move || one_version(Arc::clone(&client), url));
        }
    }
    load
}

/// An answer must be marked by the same version of the plugin on its way up and on its way down.
async fn one_version(client: Arc<Client>, url: &str) {
    let answer = client.get(url).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let echo = answer.echo();
    let up = echo.header("x-version").unwrap_or("none");
    assert_eq!(
        answer.header("x-version"),
        up,
        "one version for one request"
    );
}

#[tokio::test]
async fn a_copied_plugin_is_obeyed_within_two_seconds() {
    let (_upstream, gateway) = with(&wasm::answering("first")).await;
    let client = gateway.client(Http::Two);
    answers(&client, "first").await;
    let mut times = Vec::new();
    // A gateway that is slow is so each time, a busy machine only sometimes.
    while times.len() < 3 && times.last().is_none_or(|time| *time >= PROMISE) {
        let version = format!("copy{}", times.len());
        let begin = Instant::now();
        gateway
            .setup()
            .put_plugin("10-versioned", &wasm::answering(&version));
        answers(&client, &version).await;
        times.push(begin.elapsed());
    }
    assert!(
        times.last().is_some_and(|time| *time < PROMISE),
        "{times:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_is_swapped_under_load_and_each_request_sees_one_version() {
    let (version_a, version_b) = (guest("version-a"), guest("version-b"));
    let (_upstream, gateway) = with(&version_a).await;
    let load = load(&gateway);
    let client = gateway.client(Http::Two);
    for (plugin, version) in [(&version_b, "B"), (&version_a, "A")].repeat(15) {
        load.more(100).await;
        gateway.setup().put_plugin("10-versioned", plugin);
        eventually!(
            format!("version {version}"),
            (client.get(URL).await.header("x-version") == version).then_some(())
        );
    }
    load.more(100).await;
    assert!(load.stop().await >= 3100);
    let versions = [wasm::version(&version_a), wasm::version(&version_b)];
    for line in gateway.access_lines() {
        let used: Vec<_> = line["plugins"].as_array().unwrap().iter().collect();
        assert!(
            used.iter()
                .all(|plugin| plugin["version"] == used[0]["version"]),
            "{line}"
        );
        assert!(
            versions
                .iter()
                .any(|version| used[0]["version"] == **version),
            "{line}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_files_are_refused_with_a_reason_and_no_request_fails() {
    let good = guest("version-a");
    let (_upstream, gateway) = with(&good).await;
    let load = load(&gateway);
    let bad: [(&[u8], &str); 6] = [
        (&good[..good.len() / 2], "cut short"),
        (b"this is no WebAssembly at all", "not WebAssembly"),
        (b"\0asm\x01\0\0\0", "component-type"),
        (&wasm::wrong_world(), "acme:greeter/greeting@2.0.0"),
        (&wasm::another_version(), "witgate:plugin/lifecycle@9.0.0"),
        (&wasm::unknown_import(), "acme:bank/transfer@1.0.0"),
    ];
    for (bytes, reason) in bad {
        let entries = gateway.log().len();
        gateway.setup().put_plugin("10-versioned", bytes);
        gateway
            .logged_after(entries, &["ERROR", "10-versioned.wasm", reason])
            .await;
        load.more(100).await;
    }
    load.stop().await;
    assert_eq!(
        gateway.client(Http::One).get(URL).await.header("x-version"),
        "A"
    );
    gateway
        .setup()
        .put_plugin("10-versioned", &wasm::answering("recovered"));
    answers(&gateway.client(Http::One), "recovered").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_copy_in_pieces_is_taken_up_once_whole() {
    let (_upstream, gateway) = with(&guest("version-a")).await;
    let load = load(&gateway);
    let client = gateway.client(Http::One);
    let new = guest("version-b");
    let (half, almost) = (new.len() / 2, new.len() - 1);
    let path = gateway.setup().plugins().join("10-versioned.wasm");
    let mut file = File::create(path).unwrap();
    for piece in [&new[..10], &new[10..half], &new[half..almost]] {
        let entries = gateway.log().len();
        file.write_all(piece).unwrap();
        // So the next piece comes only when the gateway has taken the pause for the end.
        gateway
            .logged_after(entries, &["ERROR", "10-versioned.wasm"])
            .await;
        assert_eq!(client.get(URL).await.header("x-version"), "A");
        load.more(20).await;
    }
    file.write_all(&new[almost..]).unwrap();
    eventually!(
        "the new version",
        (client.get(URL).await.header("x-version") == "B").then_some(())
    );
    load.stop().await;
    let rejected = gateway.metric("witgate_plugins_rejected_total").await;
    assert!(rejected >= 3.0, "{rejected}");
}

#[tokio::test]
async fn plugins_come_go_and_change_their_order() {
    let (_upstream, gateway) = with(&wasm::answering("first")).await;
    let client = gateway.client(Http::Two);
    answers(&client, "first").await;
    gateway
        .setup()
        .put_plugin("05-earlier", &wasm::answering("earlier"));
    answers(&client, "earlier").await;
    let folder = gateway.setup().plugins();
    fs::rename(
        folder.join("05-earlier.wasm"),
        folder.join("15-earlier.wasm"),
    )
    .unwrap();
    answers(&client, "first").await;
    fs::remove_file(folder.join("10-versioned.wasm")).unwrap();
    answers(&client, "earlier").await;
    fs::remove_file(folder.join("15-earlier.wasm")).unwrap();
    answers(&client, "").await;
    assert_eq!(client.get(URL).await.echo().upstream, "web-1");
}

#[tokio::test]
async fn a_symbolic_link_swapped_as_kubernetes_does_is_a_new_version() {
    let (_upstream, gateway) = with(&wasm::answering("none")).await;
    let folder = gateway.setup().plugins();
    fs::remove_file(folder.join("10-versioned.wasm")).unwrap();
    for version in ["one", "two"] {
        fs::create_dir(folder.join(format!("..{version}"))).unwrap();
        let file = folder.join(format!("..{version}/10-versioned.wasm"));
        fs::write(file, wasm::answering(version)).unwrap();
    }
    let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, folder.join(at)).unwrap();
    link("..one", "..data");
    link("..data/10-versioned.wasm", "10-versioned.wasm");
    let client = gateway.client(Http::Two);
    answers(&client, "one").await;
    link("..two", "..data_tmp");
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    answers(&client, "two").await;
}

#[tokio::test]
async fn a_sidecar_is_obeyed_when_it_changes_and_kept_when_it_is_wrong() {
    let (_upstream, gateway) = with(&guest("answers-its-configuration")).await;
    let client = gateway.client(Http::Two);
    gateway
        .setup()
        .put_sidecar("10-versioned", "[config]\nanswer = \"one\"");
    answers(&client, "one").await;
    for (wrong, named) in [
        ("[config]\nanswer = \"two\"\ncolour = \"red\"", "colour"),
        ("[config]\nanswer = 7", "answer"),
        ("dead_line = \"1s\"", "dead_line"),
        ("[config", "10-versioned.toml:1"),
    ] {
        let entries = gateway.log().len();
        gateway.setup().put_sidecar("10-versioned", wrong);
        gateway
            .logged_after(entries, &["ERROR", "10-versioned", named])
            .await;
        assert_eq!(client.get(URL).await.header("x-answer"), "one");
    }
    gateway
        .setup()
        .put_sidecar("10-versioned", "[config]\nanswer = \"three\"");
    answers(&client, "three").await;
}

#[tokio::test]
async fn a_version_that_refuses_or_never_ends_its_configuration_is_not_taken() {
    let (_upstream, gateway) = with(&wasm::answering("good")).await;
    let client = gateway.client(Http::One);
    for (plugin, reason) in [
        (guest("refuses-configuration"), "refused as asked"),
        (guest("loops-in-configure"), "deadline"),
    ] {
        let entries = gateway.log().len();
        gateway.setup().put_plugin("10-versioned", &plugin);
        gateway
            .logged_after(entries, &["10-versioned", reason])
            .await;
        assert_eq!(client.get(URL).await.header("x-answer"), "good");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_configuration_is_changed_under_load_and_no_request_fails() {
    let (_upstream, mut gateway) = with(&guest("version-a")).await;
    let load = load(&gateway);
    let client = gateway.client(Http::Two);
    for number in 2..5 {
        let name = format!("web-{number}");
        let next = Upstream::pinned(&name).await;
        gateway.configure(|setup| setup.pool("web", Pool::pinned(&[&next])));
        eventually!(
            name,
            (client.get(URL).await.echo().upstream == name).then_some(())
        );
        load.more(300).await;
        // Requests that began under the configuration before may still be on their way there.
        std::mem::forget(next);
    }
    load.stop().await;
}

#[tokio::test]
async fn a_wrong_configuration_changes_nothing_but_the_log() {
    // Watcher and SIGHUP may both tell of a case, one of them late: each has a word of its own.
    let (_upstream, gateway) = with(&wasm::answering("good")).await;
    let client = gateway.client(Http::Two);
    let file = gateway.setup().file();
    let text = fs::read_to_string(&file).unwrap();
    for (wrong, named) in [
        (format!("{text}\ncolour = \"red\"\n"), "colour"),
        (text.replace("[admin]", "[admin"), "unclosed table"),
        (text.replace("gateway.pem", "missing.pem"), "missing.pem"),
        (
            text.replace("default_pool = \"web\"", "default_pool = \"shop\""),
            "default_pool",
        ),
        (String::new(), "there is no listener"),
    ] {
        let entries = gateway.log().len();
        fs::write(&file, wrong).unwrap();
        gateway.hang_up().await;
        gateway.logged_after(entries, &["ERROR", named]).await;
        assert_eq!(client.get(URL).await.header("x-answer"), "good");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_reloads_harms_no_request() {
    let (_upstream, gateway) = with(&guest("version-a")).await;
    let load = load(&gateway);
    let applied = || gateway.metric("witgate_reloads_total{result=\"applied\"}");
    let before = applied().await;
    eventually!("ten reloads", {
        for _ in 0..20 {
            gateway.hang_up().await;
        }
        (applied().await - before >= 10.0).then_some(())
    });
    load.more(200).await;
    load.stop().await;
}
