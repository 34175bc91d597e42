//! The choice of an endpoint: what affinity asks for, else weighted round robin. Endpoints
//! that have failed of late or for this request are passed over while there are others.

use std::{
    cell::RefCell,
    hash::{DefaultHasher, Hash, Hasher},
    time::Instant,
};

use super::Pool;

/// What affinity asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing.
    Any,
    /// This one; none when its id is unknown.
    Endpoint(Option<usize>),
    /// The one that this key falls on.
    Hash(u64),
}

/// An endpoint, and whether it is what affinity asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Its place in the pool.
    pub index: usize,
    /// False as well when nothing was asked for.
    pub as_wanted: bool,
}

/// One worker's turn in one pool's rotation: smooth weighted round robin, which spreads the
/// turns of a heavy endpoint between those of the light ones.
#[derive(Debug, Default)]
pub struct Balancer {
    credit: RefCell<Vec<i64>>,
}

impl Balancer {
    /// A rotation over this many endpoints. Workers begin at different places.
    pub fn new(endpoints: usize, worker: usize) -> Self {
        let mut credit = vec![0; endpoints];
        if let Some(first) = credit.get_mut(worker.checked_rem(endpoints).unwrap_or(0)) {
            *first = 1;
        }
        Self {
            credit: RefCell::new(credit),
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
        let available = |index: &usize| {
            pool.endpoints
                .get(*index)
                .is_some_and(|endpoint| endpoint.is_available(now))
        };
        let untried = |index: &usize| !tried.contains(index);
        let wanted = match asked {
            Wanted::Any | Wanted::Endpoint(None) => None,
            Wanted::Endpoint(Some(index)) => Some(index),
            Wanted::Hash(key) => rendezvous(pool, key, |_| true),
        };
        if let Some(index) = wanted.filter(|index| untried(index) && available(index)) {
            return Some(Choice {
                index,
                as_wanted: true,
            });
        }
        if let (Some(first), Wanted::Hash(key)) = (wanted, asked) {
            // The second choice of a key is as steady as its first.
            let next = rendezvous(pool, key, |index| untried(&index) && available(&index));
            if let Some(index) = next.filter(|index| *index != first) {
                return Some(Choice {
                    index,
                    as_wanted: false,
                });
            }
        }
        self.next(pool, |index| untried(&index) && available(&index))
            // Rather an endpoint that failed of late than none.
            .or_else(|| self.next(pool, |index| untried(&index)))
            .map(|index| Choice {
                index,
                as_wanted: Some(index) == wanted,
            })
    }

    fn next(&self, pool: &Pool, fit: impl Fn(usize) -> bool) -> Option<usize> {
        let mut credit = self.credit.borrow_mut();
        let mut total = 0;
        let mut best: Option<(usize, i64)> = None;
        for (index, (credit, weight)) in credit.iter_mut().zip(&pool.weights).enumerate() {
            if *weight == 0 || !fit(index) {
                continue;
            }
            *credit += i64::from(*weight);
            total += i64::from(*weight);
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
}

/// Highest random weight: each endpoint scores the key, the best wins, so that a change of the
/// list moves only the keys whose winner came or went.
fn rendezvous(pool: &Pool, key: u64, fit: impl Fn(usize) -> bool) -> Option<usize> {
    let score = |index: usize| {
        let mut hasher = DefaultHasher::new();
        (key, &pool.endpoints.get(index)?.key.id).hash(&mut hasher);
        Some(hasher.finish())
    };
    let open = |index: &usize| pool.weights.get(*index).is_some_and(|weight| *weight > 0);
    (0..pool.endpoints.len())
        .filter(|index| open(index) && fit(*index))
        .max_by_key(|index| score(*index))
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::{super::endpoint::*, *};
    use crate::config;

    fn pool(weights: &[u16]) -> Pool {
        let endpoints: Vec<_> = weights
            .iter()
            .enumerate()
            .map(|(i, weight)| config::Endpoint {
                id: i.to_string(),
                host: "h".into(),
                port: 1,
                weight: *weight,
            })
            .collect();
        let shared = endpoints
            .iter()
            .map(|e| EndpointKey {
                pool: "p".into(),
                id: e.id.clone(),
                host: e.host.clone(),
                port: e.port,
            })
            .map(|key| Arc::new(Endpoint::new(key, 1)))
            .collect();
        let second = Duration::from_secs(1);
        let config = config::Pool {
            key: "pools.p".into(),
            name: "p".into(),
            protocol: config::Protocol::Http,
            endpoints,
            server_name: None,
            authority: None,
            affinity: None,
            timeouts: config::PoolTimeouts {
                connect: second,
                tls_handshake: second,
                first_byte: second,
                idle: second,
            },
            max_idle: 1,
            eject_for: second,
        };
        Pool::new(&config, None, shared)
    }

    fn picks(pool: &Pool, count: usize) -> Vec<usize> {
        let balancer = Balancer::new(pool.endpoints.len(), 0);
        (0..count)
            .filter_map(|_| balancer.choose(pool, Wanted::Any, &[], Instant::now()))
            .map(|choice| choice.index)
            .collect()
    }

    #[test]
    fn equal_weights_take_turns() {
        assert_eq!(picks(&pool(&[1, 1, 1]), 6), [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn weights_are_shares() {
        let picks = picks(&pool(&[5, 1]), 60);
        assert_eq!(picks.iter().filter(|index| **index == 0).count(), 50);
    }

    #[test]
    fn weight_zero_serves_only_those_that_stick() {
        let pool = pool(&[0, 1]);
        assert_eq!(picks(&pool, 3), [1, 1, 1]);
        let choice =
            Balancer::new(2, 0).choose(&pool, Wanted::Endpoint(Some(0)), &[], Instant::now());
        assert_eq!(
            choice,
            Some(Choice {
                index: 0,
                as_wanted: true
            })
        );
        assert_eq!(
            Balancer::new(2, 0).choose(&pool, Wanted::Any, &[1], Instant::now()),
            None
        );
    }

    #[test]
    fn an_ejected_endpoint_is_passed_over_until_its_time_is_up() {
        let pool = pool(&[1, 1]);
        let now = Instant::now();
        pool.endpoints[0].eject(now, Duration::from_secs(5));
        let balancer = Balancer::new(2, 0);
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
        pool.endpoints[0].eject(Instant::now(), Duration::from_secs(5));
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
}
