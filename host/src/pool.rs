//! Pools: which endpoints there are, which of them are fit to be chosen, and the choice.
//! What must outlive a reload (health, counters) is in [`Endpoint`], shared by all workers;
//! what a worker keeps to itself (its turn in the rotation) is in [`Balancer`].

mod balancer;
mod budget;
mod endpoint;
mod fitness;
mod hash;
mod health;
mod slots;

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Instant,
};

use http::uri::Authority;

pub use balancer::{Balancer, Choice, Wanted};
pub use budget::RetryBudget;
pub use endpoint::{ConnectionPermit, Endpoint, EndpointKey, Probes};
pub use fitness::EndpointState;
pub use hash::hash_key;
pub use health::{Failure, Health, Probed, Verdict};
pub use slots::{Full, Slots};

use crate::{
    config,
    metrics::{PerWorker, RetryCounters},
};

/// A pool of a running configuration.
#[derive(Debug)]
pub struct Pool {
    /// As configured.
    pub name: String,
    /// In configuration order, those that have left it last.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Shares of new sessions, by endpoint; 0 for those that drain.
    pub weights: Vec<u16>,
    /// The largest of them.
    heaviest: u16,
    /// Which of them drain, by endpoint.
    pub drains: Vec<Drain>,
    /// How endpoints are chosen where affinity has no say.
    pub balance: config::Balance,
    /// Which endpoints may be chosen.
    pub fitness: config::Fitness,
    /// How much each endpoint may have at a time.
    pub limits: config::EndpointLimits,
    /// When a request is tried again.
    pub retries: config::Retries,
    /// How often that was done.
    pub retried: Arc<PerWorker<RetryCounters>>,
    /// What upstreams get as `Host`; the client's own when absent.
    pub authority: Option<Authority>,
    /// Deadlines towards endpoints.
    pub timeouts: config::PoolTimeouts,
    /// How each worker keeps its connections to an endpoint.
    pub keeping: config::Keeping,
    /// Names of endpoints that have no address yet.
    pub unresolved: Vec<String>,
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
    /// Whether it drains.
    pub drain: Drain,
}

/// Whether an endpoint is on its way out: it gets no new session then, whatever its weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drain {
    /// It is not.
    No,
    /// The configuration says so. Sessions that stick to it go on.
    Marked,
    /// It was removed. Sessions that stick to it go on until then.
    Leaves(Instant),
}

impl Pool {
    /// A pool of these members, which stand in the order of the configuration; `retried` is
    /// that of the pool of before, where there was one.
    pub fn new(
        config: &config::Pool,
        authority: Option<Authority>,
        members: Vec<Member>,
        unresolved: Vec<String>,
        retried: Arc<PerWorker<RetryCounters>>,
    ) -> Self {
        let endpoints: Vec<_> = members
            .iter()
            .map(|member| Arc::clone(&member.endpoint))
            .collect();
        let weight = |member: &Member| match member.drain {
            Drain::No => member.weight,
            Drain::Marked | Drain::Leaves(_) => 0,
        };
        let by_id = endpoints
            .iter()
            .enumerate()
            .map(|(index, endpoint)| (endpoint.key.id.clone(), index))
            .collect();
        Self {
            name: config.name.clone(),
            heaviest: members.iter().map(weight).max().unwrap_or(0),
            weights: members.iter().map(weight).collect(),
            drains: members.iter().map(|member| member.drain).collect(),
            balance: config.balance.clone(),
            fitness: config.fitness.clone(),
            limits: limits(config),
            retries: config.retries.clone(),
            retried,
            authority,
            timeouts: config.timeouts.clone(),
            keeping: config::Keeping {
                max_idle: config.max_idle,
                timeout: config.timeouts.idle,
                h2: config.h2.clone(),
            },
            unresolved,
            generation: generation(&config.name, &endpoints),
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

/// A connection of HTTP/1.1 carries one request at a time: more requests than connections
/// would only wait elsewhere.
fn limits(config: &config::Pool) -> config::EndpointLimits {
    let limits = config.limits.clone();
    let one_each = limits.connections.filter(|_| !config.http.may_be_h2());
    let requests = limits.requests.into_iter().chain(one_each).min();
    config::EndpointLimits { requests, ..limits }
}

fn generation(name: &str, endpoints: &[Arc<Endpoint>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    endpoints
        .iter()
        .for_each(|endpoint| endpoint.key.hash(&mut hasher));
    hasher.finish()
}
