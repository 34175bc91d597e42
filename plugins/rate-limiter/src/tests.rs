//! Who is let through, on built requests and a clock that the tests move.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use witgate_sdk::{prelude::*, testing};

use crate::RateLimiter;

const TWO_A_MINUTE: &str = "requests = 2\nseconds = 60";

fn limiter(config: &str) -> RateLimiter {
    testing::configure(config).unwrap()
}

fn from(peer: &str) -> Request {
    Request::get("https://shop.example/").peer(peer).build()
}

/// The status of the answer, and when to try again; none for who passes.
fn refused(limiter: &RateLimiter, request: &Request) -> Option<(u16, String)> {
    match limiter.route(request) {
        Route::Respond(answer) => {
            let header = answer.headers.iter();
            let mut after = header.filter(|field| field.name == "retry-after");
            let after = after.next().unwrap().value.clone();
            Some((answer.status, String::from_utf8(after).unwrap()))
        }
        _ => None,
    }
}

#[test]
fn what_is_too_much_is_told_when_to_come_again() {
    let limiter = limiter(TWO_A_MINUTE);
    let request = from("192.0.2.7:1000");
    assert_eq!(refused(&limiter, &request), None);
    testing::advance(Duration::from_millis(20_500));
    assert_eq!(refused(&limiter, &request), None);
    assert_eq!(refused(&limiter, &request), Some((429, "40".into())));
    testing::advance(Duration::from_millis(39_500));
    assert_eq!(refused(&limiter, &request), None);
}

#[test]
fn each_client_has_a_count_of_its_own() {
    let limiter = limiter("requests = 1\nseconds = 1");
    for peer in [
        "192.0.2.7:1",
        "192.0.2.8:1",
        "[2001:db8::1]:1",
        "[2001:db8:0:1::]:1",
    ] {
        assert_eq!(refused(&limiter, &from(peer)), None, "{peer}");
    }
    for peer in ["192.0.2.7:2", "[2001:db8::ffff]:1"] {
        assert!(refused(&limiter, &from(peer)).is_some(), "{peer}");
    }
}

#[test]
fn a_field_tells_clients_apart_where_it_is() {
    let limiter = limiter("requests = 1\nseconds = 1\nby.header = \"x-api-key\"");
    let with = |key: &str| {
        Request::get("https://shop.example/")
            .header("X-Api-Key", key)
            .build()
    };
    assert_eq!(refused(&limiter, &with("a")), None);
    assert_eq!(refused(&limiter, &with("b")), None);
    assert!(refused(&limiter, &with("a")).is_some());
    assert_eq!(refused(&limiter, &from("192.0.2.7:1")), None);
    assert!(refused(&limiter, &from("192.0.2.7:1")).is_some());
    let long = with(&"k".repeat(257));
    assert_eq!(refused(&limiter, &long), None, "counted by its address");
    assert!(refused(&limiter, &with(&"l".repeat(257))).is_some());
}

#[test]
fn clients_without_a_counter_pass_or_not() {
    testing::limit_kv(0);
    let request = from("192.0.2.7:1");
    assert_eq!(refused(&limiter(TWO_A_MINUTE), &request), None);
    let strict = limiter(&format!("{TWO_A_MINUTE}\nwhen_full = \"refuse\""));
    assert_eq!(refused(&strict, &request), Some((503, "60".into())));
}

#[test]
fn a_wrong_configuration_names_its_key() {
    for (config, problem) in [
        ("seconds = 1", "missing field `requests`"),
        (
            "requests = 0\nseconds = 1",
            "requests: expected at least 1, found 0",
        ),
        (
            "requests = 1\nseconds = 0",
            "seconds: expected 1 to 86400, found 0",
        ),
        (
            "requests = 1\nseconds = 1\nipv6_bits = 129",
            "ipv6_bits: expected 0 to 128",
        ),
        (
            "requests = 1\nseconds = 1\nby = \"cookie\"",
            "by: unknown variant `cookie`",
        ),
    ] {
        let refusal = testing::configure::<RateLimiter>(config).err().unwrap();
        assert!(refusal.to_string().starts_with(problem), "{refusal}");
    }
}
