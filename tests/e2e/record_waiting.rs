//! Decisions of plugins that wait are recorded with what they were answered, and tried on other
//! builds without anybody being asked; facts of TLS are in the record as well.

use std::{fs, path::PathBuf, sync::Arc};

use http::Request;
use witgate_tests::{
    Http, body,
    certs::Validity,
    client::Client,
    eventually,
    gateway::{Gateway, Pool, Setup, output},
    scripted::{Scripted, Talk},
    upstream::Upstream,
    wasm::{guest, reference},
};

use super::client_certificates::Asking;

const SIDECAR: &str = r#"
deadline = "500ms"
grants = ["callout", "body"]
[callout]
pools = ["auth"]
timeout = "2s"
"#;

fn record(keys: &str) -> String {
    format!("[record]\npath = \"record.jsonl\"\nshare = 100\n{keys}")
}

/// Counts its answers, and sets what must not be in a record.
async fn auth() -> Scripted {
    Scripted::tls(|mut talk: Talk| async move {
        let mut count = 0;
        while let Some(request) = talk.request().await {
            count += 1;
            let body = match () {
                () if request.starts_with("GET /hang ") => {
                    talk.held().await;
                    return;
                }
                () if request.starts_with("GET /long ") => "x".repeat(100),
                () => format!("answer {count}"),
            };
            let fields =
                "authorization: hidden-1\r\nset-cookie: sid=hidden-2; Path=/\r\nx-kept: yes";
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\ncontent-length: {length}\r\n\r\n");
            talk.send(head + &body).await;
        }
    })
    .await
}

async fn gateway(auth: &Scripted, web: &Upstream, keys: &str) -> Gateway {
    Setup::new()
        .workers(1)
        .table(&record(keys))
        .default_pool("web", Pool::pinned(&[web]))
        .pool("auth", auth.pool())
        .plugin("10-waits", &guest("waits"))
        .sidecar("10-waits", SIDECAR)
        .start()
        .await
}

fn file(gateway: &Gateway) -> PathBuf {
    gateway.setup().dir().join("record.jsonl")
}

/// The record, once it has a line with each of these.
async fn recorded(gateway: &Gateway, parts: &[&str]) -> String {
    let file = file(gateway);
    eventually!(format!("lines with {parts:?}"), {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let has = |part: &&str| text.lines().any(|line| line.contains(*part));
        parts.iter().all(has).then_some(text)
    })
}

async fn replay(gateway: &Gateway, plugin: &str) -> (bool, String) {
    let plugin = gateway.setup().plugins().join(plugin);
    let (plugin, record) = (plugin.display().to_string(), file(gateway));
    let record = record.display().to_string();
    let output = output(&["plugin", "replay", &plugin, &record]).await;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (output.status.success(), text)
}

async fn said(client: &Client, path: &str) -> String {
    let answer = client.get(&format!("https://shop.example{path}")).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.cause());
    answer.text().to_owned()
}

