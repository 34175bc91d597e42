//! A plugin that was compiled when `witgate:plugin@0.1.0` was frozen loads, and decides as the
//! same source does when it is compiled today.

use std::{fs, path::Path};

use witgate_tests::{
    Http,
    client::Answer,
    gateway::{Gateway, Pool, Setup},
    upstream::Upstream,
    wasm::guest,
};

const SIDECAR: &str =
    "grants = [\"clock\", \"random\", \"kv\", \"metrics\"]\n[config]\npool = \"web\"";

async fn with(plugin: &[u8]) -> (Upstream, Gateway) {
    let upstream = Upstream::pinned("web-1").await;
    let pool = Pool::pinned(&[&upstream]).with("affinity = \"all\"");
    let gateway = Setup::new()
        .workers(1)
        .default_pool("web", pool)
        .plugin("10-all", plugin)
        .sidecar("10-all", SIDECAR)
        .start()
        .await;
    (upstream, gateway)
}

async fn ask(gateway: &Gateway, path: &str) -> Answer {
    let client = gateway.client(Http::Two);
    let url = format!("https://shop.example{path}");
    let fields = [
        ("x-a", "1"),
        ("x-a", "2"),
        ("x-b", "gone"),
        ("cookie", "c=d; endpoint=unknown"),
    ];
    client.get_with(&url, &fields).await
}

/// What it decides, as text that does not depend on the run.
async fn decisions(plugin: &[u8]) -> Vec<String> {
    let (_upstream, gateway) = with(plugin).await;
    let mut decisions = Vec::new();
    for path in ["/everything?x=1", "/granted"] {
        let answer = ask(&gateway, path).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        decisions.push(answer.text().to_owned());
    }
    for path in ["/pass", "/forward?x=1"] {
        let answer = ask(&gateway, path).await;
        let echo = answer.echo();
        let mut sent = echo.headers;
        sent.retain(|(name, _)| name.starts_with("x-"));
        let stuck = answer.header("x-stuck").split(' ').next();
        let (seen, kind) = (answer.header("x-seen"), answer.header("content-type"));
        decisions.push(format!(
            "{} {} {sent:?} {stuck:?} {seen:?} {kind:?}",
            echo.authority, echo.target
        ));
    }
    decisions
}

#[tokio::test]
async fn a_plugin_of_the_frozen_interface_decides_as_it_did() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("frozen/witgate-plugin-0.1.0.wasm");
    let frozen = decisions(&fs::read(file).unwrap()).await;
    assert_eq!(frozen, decisions(&guest("speaks-0-1")).await);
    for (decision, part) in [
        (
            0,
            "32 GET HttpVersion::Http2 Scheme::Https shop.example shop.example /everything Some(\"x=1\") https://shop.example/everything?x=1",
        ),
        (0, "Some(\"1\") [[49], [50]]"),
        (
            0,
            "Some(\"d\") public 127.0.0.1 127.0.0.1 Some((\"TLSv1.3\", Some(\"shop.example\"), Some(\"h2\"), false)) None 0",
        ),
        (1, "Ok(1) Ok(()) Some([118, 97, 108, 117, 101]) true 8"),
        (
            2,
            "shop.example /pass [(\"x-a\", \"1\"), (\"x-a\", \"2\"), (\"x-a\", \"3\"), (\"x-set\", \"1\")]",
        ),
        (3, "other.example /edited?q=1"),
        (
            3,
            "Some(\"web\") \"200 Some(\\\"application/json\\\") 1 false\" \"\"",
        ),
    ] {
        let text = frozen.get(decision).unwrap();
        assert!(text.contains(part), "{part}\nin {text}");
    }
}
