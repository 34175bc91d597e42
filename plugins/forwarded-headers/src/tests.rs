//! What an upstream sees, on built requests.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use witgate_sdk::{prelude::*, testing};

use crate::ForwardedHeaders;

/// The request as it goes upstream.
fn upstream(config: &str, request: &Request) -> Request {
    let plugin = testing::configure::<ForwardedHeaders>(config).unwrap();
    request.after(&plugin.rewrite_request(request))
}

fn values(request: &Request, name: &str) -> Vec<String> {
    request
        .header_values(name)
        .into_iter()
        .map(|value| String::from_utf8(value).unwrap())
        .collect()
}

fn request() -> Request {
    Request::get("https://shop.example:8443/api?x=1")
        .peer("192.0.2.7:5555")
        .build()
}

/// One that claims to be someone else.
fn liar(peer: &str) -> Request {
    Request::get("https://shop.example/")
        .peer(peer)
        .header("X-Forwarded-For", "203.0.113.1")
        .header("X-Forwarded-For", "203.0.113.2")
        .header("X-Forwarded-Proto", "http")
        .header("X-Original-URL", "/admin")
        .header("Forwarded", "for=203.0.113.1")
        .build()
}

#[test]
fn an_upstream_learns_of_the_client() {
    let seen = upstream("", &request());
    let expected = [
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "8443"),
        ("x-forwarded-host", "shop.example:8443"),
        ("x-original-host", "shop.example:8443"),
        ("x-original-url", "/api?x=1"),
    ];
    for (name, value) in expected {
        assert_eq!(values(&seen, name), [value], "{name}");
    }
    assert!(values(&seen, "forwarded").is_empty());
}

#[test]
fn what_clients_claim_is_replaced() {
    let seen = upstream("", &liar("192.0.2.7:5555"));
    assert_eq!(values(&seen, "x-forwarded-for"), ["192.0.2.7"]);
    assert_eq!(values(&seen, "x-forwarded-proto"), ["https"]);
    assert_eq!(values(&seen, "x-original-url"), ["/"]);
    assert!(
        values(&seen, "forwarded").is_empty(),
        "also when the plugin does not send it"
    );
}

#[test]
fn the_original_is_told_whatever_other_plugins_made_of_it() {
    let request = Request::get("https://shop.example/api/cart?x=1").build();
    let routed = request.after(&[
        RequestEdit::path("/v1/cart"),
        RequestEdit::authority("internal.example"),
    ]);
    let seen = upstream("", &routed);
    assert_eq!(values(&seen, "x-original-url"), ["/api/cart?x=1"]);
    assert_eq!(values(&seen, "x-original-host"), ["shop.example"]);
    assert_eq!(values(&seen, "x-forwarded-host"), ["shop.example"]);
}

#[test]
fn a_trusted_peer_is_believed_and_added() {
    let seen = upstream(
        "forwarded = true\ntrusted = ['192.0.2.0/24']",
        &liar("192.0.2.7:5555"),
    );
    assert_eq!(
        values(&seen, "x-forwarded-for"),
        ["203.0.113.1, 203.0.113.2, 192.0.2.7"]
    );
    assert_eq!(values(&seen, "x-forwarded-proto"), ["http"]);
    assert_eq!(values(&seen, "x-original-url"), ["/admin"]);
    assert_eq!(
        values(&seen, "forwarded"),
        ["for=203.0.113.1, for=192.0.2.7;host=shop.example;proto=https"]
    );
    assert_eq!(
        values(&seen, "x-forwarded-port"),
        ["443"],
        "what it did not say is added"
    );
}

#[test]
fn trust_ends_at_the_network() {
    let seen = upstream("trusted = ['192.0.2.0/24']", &liar("192.0.3.7:5555"));
    assert_eq!(values(&seen, "x-forwarded-for"), ["192.0.3.7"]);
}

#[test]
fn the_port_is_an_option() {
    let seen = upstream("format = 'ip:port'\nforwarded = true", &request());
    assert_eq!(values(&seen, "x-forwarded-for"), ["192.0.2.7:5555"]);
    assert_eq!(
        values(&seen, "forwarded"),
        ["for=\"192.0.2.7:5555\";host=\"shop.example:8443\";proto=https"]
    );
}

#[test]
fn ipv6_is_written_by_the_rules_of_each_field() {
    let request = Request::get("http://shop.example/")
        .peer("[2001:db8::7]:5555")
        .build();
    let seen = upstream("forwarded = true", &request);
    assert_eq!(values(&seen, "x-forwarded-for"), ["2001:db8::7"]);
    assert_eq!(
        values(&seen, "forwarded"),
        ["for=\"[2001:db8::7]\";host=shop.example;proto=http"]
    );
    let seen = upstream("forwarded = true\nformat = 'ip:port'", &request);
    assert_eq!(values(&seen, "x-forwarded-for"), ["[2001:db8::7]:5555"]);
    assert_eq!(
        values(&seen, "forwarded"),
        ["for=\"[2001:db8::7]:5555\";host=shop.example;proto=http"]
    );
}

#[test]
fn a_mapped_ipv4_client_is_an_ipv4_client() {
    let seen = upstream(
        "trusted = ['192.0.2.0/24']",
        &liar("[::ffff:192.0.2.7]:5555"),
    );
    assert_eq!(
        values(&seen, "x-forwarded-for"),
        ["203.0.113.1, 203.0.113.2, 192.0.2.7"]
    );
}

#[test]
fn each_field_can_be_switched_off() {
    let all = ["for", "proto", "port", "host"]
        .map(|name| format!("x_forwarded_{name} = false"))
        .join("\n");
    let config = format!("{all}\nx_original_host = false\nx_original_url = false");
    assert_eq!(upstream(&config, &liar("192.0.2.7:5555")).headers(), []);
    let trusted = format!("{config}\ntrusted = ['192.0.2.7']");
    let seen = upstream(&trusted, &liar("192.0.2.7:5555"));
    assert_eq!(
        values(&seen, "x-forwarded-for"),
        ["203.0.113.1", "203.0.113.2"],
        "left as it came"
    );
}

#[test]
fn wrong_configurations_name_the_key() {
    let cases = [
        (
            "trusted = ['10.0.0.0/8', '10.0.0.1/8']",
            "trusted[1]: expected an address whose bits behind /8 are 0",
        ),
        (
            "trusted = ['ten']",
            "trusted[0]: expected a network such as \"10.0.0.0/8\"",
        ),
        (
            "format = 'port'",
            "format: unknown variant `port`, expected `ip` or `ip:port`",
        ),
        (
            "x_forwarded_for = 'yes'",
            "x_forwarded_for: invalid type: string \"yes\", expected a boolean",
        ),
        ("x_real_ip = true", "x_real_ip: unknown field `x_real_ip`"),
    ];
    for (config, expected) in cases {
        let refusal = testing::configure::<ForwardedHeaders>(config)
            .unwrap_err()
            .to_string();
        assert!(refusal.starts_with(expected), "{config}: {refusal}");
    }
}

#[test]
fn the_example_of_the_readme_is_accepted() {
    let readme = include_str!("../README.md");
    let sidecar = readme
        .split("```toml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap();
    testing::configure_sidecar::<ForwardedHeaders>(sidecar).unwrap();
}
