//! Pools: which endpoints there are, which of them are fit to be chosen, and the choice.
//! What must outlive a reload (health, counters) is in [`Endpoint`], shared by all workers;
//! what a worker keeps to itself (its turn in the rotation) is in [`Balancer`].

mod balancer;
mod endpoint;

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use http::uri::Authority;

pub use balancer::{Balancer, Choice, Wanted};
pub use endpoint::{Endpoint, EndpointKey};

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
    by_id: HashMap<String, usize>,
}

impl Pool {
    /// A pool of these endpoints, which stand in the order of the configuration.
    pub fn new(
        config: &config::Pool,
        authority: Option<Authority>,
        endpoints: Vec<Arc<Endpoint>>,
    ) -> Self {
        let by_id = endpoints
            .iter()
            .enumerate()
            .map(|(index, endpoint)| (endpoint.key.id.clone(), index))
            .collect();
        Self {
            name: config.name.clone(),
            weights: config
                .endpoints
                .iter()
                .map(|endpoint| endpoint.weight)
                .collect(),
            authority,
            timeouts: config.timeouts.clone(),
            max_idle: config.max_idle,
            eject_for: config.eject_for,
            generation: generation(&endpoints),
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
