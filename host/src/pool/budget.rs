//! How many retries a worker may make for the requests that it has: without a bound, endpoints
//! that fail because they are overloaded get a multiple of the load. Each worker has a budget
//! of its own for each pool, so that no number is shared between threads.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use crate::config::Retries;

/// Requests count for one to two of these.
const PERIOD: Duration = Duration::from_secs(5);
/// Seconds for which the smallest number of retries is granted at once.
const SECONDS: u64 = 10;

/// Requests and retries of late.
#[derive(Debug)]
pub struct RetryBudget {
    since: Cell<Instant>,
    now: Cell<Tally>,
    before: Cell<Tally>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    requests: u64,
    retries: u64,
}

impl RetryBudget {
    /// Nothing has been spent, and nothing earned.
    pub fn new(now: Instant) -> Self {
        Self {
            since: Cell::new(now),
            now: Cell::default(),
            before: Cell::default(),
        }
    }

    /// A request came.
    pub fn earn(&self, now: Instant) {
        self.turn(now);
        let tally = self.now.get();
        self.now.set(Tally {
            requests: tally.requests + 1,
            ..tally
        });
    }

    /// Takes one retry, if these rules allow one more.
    pub fn spend(&self, rules: &Retries, now: Instant) -> bool {
        self.turn(now);
        let (tally, before) = (self.now.get(), self.before.get());
        let earned = (tally.requests + before.requests) * u64::from(rules.budget) / 100;
        let least = u64::from(rules.min_per_second) * SECONDS;
        let allowed = tally.retries + before.retries < earned + least;
        if allowed {
            self.now.set(Tally {
                retries: tally.retries + 1,
                ..tally
            });
        }
        allowed
    }

    fn turn(&self, now: Instant) {
        let passed = now.saturating_duration_since(self.since.get());
        if passed < PERIOD {
            return;
        }
        let before = match passed < PERIOD * 2 {
            true => self.now.get(),
            false => Tally::default(),
        };
        self.before.set(before);
        self.now.set(Tally::default());
        self.since.set(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::balancer::tests::configured;

    fn rules(budget: u8, min_per_second: u16) -> Retries {
        Retries {
            budget,
            min_per_second,
            ..configured("").retries
        }
    }

    fn spent(budget: &RetryBudget, rules: &Retries, now: Instant) -> usize {
        (0..1000).filter(|_| budget.spend(rules, now)).count()
    }

    #[test]
    fn retries_are_a_share_of_the_requests_of_late() {
        let now = Instant::now();
        let budget = RetryBudget::new(now);
        (0..200).for_each(|_| budget.earn(now));
        assert_eq!(spent(&budget, &rules(20, 0), now), 40);
        let later = now + PERIOD;
        assert_eq!(spent(&budget, &rules(20, 0), later), 0, "they still count");
        (0..10).for_each(|_| budget.earn(later));
        assert_eq!(spent(&budget, &rules(20, 0), later), 2);
        let much_later = later + 2 * PERIOD;
        assert_eq!(spent(&budget, &rules(20, 0), much_later), 0);
    }

    #[test]
    fn a_few_are_allowed_without_any_requests() {
        let now = Instant::now();
        let budget = RetryBudget::new(now);
        assert_eq!(spent(&budget, &rules(0, 3), now), 30);
        assert_eq!(spent(&budget, &rules(0, 3), now + 2 * PERIOD), 30);
        assert_eq!(spent(&budget, &rules(0, 0), now + 4 * PERIOD), 0);
    }
}
