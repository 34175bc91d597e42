//! Decisions are recorded without secrets, and tried on other versions.

use std::{fs, path::PathBuf};

use witgate_tests::{
    Http, eventually,
    gateway::{Gateway, Pool, Setup, output},
    upstream::Upstream,
    wasm::{guest, reference},
};

const RULES: &str = r#"
[[config.rules]]
name = "api"
paths = ["/api/*"]
override_path = "/v1/"
pool = "web"
"#;

/// All of what the gateway's plugins decide is recorded.
async fn recording(keys: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = Setup::new()
        .table(&format!(
            "[record]\npath = \"record.jsonl\"\nshare = 100\n{keys}"
        ))
        .default_pool(
            "web",
            Pool::pinned(&[&upstream]).with("affinity = \"sticky\""),
        )
        .plugin("10-router", &reference("path-router"))
        .sidecar("10-router", RULES)
        .plugin("50-sticky", &guest("sticks-by-id"))
        .plugin("60-forwarded", &reference("forwarded-headers"))
        .plugin("70-versioned", &guest("version-a"))
        .sidecar("70-versioned", "roles = [\"rewriting\"]")
        .start()
        .await;
    (upstream, gateway)
}

fn record(gateway: &Gateway) -> PathBuf {
    gateway.setup().dir().join("record.jsonl")
}

/// Waits until the record has so many lines.
async fn recorded(gateway: &Gateway, lines: usize) -> String {
    let path = record(gateway);
    eventually!(format!("{lines} recorded decisions"), {
        let text = fs::read_to_string(&path).unwrap_or_default();
        (text.lines().count() >= lines).then_some(text)
    })
}

async fn replay(gateway: &Gateway, file: &str, arguments: &[&str]) -> (bool, String) {
    let file = gateway.setup().dir().join(file).display().to_string();
    let record = record(gateway).display().to_string();
    let all = [&["plugin", "replay", &file, &record], arguments].concat();
    let output = output(&all).await;
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[tokio::test]
async fn recorded_decisions_are_alike_on_the_same_version_and_tell_of_another() {
    let (_upstream, gateway) = recording("").await;
    let client = gateway.client(Http::Two);
    for url in ["https://shop.example/api/x?y=1", "https://shop.example/"] {
        let fields = [("x-forwarded-for", "6.6.6.6"), ("x-a", "1"), ("x-a", "2")];
        assert_eq!(client.get_with(url, &fields).await.status, 200);
    }
    // Each request: route, prefer, two edits of it, one of the answer, stick.
    recorded(&gateway, 12).await;
    let dir = gateway.setup().dir();
    for name in ["10-router", "50-sticky", "60-forwarded", "70-versioned"] {
        let (ok, text) = replay(&gateway, &format!("plugins/{name}.wasm"), &[]).await;
        assert!(ok && text.contains(" alike, 0 not"), "{name}: {text}");
    }
    let renamed = RULES.replace("\"api\"", "\"shop\"");
    fs::write(dir.join("next.wasm"), reference("path-router")).unwrap();
    fs::write(dir.join("next.toml"), renamed).unwrap();
    let (ok, text) = replay(&gateway, "next.wasm", &["--plugin", "router"]).await;
    assert!(!ok, "{text}");
    for part in [
        "route of GET https://shop.example/api/x?y=1",
        "recorded: forward web rule \"api\" [path /v1/x]",
        "now:      forward web rule \"shop\" [path /v1/x]",
        "2 decisions: 1 alike, 1 not",
        "decides otherwise than",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let (ok, text) = replay(&gateway, "next.wasm", &[]).await;
    assert!(!ok && text.contains("none of its 12 decisions"), "{text}");
}

#[tokio::test]
async fn secrets_are_left_out() {
    let keys = "redact_headers = [\"x-secret\"]\nredact_cookies = [\"session\"]";
    for (keys, kept) in [("", false), (keys, true)] {
        let (_upstream, gateway) = recording(keys).await;
        let client = gateway.client(Http::One);
        let fields = [
            ("authorization", "Bearer kept-if-told-so"),
            ("x-secret", "hidden-1"),
            ("cookie", "session=hidden-2; theme=dark"),
        ];
        let fields = if kept {
            &fields[..]
        } else {
            &[fields[0], fields[2]]
        };
        client.get_with("https://shop.example/", fields).await;
        let text = recorded(&gateway, 6).await;
        assert!(!text.contains("hidden"), "{text}");
        assert_eq!(text.contains("kept-if-told-so"), kept, "{text}");
        assert_eq!(text.contains("theme=dark"), kept, "{text}");
        assert!(text.contains("session=redacted"), "{text}");
    }
}

#[tokio::test]
async fn a_record_is_as_large_as_it_may_be_and_requests_go_on() {
    let (_upstream, gateway) = recording("max_size = \"64KiB\"").await;
    let client = gateway.client(Http::Two);
    let long = "x".repeat(8000);
    for _ in 0..20 {
        let fields = [("x-long", long.as_str())];
        let answer = client.get_with("https://shop.example/", &fields).await;
        assert_eq!(answer.status, 200);
    }
    gateway
        .logged(&["WARN", "decisions are not recorded"])
        .await;
    assert!(fs::metadata(record(&gateway)).unwrap().len() <= 64 << 10);
    gateway
        .counted("witgate_record_lost_lines_total", 1.0)
        .await;
    // It begins anew in another file, without a restart.
    let setup = gateway.setup();
    let text = fs::read_to_string(setup.file()).unwrap();
    fs::write(setup.file(), text.replace("record.jsonl", "next.jsonl")).unwrap();
    gateway.reload().await;
    client.get("https://shop.example/").await;
    let next = setup.dir().join("next.jsonl");
    eventually!(
        "the other file",
        fs::metadata(&next)
            .is_ok_and(|next| next.len() > 0)
            .then_some(())
    );
}
