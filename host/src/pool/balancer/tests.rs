//! Who is chosen, and how often.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{path::Path, sync::Arc, time::Duration};

use super::{
    super::{Drain, Endpoint, EndpointKey, Failure, Member},
    *,
};
use crate::{
    config::{self, Config},
    metrics::PerWorker,
};

/// A pool with these lines in its table.
pub(in crate::pool) fn configured(lines: &str) -> config::Pool {
    let text = format!(
        "[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:1\"\n\
         tls.certificates = [{{ chain = \"a\", key = \"b\" }}]\n\
         [pools.p]\nprotocol = \"http\"\nendpoints = [\"h:1\"]\n{lines}\n"
    );
    let mut config = Config::parse(&text, Path::new("test.toml")).unwrap();
    config.pools.remove(0)
}

pub(in crate::pool) fn pool_with(lines: &str, weights: &[u16]) -> Pool {
    let members = weights.iter().enumerate().map(|(id, weight)| {
        let key = EndpointKey {
            pool: "p".into(),
            id: id.to_string(),
            host: "127.0.0.1".into(),
            address: ([127, 0, 0, 1], 1).into(),
        };
        Member {
            endpoint: Arc::new(Endpoint::new(key, 1, None)),
            weight: *weight,
            drain: Drain::No,
        }
    });
    let retried = Arc::new(PerWorker::new(1));
    Pool::new(
        &configured(lines),
        None,
        members.collect(),
        Vec::new(),
        retried,
    )
}

fn pool(weights: &[u16]) -> Pool {
    pool_with("", weights)
}

pub(in crate::pool) fn picks(pool: &Pool, count: usize) -> Vec<usize> {
    let balancer = Balancer::new(&pool.weights, 0);
    (0..count)
        .filter_map(|_| balancer.choose(pool, Wanted::Any, &[], Instant::now()))
        .map(|choice| choice.index)
        .collect()
}

/// How often each was picked.
pub(in crate::pool) fn counts(pool: &Pool, count: usize) -> Vec<usize> {
    let picks = picks(pool, count);
    let times = |index| picks.iter().filter(|pick| **pick == index).count();
    (0..pool.endpoints.len()).map(times).collect()
}

/// For 5 s, by default.
fn eject(pool: &Pool, index: usize, now: Instant) {
    pool.failed(index, Failure::Connect, now);
}

fn running(pool: &Pool, index: usize, requests: u64) {
    pool.endpoints[index].counters.of(0).running.add(requests);
}

#[test]
fn equal_weights_take_turns() {
    assert_eq!(picks(&pool(&[1, 1, 1]), 6), [0, 1, 2, 0, 1, 2]);
}

#[test]
fn weights_are_shares() {
    assert_eq!(counts(&pool(&[5, 1]), 60), [50, 10]);
}

#[test]
fn random_draws_by_weight() {
    let counts = counts(&pool_with("balance = \"random\"", &[3, 1, 0]), 4000);
    assert!((2850..3150).contains(&counts[0]), "{counts:?}");
    assert_eq!(counts[2], 0);
}

#[test]
fn least_requests_never_picks_the_busiest() {
    let pool = pool_with("balance = \"least-requests\"", &[1, 1, 1, 0]);
    running(&pool, 1, 5);
    let counts = counts(&pool, 3000);
    assert_eq!((counts[1], counts[3]), (0, 0), "{counts:?}");
    assert!((1300..1700).contains(&counts[0]), "{counts:?}");
}

#[test]
fn least_requests_gives_a_heavy_endpoint_its_weight_of_requests() {
    let pool = pool_with("balance = \"least-requests\"", &[4, 1]);
    let balancer = Balancer::new(&pool.weights, 0);
    for _ in 0..50 {
        let choice = balancer.choose(&pool, Wanted::Any, &[], Instant::now());
        running(&pool, choice.unwrap().index, 1);
    }
    let running: Vec<_> = pool.endpoints.iter().map(|e| e.running()).collect();
    assert_eq!(running, [40, 10]);
}

#[test]
fn a_pool_of_one_is_chosen_by_every_balance() {
    for balance in ["round-robin", "least-requests", "random"] {
        let pool = pool_with(&format!("balance = \"{balance}\""), &[1]);
        assert_eq!(picks(&pool, 2), [0, 0], "{balance}");
    }
}

