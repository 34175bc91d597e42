//! What is the engine's to give: stack, which is another engine for each size, and instances, of
//! which no plugin takes another's.

use std::{sync::Arc, time::Duration};

use witgate_tests::{
    Http, eventually,
    gateway::{Gateway, Pool, Setup},
    upstream::Upstream,
    wasm::{self, guest},
};

const URL: &str = "https://shop.example/";

/// Calls itself so often that it needs more than 512 KiB of stack, and less than 2 MiB.
fn deep() -> Vec<u8> {
    wasm::recursing(20_000)
}

async fn setup() -> (Upstream, Setup) {
    let upstream = Upstream::pinned("web-1").await;
    let setup = Setup::new().default_pool("web", Pool::pinned(&[&upstream]));
    (upstream, setup)
}

async fn becomes(gateway: &Gateway, status: u16) {
    let client = gateway.client(Http::Two);
    eventually!(
        format!("status {status}"),
        (client.get(URL).await.status == status).then_some(())
    );
}

#[tokio::test]
async fn a_plugin_has_the_stack_that_its_sidecar_says() {
    let (_upstream, setup) = setup().await;
    let setup = setup
        .table("[log]\nlevel = \"debug\"")
        .plugin_defaults("cache = \"cache\"")
        .plugin("10-deep", &deep());
    let gateway = setup.start().await;
    let answer = gateway.client(Http::Two).get(URL).await;
    assert_eq!(
        (answer.status.as_u16(), answer.cause()),
        (500, "plugin-trap")
    );
    gateway
        .logged(&["WARN", "deep", "call stack exhausted"])
        .await;
    gateway.setup().put_sidecar("10-deep", "stack = \"2MiB\"");
    becomes(&gateway, 200).await;
    // The code is the same, whatever the stack.
    gateway
        .logged(&["compiled code comes from the cache"])
        .await;
    gateway.setup().put_sidecar("10-deep", "stack = \"64KiB\"");
    becomes(&gateway, 500).await;
}

#[tokio::test]
async fn four_other_sizes_of_stack_are_there_at_a_time() {
    let (_upstream, mut setup) = setup().await;
    for number in 1..=4 {
        let name = format!("1{number}-deep-{number}");
        let stack = format!("stack = \"{}MiB\"", number + 1);
        setup = setup.plugin(&name, &deep()).sidecar(&name, &stack);
    }
    let gateway = setup.start().await;
    becomes(&gateway, 200).await;
    let fifth = |stack: &str| {
        let sidecar = format!("stack = \"{stack}\"");
        gateway.setup().put_sidecar("20-fifth", &sidecar);
        gateway.setup().put_plugin("20-fifth", &deep());
    };
    fifth("6MiB");
    gateway
        .logged(&[
            "ERROR",
            "plugin refused",
            "has a `stack` of 6291456 bytes",
            "have 2097152, 3145728, 4194304, 5242880 already",
        ])
        .await;
    fifth("5MiB");
    gateway.logged(&["plugin is live", "fifth"]).await;
    // With the last plugin of a size its engine goes, and makes room.
    std::fs::remove_file(gateway.setup().plugins().join("11-deep-1.wasm")).unwrap();
    gateway.logged(&["plugin is gone", "deep-1"]).await;
    let entries = gateway.log().len();
    let changed = |entry: &String| entry.contains("new configuration") && entry.contains("fifth");
    eventually!("the new size", {
        // Workers let go of the plugin that has gone when they have seen so.
        fifth("6MiB");
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut log = gateway.log().into_iter().skip(entries);
        log.any(|entry| changed(&entry)).then_some(())
    });
    becomes(&gateway, 200).await;
}

/// A plugin that waits in each call, in as many at a time as it may have instances: another one
/// that runs on the same engine still gets its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_plugin_takes_all_instances() {
    let (_upstream, setup) = setup().await;
    let common = "stack = \"1MiB\"\ngrants = [\"callout\", \"body\"]\n[callout]\npools = [\"auth\"]\ntimeout = \"60s\"";
    let greedy =
        "instances = 1000\ndeadline = \"60s\"\nroles = [\"routing\"]\non_error = \"fail-open\"";
    let auth = Upstream::h2("auth-1").await;
    let setup = setup
        .workers(1)
        .pool("auth", Pool::pinned(&[&auth]))
        .plugin("10-greedy", &guest("waits"))
        .sidecar("10-greedy", &format!("{greedy}\n{common}"))
        .plugin("20-modest", &guest("waits"))
        .sidecar("20-modest", &format!("roles = [\"rewriting\"]\n{common}"));
    let gateway = setup.start().await;
    gateway
        .logged(&["WARN", "greedy", "a worker has room for 336 of the 1000"])
        .await;
    let clients: Vec<_> = (0..6)
        .map(|_| Arc::new(gateway.client(Http::Two)))
        .collect();
    let waiting: Vec<_> = (0..540)
        .map(|number| {
            let client = Arc::clone(&clients[number % clients.len()]);
            let url = format!("{URL}ask/hang");
            tokio::spawn(async move { client.get(&url).await })
        })
        .collect();
    // Of the 500 a fifth is spare, and the modest one wants 64.
    let busy = r#"witgate_plugin_errors_total{plugin="greedy",kind="busy"}"#;
    gateway.counted(busy, 540.0 - 336.0).await;
    assert_eq!(gateway.metric(busy).await, 540.0 - 336.0);
    let client = gateway.client(Http::Two);
    for _ in 0..20 {
        let answer = client.get(URL).await;
        assert_eq!(answer.status, 200, "{}", answer.cause());
    }
    // The others have passed it by, and wait for nothing.
    let ended = || waiting.iter().filter(|asked| asked.is_finished()).count();
    eventually!("the others", (ended() == 540 - 336).then_some(()));
    for asked in waiting {
        match asked.is_finished() {
            true => assert_eq!(asked.await.unwrap().status, 200),
            false => asked.abort(),
        }
    }
}
