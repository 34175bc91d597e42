//! What plugins read of the clock, of random numbers and of their store is recorded where that is
//! wanted, and decisions are then made again with the same answers; cases can have them as well.

use std::{fs, path::PathBuf};

use serde_json::Value;
use witgate_tests::{
    Http, eventually,
    gateway::{Gateway, Pool, Setup, output},
    upstream::Upstream,
    wasm::guest,
};

const SIDECAR: &str = "grants = [\"clock\", \"random\", \"kv\"]";

fn setup(upstream: &Upstream) -> Setup {
    Setup::new()
        .workers(1)
        .default_pool(
            "web",
            Pool::pinned(&[upstream]).with("affinity = \"reader\""),
        )
        .plugin("10-reader", &guest("reads-its-imports"))
        .sidecar("10-reader", SIDECAR)
}

/// A gateway that has recorded what it decided about these paths, each line with its case.
async fn recorded(keys: &str, paths: &[&str], lines: usize) -> (Gateway, Vec<Value>) {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = setup(&upstream)
        .table(&format!(
            "[record]\npath = \"record.jsonl\"\nshare = 100\n{keys}"
        ))
        .start()
        .await;
    let client = gateway.client(Http::Two);
    for path in paths {
        let url = format!("https://shop.example{path}");
        assert_eq!(client.get(&url).await.status, 200, "{path}");
    }
    let file = record(&gateway);
    let text = eventually!(format!("{lines} lines"), {
        let text = fs::read_to_string(&file).unwrap_or_default();
        (text.lines().count() == lines).then_some(text)
    });
    let all = text.lines().map(|line| serde_json::from_str(line).unwrap());
    (gateway, all.collect())
}

fn record(gateway: &Gateway) -> PathBuf {
    gateway.setup().dir().join("record.jsonl")
}

async fn replay(gateway: &Gateway) -> (bool, String) {
    let plugin = gateway.setup().plugins().join("10-reader.wasm");
    let (plugin, record) = (plugin.display().to_string(), record(gateway));
    let record = record.display().to_string();
    let output = output(&["plugin", "replay", &plugin, &record]).await;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (output.status.success(), text)
}

#[tokio::test]
async fn what_a_plugin_reads_is_answered_from_the_record() {
    let all = "imports = [\"clock\", \"random\", \"kv\"]";
    let paths = ["/first", "/second", "/sticky", "/last"];
    // `/sticky` has two decisions of affinity as well.
    let (gateway, lines) = recorded(all, &paths, 6).await;
    for line in &lines[..2] {
        let imports = &line["case"]["imports"];
        assert!(imports["clock"]["wall"][0].is_string(), "{imports}");
        assert_eq!(imports["random"].as_array().unwrap().len(), 2, "{imports}");
    }
    let kv = &lines[1]["case"]["imports"]["kv"];
    assert_eq!(kv[0]["increment"]["number"], 2, "{kv}");
    assert_eq!(kv[1]["get"]["value"], "/first", "{kv}");
    assert_eq!(kv[3]["increment"]["refused"], "not-a-number", "{kv}");
    let (ok, said) = replay(&gateway).await;
    assert!(ok, "{said}");
    assert!(said.ends_with("6 decisions: 6 alike, 0 not\n"), "{said}");
}

#[tokio::test]
async fn what_is_not_asked_for_is_not_recorded() {
    let (gateway, lines) = recorded("", &["/first", "/second"], 2).await;
    for line in &lines {
        assert!(line["case"]["imports"].is_null(), "{line}");
    }
    // Without it nothing can be decided alike, and nobody says that an answer is missing.
    let (ok, said) = replay(&gateway).await;
    assert!(
        !ok && said.contains("2 decisions: 0 alike, 2 not"),
        "{said}"
    );
    assert!(!said.contains("is asked for"), "{said}");

    let keys = "imports = [\"clock\"]";
    let (_gateway, lines) = recorded(keys, &["/first"], 1).await;
    let imports = &lines[0]["case"]["imports"];
    assert!(imports["clock"]["monotonic"][0].is_u64(), "{imports}");
    assert!(imports["random"].is_null(), "{imports}");
    assert!(imports["kv"].is_null(), "{imports}");
}

#[tokio::test]
async fn answers_that_the_record_does_not_have_are_told_of() {
    let keys = "imports = [\"clock\", \"random\", \"kv\"]";
    let (gateway, mut lines) = recorded(keys, &["/first", "/second", "/much"], 3).await;
    let much = &lines[2]["case"]["imports"];
    assert_eq!(much["cut"], true);
    assert_eq!(much["random"].as_array().unwrap().len(), 4);
    let (ok, said) = replay(&gateway).await;
    assert!(ok, "{said}");
    let without = "cannot be decided again: the plugin asks for 30000 random bytes, of which";
    for part in [without, "2 alike, 0 not, 1 that cannot be decided again"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    // A build that asks for more than the one before.
    let imports = &mut lines[1]["case"]["imports"];
    imports["random"].as_array_mut().unwrap().clear();
    imports["kv"].as_array_mut().unwrap().remove(0);
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(record(&gateway), text).unwrap();
    let (ok, said) = replay(&gateway).await;
    assert!(!ok, "{said}");
    for part in [
        "the record does not have, of 8 random bytes",
        "the record does not have, of its store to increment \"count\"",
        "1 alike, 1 not, 1 that cannot be decided again",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[tokio::test]
async fn a_case_says_what_time_it_is() {
    const CASES: &str = r#"
[[cases]]
request = "https://shop.example/"
[cases.imports]
clock = { wall = ["2026-01-01T00:00:00Z"], monotonic = [5] }
random = [{ base64 = "AQAAAAAAAAA=" }, "abcde"]
kv = [
    { increment = { key = "count", number = 7 } },
    { get = { key = "last", value = "x" } },
    { set = { key = "last" } },
    { increment = { key = "last", refused = "not-a-number" } },
    { delete = { key = "never", found = true } },
]
[cases.route]
respond = 200
body = """
1767225600s
5ns
1
[97, 98, 99, 100, 101]
Ok(7) Some([120])
Ok(()) true true"""
"#;
    let upstream = Upstream::pinned("web-1").await;
    let gateway = setup(&upstream).cases("10-reader", CASES).start().await;
    let entries = gateway.log().len();
    let wrong = CASES.replace("[5]", "[6]");
    gateway.setup().put_cases("10-reader", &wrong);
    gateway
        .logged_after(entries, &["plugin refused", "6ns"])
        .await;
    let entries = gateway.log().len();
    let wrong = CASES.replace("2026-01-01T", "yesterday ");
    gateway.setup().put_cases("10-reader", &wrong);
    let parts = ["imports.clock.wall[0]", "expected a time such as"];
    gateway.logged_after(entries, &parts).await;
}
