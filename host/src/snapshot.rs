//! The running configuration: immutable, complete, every reference resolved. Built off the
//! workers from a checked [`Config`] and the loaded plugins; a request takes one at its start
//! and keeps it to its end.
//!
//! What is unchanged is taken over from the snapshot before: listening sockets, TLS contexts
//! with their session tickets, endpoints with their health. Parts are the same when what they
//! were made from is the same, files' contents included.

mod listeners;
mod pools;

use std::{collections::HashMap, sync::Arc, time::Instant};

use crate::{
    config::{Config, ConfigError, Role, ServerNameFrom},
    names::Addresses,
    plugin::{InService, PoolFacts},
    pool::{Drain, Pool},
    record::Recorder,
    sockets::Sockets,
    tls,
    upstream::Transport,
};

pub use listeners::Listener;

/// Everything that a worker needs to serve.
pub struct Snapshot {
    /// What it was built from.
    pub config: Arc<Config>,
    /// In file order.
    pub listeners: Vec<Arc<Listener>>,
    /// In order of their names.
    pub pools: Vec<Arc<RunningPool>>,
    /// In folder order.
    pub plugins: Vec<InService>,
    /// Where decisions are recorded; none when they are not.
    pub recorder: Option<Arc<Recorder>>,
    pools_by_name: HashMap<String, usize>,
}

/// A pool and what joins it to the rest of the snapshot.
pub struct RunningPool {
    /// Endpoints, weights, deadlines.
    pub pool: Arc<Pool>,
    /// Whether the names in `transports` are those of all requests.
    pub server_name_from: ServerNameFrom,
    /// How each endpoint is reached, in the order of the endpoints.
    pub transports: Vec<Transport>,
    /// What its affinity plugin may ask about it.
    pub facts: PoolFacts,
    /// Its affinity plugin, as a place in [`Snapshot::plugins`].
    pub affinity: Option<usize>,
    /// How certificates of its endpoints are judged; none without TLS.
    context: Option<Arc<tls::upstream::Context>>,
    trust: pools::TrustMaterial,
}

impl RunningPool {
    /// Until when the certificates of its files are valid.
    pub fn deadlines(&self) -> &[tls::PoolDeadline] {
        let context = self.context.as_ref();
        context.map_or(&[], |context| context.deadlines())
    }
}

impl Snapshot {
    /// Builds what `config` says from `plugins`, taking over what `previous` has in common.
    ///
    /// Reads certificates and binds the sockets of new listeners; a problem with any of them
    /// is reported with its line in the configuration, and nothing of the new one is used.
    pub fn build(
        config: Arc<Config>,
        plugins: Vec<InService>,
        addresses: &Addresses,
        previous: Option<&Snapshot>,
        sockets: &Sockets,
    ) -> Result<Self, ConfigError> {
        let pools = config
            .pools
            .iter()
            .map(|pool| pools::build(&config, pool, &plugins, addresses, previous).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        let pools_by_name = pools
            .iter()
            .enumerate()
            .map(|(index, pool)| (pool.pool.name.clone(), index))
            .collect::<HashMap<_, _>>();
        let pages = listeners::error_pages(&config, &config.error_pages)?;
        let listeners = config
            .listeners
            .iter()
            .map(|listener| {
                let pages = Arc::clone(&pages);
                listeners::build(&config, listener, &pools_by_name, pages, previous, sockets)
                    .map(Arc::new)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let recorder = recorder(&config, previous, sockets)?;
        Ok(Self {
            config,
            listeners,
            pools,
            plugins,
            recorder,
            pools_by_name,
        })
    }

    /// The listener of this name.
    pub fn listener(&self, name: &str) -> Option<&Listener> {
        let mut listeners = self.listeners.iter();
        listeners
            .find(|listener| &*listener.name == name)
            .map(Arc::as_ref)
    }

    /// The same with other addresses of names, and without the endpoints whose time to leave
    /// has come. Reads no file.
    pub fn readdressed(&self, addresses: &Addresses) -> Result<Self, ConfigError> {
        let pools = self.config.pools.iter().zip(&self.pools);
        let pools = pools
            .map(|(config, before)| {
                pools::readdressed(&self.config, config, addresses, before).map(Arc::new)
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            config: Arc::clone(&self.config),
            listeners: self.listeners.clone(),
            pools,
            plugins: self.plugins.clone(),
            recorder: self.recorder.clone(),
            pools_by_name: self.pools_by_name.clone(),
        })
    }

    /// The same with other versions of the same plugins, in the same order. Reads no file.
    pub fn with_versions(&self, plugins: Vec<InService>) -> Self {
        Self {
            config: Arc::clone(&self.config),
            listeners: self.listeners.clone(),
            pools: self.pools.clone(),
            plugins,
            recorder: self.recorder.clone(),
            pools_by_name: self.pools_by_name.clone(),
        }
    }

    /// Whether the time of an endpoint that was removed is up.
    pub fn has_left(&self, now: Instant) -> bool {
        let mut drains = self.pools.iter().flat_map(|pool| &pool.pool.drains);
        drains.any(|drain| matches!(drain, Drain::Leaves(until) if *until <= now))
    }

    /// The place of the pool with this name.
    pub fn pool(&self, name: &str) -> Option<usize> {
        self.pools_by_name.get(name).copied()
    }

    /// The plugins of a role, as places in [`Snapshot::plugins`], in folder order.
    pub fn with_role(&self, role: Role) -> Vec<usize> {
        self.plugins
            .iter()
            .enumerate()
            .filter(|(_, plugin)| plugin.has(role))
            .map(|(index, _)| index)
            .collect()
    }
}

/// The one of before, unless it is configured otherwise.
fn recorder(
    config: &Config,
    previous: Option<&Snapshot>,
    sockets: &Sockets,
) -> Result<Option<Arc<Recorder>>, ConfigError> {
    let Some(rules) = &config.record else {
        return Ok(None);
    };
    let known = previous.and_then(|previous| previous.recorder.as_ref());
    if let Some(known) = known.filter(|known| known.rules == *rules) {
        return Ok(Some(Arc::clone(known)));
    }
    if matches!(sockets, Sockets::Leave) {
        return Ok(None);
    }
    let opened = Recorder::open(rules);
    opened
        .map(|recorder| Some(Arc::new(recorder)))
        .map_err(|error| {
            let problem = format!("cannot append to {}: {error}", rules.path.display());
            config.error("record.path", problem)
        })
}

/// All files that this configuration names and a snapshot is made from.
pub fn files(config: &Config) -> impl Iterator<Item = &std::path::Path> {
    let certificates = config
        .listeners
        .iter()
        .filter_map(|listener| listener.tls.as_ref())
        .flat_map(tls::downstream::files);
    let trusted = config.pools.iter().flat_map(pools::files);
    let pages = config
        .listeners
        .iter()
        .filter_map(|listener| listener.error_pages.as_ref());
    let pages = pages
        .chain([&config.error_pages])
        .flat_map(|pages| pages.0.iter().map(|page| page.file.as_path()));
    certificates.chain(trusted).chain(pages)
}
