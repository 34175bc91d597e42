//! A thousand swaps under load, a tenth of them bad, each in one of five ways: no request fails, replaced versions are
//! freed, and memory stays where it was after the first hundred.

use std::sync::Arc;

use witgate_tests::{
    Http,
    client::Client,
    eventually,
    gateway::{Gateway, Pool, Setup},
    load::Load,
    wasm,
};

const URL: &str = "https://shop.example/";
const SWAPS: u32 = 1000;
/// What a good version decides, and a bad one not.
const CASES: &str = r#"
[[cases]]
request = "https://shop.example/"
route = { respond = 200 }
"#;
/// Why bad versions are refused.
const REASONS: [&str; 5] = [
    "is not valid WebAssembly",
    "has none of the roles",
    "which this gateway does not offer",
    "refuses its configuration",
    "decides its cases otherwise",
];
/// What the allocator may keep between the two measurements, bytes: less than 900 compiled
/// versions or their instances would take.
const SLACK: u64 = 8 << 20;

fn load(gateway: &Gateway) -> Load {
    let mut load = Load::default();
    for http in [Http::One, Http::Two] {
        let client = Arc::new(gateway.client(http));
        load.add(move || answered(Arc::clone(&client)));
    }
    load
}

/// By whichever version.
async fn answered(client: Arc<Client>) {
    let answer = client.get(URL).await;
    assert!(answer.header("x-answer").starts_with('v'), "{answer:?}");
}

async fn swap(gateway: &Gateway, client: &Client, version: &str) {
    gateway
        .setup()
        .put_plugin("10-versioned", &wasm::answering(version));
    eventually!(
        format!("version {version}"),
        (client.get(URL).await.header("x-answer") == version).then_some(())
    );
}

/// A file that is no plugin, or one that is not fit.
async fn bad_swap(gateway: &Gateway, number: u32) {
    let rejected = "witgate_plugins_rejected_total";
    let before = gateway.metric(rejected).await;
    let kind = (number / 10) as usize % REASONS.len();
    let bad = match kind {
        0 => b"\0asm, but no more".to_vec(),
        1 => wasm::wrong_world(),
        2 => wasm::unknown_import(),
        3 => wasm::guest("refuses-configuration"),
        _ => wasm::forwarding("web"),
    };
    let entries = gateway.log().len();
    gateway
        .setup()
        .put_plugin("10-versioned", &wasm::stamped(&bad, number));
    eventually!(
        format!("the refusal of file {number}"),
        (gateway.metric(rejected).await > before).then_some(())
    );
    gateway
        .logged_after(entries, &["ERROR", "plugin refused", REASONS[kind]])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_47_a_thousand_swaps_fail_no_request_and_free_what_they_replace() {
    let pool = Pool::of("endpoints = [\"127.0.0.1:1\"]\nprotocol = \"http\"");
    let gateway = Setup::new()
        .pool("web", pool)
        .plugin("10-versioned", &wasm::answering("v0"))
        .cases("10-versioned", CASES)
        .start()
        .await;
    let client = gateway.client(Http::Two);
    let load = load(&gateway);
    let mut resident = Vec::new();
    for number in 1..=SWAPS {
        match number % 10 {
            0 => bad_swap(&gateway, number).await,
            _ => swap(&gateway, &client, &format!("v{number}")).await,
        }
        assert!(!load.has_failed(), "a client has failed at swap {number}");
        if number % 100 == 0 {
            resident.push(gateway.resident());
        }
    }
    let answers = load.stop().await;
    assert!(answers > u64::from(SWAPS), "only {answers} answers");
    let (first, last) = (resident[0], resident[9]);
    assert!(
        last < first + SLACK,
        "resident after each 100: {resident:?}"
    );
    eventually!(
        "the versions before are freed",
        (gateway.metric("witgate_plugin_versions_alive").await == 1.0).then_some(())
    );
}
