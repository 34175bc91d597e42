//! What is known of each plugin, for those who ask: its version in service, the one on trial and
//! how that does, what is being done with its file, and what is wrong with it.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    config::Role,
    plugin::{LoadStep, Trial},
};

/// The plugins by name.
#[derive(Debug, Default)]
pub struct Board(Mutex<BTreeMap<Arc<str>, PluginStatus>>);

/// What is known of a plugin.
#[derive(Debug, Clone)]
pub struct PluginStatus {
    /// Its name.
    pub name: Arc<str>,
    /// Its file.
    pub file: PathBuf,
    /// What is being done with the file now.
    pub step: Option<LoadStep>,
    /// The version in service.
    pub live: Option<LiveStatus>,
    /// The version on trial.
    pub trial: Option<Arc<Trial>>,
    /// Versions that can be gone back to, the last one first.
    pub kept: Vec<String>,
    /// Versions that were rolled back and are not tried again by themselves, and why; the last one
    /// first.
    pub rolled_back: Vec<(String, String)>,
    /// Why the file, as it is now, is not in service.
    pub refused: Option<String>,
    /// How often a version took another's place.
    pub swaps: u64,
    /// How often what its files say was refused.
    pub rejections: u64,
}

/// A version in service.
#[derive(Debug, Clone)]
pub struct LiveStatus {
    /// Its label, with its configuration's.
    pub version: String,
    /// What it is used for.
    pub roles: Vec<Role>,
}

impl Board {
    /// All plugins, by name.
    pub fn all(&self) -> Vec<PluginStatus> {
        self.lock().values().cloned().collect()
    }

    /// Shows these, and no others.
    pub(super) fn show(&self, plugins: Vec<PluginStatus>) {
        let plugins = plugins.into_iter();
        *self.lock() = plugins
            .map(|plugin| (Arc::clone(&plugin.name), plugin))
            .collect();
    }

    /// A file is being read.
    pub(super) fn begin(&self, name: &Arc<str>) {
        let status = PluginStatus {
            name: Arc::clone(name),
            file: PathBuf::new(),
            step: None,
            live: None,
            trial: None,
            kept: Vec::new(),
            rolled_back: Vec::new(),
            refused: None,
            swaps: 0,
            rejections: 0,
        };
        self.lock().entry(Arc::clone(name)).or_insert(status).step = Some(LoadStep::Seen);
    }

    /// So far it is.
    pub(super) fn step(&self, name: &Arc<str>, step: LoadStep) {
        if let Some(plugin) = self.lock().get_mut(name) {
            plugin.step = Some(step);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, PluginStatus>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