#[test]
fn weight_zero_serves_only_those_that_stick() {
    let pool = pool(&[0, 1]);
    assert_eq!(picks(&pool, 3), [1, 1, 1]);
    let balancer = Balancer::new(&pool.weights, 0);
    let choose = |wanted, tried: &[usize]| balancer.choose(&pool, wanted, tried, Instant::now());
    let sticks = choose(Wanted::Endpoint(Some(0)), &[]);
    assert_eq!(
        sticks,
        Some(Choice {
            index: 0,
            as_wanted: true
        })
    );
    assert_eq!(choose(Wanted::Any, &[1]), None);
}

#[test]
fn an_ejected_endpoint_is_passed_over_until_its_time_is_up() {
    let pool = pool(&[1, 1]);
    let now = Instant::now();
    eject(&pool, 0, now);
    let balancer = Balancer::new(&pool.weights, 0);
    let choose = |wanted, at| {
        balancer
            .choose(&pool, wanted, &[], at)
            .map(|choice| (choice.index, choice.as_wanted))
    };
    assert_eq!(choose(Wanted::Endpoint(Some(0)), now), Some((1, false)));
    assert_eq!(choose(Wanted::Any, now), Some((1, false)));
    assert_eq!(
        choose(Wanted::Endpoint(Some(0)), now + Duration::from_secs(6)),
        Some((0, true))
    );
}

#[test]
fn when_all_are_ejected_one_is_tried_all_the_same() {
    let pool = pool(&[1]);
    eject(&pool, 0, Instant::now());
    assert_eq!(picks(&pool, 1), [0]);
}

#[test]
fn equal_keys_fall_on_equal_endpoints_and_few_move() {
    let three = pool(&[1, 1, 1]);
    let four = pool(&[1, 1, 1, 1]);
    let moved = (0..1000_u64)
        .filter(|key| rendezvous(&three, *key, |_| true) != rendezvous(&four, *key, |_| true))
        .count();
    assert!(
        (150..350).contains(&moved),
        "{moved} of 1000 keys moved, expected about a quarter"
    );
}

#[test]
fn keys_fall_by_weight_and_stay_when_others_fail() {
    let pool = pool(&[3, 1]);
    let balancer = Balancer::new(&pool.weights, 0);
    let choose = |key| {
        let choice = balancer.choose(&pool, Wanted::Key(key), &[], Instant::now());
        choice.unwrap().index
    };
    let before: Vec<_> = (0..2000).map(choose).collect();
    let heavy = before.iter().filter(|index| **index == 0).count();
    assert!((1400..1600).contains(&heavy), "{heavy} of 2000");
    eject(&pool, 1, Instant::now());
    assert!((0..2000).map(choose).all(|index| index == 0));
    pool.answered(1, 200, Instant::now());
    assert_eq!((0..2000).map(choose).collect::<Vec<_>>(), before);
}

#[test]
fn turns_of_a_heavy_endpoint_lie_between_those_of_light_ones() {
    let picks = picks(&pool(&[4, 1, 1]), 600);
    let heavy = |picks: &[usize]| picks.iter().filter(|index| **index == 0).count();
    assert_eq!(heavy(&picks), 400);
    assert!(
        picks.chunks(6).all(|round| (3..=5).contains(&heavy(round))),
        "{picks:?}"
    );
}

#[test]
fn a_light_endpoint_waits_for_its_turn_at_the_start_as_well() {
    assert_eq!(counts(&pool(&[1, 99]), 40), [0, 40]);
}

#[test]
fn who_comes_back_gets_no_more_turns_than_others() {
    let pool = pool(&[1, 1]);
    let balancer = Balancer::new(&pool.weights, 0);
    let at = |now| {
        let choice = balancer.choose(&pool, Wanted::Any, &[], now);
        choice.unwrap().index
    };
    let now = Instant::now();
    eject(&pool, 0, now);
    assert!((0..100).all(|_| at(now) == 1));
    let later = now + Duration::from_secs(60);
    let first = (0..100).filter(|_| at(later) == 0).count();
    assert!((49..=51).contains(&first), "{first}");
}

#[test]
fn few_of_ten_thousand_are_looked_at() {
    for balance in ["round-robin", "least-requests", "random"] {
        let lines = format!("balance = \"{balance}\"");
        let pool = pool_with(&lines, &vec![2; 10_000]);
        let balancer = Balancer::new(&pool.weights, 1);
        let looked = std::cell::Cell::new(0);
        let chosen = (0..10_000).filter_map(|_| {
            balancer.next(&pool, Instant::now(), |index| {
                looked.set(looked.get() + 1);
                // Half of them serve.
                index % 2 == 0
            })
        });
        assert!(chosen.inspect(|index| assert_eq!(index % 2, 0)).count() == 10_000);
        let each = looked.get() / 10_000;
        assert!(
            each <= 8,
            "{balance} looks at {each} of them for each choice"
        );
    }
}
