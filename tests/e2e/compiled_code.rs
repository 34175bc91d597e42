//! Compiled code is kept for the next start, in a folder that is the gateway's alone; from
//! anywhere else it is never loaded.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use witgate_tests::{
    Http, eventually,
    gateway::{Gateway, Pool, Setup, output},
    wasm::{answering, guest},
};

const URL: &str = "https://shop.example/cart";
const KEPT: &str = "compiled code comes from the cache";
/// What stands before the code in an entry.
const SEAL: usize = 40;

fn setup() -> Setup {
    let pool = Pool::of("endpoints = [\"127.0.0.1:1\"]\nprotocol = \"http\"");
    Setup::new()
        .table("[log]\nlevel = \"debug\"")
        .pool("web", pool)
        .plugin_defaults("cache = \"cache\"")
        .plugin("10-answers", &answering("first"))
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.join("cache")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|end| end == "code"))
        .collect()
}

async fn answers(gateway: &Gateway, version: &str) {
    let client = gateway.client(Http::Two);
    eventually!(
        format!("version {version}"),
        (client.get(URL).await.header("x-answer") == version).then_some(())
    );
}

#[tokio::test]
async fn code_is_kept_for_the_next_start_and_for_a_version_that_comes_back() {
    let gateway = setup().start().await;
    answers(&gateway, "first").await;
    assert!(!gateway.log().iter().any(|entry| entry.contains(KEPT)));
    assert_eq!(entries(gateway.setup().dir()).len(), 1);
    gateway
        .setup()
        .put_plugin("10-answers", &answering("second"));
    answers(&gateway, "second").await;
    gateway
        .setup()
        .put_plugin("10-answers", &answering("first"));
    gateway.logged(&[KEPT]).await;
    answers(&gateway, "first").await;
    gateway.signal("-KILL").await;
    let gateway = gateway.restart().await;
    gateway.logged(&[KEPT]).await;
    answers(&gateway, "first").await;
    assert_eq!(entries(gateway.setup().dir()).len(), 2);
}

#[tokio::test]
async fn what_is_damaged_is_told_and_compiled_again() {
    let gateway = setup().start().await;
    let [entry] = &entries(gateway.setup().dir())[..] else {
        panic!("one entry");
    };
    let mut bytes = fs::read(entry).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(entry, &bytes).unwrap();
    gateway.signal("-KILL").await;
    let gateway = gateway.restart().await;
    gateway
        .logged(&[
            "WARN",
            "is damaged, or was not written here; it is thrown away and made anew",
        ])
        .await;
    answers(&gateway, "first").await;
    assert_ne!(fs::read(entry).unwrap(), bytes, "a good one has its place");
}

#[tokio::test]
async fn what_is_no_good_is_not_kept() {
    let gateway = setup().start().await;
    gateway
        .setup()
        .put_plugin("20-picky", &guest("refuses-configuration"));
    gateway.logged(&["20-picky.wasm", "refused as asked"]).await;
    assert_eq!(entries(gateway.setup().dir()).len(), 1);
}

#[tokio::test]
async fn a_folder_that_others_may_write_to_ends_the_start() {
    let setup = setup();
    let cache = setup.dir().join("cache");
    fs::create_dir(&cache).unwrap();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
    setup.write();
    let file = setup.file().display().to_string();
    let refused = output(&["run", "--config", &file]).await;
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{text}");
    for part in [
        "`plugins.cache`",
        "witgate.toml:4:",
        "mode 0777, so that others may write to it, expected 0700",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let checked = output(&["check", "--config", &file]).await;
    assert!(checked.status.success(), "who checks may be another user");
}

#[tokio::test]
async fn fault_49_compiled_code_from_outside_is_never_loaded() {
    let gateway = setup().start().await;
    let [entry] = &entries(gateway.setup().dir())[..] else {
        panic!("one entry");
    };
    // What this very engine has made, so that it would run.
    let code = fs::read(entry).unwrap().split_off(SEAL);
    assert!(code.starts_with(b"\x7fELF"));
    let plugins = gateway.setup().plugins();
    fs::write(plugins.join("20-native.cwasm"), &code).unwrap();
    gateway
        .logged(&[
            "WARN",
            "20-native.cwasm",
            "is compiled code, which is never taken from outside",
        ])
        .await;
    gateway.setup().put_plugin("10-answers", &code);
    gateway
        .logged(&[
            "ERROR",
            "10-answers.wasm",
            "is compiled code, which is never taken from outside",
        ])
        .await;
    answers(&gateway, "first").await;
    gateway
        .setup()
        .put_plugin("10-answers", &answering("first"));
    fs::write(entry, &code).unwrap();
    gateway.signal("-KILL").await;
    let gateway = gateway.restart().await;
    gateway.logged(&["WARN", "was not written here"]).await;
    answers(&gateway, "first").await;
}
