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
            "requests = 1\nseconds = 1\nburst = 0",
            "burst: expected 1 to 1000000000, found 0",
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

/// A bucket as a book would have it: tokens come in steps, up to as many as it holds.
fn passes_in(burst: u64, steps: u64, passed: &mut Vec<u64>, step: u64) -> bool {
    // Of all that has passed, each took the oldest token that there was.
    let tokens = |step: u64| (step % steps + 1) * burst / steps - step % steps * burst / steps;
    let oldest = (step + 1).saturating_sub(steps);
    let free = (oldest..=step).find(|step| {
        let taken = passed.iter().filter(|taken| **taken == *step).count();
        (taken as u64) < tokens(*step)
    });
    passed.extend(free);
    free.is_some()
}

#[test]
fn a_bucket_fills_again_step_by_step() {
    // A step is a tenth of 10 s and brings two of twenty.
    let limiter = limiter("requests = 20\nseconds = 10\nburst = 20");
    let request = from("192.0.2.7:1");
    for _ in 0..20 {
        assert_eq!(refused(&limiter, &request), None);
    }
    assert_eq!(refused(&limiter, &request), Some((429, "1".into())));
    testing::advance(Duration::from_millis(1_000));
    for _ in 0..2 {
        assert_eq!(refused(&limiter, &request), None);
    }
    assert!(refused(&limiter, &request).is_some());
    assert_eq!(
        refused(&limiter, &from("192.0.2.8:1")),
        None,
        "another client"
    );
    // What is not used is kept, but no more than it holds.
    testing::advance(Duration::from_secs(3600));
    for _ in 0..20 {
        assert_eq!(refused(&limiter, &request), None);
    }
    assert!(refused(&limiter, &request).is_some());
}

#[test]
fn a_bucket_passes_exactly_what_it_has_whenever_it_is_asked() {
    // All of them go by the clock that the first began.
    let mut now = 0_u64;
    for (requests, seconds, burst) in [(7, 2, 7), (100, 60, 25), (3, 1, 1), (50, 5, 13)] {
        let config = format!("requests = {requests}\nseconds = {seconds}\nburst = {burst}");
        let limiter = limiter(&config);
        let request = from(&format!("198.51.100.{burst}:1"));
        let steps = burst.min(10);
        let (mut seed, mut taken, mut times) = (7_u64, Vec::new(), Vec::new());
        for _ in 0..2_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let pause = (seed >> 33) % 40;
            testing::advance(Duration::from_millis(pause));
            now += pause;
            let step = now * requests * steps / (1000 * seconds * burst) + steps;
            let passes = passes_in(burst, steps, &mut taken, step);
            assert_eq!(
                refused(&limiter, &request).is_none(),
                passes,
                "{config} at {now} ms"
            );
            times.extend(passes.then_some(now));
        }
        // In any time: all that it held, what came meanwhile, and what a step brings.
        for (first, from) in times.iter().enumerate() {
            for (last, to) in times.iter().enumerate().skip(first) {
                let came = (to - from) * requests / (1000 * seconds);
                let most = burst + came + burst.div_ceil(steps);
                assert!(
                    (last - first + 1) as u64 <= most,
                    "{config}: {from} to {to} ms"
                );
            }
        }
    }
}
