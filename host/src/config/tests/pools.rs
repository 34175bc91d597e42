//! What the tables of a pool mean: balance, probes, ejection.

use super::*;
use std::time::Duration;

use crate::config::{Balance, Family, HashOn, Pool, RetryOn};

/// A file with a pool that has these lines in its table.
fn text(lines: &str) -> String {
    format!(
        "[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:1\"\n\
         tls.certificates = [{{ chain = \"a\", key = \"b\" }}]\n\
         [pools.web]\ntrust.public = true\nendpoints = [\"10.0.0.4:443\"]\n{lines}\n"
    )
}

fn pool(lines: &str) -> Pool {
    parse(&text(lines)).unwrap().pools.remove(0)
}

#[test]
fn endpoints_are_balanced_in_turn_unless_told() {
    assert_eq!(pool("").balance, Balance::RoundRobin);
    for (written, meant) in [
        ("round-robin", Balance::RoundRobin),
        ("least-requests", Balance::LeastRequests),
        ("random", Balance::Random),
    ] {
        assert_eq!(pool(&format!("balance = \"{written}\"")).balance, meant);
    }
}

#[test]
fn each_hash_key_is_understood() {
    for (written, meant) in [
        ("client-address", HashOn::ClientAddress),
        ("path", HashOn::Path),
        ("header:X-User", HashOn::Header("x-user".parse().unwrap())),
        ("cookie:Session", HashOn::Cookie("Session".to_owned())),
    ] {
        let pool = pool(&format!("balance = \"hash\"\nhash_on = \"{written}\""));
        assert_eq!(pool.balance, Balance::Hash(meant));
    }
}

#[test]
fn probes_are_azures_unless_told() {
    assert_eq!(pool("").fitness.probe, None);
    let probe = pool("health = {}").fitness.probe.unwrap();
    assert_eq!(
        (probe.path.as_str(), probe.host, probe.port),
        ("/", None, None)
    );
    let half_a_minute = Duration::from_secs(30);
    assert_eq!(
        (probe.interval, probe.timeout),
        (half_a_minute, half_a_minute)
    );
    assert_eq!((probe.unhealthy_after, probe.healthy_after), (3, 1));
    assert_eq!(
        (probe.statuses.to_string().as_str(), probe.body),
        ("200-399", None)
    );
    assert!(probe.encrypted);
}

#[test]
fn a_probe_is_what_its_table_says() {
    let probe = pool(
        "health = { protocol = \"http\", port = 8081, path = \"/up?deep=1\", host = \"a.internal\", \
         interval = \"1s\", timeout = \"250ms\", unhealthy_after = 2, healthy_after = 4, \
         status = [200, \"300-302\"], body = \"up\" }",
    );
    let probe = probe.fitness.probe.unwrap();
    assert_eq!((probe.encrypted, probe.port), (false, Some(8081)));
    assert_eq!(probe.path.as_str(), "/up?deep=1");
    assert_eq!(probe.host.unwrap(), "a.internal");
    assert_eq!((probe.unhealthy_after, probe.healthy_after), (2, 4));
    let statuses = [199, 200, 201, 300, 302, 303].map(|status| probe.statuses.contains(status));
    assert_eq!(statuses, [false, true, false, true, true, false]);
    assert_eq!(probe.body.as_deref(), Some("up"));
}

#[test]
fn ejection_and_drain_have_defaults() {
    let fitness = pool("").fitness;
    let ejection = fitness.ejection;
    assert_eq!((ejection.connects, ejection.requests), (1, 5));
    assert!(!ejection.statuses.contains(500));
    let times = (ejection.time, ejection.max_time);
    assert_eq!(times, (Duration::from_secs(5), Duration::from_mins(5)));
    assert_eq!((ejection.max_share, fitness.panic_threshold), (50, 0));
    let times = (fitness.slow_start, fitness.drain_for);
    assert_eq!(times, (Duration::ZERO, Duration::from_secs(30)));
}

#[test]
fn endpoints_have_no_limits_unless_told() {
    let limits = pool("").limits;
    assert_eq!((limits.requests, limits.connections), (None, None));
    assert_eq!(
        (limits.queue, limits.queue_timeout),
        (100, Duration::from_secs(1))
    );
    let limits = pool("limits = { requests = 10, connections = 5, queue = 0 }").limits;
    assert_eq!(
        (limits.requests, limits.connections, limits.queue),
        (Some(10), Some(5), 0)
    );
}

#[test]
fn only_what_was_not_sent_is_tried_again_unless_told() {
    let retries = pool("").retries;
    assert_eq!((retries.tries, retries.on), (3, Vec::new()));
    assert!((100..600).all(|status| !retries.statuses.contains(status)));
    assert_eq!((retries.budget, retries.min_per_second), (20, 10));
    assert_eq!(retries.buffer, 16 << 10);
    let retries = pool(
        "retries = { tries = 2, on = [\"connection-closed\", \"first-byte-timeout\"], \
         status = \"502-504\", budget = 0, min_per_second = 0, buffer = 0 }",
    );
    let retries = retries.retries;
    let on = vec![RetryOn::Closed, RetryOn::FirstByteTimeout];
    assert_eq!((retries.tries, retries.on), (2, on));
    assert!(retries.statuses.contains(503) && !retries.statuses.contains(500));
    assert_eq!((retries.budget, retries.min_per_second), (0, 0));
    assert_eq!(retries.buffer, 0);
}

#[test]
fn names_are_looked_up_as_documented() {
    let dns = parse(&text("")).unwrap().dns;
    assert_eq!(
        (dns.servers.len(), dns.attempts, dns.max_addresses),
        (0, 2, 64)
    );
    let second = Duration::from_secs(1);
    assert_eq!(
        (dns.timeout, dns.min_ttl, dns.max_ttl),
        (2 * second, 5 * second, 3600 * second)
    );
    assert_eq!((dns.family, dns.allow_loopback), (Family::Both, false));
}
