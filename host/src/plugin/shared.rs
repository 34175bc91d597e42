//! What a plugin has beside its instances, for as long as one of its versions is granted `kv` or
//! `metrics`: the entries and numbers that all of them share, found by the plugin's name.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use super::{
    numbers::{Numbers, Total, Values},
    store::Store,
};
use crate::{
    config::{Grant, Grants, KvLimits},
    metrics::PerWorker,
};

/// One plugin's, over all workers and versions.
pub struct Shared {
    pub(super) store: Store,
    /// What it counts.
    pub numbers: Numbers,
}

impl Shared {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            store: Store::default(),
            numbers: Numbers::new(workers),
        }
    }

    /// Entries of the store, their bytes, and writes that it refused as it was full.
    pub fn figures(&self) -> (u64, u64, u64) {
        self.store.figures()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

/// Those of all plugins; freed with the last version that holds one.
#[derive(Debug, Default)]
pub(super) struct Registry(Mutex<HashMap<Arc<str>, Weak<Shared>>>);

impl Registry {
    /// That of a plugin; none when its sidecar grants nothing that is shared.
    pub(super) fn of(
        &self,
        plugin: &Arc<str>,
        grants: &Grants,
        workers: usize,
    ) -> Option<Arc<Shared>> {
        if !grants.has(Grant::Kv) && !grants.has(Grant::Metrics) {
            return None;
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, shared| shared.strong_count() > 0);
        if let Some(shared) = all.get(plugin).and_then(Weak::upgrade) {
            return Some(shared);
        }
        let shared = Arc::new(Shared::new(workers));
        all.insert(Arc::clone(plugin), Arc::downgrade(&shared));
        Some(shared)
    }
}

/// How one instance uses it.
pub(super) struct Uses {
    pub(super) shared: Arc<Shared>,
    pub(super) worker: usize,
    /// Whether it may count.
    pub(super) counts: bool,
    /// Whether it was told that a number was dropped.
    pub(super) told: bool,
    kv: Option<KvLimits>,
    /// Series that it has used, so that only the first time meets other workers.
    counters: HashMap<Box<str>, Arc<PerWorker<Total>>>,
    histograms: HashMap<Box<str>, Arc<PerWorker<Values>>>,
}

impl Uses {
    pub(super) fn new(shared: Arc<Shared>, grants: &Grants) -> Self {
        Self {
            shared,
            worker: 0,
            counts: grants.has(Grant::Metrics),
            told: false,
            kv: grants.has(Grant::Kv).then_some(grants.kv),
            counters: HashMap::new(),
            histograms: HashMap::new(),
        }
    }

    pub(super) fn store(&self) -> Option<(&Store, KvLimits)> {
        Some((&self.shared.store, self.kv?))
    }

    pub(super) fn counter(&mut self, name: &str) -> Option<&PerWorker<Total>> {
        if !self.counters.contains_key(name) {
            let counter = self.shared.numbers.counter(name)?;
            self.counters.insert(name.into(), counter);
        }
        self.counters.get(name).map(AsRef::as_ref)
    }

    pub(super) fn histogram(&mut self, name: &str) -> Option<&PerWorker<Values>> {
        if !self.histograms.contains_key(name) {
            let histogram = self.shared.numbers.histogram(name)?;
            self.histograms.insert(name.into(), histogram);
        }
        self.histograms.get(name).map(AsRef::as_ref)
    }
}
