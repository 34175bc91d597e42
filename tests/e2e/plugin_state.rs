//! With `plugins.state` the versions of plugins outlive the process: what was rolled back stays so
//! after a restart or an upgrade, what was on trial is on trial again, and what was in service
//! before can be gone back to. Damage to the folder is told of and stops nothing.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use serde_json::Value;
use witgate_tests::{
    Http,
    certs::{hex, sha256},
    eventually,
    gateway::{Gateway, Pool, Setup, output},
    upstream::Upstream,
    wasm::{self, guest},
};

const URL: &str = "https://shop.example/cart";
const BAD: &str = "https://shop.example/bad";
const NAME: &str = "10-versioned";

/// A gateway that keeps state, with version A in service.
fn setup(upstream: &Upstream) -> Setup {
    Setup::new()
        .table("[control]\nsocket = \"control.sock\"")
        .plugin_defaults("state = \"state\"")
        .default_pool("web", Pool::pinned(&[upstream]))
        .plugin(NAME, &guest("version-a"))
}

async fn serves(gateway: &Gateway, version: &str) {
    let answer = gateway.client(Http::Two).get(URL).await;
    assert_eq!(answer.header("x-version"), version);
}

async fn put(gateway: &Gateway, wasm: &[u8], told: &str) {
    let entries = gateway.log().len();
    gateway.setup().put_plugin(NAME, wasm);
    let version = wasm::version(wasm);
    gateway.logged_after(entries, &[told, &version]).await;
    eventually!("it is written down", {
        let record = fs::read_to_string(record(gateway)).unwrap_or_default();
        (told != "plugin is live" || record.contains(&version)).then_some(())
    });
}

async fn command(gateway: &Gateway, arguments: &[&str]) -> String {
    let (ok, shown) = gateway.plugin_command(arguments).await;
    assert!(ok, "{arguments:?}: {shown}");
    shown
}

async fn killed_and_started(gateway: Gateway) -> Gateway {
    gateway.signal("-KILL").await;
    gateway.restart().await
}

fn folder(gateway: &Gateway) -> PathBuf {
    gateway.setup().dir().join("state")
}

fn record(gateway: &Gateway) -> PathBuf {
    folder(gateway).join("versioned.json")
}

fn file_of(dir: &Path, wasm: &[u8]) -> PathBuf {
    dir.join(format!("{}.wasm", hex(&sha256(wasm))))
}

fn versions(dir: &Path) -> usize {
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|end| end == "wasm"))
        .count()
}

