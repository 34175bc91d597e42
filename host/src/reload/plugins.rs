//! The plugins in service, followed through changes of their folder. A file that is new or
//! other is loaded, checked and tried as its sidecar says; while it is not fit, the version
//! before it stays, and those before that are kept to be gone back to.

mod entry;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use self::entry::Entry;
use super::{
    board::{Board, PluginStatus},
    stamp::Stamp,
    state::Memory,
};
use crate::{
    config::PluginLimits,
    plugin::{InService, LoadError, PluginEngine, Trust, Version, folder},
};

/// The plugins of the folder, in its order.
#[derive(Default, Clone)]
pub struct PluginSet {
    entries: Vec<Entry>,
}

/// What loading a file needs besides the file.
pub struct LoadContext<'a> {
    /// Compiles it.
    pub engine: &'a PluginEngine,
    /// Where its sidecar is silent.
    pub defaults: &'a PluginLimits,
    /// Which files may be taken into service; all when none.
    pub trust: Option<&'a Arc<Trust>>,
    /// How many count its calls.
    pub workers: usize,
    /// Is told how far it is.
    pub board: &'a Board,
    /// Where the process before has left what it knew, for plugins that are seen for the first
    /// time; none once the process serves.
    pub state: Option<&'a Path>,
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

/// Why a command changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is no such plugin.
    #[error("there is no plugin {0:?}; there are: {1}")]
    Unknown(String, String),
    /// Nothing is on trial.
    #[error("no version of {0:?} is on trial")]
    NoTrial(String),
    /// Nothing is on trial, but there is something that could be meant.
    #[error("no version of {0:?} is on trial; one that was rolled back has to be named: [{1}]")]
    NoTrialButRolledBack(String, String),
    /// A version is named that is not there to be promoted.
    #[error(
        "no version {wanted:?} of {plugin:?} is on trial, or was rolled back and is in {} now, which holds {label}; rolled back were: [{rolled_back}]",
        file.display()
    )]
    NotMeant {
        /// The plugin.
        plugin: String,
        /// The digits that were given.
        wanted: String,
        /// Its file.
        file: PathBuf,
        /// The version that the file holds.
        label: String,
        /// What could have been meant.
        rolled_back: String,
    },
    /// The file cannot be read, or is not trusted.
    #[error("{}: {}", file.display(), Chain(reason))]
    Unfit {
        /// The plugin's file.
        file: PathBuf,
        /// What is wrong with it.
        reason: Box<folder::RejectReason>,
    },
    /// There is no such version to go back to.
    #[error("no such version of {0:?} is kept; kept are: [{1}]")]
    NotKept(String, String),
    /// There is none to go back to that was not given up as well.
    #[error(
        "all versions of {0:?} that are kept were rolled back themselves; name one of them: [{1}]"
    )]
    AllRolledBack(String, String),
    /// A kept version cannot be used any more.
    #[error("the version {0}")]
    Load(String),
    /// A kept version that would not be taken into service any more.
    #[error("the version {0} {1}")]
    Untrusted(String, Box<folder::RejectReason>),
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
    /// What requests meet, in folder order.
    pub fn in_service(&self) -> Vec<InService> {
        let entries = self.entries.iter();
        let in_service = entries.filter_map(|entry| {
            Some(InService {
                live: entry.live.clone()?,
                trial: entry.trial.clone(),
            })
        });
        in_service.collect()
    }

    /// Whether any file of the folder, as it is now, is not in service for its faults.
    pub fn any_refused(&self) -> bool {
        self.entries.iter().any(|entry| entry.refused.is_some())
    }

    /// What is to be known of each plugin.
    pub fn statuses(&self) -> Vec<PluginStatus> {
        self.entries.iter().map(Entry::status).collect()
    }

    /// Whether a version is on trial.
    pub fn has_trials(&self) -> bool {
        self.entries.iter().any(|entry| entry.trial.is_some())
    }

    /// What is to outlive the process.
    pub fn memories(&self) -> Vec<Memory> {
        self.entries.iter().map(Entry::memory).collect()
    }

    /// Moves versions on trial on, or out; none when nothing has changed.
    pub fn advanced(&self, workers: usize) -> Option<Self> {
        let now = Instant::now();
        if !self.has_trials() {
            return None;
        }
        let mut advanced = self.clone();
        let mut moved = false;
        for entry in &mut advanced.entries {
            moved |= entry.advance(workers, now);
        }
        moved.then_some(advanced)
    }

    /// Takes a version into service at once: the one on trial or, when `version` has its first
    /// digits, one that was rolled back and is in the folder.
    pub async fn promoted(
        &self,
        engine: &PluginEngine,
        name: &str,
        version: Option<&str>,
    ) -> Result<Self, CommandError> {
        let mut promoted = self.clone();
        promoted.entry(name)?.promote(engine, version).await?;
        Ok(promoted)
    }

    /// Gives up the version on trial; without one, or with `to`, goes back to a version that was
    /// in service before: the one whose digits start like this, or the last one that was not rolled
    /// back itself.
    pub async fn rolled_back(
        &self,
        engine: &PluginEngine,
        name: &str,
        to: Option<&str>,
    ) -> Result<Self, CommandError> {
        let mut rolled_back = self.clone();
        rolled_back.entry(name)?.go_back(engine, to).await?;
        Ok(rolled_back)
    }

    fn entry(&mut self, name: &str) -> Result<&mut Entry, CommandError> {
        let known: Vec<_> = self.entries.iter().map(|entry| &*entry.name).collect();
        let known = known.join(", ");
        let mut entries = self.entries.iter_mut();
        let entry = entries.find(|entry| &*entry.name == name);
        entry.ok_or_else(|| CommandError::Unknown(name.to_owned(), known))
    }

    /// What the set becomes with the folder as it is now, and the files that were rejected on
    /// the way. The set itself stays, so that the caller can still decide against the change.
    ///
    /// `everything` loads even what looks unchanged. Plugins that are `needed` stay when their
    /// files are gone. Fails when the folder cannot be listed.
    pub async fn updated(
        &self,
        context: &LoadContext<'_>,
        dir: &Path,
        everything: bool,
        needed: &[&str],
    ) -> std::io::Result<(Self, Vec<Rejected>)> {
        for path in folder::compiled(dir) {
            tracing::warn!("{} is left out: it {}", path.display(), LoadError::Compiled);
        }
        let defaults = context.defaults;
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
            let stamps = found.files().map(|path| Stamp::of(&path));
            let unchanged = |entry: &&Entry| {
                !everything
                    && entry.stamps == stamps
                    && entry.defaults == *defaults
                    && entry.trust.as_ref() == context.trust
            };
            if let Some(entry) = before.filter(unchanged) {
                entries.push(entry.clone());
                continue;
            }
            let mut entry = Entry::new(&found, stamps, context, before);
            context.board.begin(&entry.name);
            if let Some(state) = context.state {
                entry.recall(context, state, &found).await;
            }
            if let Err(reason) = entry.load(context, &found).await {
                let rejection = Rejected {
                    path: found.wasm,
                    reason,
                    kept: entry.live.clone(),
                };
                entry.refused = Some(Chain(&rejection.reason).to_string());
                entry.rejections += 1;
                rejected.push(rejection);
            }
            entries.push(entry);
        }
        self.keep_needed(context, needed, &mut entries, &mut rejected);
        Ok((Self { entries }, rejected))
    }
}

impl PluginSet {
    fn keep_needed(
        &self,
        context: &LoadContext<'_>,
        needed: &[&str],
        entries: &mut Vec<Entry>,
        rejected: &mut Vec<Rejected>,
    ) {
        for before in &self.entries {
            let there = entries.iter().any(|entry| entry.name == before.name);
            if there || !needed.contains(&&*before.name) || before.live.is_none() {
                continue;
            }
            rejected.push(Rejected {
                path: before.path.clone(),
                reason: folder::RejectReason::Missing,
                kept: before.live.clone(),
            });
            entries.push(Entry {
                refused: Some(folder::RejectReason::Missing.to_string()),
                trial: None,
                stamps: [None; 5],
                trust: context.trust.cloned(),
                ..before.clone()
            });
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
    }
}
