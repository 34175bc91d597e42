//! What clients read of the gateway's own errors: pages by status, listener and `Accept`, and the
//! gateway's own words where there is no page.

use std::fs;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use witgate_tests::{
    Http, body,
    client::Answer,
    eventually,
    gateway::{Gateway, Pool, Setup},
    over_h1_and_h2,
    upstream::{Upstream, refusing},
    wait,
};

const URL: &str = "https://shop.example/cart";
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// A gateway whose only endpoint refuses connections: 502.
async fn gateway(change: impl FnOnce(Setup) -> Setup) -> Gateway {
    let pool = Pool::of(&format!("endpoints = [\"{}\"]", refusing().await));
    let setup = Setup::new().default_pool("web", pool.with("protocol = \"http\""));
    change(setup).start().await
}

fn write(setup: &Setup, file: &str, text: &str) {
    fs::write(setup.dir().join(file), text).unwrap();
}

async fn get(gateway: &Gateway, http: Http, accept: &str) -> Answer {
    let answer = gateway
        .client(http)
        .get_with(URL, &[("accept", accept)])
        .await;
    is_whole(&answer);
    answer
}

/// Whatever its body is, the answer says whose it is and is kept by nobody.
fn is_whole(answer: &Answer) {
    assert!(
        answer.header("proxy-status").starts_with("witgate; error="),
        "{answer:?}"
    );
    assert_eq!(answer.header("x-request-id").len(), 32, "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("vary"), "accept");
}

over_h1_and_h2! {
    async fn the_gateways_own_words_follow_accept(http) {
        let gateway = gateway(|setup| setup).await;
        let text = get(&gateway, http, "*/*").await;
        let id = text.header("x-request-id");
        assert_eq!(text.text(), format!("502 Bad Gateway: connect-refused (request {id})\n"));
        assert_eq!(text.header("content-type"), "text/plain; charset=utf-8");

        let html = get(&gateway, http, BROWSER).await;
        assert_eq!(html.header("content-type"), "text/html; charset=utf-8");
        for part in ["<!doctype html>", "502", "Bad Gateway", "connect-refused", html.header("x-request-id")] {
            assert!(html.text().contains(part), "{part}: {}", html.text());
        }

        let problem = get(&gateway, http, "application/json, text/plain;q=0.9, */*").await;
        assert_eq!(problem.header("content-type"), "application/problem+json");
        let json: Value = serde_json::from_slice(&problem.body).unwrap();
        let expected = serde_json::json!({
            "status": 502,
            "title": "Bad Gateway",
            "cause": "connect-refused",
            "request_id": problem.header("x-request-id"),
        });
        assert_eq!(json, expected);
    }

    async fn pages_are_sent_by_status_class_and_form(http) {
        let gateway = gateway(|setup| {
            write(&setup, "502.html", "<style>p { margin: 0 }</style><p>{status} {reason} {cause} {request_id}");
            write(&setup, "5xx.json", "{\"oops\": \"{cause}\", \"code\": {status}}");
            write(&setup, "4xx.txt", "{cause}\n");
            setup.table(
                "[error_pages]\n502 = { html = \"502.html\" }\n5xx = { json = \"5xx.json\" }\n4xx.text = \"4xx.txt\"",
            )
        })
        .await;
        for accept in [BROWSER, "*/*", "image/png"] {
            let page = get(&gateway, http, accept).await;
            let id = page.header("x-request-id");
            let expected = format!("<style>p {{ margin: 0 }}</style><p>502 Bad Gateway connect-refused {id}");
            assert_eq!((page.status.as_u16(), page.text()), (502, expected.as_str()), "{accept}");
            assert_eq!(page.header("content-length"), page.body.len().to_string());
        }
        let json = get(&gateway, http, "application/json").await;
        assert_eq!(json.header("content-type"), "application/json");
        assert_eq!(json.text(), "{\"oops\": \"connect-refused\", \"code\": 502}");
        let text = get(&gateway, http, "text/plain").await;
        assert!(text.text().starts_with("502 Bad Gateway: "), "no page in this form: {}", text.text());

        let client = gateway.client(http);
        let refused = client.get("https://shop.example/%00").await;
        is_whole(&refused);
        assert_eq!((refused.status.as_u16(), refused.text()), (400, "path-invalid\n"));

        let request = http::Request::head(URL).body(body::empty()).unwrap();
        let head = client.fetch(request).await.unwrap();
        is_whole(&head);
        assert_eq!(head.body.len(), 0);
        assert!(head.header("content-length").parse::<usize>().unwrap() > 80, "{head:?}");
    }
}

#[tokio::test]
async fn a_listeners_pages_replace_all_of_the_files() {
    let gateway = gateway(|setup| {
        write(&setup, "all.html", "of all");
        write(&setup, "own.html", "its own");
        setup
            .table("[error_pages]\n4xx = { html = \"all.html\" }\n5xx = { html = \"all.html\" }")
            .listener("error_pages = { 502 = { html = \"own.html\" } }")
    })
    .await;
    assert_eq!(get(&gateway, Http::One, BROWSER).await.text(), "its own");
    let client = gateway.client(Http::One);
    let fields = [("accept", BROWSER)];
    let refused = client.get_with("https://shop.example/%00", &fields).await;
    assert!(refused.text().contains("path-invalid"), "{refused:?}");
}

#[tokio::test]
async fn without_pages_of_its_own_a_listener_has_those_of_the_file_or_none() {
    let mut gateway = gateway(|setup| {
        write(&setup, "all.html", "of all");
        setup.table("[error_pages]\n5xx = { html = \"all.html\" }")
    })
    .await;
    assert_eq!(get(&gateway, Http::One, "*/*").await.text(), "of all");
    gateway.configure(|setup| setup.listener("error_pages = {}"));
    eventually!("no page", {
        let answer = get(&gateway, Http::One, "*/*").await;
        answer.text().starts_with("502 Bad").then_some(())
    });
}

#[tokio::test]
async fn an_upstreams_own_error_has_no_page() {
    let upstream = Upstream::pinned("web-1").await;
    let setup = Setup::new().default_pool("web", Pool::pinned(&[&upstream]));
    write(&setup, "all.html", "of all");
    let gateway = setup
        .table("[error_pages]\n5xx = { html = \"all.html\" }")
        .start()
        .await;
    let url = "https://shop.example/status/503";
    let answer = gateway.client(Http::Two).get(url).await;
    assert_eq!(answer.status, 503);
    assert_ne!(answer.text(), "of all");
}

#[tokio::test]
async fn pages_are_followed_and_a_bad_one_changes_nothing() {
    let gateway = gateway(|setup| {
        write(&setup, "5xx.json", "{\"edition\": 1}");
        setup.table("[error_pages]\n5xx = { json = \"5xx.json\" }")
    })
    .await;
    let page = async || get(&gateway, Http::Two, "*/*").await.text().to_owned();
    assert_eq!(page().await, "{\"edition\": 1}");
    write(gateway.setup(), "5xx.json", "{\"edition\": 2}");
    eventually!(
        "the new page",
        (page().await == "{\"edition\": 2}").then_some(())
    );
    write(gateway.setup(), "5xx.json", "{\"edition\": {cause}}");
    gateway
        .logged(&["error_pages.5xx.json", "5xx.json: ", "it is not JSON"])
        .await;
    assert_eq!(page().await, "{\"edition\": 2}");
    fs::remove_file(gateway.setup().dir().join("5xx.json")).unwrap();
    gateway.logged(&["5xx.json: cannot read the file"]).await;
    assert_eq!(page().await, "{\"edition\": 2}");
    write(gateway.setup(), "5xx.json", "{\"edition\": 3}");
    eventually!(
        "the page after",
        (page().await == "{\"edition\": 3}").then_some(())
    );
}

#[tokio::test]
async fn a_large_page_is_sent_whole() {
    let text = format!("{{status}}{}{{cause}}", "x".repeat((1 << 20) - 15));
    let gateway = gateway(|setup| {
        write(&setup, "large.html", &text);
        setup.table("[error_pages]\n502 = { html = \"large.html\" }")
    })
    .await;
    for http in [Http::One, Http::Two] {
        let answer = get(&gateway, http, "*/*").await;
        assert_eq!(answer.body.len(), (1 << 20) - 15 + 3 + 15);
        assert!(answer.text().starts_with("502x") && answer.text().ends_with("xconnect-refused"));
        let line = gateway.access_line(&answer).await;
        assert_eq!(line["bytes_out"], answer.body.len());
    }
}

#[tokio::test]
async fn several_accept_fields_are_one() {
    let gateway = gateway(|setup| setup).await;
    let fields = [
        ("accept", "text/html;q=0.5"),
        ("accept", "application/json"),
    ];
    let answer = gateway.client(Http::One).get_with(URL, &fields).await;
    assert_eq!(answer.header("content-type"), "application/problem+json");
}

#[tokio::test]
async fn a_browser_on_the_wrong_port_reads_a_page() {
    let gateway = gateway(|setup| setup).await;
    let request = format!("GET / HTTP/1.1\r\nHost: shop.example\r\nAccept: {BROWSER}\r\n\r\n");
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(wait::DEADLINE, stream.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("<dd>plain-http</dd>"), "{answer}");
}
