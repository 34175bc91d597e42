//! The choice of an endpoint: what affinity asks for, else what the pool's balance says.
//! Endpoints that have failed of late or for this request are passed over while there are
//! others.

use std::{cell::RefCell, time::Instant};

use super::{
    Pool,
    hash::{Random, score},
};
use crate::config::Balance;

/// What affinity or the pool's hash asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing.
    Any,
    /// Affinity: this one; none when its id is unknown.
    Endpoint(Option<usize>),
    /// Affinity: the one that this key falls on.
    Hash(u64),
    /// The pool's balance: the one that this key falls on.
    Key(u64),
}

/// An endpoint, and whether it is what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Its place in the pool.
    pub index: usize,
    /// False as well when nothing was asked for.
    pub as_wanted: bool,
}

/// What one worker keeps to itself of one pool's balance.
#[derive(Debug)]
pub struct Balancer {
    /// Smooth weighted round robin, which spreads the turns of a heavy endpoint between those
    /// of the light ones.
    credit: RefCell<Vec<i64>>,
    random: Random,
}

impl Balancer {
    /// A balancer of this many endpoints. Workers begin their rotation at different places.
    pub fn new(endpoints: usize, worker: usize) -> Self {
        let mut credit = vec![0; endpoints];
        if let Some(first) = credit.get_mut(worker.checked_rem(endpoints).unwrap_or(0)) {
            *first = 1;
        }
        Self {
            credit: RefCell::new(credit),
            random: Random::new(),
        }
    }

    /// Chooses among the endpoints that this request has not `tried`; none when all were, or
    /// when every endpoint that is left has weight 0 and is not what affinity asked for.
    pub fn choose(
        &self,
        pool: &Pool,
        asked: Wanted,
        tried: &[usize],
        now: Instant,
    ) -> Option<Choice> {
        let look = pool.look(now);
        let untried = |index: usize| !tried.contains(&index);
        let available = |index: usize| untried(index) && pool.is_fit(index, look);
        let wanted = match asked {
            Wanted::Any | Wanted::Endpoint(None) => None,
            Wanted::Endpoint(Some(index)) => Some(index),
            Wanted::Hash(key) | Wanted::Key(key) => rendezvous(pool, key, |_| true),
        };
        if let Some(index) = wanted.filter(|index| available(*index)) {
            return Some(Choice {
                index,
                as_wanted: true,
            });
        }
        if let Wanted::Hash(key) | Wanted::Key(key) = asked
            // The second choice of a key is as steady as its first.
            && let Some(index) = rendezvous(pool, key, available)
        {
            return Some(Choice {
                index,
                as_wanted: false,
            });
        }
        self.next(pool, now, |index| available(index) && pool.has_room(index))
            // Rather a wait than an endpoint that failed of late.
            .or_else(|| self.next(pool, now, available))
            // Rather an endpoint that failed of late than none.
            .or_else(|| {
                self.next(pool, now, |index| {
                    untried(index) && pool.serves(index, look)
                })
            })
            .map(|index| Choice {
                index,
                as_wanted: Some(index) == wanted,
            })
    }

    fn next(&self, pool: &Pool, now: Instant, fit: impl Fn(usize) -> bool) -> Option<usize> {
        let shares =
            || open(pool, &fit).map(|(index, weight)| (index, pool.share(index, weight, now)));
        match pool.balance {
            Balance::RoundRobin | Balance::Hash(_) => self.in_turn(shares()),
            Balance::LeastRequests => self.least_requests(pool, shares),
            Balance::Random => self.draw(shares),
        }
    }

    fn in_turn(&self, shares: impl Iterator<Item = Share>) -> Option<usize> {
        let mut credit = self.credit.borrow_mut();
        let mut total = 0;
        let mut best: Option<(usize, i64)> = None;
        for (index, share) in shares {
            let Some(credit) = credit.get_mut(index) else {
                continue;
            };
            *credit += i64::from(share);
            total += i64::from(share);
            if best.is_none_or(|(_, most)| *credit > most) {
                best = Some((index, *credit));
            }
        }
        let (index, _) = best?;
        if let Some(chosen) = credit.get_mut(index) {
            *chosen -= total;
        }
        Some(index)
    }

    fn draw<I: Iterator<Item = Share>>(&self, shares: impl Fn() -> I) -> Option<usize> {
        let total: u64 = shares().map(|(_, share)| u64::from(share)).sum();
        if total == 0 {
            return None;
        }
        let mut drawn = self.random.below(total);
        let mut hit = shares().filter(|(_, share)| match drawn.checked_sub(u64::from(*share)) {
            Some(rest) => {
                drawn = rest;
                false
            }
            None => true,
        });
        hit.next().map(|(index, _)| index)
    }

    /// The power of two choices: nearly as even as looking at all, without every worker
    /// running to the same one.
    fn least_requests<I: Iterator<Item = Share>>(
        &self,
        pool: &Pool,
        shares: impl Fn() -> I,
    ) -> Option<usize> {
        let count = shares().count() as u64;
        if count == 0 {
            return None;
        }
        let first = self.random.below(count);
        let second = (first + 1 + self.random.below((count - 1).max(1))) % count;
        let at = |place: u64| shares().nth(usize::try_from(place).unwrap_or(0));
        let (first, second) = (at(first)?, at(second)?);
        // Of equals the first: it was drawn.
        match load(pool, second) < load(pool, first) {
            true => Some(second.0),
            false => Some(first.0),
        }
    }
}

/// An endpoint's place, and its share of new sessions.
type Share = (usize, u32);

/// The endpoints that take new sessions, with their weights.
fn open(pool: &Pool, fit: impl Fn(usize) -> bool) -> impl Iterator<Item = (usize, u16)> {
    pool.weights
        .iter()
        .copied()
        .enumerate()
        .filter(move |(index, weight)| *weight > 0 && fit(*index))
}

/// Running requests, with the one to be placed, for each unit of its share.
fn load(pool: &Pool, (index, share): Share) -> f64 {
    let endpoint = pool.endpoints.get(index);
    let running = endpoint.map_or(0, |endpoint| endpoint.running());
    (running + 1) as f64 / f64::from(share)
}

/// Highest random weight: each endpoint scores the key, the best wins, so that a change of the
/// list moves only the keys whose winner came or went.
fn rendezvous(pool: &Pool, key: u64, fit: impl Fn(usize) -> bool) -> Option<usize> {
    open(pool, fit)
        .filter_map(|(index, weight)| Some((index, score(key, *pool.seeds.get(index)?, weight))))
        .max_by(|(_, one), (_, other)| one.total_cmp(other))
        .map(|(index, _)| index)
}

#[cfg(test)]
pub(super) mod tests;
