//! The plugins in service, followed through changes of their folder. A file that is new or
//! other is loaded and checked; while it is not fit, the version before it stays.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::stamp::Stamp;
use crate::{
    config::PluginLimits,
    metrics::{PerWorker, PluginCounters},
    plugin::{self, LoadError, PluginEngine, Source, Version, folder},
};

/// The plugins of the folder, in its order.
#[derive(Default)]
pub struct PluginSet {
    entries: Vec<Entry>,
}

/// One file of the folder.
#[derive(Clone)]
struct Entry {
    name: Arc<str>,
    stamps: [Option<Stamp>; 2],
    defaults: PluginLimits,
    version: Option<Arc<Version>>,
    counters: Arc<PerWorker<PluginCounters>>,
    /// Whether the file, as it is now, was refused.
    refused: bool,
}

/// A file that was not taken into service, and why.
#[derive(Debug)]
pub struct Rejected {
    /// The plugin's file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: folder::RejectReason,
    /// The version that stays in service instead.
    pub kept: Option<Arc<Version>>,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), Chain(&self.reason))?;
        match &self.reason {
            folder::RejectReason::Plugin(
                LoadError::Refused { .. } | LoadError::RolesExcluded { .. },
            ) => {
                write!(
                    f,
                    " (the file to mend is {})",
                    self.path.with_extension("toml").display()
                )
            }
            _ => Ok(()),
        }
    }
}

/// An error with its causes on one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl PluginSet {
    /// The versions in service, in folder order.
    pub fn versions(&self) -> Vec<Arc<Version>> {
        self.entries
            .iter()
            .filter_map(|entry| entry.version.clone())
            .collect()
    }

    /// Whether any file of the folder, as it is now, was refused.
    pub fn any_refused(&self) -> bool {
        self.entries.iter().any(|entry| entry.refused)
    }

    /// What the set becomes with the folder as it is now, and the files that were rejected on
    /// the way. The set itself stays, so that the caller can still decide against the change.
    ///
    /// `everything` loads even what looks unchanged. Fails when the folder cannot be listed.
    pub async fn updated(
        &self,
        engine: &PluginEngine,
        dir: &Path,
        defaults: &PluginLimits,
        workers: usize,
        everything: bool,
    ) -> std::io::Result<(Self, Vec<Rejected>)> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut rejected = Vec::new();
        for found in folder::scan(dir)? {
            let before = self.entries.iter().find(|entry| entry.name == found.name);
            if let Some(first) = entries.iter().find(|entry| entry.name == found.name) {
                let path = first
                    .version
                    .as_ref()
                    .map_or_else(|| PathBuf::from(&*first.name), |v| v.path.clone());
                let reason = folder::RejectReason::Duplicate(path);
                rejected.push(Rejected {
                    path: found.wasm,
                    reason,
                    kept: None,
                });
                continue;
            }
            let stamps = [Stamp::of(&found.wasm), Stamp::of(&found.sidecar)];
            let unchanged = |entry: &&Entry| {
                !everything && entry.stamps == stamps && entry.defaults == *defaults
            };
            if let Some(entry) = before.filter(unchanged) {
                entries.push(entry.clone());
                continue;
            }
            let mut entry = Entry::new(&found, stamps, defaults, before, workers);
            if let Err(reason) = entry.load(engine, &found).await {
                entry.refused = true;
                rejected.push(Rejected {
                    path: found.wasm,
                    reason,
                    kept: entry.version.clone(),
                });
            }
            entries.push(entry);
        }
        Ok((Self { entries }, rejected))
    }
}

impl Entry {
    fn new(
        found: &folder::Found,
        stamps: [Option<Stamp>; 2],
        defaults: &PluginLimits,
        before: Option<&Entry>,
        workers: usize,
    ) -> Self {
        Self {
            name: Arc::clone(&found.name),
            stamps,
            defaults: defaults.clone(),
            version: before.and_then(|before| before.version.clone()),
            refused: false,
            counters: before.map_or_else(
                || Arc::new(PerWorker::new(workers)),
                |before| Arc::clone(&before.counters),
            ),
        }
    }

    async fn load(
        &mut self,
        engine: &PluginEngine,
        found: &folder::Found,
    ) -> Result<(), folder::RejectReason> {
        let source = read(found.clone(), self.defaults.clone()).await?;
        if self
            .version
            .as_ref()
            .is_some_and(|version| version.is_from(&source))
        {
            return Ok(());
        }
        let loaded = plugin::load(
            engine,
            source,
            self.version.as_ref(),
            Arc::clone(&self.counters),
        )
        .await?;
        self.version = Some(loaded);
        Ok(())
    }
}

async fn read(
    found: folder::Found,
    defaults: PluginLimits,
) -> Result<Source, folder::RejectReason> {
    tokio::task::spawn_blocking(move || found.read(&defaults))
        .await
        .unwrap_or_else(|panic| Err(LoadError::Read(std::io::Error::other(panic)).into()))
}
