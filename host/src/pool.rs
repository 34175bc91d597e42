//! Pools: which endpoints there are, which of them are fit to be chosen, and the choice.
//! What must outlive a reload (health, counters) is in [`Endpoint`], shared by all workers;
//! what a worker keeps to itself (its turn in the rotation) is in [`Balancer`].

mod balancer;
mod endpoint;
mod hash;

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use http::uri::Authority;

pub use balancer::{Balancer, Choice, Wanted};
pub use endpoint::{Endpoint, EndpointKey};
pub use hash::hash_key;

use crate::config;

/// A pool of a running configuration.
#[derive(Debug)]
pub struct Pool {
    /// As configured.
    pub name: String,
    /// In configuration order.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Shares of new sessions, by endpoint.
    pub weights: Vec<u16>,
    /// How endpoints are chosen where affinity has no say.
    pub balance: config::Balance,
    /// What upstreams get as `Host`; the client's own when absent.
    pub authority: Option<Authority>,
    /// Deadlines towards endpoints.
    pub timeouts: config::PoolTimeouts,
    /// Connections kept idle per endpoint and worker.
    pub max_idle: usize,
    /// How long a failed endpoint is passed over.
    pub eject_for: std::time::Duration,
    /// Changes with the list of endpoints.
    pub generation: u64,
    /// What each endpoint's scores for keys start from.
    seeds: Vec<u64>,
    by_id: HashMap<String, usize>,
}

/// An endpoint's place in a pool.
#[derive(Debug)]
pub struct Member {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Its share of new sessions; with 0 only sessions that stick to it reach it.
    pub weight: u16,
}

impl Pool {
    /// A pool of these members, which stand in the order of the configuration.
    pub fn new(
        config: &config::Pool,
        authority: Option<Authority>,
        members: impl IntoIterator<Item = Member>,
    ) -> Self {
        let (endpoints, weights): (Vec<_>, Vec<_>) = members
            .into_iter()
            .map(|member| (member.endpoint, member.weight))
            .unzip();
        let by_id = endpoints
            .iter()
            .enumerate()
            .map(|(index, endpoint)| (endpoint.key.id.clone(), index))
            .collect();
        Self {
            name: config.name.clone(),
            weights,
            balance: config.balance.clone(),
            authority,
            timeouts: config.timeouts.clone(),
            max_idle: config.max_idle,
            eject_for: config.eject_for,
            generation: generation(&endpoints),
            seeds: endpoints
                .iter()
                .map(|endpoint| hash_key([endpoint.key.id.as_bytes()]))
                .collect(),
            endpoints,
            by_id,
        }
    }

    /// The place of the endpoint with this id.
    pub fn position(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }
}

fn generation(endpoints: &[Arc<Endpoint>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    endpoints
        .iter()
        .for_each(|endpoint| endpoint.key.hash(&mut hasher));
    hasher.finish()
}
