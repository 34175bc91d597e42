//! Cases beside a plugin: a version that decides them otherwise is not taken into service.

use witgate_tests::{
    Http,
    gateway::{Gateway, Pool, Setup},
    upstream::Upstream,
    wasm::{guest, reference},
};

const URL: &str = "https://shop.example/api/x";

const RULES: &str = r#"
[[config.rules]]
name = "api"
paths = ["/api/*"]
pool = "web"
"#;

const CASES: &str = r#"
[[cases]]
name = "the API"
request = "POST https://shop.example/api/x?y=1"
headers = ["x-a: 1", "x-a: 2"]
route = { forward = "web", rule = "api", edits = [] }

[[cases]]
request = "https://shop.example/other"
route = "pass"
"#;

async fn gateway(plugin: &str, sidecar: &str, cases: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = Setup::new()
        .pool("web", Pool::pinned(&[&upstream]))
        .plugin("10-router", &reference(plugin))
        .sidecar("10-router", sidecar)
        .cases("10-router", cases)
        .start()
        .await;
    (upstream, gateway)
}

#[tokio::test]
async fn a_version_that_decides_its_cases_goes_live() {
    let (_upstream, gateway) = gateway("path-router", RULES, CASES).await;
    assert_eq!(gateway.client(Http::Two).get(URL).await.status, 200);
}

#[tokio::test]
async fn a_version_that_decides_otherwise_is_refused_at_the_line_of_the_case() {
    let (_upstream, gateway) = gateway("path-router", RULES, CASES).await;
    let client = gateway.client(Http::Two);
    let renamed = RULES.replace("\"api\"", "\"shop\"");
    gateway.setup().put_sidecar("10-router", &renamed);
    let line = gateway
        .logged(&["plugin refused", "decides its cases otherwise"])
        .await;
    for part in [
        "10-router.cases.toml:6:1",
        "the API: expected forward web rule \"api\" no edits",
        "the plugin decides forward web rule \"shop\" no edits",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    client.get(URL).await;
    gateway
        .access_line_where(|line| line["rule"] == "api")
        .await;
    let corrected = CASES.replace("\"api\"", "\"shop\"");
    gateway.setup().put_cases("10-router", &corrected);
    gateway.logged(&["plugin has a new configuration"]).await;
    client.get(URL).await;
    gateway
        .access_line_where(|line| line["rule"] == "shop")
        .await;
}

#[tokio::test]
async fn a_version_that_traps_in_a_case_is_refused() {
    let cases = "[[cases]]\nrequest = \"https://a/bad\"\nroute = \"pass\"";
    let (_upstream, gateway) = gateway("path-router", RULES, CASES).await;
    gateway.setup().put_cases("10-router", cases);
    gateway.setup().put_sidecar("10-router", "");
    gateway.setup().put_plugin("10-router", &guest("panics"));
    gateway
        .logged(&[
            "plugin refused",
            "expected pass",
            "nothing: plugin router trapped",
        ])
        .await;
    assert_eq!(gateway.client(Http::One).get(URL).await.status, 200);
}

#[tokio::test]
async fn the_other_roles_have_cases_too() {
    let upstream = Upstream::pinned("web-1").await;
    let gateway = Setup::new()
        .default_pool(
            "web",
            Pool::pinned(&[&upstream]).with("affinity = \"sticky\""),
        )
        .plugin("50-sticky", &guest("sticks-by-id"))
        .cases("50-sticky", STICKY)
        .plugin("60-forwarded", &reference("forwarded-headers"))
        .cases("60-forwarded", FORWARDED)
        .plugin("70-versioned", &guest("version-a"))
        .sidecar("70-versioned", "roles = [\"rewriting\"]")
        .cases("70-versioned", VERSIONED)
        .start()
        .await;
    assert_eq!(gateway.client(Http::Two).get(URL).await.status, 200);
}

const STICKY: &str = r#"
[[cases]]
request = "https://shop.example/"
pool = { name = "web", endpoints = ["a", "b"] }
prefer = "none"

[[cases]]
request = "https://shop.example/"
headers = ["cookie: endpoint=b"]
pool = { name = "web", endpoints = ["a", "b"] }
prefer = "endpoint b"
stick = { endpoint = "b", outcome = "honoured", edits = [] }
"#;

const FORWARDED: &str = r#"
[[cases]]
request = "https://shop.example:8443/a?b=c"
peer = "203.0.113.9:1234"
local = "198.51.100.1:8443"
rewrite_request = [
  "set x-forwarded-for: 203.0.113.9",
  "set x-forwarded-proto: https",
  "set x-forwarded-port: 8443",
  "set x-forwarded-host: shop.example:8443",
  "set x-original-host: shop.example:8443",
  "set x-original-url: /a?b=c",
  "remove forwarded",
]
rewrite_response = []
"#;

const VERSIONED: &str = r#"
[[cases]]
request = "https://shop.example/"
response = { status = 404, headers = ["x-version: none"] }
rewrite_response = ["set x-version: A"]
"#;

#[tokio::test]
async fn malformed_cases_are_refused_with_line_and_key() {
    let (_upstream, gateway) = gateway("path-router", RULES, CASES).await;
    for (cases, parts) in [
        ("", ["`cases`", "expected at least one"]),
        ("[[case]]", ["`case`", "unknown key"]),
        (
            "[[cases]]\nrequest = \"/a\"",
            ["`cases[0].request`", "expected such as"],
        ),
        (
            "[[cases]]\nrequest = \"https://a/\"",
            ["`cases[0]`", "expects nothing"],
        ),
        (
            "[[cases]]\nrequest = \"https://a/\"\nroute = \"pas\"",
            ["`cases[0].route`", "found \"pas\", expected \"pass\""],
        ),
        (
            "[[cases]]\nrequest = \"https://a/\"\nroute = \"pass\"\nheaders = [\"a\"]",
            ["`cases[0].headers[0]`", "expected a field"],
        ),
    ] {
        let entries = gateway.log().len();
        gateway.setup().put_cases("10-router", cases);
        let [key, problem] = parts;
        let refused = ["plugin refused", "its cases are not valid", key, problem];
        gateway.logged_after(entries, &refused).await;
    }
    assert_eq!(gateway.client(Http::Two).get(URL).await.status, 200);
}
