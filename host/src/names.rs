//! DNS names of endpoints: looked up and kept fresh by tasks of the control runtime, one for
//! each name. Requests never wait for an answer: they see the addresses of their snapshot,
//! which is replaced when an answer has changed.

mod lookup;
mod refresh;

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{sync::watch, task::AbortHandle};

use self::lookup::Resolver;
use crate::config::{Config, Dns};

/// The last good answer for each name, sorted; names without one are missing.
pub type Addresses = HashMap<String, Arc<[IpAddr]>>;

/// What the outside may know of lookups.
#[derive(Debug, Default)]
pub struct LookupStatus {
    /// Answers.
    pub ok: AtomicU64,
    /// Errors, answers without an address, and no answer.
    pub failed: AtomicU64,
}

impl LookupStatus {
    fn count(&self, good: bool) {
        let counter = if good { &self.ok } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// What is known of each name.
#[derive(Debug, Default)]
struct Known {
    addresses: Addresses,
    /// Names whose first lookup has ended, well or not.
    tried: BTreeSet<String>,
}

/// The names that are followed.
pub struct Names {
    known: watch::Sender<Known>,
    changes: watch::Receiver<Known>,
    tasks: HashMap<String, Task>,
    rules: Option<Dns>,
    status: Arc<LookupStatus>,
}

/// Ends when it is dropped.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Names {
    /// Follows nothing yet.
    pub fn new() -> Self {
        let (known, changes) = watch::channel(Known::default());
        Self {
            known,
            changes,
            tasks: HashMap::new(),
            rules: None,
            status: Arc::default(),
        }
    }

    /// Counts for metrics.
    pub fn status(&self) -> Arc<LookupStatus> {
        Arc::clone(&self.status)
    }

    /// Follows the names of this configuration besides those that it follows already, and
    /// waits until each has been looked up once: at most for the time of one lookup.
    pub async fn add(&mut self, config: &Config) -> Addresses {
        if self.rules.as_ref() != Some(&config.dns) {
            // Other servers may know other answers; the ones that are known stay meanwhile.
            self.tasks.clear();
            self.rules = Some(config.dns.clone());
        }
        let names = names(config);
        let new: Vec<_> = names
            .iter()
            .filter(|name| !self.tasks.contains_key(*name))
            .cloned()
            .collect();
        if !new.is_empty() {
            let resolver = Resolver::new(&config.dns);
            for name in &new {
                let task = refresh::run(
                    name.clone(),
                    Arc::clone(&resolver),
                    self.known.clone(),
                    Arc::clone(&self.status),
                );
                let task = Task(tokio::spawn(task).abort_handle());
                self.tasks.insert(name.clone(), task);
            }
            let tried = |known: &Known| new.iter().all(|name| known.tried.contains(name));
            // Fails only when the sender is gone, which is ours.
            drop(self.changes.wait_for(tried).await);
        }
        self.addresses()
    }

    /// Follows the names of this configuration and no others.
    pub fn keep(&mut self, config: &Config) {
        let names = names(config);
        self.tasks.retain(|name, _| names.contains(name));
        self.known.send_if_modified(|known| {
            known.addresses.retain(|name, _| names.contains(name));
            known.tried.retain(|name| names.contains(name));
            false
        });
    }

    /// What is known now.
    pub fn addresses(&mut self) -> Addresses {
        self.changes.borrow_and_update().addresses.clone()
    }

    /// Waits until more or something else is known. Cancel safe.
    pub async fn changed(&mut self) {
        // Fails only when the sender is gone, which is ours.
        drop(self.changes.changed().await);
    }
}

impl Default for Names {
    fn default() -> Self {
        Self::new()
    }
}

/// The names that endpoints of this configuration have for addresses.
fn names(config: &Config) -> BTreeSet<String> {
    let endpoints = config.pools.iter().flat_map(|pool| &pool.endpoints);
    let hosts = endpoints.map(|endpoint| &endpoint.host);
    hosts
        .filter(|host| host.parse::<IpAddr>().is_err())
        .cloned()
        .collect()
}
