//! What a plugin may use beside the facts: only what its sidecar grants, shared by its instances,
//! and within bounds.

use witgate_tests::{
    Http,
    client::Client,
    eventually,
    gateway::{Gateway, Pool, Setup, output},
    wasm::{guest, stamped, version},
};

const URL: &str = "https://shop.example/counted";
const ALL: &str = r#"grants = ["clock", "random", "kv", "metrics"]"#;

/// A version that is not in service yet has seen nothing.
const CASES: &str = r#"
[[cases]]
request = "https://shop.example/counted"
route = { respond = 200, body = "1 true" }
"#;

/// A gateway of two workers, whose one pool is never asked.
fn setup() -> Setup {
    let pool = Pool::of("endpoints = [\"127.0.0.1:1\"]\nprotocol = \"http\"");
    Setup::new().pool("web", pool)
}

async fn with(sidecar: &str) -> Gateway {
    setup()
        .plugin("10-user", &guest("uses-everything"))
        .sidecar("10-user", sidecar)
        .start()
        .await
}

/// What the guest says of an answer's path: how often it was asked, and whether that ends.
async fn counted(client: &Client, url: &str) -> String {
    client.get(url).await.header("x-count").to_owned()
}

#[tokio::test]
async fn what_is_not_granted_is_refused_by_name_until_it_is() {
    let gateway = setup().start().await;
    let setup = gateway.setup();
    setup.put_sidecar(
        "10-user",
        "deadline = \"1s\"\ngrants = [\"clock\", \"random\"]",
    );
    setup.put_plugin("10-user", &guest("uses-everything"));
    let entry = gateway
        .logged(&[
            "10-user.toml:2",
            "grants",
            "imports `witgate:plugin/kv@0.1.0`, `witgate:plugin/metrics@0.1.0`",
            "add the line `grants = [\"clock\", \"random\", \"kv\", \"metrics\"]`",
        ])
        .await;
    assert!(!entry.contains("witgate:plugin/clock"), "{entry}");
    let client = gateway.client(Http::Two);
    assert_eq!(client.get(URL).await.status, 404);
    setup.put_sidecar("10-user", ALL);
    eventually!(
        "a plugin in service",
        (client.get(URL).await.status == 200).then_some(())
    );
}

#[tokio::test]
async fn without_a_sidecar_the_refusal_names_its_file() {
    let gateway = setup().start().await;
    gateway
        .setup()
        .put_plugin("10-user", &guest("uses-everything"));
    gateway
        .logged(&["10-user.toml", "does not grant", "add the line"])
        .await;
}

#[tokio::test]
async fn what_is_granted_answers_at_start_and_in_calls() {
    let gateway = with(ALL).await;
    let answer = gateway.client(Http::One).get(URL).await;
    assert_eq!(answer.header("x-count"), "1 true");
    assert_eq!(answer.header("x-ran"), "true");
    assert_eq!(answer.header("x-bytes"), "100000");
    assert_ne!(answer.header("x-random"), "0");
    let time: u64 = answer.header("x-time").parse().unwrap();
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!(now.as_secs() - time < 60, "{time}");
}

#[tokio::test]
async fn workers_instances_and_versions_share_one_store() {
    let gateway = setup()
        .plugin("10-user", &guest("uses-everything"))
        .sidecar("10-user", ALL)
        .cases("10-user", CASES)
        .start()
        .await;
    for number in 1..=50 {
        // A connection of its own each, so that both workers serve.
        let client = gateway.client(Http::Two);
        assert_eq!(counted(&client, URL).await, format!("{number} true"));
    }
    let instances = gateway.metric("witgate_plugin_instances{plugin=\"user\"}");
    assert!(instances.await >= 2.0);
    let other = stamped(&guest("uses-everything"), 1);
    gateway.setup().put_plugin("10-user", &other);
    let live = format!(
        "witgate_plugin_live{{plugin=\"user\",version=\"{}\"}} 1",
        version(&other)
    );
    eventually!(
        "the other version",
        gateway.metrics().await.contains(&live).then_some(())
    );
    let client = gateway.client(Http::Two);
    assert_eq!(counted(&client, URL).await, "51 true");
    let entries = gateway.metric("witgate_plugin_kv_entries{plugin=\"user\"}");
    assert_eq!(entries.await, 2.0);
}

#[tokio::test]
async fn a_store_says_when_it_is_full() {
    let gateway = with(&format!("{ALL}\n[kv]\nentries = 3")).await;
    let client = gateway.client(Http::Two);
    for path in ["a", "b"] {
        let url = format!("https://shop.example/{path}");
        assert_eq!(counted(&client, &url).await, "1 true");
    }
    let refusal = counted(&client, "https://shop.example/c").await;
    assert!(refusal.starts_with("full"), "{refusal}");
    assert_eq!(counted(&client, "https://shop.example/a").await, "2 true");
    let refused = gateway.metric("witgate_plugin_kv_refused_total{plugin=\"user\"}");
    assert_eq!(refused.await, 1.0);
}

#[tokio::test]
async fn a_plugins_numbers_are_on_the_metrics_page() {
    let gateway = with(ALL).await;
    for _ in 0..20 {
        gateway.client(Http::Two).get(URL).await;
    }
    let series = |name: &str| {
        format!("witgate_plugin_custom_events_total{{plugin=\"user\",name=\"{name}\"}}")
    };
    assert_eq!(gateway.metric(&series("requests")).await, 20.0);
    let values = |end: &str, bucket: &str| {
        format!(
            "witgate_plugin_custom_values_{end}{{{bucket}plugin=\"user\",name=\"path-length\"}}"
        )
    };
    assert_eq!(gateway.metric(&values("count", "")).await, 20.0);
    assert_eq!(gateway.metric(&values("sum", "")).await, 160.0);
    let page = gateway.metrics().await;
    let bucket = page
        .lines()
        .find(|line| line.contains("custom_values_bucket") && line.contains("le=\"10.0\""));
    assert!(bucket.is_some_and(|line| line.ends_with(" 20")), "{page}");
}

#[tokio::test]
async fn a_plugin_has_so_many_names_and_no_more() {
    let gateway = with(ALL).await;
    gateway
        .client(Http::Two)
        .get("https://shop.example/many-names")
        .await;
    let dropped = "witgate_plugin_custom_dropped_total{plugin=\"user\"}";
    // "instances" is one of the hundred; of 200 and "requests" 99 have a place.
    assert_eq!(gateway.metric(dropped).await, 102.0);
    gateway.logged(&["WARN", "user", "is dropped"]).await;
}

#[tokio::test]
async fn the_check_of_a_file_lists_what_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("user.wasm");
    std::fs::write(&file, guest("uses-everything")).unwrap();
    let checked = output(&["plugin", "check", &file.display().to_string()]).await;
    let text = String::from_utf8(checked.stdout).unwrap();
    let line = format!("grants   clock, random, kv, metrics (in the sidecar: {ALL})");
    assert!(text.contains(&line), "{text}");
}
