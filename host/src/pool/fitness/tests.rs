//! What failures, probes, drains and slow starts do to a choice.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use super::super::{
    Balancer, Wanted,
    balancer::tests::{counts, picks, pool_with},
};
use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn unhealthy(pool: &Pool, index: usize) {
    pool.endpoints[index]
        .health
        .set_probed(Probed::Unhealthy, None);
}

/// The places that may be chosen.
fn fit(pool: &Pool, now: Instant) -> Vec<usize> {
    let look = pool.look(now);
    let places = 0..pool.endpoints.len();
    places.filter(|index| pool.is_fit(*index, look)).collect()
}

/// When it is taken back after `times` ejections that each follow the end of the one before.
fn out_for(pool: &Pool, now: &mut Instant) -> Duration {
    pool.failed(0, Failure::Connect, *now);
    let (_, left) = pool.endpoints[0].health.ejected(*now).unwrap();
    *now += left;
    assert_eq!(fit(pool, *now), [0, 1]);
    left
}

#[test]
fn ejections_grow_to_the_most_and_are_forgiven_in_time() {
    let pool = pool_with("ejection = { time = \"1s\", max_time = \"5s\" }", &[1, 1]);
    let mut now = Instant::now() + SECOND;
    let times = [(); 4].map(|()| out_for(&pool, &mut now).as_secs());
    assert_eq!(times, [1, 2, 4, 5]);
    // One good answer is not enough, a good one after a while is.
    pool.answered(0, 200, now);
    assert_eq!(out_for(&pool, &mut now).as_secs(), 5);
    pool.answered(0, 200, now + 5 * SECOND);
    now += 6 * SECOND;
    assert_eq!(out_for(&pool, &mut now).as_secs(), 1);
}

#[test]
fn an_ejected_endpoint_that_serves_is_back_at_once() {
    let pool = pool_with("", &[1, 1]);
    let now = Instant::now();
    pool.failed(0, Failure::Connect, now);
    assert_eq!(
        (fit(&pool, now), pool.state(0, now)),
        (vec![1], EndpointState::Ejected)
    );
    pool.answered(0, 200, now);
    assert_eq!(fit(&pool, now), [0, 1]);
}

#[test]
fn only_failures_in_a_row_eject() {
    let pool = pool_with("ejection = { requests = 3, status = \"500-599\" }", &[1, 1]);
    let now = Instant::now();
    for status in [500, 503, 200, 502, 599] {
        pool.answered(0, status, now);
    }
    assert_eq!(fit(&pool, now), [0, 1]);
    pool.failed(0, Failure::Request, now);
    assert_eq!(fit(&pool, now), [1]);
}

#[test]
fn requests_eject_at_most_their_share_and_connects_eject_all() {
    let lines = "ejection = { requests = 1, max_share = 50 }";
    let pool = pool_with(lines, &[1, 1, 1, 1]);
    let now = Instant::now();
    (0..4).for_each(|index| pool.failed(index, Failure::Request, now));
    assert_eq!(fit(&pool, now), [2, 3]);
    (0..4).for_each(|index| pool.failed(index, Failure::Connect, now));
    assert!(fit(&pool, now).is_empty());
    assert_eq!(picks(&pool, 4).len(), 4, "rather one that failed than none");
}

#[test]
fn ejection_can_be_switched_off() {
    for lines in [
        "ejection = { connects = 0 }",
        "ejection = { time = \"0s\" }",
    ] {
        let pool = pool_with(lines, &[1]);
        let now = Instant::now();
        pool.failed(0, Failure::Connect, now);
        assert_eq!(fit(&pool, now), [0], "{lines}");
    }
}

#[test]
fn an_unhealthy_endpoint_is_never_chosen_not_even_as_the_last() {
    let pool = pool_with("", &[1, 1]);
    let now = Instant::now();
    unhealthy(&pool, 0);
    assert_eq!(counts(&pool, 4), [0, 4]);
    unhealthy(&pool, 1);
    assert!(picks(&pool, 4).is_empty());
    assert_eq!(pool.state(1, now), EndpointState::Unhealthy);
    let balancer = Balancer::new(&pool.weights, 0);
    for wanted in [Wanted::Endpoint(Some(0)), Wanted::Hash(1), Wanted::Key(1)] {
        assert_eq!(balancer.choose(&pool, wanted, &[], now), None);
    }
}

#[test]
fn below_the_panic_threshold_probes_are_ignored() {
    let pool = pool_with("panic_threshold = 50", &[1, 1, 1, 0]);
    unhealthy(&pool, 0);
    assert_eq!(counts(&pool, 6), [0, 3, 3, 0]);
    unhealthy(&pool, 1);
    assert_eq!(counts(&pool, 6), [2, 2, 2, 0]);
}

#[test]
fn what_drains_serves_only_those_that_stick_until_it_leaves() {
    let mut pool = pool_with("", &[1, 1, 1]);
    let now = Instant::now();
    pool.drains[0] = Drain::Marked;
    pool.drains[1] = Drain::Leaves(now + SECOND);
    (pool.weights[0], pool.weights[1]) = (0, 0);
    assert_eq!(counts(&pool, 6), [0, 0, 6]);
    let balancer = Balancer::new(&pool.weights, 0);
    let stuck = |index, at| {
        let choice = balancer.choose(&pool, Wanted::Endpoint(Some(index)), &[], at);
        choice.unwrap().index
    };
    assert_eq!((stuck(0, now), stuck(1, now)), (0, 1));
    let later = now + 2 * SECOND;
    assert_eq!((stuck(0, later), stuck(1, later)), (0, 2));
}

#[test]
fn what_comes_back_starts_slowly() {
    let pool = pool_with("slow_start = \"10s\"", &[1, 1]);
    unhealthy(&pool, 0);
    pool.endpoints[0].health.set_probed(Probed::Healthy, None);
    let back = Instant::now();
    let share = |seconds| pool.share(0, 2, back + seconds * SECOND);
    // The clock counts whole milliseconds.
    assert!((20..22).contains(&share(0)), "{}", share(0));
    assert!((109..112).contains(&share(5)), "{}", share(5));
    assert_eq!((share(10), pool.share(1, 2, back)), (200, 200));
    let counts = counts(&pool, 110);
    assert!((9..13).contains(&counts[0]), "{counts:?}");
}
