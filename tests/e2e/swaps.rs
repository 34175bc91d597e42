//! Replaced plugin versions are freed: memory after many swaps equals that after few.

use witgate_tests::{
    Http,
    client::Client,
    eventually,
    gateway::{Gateway, Setup},
    wasm,
};

/// What the allocator may keep between the two measurements, bytes: less than 180 compiled
/// versions or their instances would take.
const SLACK: u64 = 8 << 20;

async fn swap(gateway: &Gateway, client: &Client, version: &str) {
    gateway
        .setup()
        .put_plugin("10-versioned", &wasm::answering(version));
    eventually!(
        format!("version {version}"),
        (client.get("https://shop.example/").await.header("x-answer") == version).then_some(())
    );
}

#[tokio::test]
async fn memory_after_200_swaps_equals_that_after_20() {
    let setup = Setup::new().pool(
        "web",
        witgate_tests::gateway::Pool::of("endpoints = [\"127.0.0.1:1\"]\nprotocol = \"http\""),
    );
    let gateway = setup
        .plugin("10-versioned", &wasm::answering("first"))
        .start()
        .await;
    let client = gateway.client(Http::Two);
    let mut resident = Vec::new();
    for number in 1..=200 {
        swap(&gateway, &client, &format!("v{number}")).await;
        if number % 20 == 0 {
            resident.push(gateway.resident());
        }
    }
    let (first, last) = (resident[0], resident[9]);
    assert!(last < first + SLACK, "resident after each 20: {resident:?}");
    eventually!(
        "the versions before are freed",
        (gateway.metric("witgate_plugin_versions_alive").await == 1.0).then_some(())
    );
}
