//! The choice of an endpoint: what affinity asks for, else what the pool's balance says.
//! Endpoints that have failed of late or for this request are passed over while there are
//! others.

use std::{cell::RefCell, cmp::Reverse, collections::BinaryHeap, time::Instant};

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
    /// Weighted round robin: whose turn is due first. Endpoints come round the more often the
    /// heavier they are, so that a heavy one's turns lie between those of the light ones.
    turns: RefCell<BinaryHeap<Reverse<Turn>>>,
    /// The endpoint that is first among those whose turns are due at once.
    first: usize,
    random: Random,
}

/// When an endpoint's next turn is due, in shares of a [`ROUND`], and its place after the first.
type Turn = (u128, usize);

/// The time between two turns of an endpoint with a share of one.
const ROUND: u128 = 1 << 40;
/// How often an endpoint is drawn before all are looked at.
const DRAWS: usize = 16;

impl Balancer {
    /// A balancer of endpoints with these weights. Workers begin their rotation at different
    /// places.
    pub fn new(weights: &[u16], worker: usize) -> Self {
        let first = worker.checked_rem(weights.len()).unwrap_or(0);
        let (before, from) = weights.split_at(first);
        // The first turn comes when half of the time between two is over, so that light ones do
        // not all come before the second turn of a heavy one.
        let turn = |weight: &u16| ROUND / (u128::from((*weight).max(1)) * 200);
        let turns = from.iter().chain(before).map(turn).zip(0..);
        Self {
            turns: RefCell::new(turns.map(Reverse).collect()),
            first,
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
        let share = |index| share(pool, index, now, &fit);
        match pool.balance {
            Balance::RoundRobin | Balance::Hash(_) => self.in_turn(pool, share),
            Balance::LeastRequests => self.least_requests(pool, share),
            Balance::Random => self.draw(pool, share),
        }
    }

    /// Looks at those alone whose turn comes before that of the one that is chosen, not at all.
    /// Who is not fit has had its turn.
    fn in_turn(&self, pool: &Pool, share: impl Fn(usize) -> Option<u32>) -> Option<usize> {
        let mut turns = self.turns.borrow_mut();
        let mut passed_over = Vec::new();
        let mut chosen = None;
        while chosen.is_none()
            && let Some(Reverse((due, place))) = turns.pop()
        {
            let index = (place + self.first) % pool.endpoints.len().max(1);
            let fit = share(index);
            let weight = pool.weights.get(index).copied().unwrap_or(0);
            let share = fit.unwrap_or(u32::from(weight) * 100).max(1);
            let turn = Reverse((due + ROUND / u128::from(share), place));
            match fit {
                Some(_) => {
                    turns.push(turn);
                    chosen = Some(index);
                }
                None => passed_over.push(turn),
            }
        }
        turns.extend(passed_over);
        chosen
    }

    fn draw(&self, pool: &Pool, share: impl Fn(usize) -> Option<u32>) -> Option<usize> {
        // A drawn endpoint is taken as often as its share is of the largest.
        let largest = u64::from(pool.heaviest) * 100;
        let is_taken =
            |index| share(index).is_some_and(|share| self.random.below(largest) < u64::from(share));
        if let Some(index) = self.drawn(pool, is_taken) {
            return Some(index);
        }
        let shares = || (0..pool.endpoints.len()).filter_map(|index| Some((index, share(index)?)));
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
    fn least_requests(&self, pool: &Pool, share: impl Fn(usize) -> Option<u32>) -> Option<usize> {
        let first = self.any(pool, |index| share(index).is_some())?;
        let others = |index| index != first && share(index).is_some();
        let Some(second) = self.any(pool, others) else {
            return Some(first);
        };
        let load = |index| load(pool, index, share(index).unwrap_or(1));
        // Of equals the first: it was drawn.
        match load(second) < load(first) {
            true => Some(second),
            false => Some(first),
        }
    }

    /// Any endpoint that is fit, each as likely as the others.
    fn any(&self, pool: &Pool, fit: impl Fn(usize) -> bool) -> Option<usize> {
        self.drawn(pool, &fit).or_else(|| {
            let all = || (0..pool.endpoints.len()).filter(|index| fit(*index));
            let count = all().count() as u64;
            let place = self.random.below(count.max(1));
            all().nth(usize::try_from(place).unwrap_or(0))
        })
    }

    /// An endpoint that is taken, if one is among the first few that are drawn.
    fn drawn(&self, pool: &Pool, is_taken: impl Fn(usize) -> bool) -> Option<usize> {
        let endpoints = pool.endpoints.len().max(1) as u64;
        let mut draws = (0..DRAWS).map(|_| self.random.below(endpoints));
        draws.find_map(|index| usize::try_from(index).ok().filter(|index| is_taken(*index)))
    }
}

/// An endpoint's share of new sessions; none when it takes none.
fn share(pool: &Pool, index: usize, now: Instant, fit: impl Fn(usize) -> bool) -> Option<u32> {
    let weight = pool
        .weights
        .get(index)
        .copied()
        .filter(|weight| *weight > 0)?;
    fit(index).then(|| pool.share(index, weight, now))
}

/// The endpoints that take new sessions, with their weights.
fn open(pool: &Pool, fit: impl Fn(usize) -> bool) -> impl Iterator<Item = (usize, u16)> {
    pool.weights
        .iter()
        .copied()
        .enumerate()
        .filter(move |(index, weight)| *weight > 0 && fit(*index))
}

/// Running requests, with the one to be placed, for each unit of its share.
fn load(pool: &Pool, index: usize, share: u32) -> f64 {
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