#[tokio::test]
async fn callouts_are_answered_from_the_record() {
    let (auth, web) = (auth().await, Upstream::pinned("web-1").await);
    let gateway = gateway(&auth, &web, "callout_bytes = 50").await;
    let client = gateway.client(Http::Two);
    // The same question has other answers each time, and then there are too many.
    assert_eq!(said(&client, "/ask/check?user=7").await, "200 answer 1");
    assert_eq!(said(&client, "/ask-often").await, "Failure::TooMany");
    assert_eq!(said(&client, "/ask-briefly").await, "Failure::Timeout");
    assert_eq!(
        said(&client, "/ask-another").await.split('(').next(),
        Some("Failure::NotGranted")
    );
    let url = "https://shop.example/cart";
    let stamped = client.get_with(url, &[("x-stamp", "?")]).await;
    assert!(stamped.header("x-stamp").starts_with("200 answer "));
    let lines = [
        "/ask/check?user=7",
        "/ask-often",
        "/ask-briefly",
        "/ask-another",
        "\"rewrite_response\":[\"set x-stamp: 200 answer",
    ];
    let text = recorded(&gateway, &lines).await;
    assert!(!text.contains("hidden"), "{text}");
    for part in [
        "x-kept: yes",
        "sid=redacted; Path=/",
        "\"failure\":\"timeout\"",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let asked = auth.requests();
    let (ok, shown) = replay(&gateway, "10-waits.wasm").await;
    assert!(ok && shown.contains(" alike, 0 not\n"), "{shown}");
    assert_eq!(auth.requests(), asked, "the record has the answers");

    // Other answers make other decisions, as would another build.
    let check = "\"request\":\"GET /check?user=7\",\"status\":200";
    assert!(text.contains(check), "{text}");
    fs::write(
        file(&gateway),
        text.replace(check, &check.replace("200", "401")),
    )
    .unwrap();
    let (ok, shown) = replay(&gateway, "10-waits.wasm").await;
    assert!(!ok, "{shown}");
    for part in [
        "route of GET https://shop.example/ask/check?user=7",
        "recorded: respond 200 rule \"\" no edits \"200 answer 1\"",
        "now:      respond 200 rule \"\" no edits \"401 answer 1\"",
        " alike, 1 not\n",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    fs::write(
        file(&gateway),
        text.replace(check, &check.replace("check", "other")),
    )
    .unwrap();
    let (ok, shown) = replay(&gateway, "10-waits.wasm").await;
    let part = "an answer is asked for that the record does not have, of pool \"auth\" to GET /check?user=7";
    assert!(!ok && shown.contains(part), "{shown}");

    // Of what is longer than is kept, nothing is told.
    fs::write(file(&gateway), text).unwrap();
    assert_eq!(said(&client, "/ask/long").await.len(), 104);
    recorded(&gateway, &["/ask/long"]).await;
    let (ok, shown) = replay(&gateway, "10-waits.wasm").await;
    assert!(ok, "{shown}");
    for part in [
        "GET https://shop.example/ask/long cannot be decided again",
        "of which it has 50 bytes",
        " 0 not, 1 that cannot be decided again",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
}

#[tokio::test]
async fn bodies_are_recorded_only_where_that_is_asked_for() {
    for (keys, ok, parts) in [
        (
            "",
            false,
            [
                " 0 not, 3 that cannot be decided again",
                "16 bytes of the body, of which it has 0",
            ],
        ),
        ("body_bytes = \"1KiB\"", true, [" 0 not\n", " alike"]),
    ] {
        let (auth, web) = (auth().await, Upstream::pinned("web-1").await);
        let gateway = gateway(&auth, &web, keys).await;
        for text in ["a secret", "bad words", "longer than what is looked at"] {
            let post = Request::post("https://shop.example/body");
            let sent = post.body(body::full(text.to_owned())).unwrap();
            gateway.client(Http::Two).fetch(sent).await.unwrap();
        }
        let seen = [
            "|true\"",
            "\"respond\":403",
            "x-seen: longer than what|false",
        ];
        let text = recorded(&gateway, &seen).await;
        assert_eq!(text.contains("bad words"), ok, "{text}");
        // What was not looked at is never kept.
        assert!(!text.contains("is looked at"), "{text}");
        let (replayed, shown) = replay(&gateway, "10-waits.wasm").await;
        assert!(replayed, "{shown}");
        for part in parts {
            assert!(shown.contains(part), "{part} in {shown}");
        }
    }
}

#[tokio::test]
async fn facts_of_tls_and_the_clients_certificate_are_recorded() {
    let rules = "[[config.request]]\n[config.request.set]\n\
        x-subject = \"{var_client_certificate_subject}\"\n\
        x-pem = \"{var_client_certificate}\"\n\
        x-end = \"{var_client_certificate_end_date}\"\n\
        x-verification = \"{var_client_certificate_verification}\"\n\
        x-name = \"{var_ssl_server_name}\"\n\
        x-protocol = \"{var_ssl_connection_protocol}\"\n\
        x-http = \"{var_http_version}\"\n";
    let setup = Setup::new()
        .table(&record(""))
        .plugin("70-rewriter", &reference("header-rewriter"))
        .sidecar("70-rewriter", rules);
    let rule = "mode = \"request\", ca = [\"clients.pem\"]";
    let asking = Asking::prepared(rule, setup, |_, _| {}).await;
    let identity = Arc::new(asking.clients.issue_client("ada", Validity::Now));
    asking.get(asking.offer()).await.unwrap();
    let offer = asking.offer().identity(identity, &[]);
    asking.get(offer).await.unwrap();
    let gateway = &asking.gateway;
    asking
        .gateway
        .client(Http::Two)
        .get("https://shop.example/h2")
        .await;
    let lines = ["x-subject: CN=ada", "x-verification: NONE", "/h2"];
    let text = recorded(gateway, &lines).await;
    let (ok, shown) = replay(gateway, "70-rewriter.wasm").await;
    assert!(ok && shown.contains(" alike, 0 not"), "{shown}");
    fs::write(
        file(gateway),
        text.replace("\"subject\":\"CN=ada\"", "\"subject\":\"CN=eve\""),
    )
    .unwrap();
    let (ok, shown) = replay(gateway, "70-rewriter.wasm").await;
    assert!(!ok && shown.contains("set x-subject: CN=eve"), "{shown}");
    let file = file(gateway);
    fs::write(
        &file,
        text.replace("\"version\":\"TLSv1.3\"", "\"version\":\"TLSv1.2\""),
    )
    .unwrap();
    let (ok, shown) = replay(gateway, "70-rewriter.wasm").await;
    assert!(!ok && shown.contains("set x-protocol: TLSv1.2"), "{shown}");
}