#[tokio::test]
async fn what_was_rolled_back_by_command_stays_so_after_a_restart_and_an_upgrade() {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = setup(&upstream).start().await;
    put(&gateway, &guest("version-b"), "plugin is live").await;
    serves(&gateway, "B").await;
    command(&gateway, &["rollback", "versioned"]).await;
    // The answer means that it is on disk.
    let mut gateway = killed_and_started(gateway).await;
    for _ in 0..2 {
        serves(&gateway, "A").await;
        gateway
            .logged(&["ERROR", "the version before it stays", "was rolled back"])
            .await;
        let shown = command(&gateway, &["status"]).await;
        for part in ["rejected", "was rolled back (", "by command", " is live ("] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        let ready = gateway.admin("/readyz").await;
        assert_eq!(ready.0, 200);
        assert!(ready.1.contains("refused"), "{}", ready.1);
        gateway.upgrade().await;
    }
    // It can still be gone back to, and forth.
    let second = wasm::version(&guest("version-b"));
    let shown = command(&gateway, &["rollback", "versioned", "--to", &second]).await;
    serves(&gateway, "B").await;
    assert!(!shown.contains("rejected"), "{shown}");
    let gateway = killed_and_started(gateway).await;
    serves(&gateway, "B").await;
    command(&gateway, &["rollback", "versioned"]).await;
    // Another file is another version, also when it comes while nothing runs.
    gateway.signal("-KILL").await;
    let again = wasm::stamped(&guest("version-b"), 1);
    gateway.setup().put_plugin(NAME, &again);
    let gateway = gateway.restart().await;
    serves(&gateway, "B").await;
    let shown = command(&gateway, &["status", "versioned"]).await;
    assert!(shown.starts_with("versioned  live  "), "{shown}");
    let mode = fs::metadata(folder(&gateway)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let mode = fs::metadata(record(&gateway)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_canary_that_failed_is_not_live_after_a_restart() {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = setup(&upstream)
        .sidecar(NAME, "rollout.canary = { share = 100, max_errors = 0 }")
        .start()
        .await;
    put(&gateway, &guest("panics"), "plugin is on trial").await;
    let client = gateway.client(Http::Two);
    eventually!(
        "the canary decides",
        (client.get(BAD).await.status == 500).then_some(())
    );
    gateway
        .logged(&["ERROR", "plugin is rolled back", "1 errors in"])
        .await;
    eventually!("it is written down", {
        let record = fs::read_to_string(record(&gateway)).unwrap();
        record.contains("1 errors in").then_some(())
    });
    let gateway = killed_and_started(gateway).await;
    for _ in 0..20 {
        let answer = gateway.client(Http::Two).get(BAD).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("x-version")),
            (200, "A")
        );
    }
    let shown = command(&gateway, &["status"]).await;
    assert!(shown.contains("was rolled back (canary"), "{shown}");
}

#[tokio::test]
async fn each_version_that_was_rolled_back_stays_so_until_it_is_promoted() {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = setup(&upstream)
        .sidecar(NAME, "rollout.canary = { share = 100, max_errors = 0 }")
        .start()
        .await;
    let [second, third] = [guest("version-b"), guest("panics")];
    let labels = [&second, &third].map(|wasm| wasm::version(wasm));
    // One fails as a canary, the other one is given up by command.
    put(&gateway, &third, "plugin is on trial").await;
    let client = gateway.client(Http::Two);
    eventually!(
        "the canary decides",
        (client.get(BAD).await.status == 500).then_some(())
    );
    gateway.logged(&["plugin is rolled back", "1 errors"]).await;
    put(&gateway, &second, "plugin is on trial").await;
    command(&gateway, &["promote", "versioned", &labels[0]]).await;
    serves(&gateway, "B").await;
    command(&gateway, &["rollback", "versioned"]).await;
    serves(&gateway, "A").await;
    // There is no third one to go back to but by its name.
    let (ok, shown) = gateway.plugin_command(&["rollback", "versioned"]).await;
    assert!(
        !ok && shown.contains("were rolled back themselves"),
        "{shown}"
    );

    let gateway = killed_and_started(gateway).await;
    let shown = command(&gateway, &["status", "versioned"]).await;
    let by_command = format!("rolled back: {} by command", labels[0]);
    let as_canary = format!("rolled back: canary {}: 1 errors", labels[1]);
    for part in [&by_command, &as_canary] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let (_, plugins) = gateway.admin("/plugins").await;
    let reason = format!("\"reason\":\"{} by command\"", labels[0]);
    assert!(plugins.contains(&reason), "{plugins}");
    for wasm in [&third, &second, &third, &second] {
        put(&gateway, wasm, "was rolled back").await;
        serves(&gateway, "A").await;
    }

    // Nothing is promoted that is not meant.
    for (version, reason) in [
        (None, "one that was rolled back has to be named"),
        (Some(&labels[1]), "which holds"),
        (Some(&wasm::version(&guest("version-a"))), "which holds"),
    ] {
        let mut arguments = vec!["promote", "versioned"];
        arguments.extend(version.map(String::as_str));
        let (ok, shown) = gateway.plugin_command(&arguments).await;
        assert!(!ok && shown.contains(reason), "{reason} in {shown}");
        serves(&gateway, "A").await;
    }
    let shown = command(&gateway, &["promote", "versioned", &labels[0][..6]]).await;
    assert!(shown.starts_with("versioned  live  "), "{shown}");
    serves(&gateway, "B").await;

    let gateway = killed_and_started(gateway).await;
    serves(&gateway, "B").await;
    let shown = command(&gateway, &["status", "versioned"]).await;
    assert!(!shown.contains("by command"), "{shown}");
    assert!(shown.contains(&as_canary), "{shown}");
    put(&gateway, &third, "was rolled back").await;
    serves(&gateway, "B").await;
}

#[tokio::test]
async fn a_file_that_was_rolled_back_ends_the_trial_of_another() {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = setup(&upstream)
        .sidecar(NAME, "rollout.canary = { share = 100 }")
        .start()
        .await;
    let given_up = guest("panics");
    put(&gateway, &given_up, "plugin is on trial").await;
    command(&gateway, &["rollback", "versioned"]).await;
    put(&gateway, &guest("version-b"), "plugin is on trial").await;
    serves(&gateway, "B").await;
    put(&gateway, &given_up, "was rolled back").await;
    serves(&gateway, "A").await;
    let shown = command(&gateway, &["status", "versioned"]).await;
    assert!(!shown.contains("canary ("), "{shown}");
}

#[tokio::test]
async fn a_file_that_was_not_rolled_back_is_better_than_an_older_version() {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = setup(&upstream).start().await;
    put(&gateway, &guest("version-b"), "plugin is live").await;
    put(&gateway, &guest("panics"), "plugin is live").await;
    command(&gateway, &["rollback", "versioned"]).await;
    serves(&gateway, "B").await;
    gateway.signal("-KILL").await;
    gateway.setup().put_plugin(NAME, &guest("version-b"));
    fs::write(file_of(&folder(&gateway), &guest("version-b")), b"damaged").unwrap();
    let gateway = gateway.restart().await;
    gateway
        .logged(&["WARN", "is damaged: it does not hold what its name says"])
        .await;
    // Not A, which is kept.
    serves(&gateway, "B").await;
}

#[tokio::test]
async fn the_state_of_a_gateway_that_knew_one_rollback_is_read() {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = setup(&upstream).start().await;
    put(&gateway, &guest("version-b"), "plugin is live").await;
    command(&gateway, &["rollback", "versioned"]).await;
    gateway.signal("-KILL").await;
    let path = record(&gateway);
    let text = fs::read_to_string(&path).unwrap();
    let mut old: Value = serde_json::from_str(&text).unwrap();
    old["rolled_back"] = old["rolled_back"][0].take();
    old["format"] = 1.into();
    assert!(old["rolled_back"]["reason"].is_string(), "{text}");
    fs::write(&path, old.to_string()).unwrap();
    let gateway = gateway.restart().await;
    gateway.logged(&["plugin refused", "was rolled back"]).await;
    serves(&gateway, "A").await;
    // None is null there.
    let second = wasm::version(&guest("version-b"));
    let shown = command(&gateway, &["promote", "versioned", &second]).await;
    assert!(!shown.contains("rolled back"), "{shown}");
    gateway.signal("-KILL").await;
    let text = fs::read_to_string(&path).unwrap();
    let mut old: Value = serde_json::from_str(&text).unwrap();
    old["rolled_back"] = Value::Null;
    old["format"] = 1.into();
    fs::write(&path, old.to_string()).unwrap();
    let gateway = gateway.restart().await;
    serves(&gateway, "B").await;
    let shown = command(&gateway, &["status", "versioned"]).await;
    assert!(shown.contains("kept: "), "{shown}");
}

#[tokio::test]
async fn what_was_on_trial_is_on_trial_after_a_restart() {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = setup(&upstream)
        .sidecar(NAME, "rollout.shadow = { share = 100 }")
        .start()
        .await;
    put(&gateway, &guest("version-b"), "plugin is on trial").await;
    let gateway = killed_and_started(gateway).await;
    serves(&gateway, "A").await;
    let shown = command(&gateway, &["status"]).await;
    assert!(shown.contains("is shadow (100 %)"), "{shown}");
    command(&gateway, &["promote", "versioned"]).await;
    serves(&gateway, "B").await;
    let gateway = killed_and_started(gateway).await;
    serves(&gateway, "B").await;
    command(&gateway, &["rollback", "versioned"]).await;
    serves(&gateway, "A").await;
}

#[tokio::test]
async fn a_canary_goes_on_after_a_restart_and_an_upgrade() {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = setup(&upstream)
        .sidecar(NAME, "rollout.canary = { share = 100, requests = 60 }")
        .start()
        .await;
    let second = guest("version-b");
    put(&gateway, &second, "plugin is on trial").await;
    let client = gateway.client(Http::Two);
    eventually!(
        "the canary decides",
        (client.get(URL).await.header("x-version") == "B").then_some(())
    );
    let requests = async |gateway: &Gateway| {
        let (_, text) = gateway.admin("/plugins").await;
        let plugins: Value = serde_json::from_str(&text).unwrap();
        plugins[0]["trial"]["requests"].as_u64()
    };
    let more = async |gateway: &Gateway, to: u64| {
        let client = gateway.client(Http::Two);
        while requests(gateway).await.expect("a trial") < to {
            assert_eq!(client.get(URL).await.header("x-version"), "B");
        }
    };

    // At the end of a process all of them are on disk.
    more(&gateway, 20).await;
    gateway.terminate().await;
    let mut gateway = gateway.restart().await;
    assert_eq!(requests(&gateway).await, Some(20));
    let parts = ["plugin is on trial again", "requests=20", "errors=0"];
    gateway.logged(&parts).await;

    // So are they before another process takes over.
    more(&gateway, 40).await;
    gateway.upgrade().await;
    assert_eq!(requests(&gateway).await, Some(40));

    // A process that is killed loses what it has seen in its last seconds.
    more(&gateway, 50).await;
    let path = record(&gateway);
    eventually!("it is written down", {
        let text = fs::read_to_string(&path).unwrap();
        let record: Value = serde_json::from_str(&text).unwrap();
        (record["trial"]["requests"] == 50).then_some(())
    });
    let gateway = killed_and_started(gateway).await;
    assert_eq!(requests(&gateway).await, Some(50));
    let client = gateway.client(Http::Two);
    for _ in 0..10 {
        assert_eq!(client.get(URL).await.header("x-version"), "B");
    }
    let version = wasm::version(&second);
    gateway.logged(&["plugin is live", &version]).await;
    let shown = command(&gateway, &["status", "versioned"]).await;
    assert!(shown.starts_with("versioned  live  "), "{shown}");
}

#[tokio::test]
async fn errors_of_a_trial_count_over_a_restart() {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = setup(&upstream)
        .sidecar(NAME, "rollout.canary = { share = 100 }")
        .start()
        .await;
    put(&gateway, &guest("panics"), "plugin is on trial").await;
    let client = gateway.client(Http::Two);
    // One of the first hundred is within the limit of 1 %.
    eventually!(
        "the canary decides",
        (client.get(BAD).await.status == 500).then_some(())
    );
    gateway.terminate().await;
    let gateway = gateway.restart().await;
    gateway
        .logged(&["plugin is on trial again", "errors=1"])
        .await;
    let client = gateway.client(Http::Two);
    assert_eq!(client.get(BAD).await.status, 500);
    gateway
        .logged(&["ERROR", "plugin is rolled back", "2 errors in"])
        .await;
    // What was put there meanwhile is another trial.
    let wasm = guest("version-b");
    put(&gateway, &wasm, "plugin is on trial").await;
    gateway.terminate().await;
    let again = wasm::stamped(&wasm, 1);
    gateway.setup().put_plugin(NAME, &again);
    let gateway = gateway.restart().await;
    let shown = command(&gateway, &["status", "versioned"]).await;
    assert!(shown.contains(": 0 requests, 0 errors"), "{shown}");
}

#[tokio::test]
async fn a_bad_file_does_not_keep_a_gateway_that_knows_a_good_one_from_starting() {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = setup(&upstream).start().await;
    gateway.signal("-KILL").await;
    gateway.setup().put_plugin(NAME, b"no WebAssembly");
    let gateway = gateway.restart().await;
    gateway
        .logged(&["ERROR", "plugin refused, the version before it stays"])
        .await;
    serves(&gateway, "A").await;
}

#[tokio::test]
async fn a_damaged_state_is_told_of_and_the_folder_is_served() {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = setup(&upstream).start().await;
    put(&gateway, &guest("version-b"), "plugin is live").await;
    command(&gateway, &["rollback", "versioned"]).await;

    // Half a record is none.
    let text = fs::read_to_string(record(&gateway)).unwrap();
    fs::write(record(&gateway), &text[..text.len() / 2]).unwrap();
    let gateway = killed_and_started(gateway).await;
    gateway
        .logged(&["WARN", "versioned.json: is damaged", "starts from its file"])
        .await;
    serves(&gateway, "B").await;

    // A file that is not what its name says is not run; nor is one that is gone.
    put(&gateway, &guest("version-a"), "plugin is live").await;
    command(&gateway, &["rollback", "versioned"]).await;
    let dir = folder(&gateway);
    fs::write(file_of(&dir, &guest("version-b")), guest("panics")).unwrap();
    let gateway = killed_and_started(gateway).await;
    gateway
        .logged(&["WARN", "is damaged: it does not hold what its name says"])
        .await;
    // What is left is the version that was rolled back.
    serves(&gateway, "A").await;
    put(&gateway, &guest("version-b"), "plugin is live").await;
    fs::remove_file(file_of(&dir, &guest("version-a"))).unwrap();
    let gateway = killed_and_started(gateway).await;
    gateway
        .logged(&["WARN", "is missing, a version that was kept"])
        .await;
    serves(&gateway, "B").await;
}

#[tokio::test]
async fn a_state_that_cannot_be_written_is_told_of_once_and_tried_again() {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = setup(&upstream).start().await;
    fs::remove_file(record(&gateway)).unwrap();
    fs::create_dir(record(&gateway)).unwrap();
    gateway.setup().put_plugin(NAME, &guest("version-b"));
    let parts = [
        "WARN",
        "cannot be kept for the next start",
        "versioned.json",
    ];
    gateway.logged(&parts).await;
    serves(&gateway, "B").await;
    fs::remove_dir(record(&gateway)).unwrap();
    gateway
        .logged(&["INFO", "versions of plugins are kept again"])
        .await;
    let told = |entry: &&String| entry.contains(parts[1]);
    assert_eq!(gateway.log().iter().filter(told).count(), 1);
    let text = fs::read_to_string(record(&gateway)).unwrap();
    assert!(text.contains(&wasm::version(&guest("version-b"))));
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_does_not_end_the_start() {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = setup(&upstream)
        .plugin_defaults("state = \"witgate.toml/state\"")
        .start()
        .await;
    gateway
        .logged(&["WARN", "cannot be kept for the next start"])
        .await;
    serves(&gateway, "A").await;
}

#[tokio::test]
async fn a_folder_that_others_may_write_to_ends_the_start() {
    let upstream = Upstream::pinned("web-1").await;
    let setup = setup(&upstream);
    let dir = setup.dir().join("state");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
    setup.write();
    let refused = output(&["run", "--config", &setup.file().display().to_string()]).await;
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{text}");
    for part in [
        "`plugins.state`",
        "mode 0777, so that others may write to it",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[tokio::test]
async fn versions_have_a_number_and_a_size_and_go_with_their_plugin() {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = setup(&upstream)
        .plugin_defaults("state = \"state\"\nstate_size = \"1MiB\"")
        .start()
        .await;
    let dir = folder(&gateway);
    // The version in service and the three before it.
    for number in 0..5 {
        let wasm = wasm::stamped(&guest("version-b"), number);
        put(&gateway, &wasm, "plugin is live").await;
    }
    eventually!("four files", (versions(&dir) == 4).then_some(()));
    // With 600 kB in service there is no room for three more.
    let large = |number| {
        let stamp = wasm::stamped(&[], number);
        [guest("version-a"), stamp.repeat(40_000)].concat()
    };
    put(&gateway, &large(1), "plugin is live").await;
    eventually!("four files", (versions(&dir) == 4).then_some(()));
    put(&gateway, &large(2), "plugin is live").await;
    let first = wasm::version(&large(1));
    gateway
        .logged(&["WARN", "`plugins.state_size` has no room", &first])
        .await;
    let gateway = killed_and_started(gateway).await;
    serves(&gateway, "A").await;
    let shown = command(&gateway, &["status", "versioned"]).await;
    assert!(shown.contains(&wasm::version(&large(2))), "{shown}");
    assert!(!shown.contains(&first), "{shown}");
    // What is of a plugin that is gone goes with it.
    fs::remove_file(gateway.setup().plugins().join("10-versioned.wasm")).unwrap();
    eventually!(
        "an empty folder",
        (versions(&dir) == 0 && !record(&gateway).exists()).then_some(())
    );
}

#[tokio::test]
async fn what_is_not_trusted_any_more_is_not_served_from_the_state() {
    let upstream = Upstream::pinned("web-1").await;
    let (first, second) = (guest("version-a"), guest("version-b"));
    let trusting = |all: &[&[u8]]| {
        let digests = all
            .iter()
            .map(|wasm| format!("\"sha256:{}\"", hex(&sha256(wasm))));
        let digests: Vec<_> = digests.collect();
        format!(
            "state = \"state\"\ntrust.digests = [{}]",
            digests.join(", ")
        )
    };
    let mut gateway = setup(&upstream)
        .plugin_defaults(&trusting(&[&first, &second]))
        .start()
        .await;
    put(&gateway, &second, "plugin is live").await;
    command(&gateway, &["rollback", "versioned"]).await;
    gateway.signal("-KILL").await;
    gateway.configure(|setup| setup.plugin_defaults(&trusting(&[&second])));
    let gateway = gateway.restart().await;
    gateway
        .logged(&["WARN", "cannot be served again: it is not trusted"])
        .await;
    serves(&gateway, "B").await;
    let (ok, shown) = gateway.plugin_command(&["rollback", "versioned"]).await;
    assert!(!ok && !shown.contains("panicked"), "{shown}");
    serves(&gateway, "B").await;
}
