//! A snapshot on one worker: the shared, immutable part, and beside it what only this worker
//! touches. What a new snapshot has in common with the one before keeps its instances, its
//! connections and its place in the rotation.

use std::{iter, net::IpAddr, rc::Rc, sync::Arc, time::Instant};

use super::slot::{Canaries, Slot};

use crate::{
    config::Role,
    plugin::{self, InService, LocalPlugin, PoolFacts, Trial},
    pool::{Balancer, RetryBudget},
    snapshot::{RunningPool, Snapshot},
    upstream::Connections,
};

/// A snapshot on one worker.
pub struct LocalSnapshot {
    /// What all workers serve.
    pub shared: Arc<Snapshot>,
    /// Plugins with the role routing, in order.
    pub routing: Vec<Rc<Slot>>,
    /// Plugins with the role rewriting, in order.
    pub rewriting: Vec<Rc<Slot>>,
    /// In the order of the snapshot's pools.
    pub pools: Vec<LocalPool>,
    plugins: Vec<Rc<Slot>>,
    has_trials: bool,
}

/// A pool on one worker.
pub struct LocalPool {
    /// What all workers know of it.
    pub running: Arc<RunningPool>,
    /// What its affinity plugin may ask about it; a copy of this worker's own, since lending
    /// it counts references.
    pub facts: Arc<PoolFacts>,
    /// Its affinity plugin.
    pub affinity: Option<Rc<Slot>>,
    /// This worker's turn.
    pub balancer: Rc<Balancer>,
    /// How many retries this worker may make.
    pub budget: Rc<RetryBudget>,
    /// Connections, by endpoint.
    pub connections: Vec<Rc<Connections>>,
}

impl LocalSnapshot {
    /// This snapshot on the worker of this number.
    pub fn new(shared: Arc<Snapshot>, worker: usize, before: Option<&LocalSnapshot>) -> Self {
        let shares = plugin::shares(&shared.plugins, shared.config.workers.get());
        let mut places = 0..;
        let plugins: Vec<_> = shared
            .plugins
            .iter()
            .zip(shares)
            .map(|(plugin, share)| {
                let local = |plugin: &InService, trial: Option<&Arc<Trial>>| {
                    let local = local_plugin(plugin, trial, worker, before);
                    local.allow(trial.map_or(share.live, |_| share.trial));
                    local
                };
                Rc::new(Slot::new(plugin, &mut places, local))
            })
            .collect();
        let with_role = |role| {
            shared
                .with_role(role)
                .into_iter()
                .filter_map(|index| plugins.get(index).cloned())
                .collect()
        };
        let pools = shared
            .pools
            .iter()
            .map(|pool| LocalPool::new(pool, worker, &plugins, before))
            .collect();
        Self {
            routing: with_role(Role::Routing),
            rewriting: with_role(Role::Rewriting),
            pools,
            has_trials: plugins.iter().any(|slot| slot.on_trial().is_some()),
            plugins,
            shared,
        }
    }

    /// Gives back plugin instances that are not needed any more.
    pub fn trim(&self) {
        self.local_plugins().for_each(|plugin| plugin.trim());
    }

    /// The plugins whose version on trial decides for a request of this client.
    pub fn canaries(&self, client: IpAddr, request: u128) -> Canaries {
        match self.has_trials {
            true => Canaries::choose(&self.plugins, client, request),
            false => Canaries::default(),
        }
    }

    fn local_plugins(&self) -> impl Iterator<Item = &Rc<LocalPlugin>> {
        let slots = self.plugins.iter();
        slots.flat_map(|slot| iter::once(&slot.live).chain(slot.on_trial()))
    }

    fn pool(&self, name: &str) -> Option<&LocalPool> {
        self.pools.get(self.shared.pool(name)?)
    }
}

/// The version in service, or that on trial; with the instances that it has already.
fn local_plugin(
    plugin: &InService,
    trial: Option<&Arc<Trial>>,
    worker: usize,
    before: Option<&LocalSnapshot>,
) -> Rc<LocalPlugin> {
    let version = trial.map_or(&plugin.live, |trial| &trial.version);
    let known = before
        .into_iter()
        .flat_map(LocalSnapshot::local_plugins)
        .find(|known| known.is_of(version, trial));
    known.map_or_else(
        || {
            let version = Arc::clone(version);
            Rc::new(LocalPlugin::serving(version, worker, trial.cloned()))
        },
        Rc::clone,
    )
}

impl LocalPool {
    fn new(
        running: &Arc<RunningPool>,
        worker: usize,
        plugins: &[Rc<Slot>],
        before: Option<&LocalSnapshot>,
    ) -> Self {
        let before = before.and_then(|before| before.pool(&running.pool.name));
        let count = running.pool.endpoints.len();
        let same_list = before.filter(|before| {
            before.running.pool.generation == running.pool.generation
                && before.running.pool.weights == running.pool.weights
        });
        Self {
            facts: Arc::new(running.facts.clone()),
            affinity: running
                .affinity
                .and_then(|index| plugins.get(index).cloned()),
            balancer: same_list.map_or_else(
                || Rc::new(Balancer::new(&running.pool.weights, worker)),
                |before| Rc::clone(&before.balancer),
            ),
            connections: (0..count)
                .map(|index| connections(running, index, before))
                .collect(),
            budget: before.map_or_else(
                || Rc::new(RetryBudget::new(Instant::now())),
                |before| Rc::clone(&before.budget),
            ),
            running: Arc::clone(running),
        }
    }
}

/// Those to an endpoint; taken over when a connection of before may carry a request of now.
fn connections(running: &RunningPool, index: usize, before: Option<&LocalPool>) -> Rc<Connections> {
    let pool = &running.pool;
    let known = before.and_then(|before| {
        let endpoint = pool.endpoints.get(index)?;
        let place = before.running.pool.position(&endpoint.key.id)?;
        let same = Arc::ptr_eq(before.running.pool.endpoints.get(place)?, endpoint)
            && before.running.transports.get(place) == running.transports.get(index)
            && before.running.pool.keeping == pool.keeping;
        before.connections.get(place).filter(|_| same)
    });
    known.map_or_else(|| Connections::new(pool.keeping.clone()), Rc::clone)
}
