//! The plugins in service, followed through changes of their folder. A file that is new or
//! other is loaded and checked; while it is not fit, the version before it stays.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::stamp::Stamp;
use crate::{
    config::{PluginLimits, Sidecar},
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
    path: PathBuf,
    stamps: [Option<Stamp>; 3],
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
        write!(f, "{}: {}", self.path.display(), Chain(&self.reason))
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
    /// `everything` loads even what looks unchanged. Plugins that are `needed` stay when their
    /// files are gone. Fails when the folder cannot be listed.
    pub async fn updated(
        &self,
        engine: &PluginEngine,
        dir: &Path,
        defaults: &PluginLimits,
        workers: usize,
        everything: bool,
        needed: &[&str],
    ) -> std::io::Result<(Self, Vec<Rejected>)> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut rejected = Vec::new();
        for found in folder::scan(dir)? {
            let before = self.entries.iter().find(|entry| entry.name == found.name);
            if let Some(first) = entries.iter().find(|entry| entry.name == found.name) {
                let path = first.path.clone();
                let reason = folder::RejectReason::Duplicate(path);
                rejected.push(Rejected {
                    path: found.wasm,
                    reason,
                    kept: None,
                });
                continue;
            }
            let stamps = [&found.wasm, &found.sidecar, &found.cases].map(|path| Stamp::of(path));
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
        self.keep_needed(needed, &mut entries, &mut rejected);
        Ok((Self { entries }, rejected))
    }
}

impl PluginSet {
    fn keep_needed(&self, needed: &[&str], entries: &mut Vec<Entry>, rejected: &mut Vec<Rejected>) {
        for before in &self.entries {
            let there = entries.iter().any(|entry| entry.name == before.name);
            if there || !needed.contains(&&*before.name) || before.version.is_none() {
                continue;
            }
            rejected.push(Rejected {
                path: before.path.clone(),
                reason: folder::RejectReason::Missing,
                kept: before.version.clone(),
            });
            entries.push(Entry {
                refused: true,
                stamps: [None, None, None],
                ..before.clone()
            });
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
    }
}

impl Entry {
    fn new(
        found: &folder::Found,
        stamps: [Option<Stamp>; 3],
        defaults: &PluginLimits,
        before: Option<&Entry>,
        workers: usize,
    ) -> Self {
        Self {
            name: Arc::clone(&found.name),
            path: found.wasm.clone(),
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
        let sidecar = source.sidecar.clone();
        if self
            .version
            .as_ref()
            .is_some_and(|version| version.is_from(&source))
        {
            return Ok(());
        }
        let counters = Arc::clone(&self.counters);
        let loaded = plugin::load(engine, source, self.version.as_ref(), counters).await;
        self.version = Some(loaded.map_err(|error| in_sidecar(&sidecar, error))?);
        Ok(())
    }
}

/// A problem with what the sidecar says, at the line where it says it. Plugins made with the SDK
/// begin with the key: `rules[2].pool: expected a string`.
fn in_sidecar(sidecar: &Sidecar, error: LoadError) -> folder::RejectReason {
    let (key, problem) = match error {
        LoadError::Refused { message } => match message.split_once(": ") {
            Some((key, problem)) if is_key(key) => (format!("config.{key}"), problem.to_owned()),
            _ => ("config".to_owned(), message),
        },
        error @ LoadError::NotGranted { .. } => ("grants".to_owned(), error.to_string()),
        error @ LoadError::RolesExcluded { .. } => ("roles".to_owned(), error.to_string()),
        error => return error.into(),
    };
    folder::RejectReason::Configuration(sidecar.error(&key, problem))
}

fn is_key(text: &str) -> bool {
    let of_key = |c: char| c.is_ascii_alphanumeric() || "_-.[]".contains(c);
    !text.is_empty() && text.chars().all(of_key)
}

async fn read(
    found: folder::Found,
    defaults: PluginLimits,
) -> Result<Source, folder::RejectReason> {
    tokio::task::spawn_blocking(move || found.read(&defaults))
        .await
        .unwrap_or_else(|panic| Err(LoadError::Read(std::io::Error::other(panic)).into()))
}
