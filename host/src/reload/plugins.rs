//! The plugins in service, followed through changes of their folder. A file that is new or
//! other is loaded, checked and tried as its sidecar says; while it is not fit, the version
//! before it stays, and those before that are kept to be gone back to.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use super::{
    board::{Board, LiveStatus, PluginStatus},
    stamp::Stamp,
};
use crate::{
    config::{PluginLimits, Rollout, Sidecar, StageRules},
    metrics::{PerWorker, PluginCounters},
    plugin::{
        self, InService, LoadError, PluginEngine, Signatures, Source, Stage, Trial, Trust, Verdict,
        Version, folder,
    },
};

/// Versions that were in service before and can be gone back to: their files are kept in memory.
const KEPT_VERSIONS: usize = 3;

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
}

/// One file of the folder.
#[derive(Clone)]
struct Entry {
    name: Arc<str>,
    path: PathBuf,
    stamps: [Option<Stamp>; 5],
    defaults: PluginLimits,
    trust: Option<Arc<Trust>>,
    /// The version in service; none while no version was ever fit.
    live: Option<Arc<Version>>,
    /// The signatures of the version in service, when they are other than when it was loaded.
    signed_anew: Option<Signatures>,
    /// The version that is about to be.
    trial: Option<Arc<Trial>>,
    /// Those that were before, the last one at the end.
    kept: Vec<Source>,
    /// What was rolled back, and why: it is not tried again while it is what the files say.
    rolled_back: Option<(Source, String)>,
    counters: Arc<PerWorker<PluginCounters>>,
    /// Why the file, as it is now, is not in service.
    refused: Option<String>,
    /// How often a version took another's place.
    swaps: u64,
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
    /// There is no such version to go back to.
    #[error("no such version of {0:?} is kept; kept are: [{1}]")]
    NotKept(String, String),
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

    /// Moves versions on trial on, or out; none when nothing has changed.
    pub fn advanced(&self, workers: usize) -> Option<Self> {
        let now = Instant::now();
        if !self.entries.iter().any(|entry| entry.trial.is_some()) {
            return None;
        }
        let mut advanced = self.clone();
        let mut moved = false;
        for entry in &mut advanced.entries {
            moved |= entry.advance(workers, now);
        }
        moved.then_some(advanced)
    }

    /// Takes a version on trial into service at once.
    pub fn promoted(&self, name: &str) -> Result<Self, CommandError> {
        let mut promoted = self.clone();
        let entry = promoted.entry(name)?;
        let trial = entry.trial.take();
        let trial = trial.ok_or_else(|| CommandError::NoTrial(name.to_owned()))?;
        entry.go_live(&trial.version, "by command");
        Ok(promoted)
    }

    /// Gives up the version on trial; without one, goes back to a version that was in service
    /// before: the one whose digest starts like this, or the last one.
    pub async fn rolled_back(
        &self,
        engine: &PluginEngine,
        name: &str,
        to: Option<&str>,
    ) -> Result<Self, CommandError> {
        let mut rolled_back = self.clone();
        let entry = rolled_back.entry(name)?;
        match (&entry.trial, to) {
            (Some(_), None) => entry.give_up_trial("by command".to_owned()),
            _ => entry.go_back(engine, to).await?,
        }
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
            if let Err(reason) = entry.load(context, &found).await {
                let rejection = Rejected {
                    path: found.wasm,
                    reason,
                    kept: entry.live.clone(),
                };
                entry.refused = Some(Chain(&rejection.reason).to_string());
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

impl Entry {
    fn new(
        found: &folder::Found,
        stamps: [Option<Stamp>; 5],
        context: &LoadContext<'_>,
        before: Option<&Entry>,
    ) -> Self {
        Self {
            name: Arc::clone(&found.name),
            path: found.wasm.clone(),
            stamps,
            defaults: context.defaults.clone(),
            trust: context.trust.cloned(),
            signed_anew: before.and_then(|before| before.signed_anew.clone()),
            live: before.and_then(|before| before.live.clone()),
            trial: before.and_then(|before| before.trial.clone()),
            kept: before.map_or_else(Vec::new, |before| before.kept.clone()),
            rolled_back: before.and_then(|before| before.rolled_back.clone()),
            refused: None,
            swaps: before.map_or(0, |before| before.swaps),
            counters: before.map_or_else(
                || Arc::new(PerWorker::new(context.workers)),
                |before| Arc::clone(&before.counters),
            ),
        }
    }

    /// Takes in what the files say now: nothing new, a version that goes live, or one that is
    /// tried first.
    async fn load(
        &mut self,
        context: &LoadContext<'_>,
        found: &folder::Found,
    ) -> Result<(), folder::RejectReason> {
        let source = read(found.clone(), self.defaults.clone(), self.trust.clone()).await?;
        let is_live = |version: &Arc<Version>| version.source.makes_the_same(&source);
        if self.live.as_ref().is_some_and(is_live) {
            // Whatever was tried is not what the files say any more.
            self.trial = None;
            self.rolled_back = None;
            self.signed_anew = Some(source.signatures);
            return Ok(());
        }
        if let Some((before, reason)) = &self.rolled_back
            && before.makes_the_same(&source)
        {
            return Err(folder::RejectReason::RolledBack(reason.clone()));
        }
        self.rolled_back = None;
        let on_trial = self.trial.as_ref().map(|trial| &trial.version);
        if on_trial.is_some_and(is_live) {
            return Ok(());
        }
        let sidecar = source.sidecar.clone();
        let same_code = |version: &&Arc<Version>| version.source.digest == source.digest;
        let unchanged = self.live.iter().chain(on_trial).find(same_code).cloned();
        let first = first_stage(&sidecar.rollout).filter(|_| self.live.is_some());
        let counters = match first {
            Some(_) => Arc::new(PerWorker::new(context.workers)),
            None => Arc::clone(&self.counters),
        };
        let step = |step| context.board.step(&self.name, step);
        let loaded = plugin::load(context.engine, source, unchanged.as_ref(), counters, step).await;
        let version = loaded.map_err(|error| in_sidecar(&sidecar, error))?;
        match first {
            None => self.go_live(&version, "nothing is to be tried first"),
            Some((stage, rules)) => {
                let version = match stage {
                    Stage::Shadow => Arc::new(version.apart()),
                    Stage::Canary => version,
                };
                tracing::info!(plugin = %version.name, version = %version.label, stage = stage.as_str(), share = rules.share, "plugin is on trial");
                let trial = Trial::new(version, stage, rules, context.workers);
                self.trial = Some(Arc::new(trial));
            }
        }
        Ok(())
    }

    fn go_live(&mut self, version: &Arc<Version>, why: &str) {
        self.trial = None;
        let counters = Arc::clone(&self.counters);
        let live = match Arc::ptr_eq(&version.counters, &counters) {
            true => Arc::clone(version),
            false => Arc::new(version.in_company(counters)),
        };
        if let Some(before) = self.live.replace(live) {
            self.swaps += 1;
            tracing::debug!(plugin = %before.name, version = %before.label, why, "plugin is retired");
            let mut source = before.source.clone();
            source.signatures = self.signed_anew.take().unwrap_or(source.signatures);
            self.kept.retain(|kept| !kept.makes_the_same(&source));
            self.kept.push(source);
            let surplus = self.kept.len().saturating_sub(KEPT_VERSIONS);
            self.kept.drain(..surplus);
        }
    }

    fn give_up_trial(&mut self, reason: String) {
        let Some(trial) = self.trial.take() else {
            return;
        };
        let (version, stage) = (&trial.version, trial.stage.as_str());
        tracing::error!(plugin = %version.name, version = %version.label, stage, "plugin is rolled back: {reason}");
        self.refuse(
            version.source.clone(),
            format!("{stage} {}: {reason}", version.source.label()),
        );
    }

    fn refuse(&mut self, source: Source, reason: String) {
        self.refused = Some(folder::RejectReason::RolledBack(reason.clone()).to_string());
        self.rolled_back = Some((source, reason));
    }

    async fn go_back(
        &mut self,
        engine: &PluginEngine,
        to: Option<&str>,
    ) -> Result<(), CommandError> {
        let chosen = |kept: &Source| to.is_none_or(|to| kept.label().starts_with(to));
        let Some(index) = self.kept.iter().rposition(chosen) else {
            let kept: Vec<_> = self
                .kept
                .iter()
                .map(|kept| kept.digest.to_string())
                .collect();
            return Err(CommandError::NotKept(
                self.name.to_string(),
                kept.join(", "),
            ));
        };
        if let (Some(trust), Some(kept)) = (&self.trust, self.kept.get(index)) {
            let label = kept.digest.to_string();
            trust
                .vet(kept)
                .map_err(|reason| CommandError::Untrusted(label, Box::new(reason)))?;
        }
        let source = self.kept.remove(index);
        let counters = Arc::clone(&self.counters);
        let loaded = plugin::load(engine, source, self.live.as_ref(), counters, |_| {}).await;
        let version = loaded.map_err(|error| CommandError::Load(Chain(&error).to_string()))?;
        if let Some(live) = &self.live {
            let (from, to) = (live.source.label(), version.source.label());
            tracing::warn!(plugin = %self.name, version = %to, replaces = %from, "plugin is rolled back by command; the file in the folder stays out of service until it changes, or until the next start");
            let source = live.source.clone();
            self.refuse(source, format!("{from} by command"));
        }
        self.go_live(&version, "rolled back");
        Ok(())
    }

    /// Moves the version on trial on, or out. False when it stays where it is.
    fn advance(&mut self, workers: usize, now: Instant) -> bool {
        let Some(trial) = self.trial.clone() else {
            return false;
        };
        match trial.verdict(now) {
            Verdict::Open | Verdict::Held(_) => return false,
            Verdict::Failed(reason) => self.give_up_trial(reason),
            Verdict::Passed => {
                let canary = trial.version.source.sidecar.rollout.canary;
                let next = canary.filter(|_| trial.stage == Stage::Shadow);
                match next {
                    Some(rules) => self.begin_canary(&trial, rules, workers),
                    None => self.go_live(&trial.version, "its trial is passed"),
                }
            }
        }
        true
    }

    fn begin_canary(&mut self, passed: &Trial, rules: StageRules, workers: usize) {
        let counters = Arc::new(PerWorker::new(workers));
        let version = Arc::new(passed.version.in_company(counters));
        tracing::info!(plugin = %version.name, version = %version.label, stage = Stage::Canary.as_str(), share = rules.share, "plugin is on trial");
        let canary = Trial::new(version, Stage::Canary, rules, workers);
        self.trial = Some(Arc::new(canary));
    }

    fn status(&self) -> PluginStatus {
        PluginStatus {
            name: Arc::clone(&self.name),
            file: self.path.clone(),
            step: None,
            live: self.live.as_ref().map(|live| LiveStatus {
                version: live.source.label(),
                roles: live.roles.clone(),
            }),
            trial: self.trial.clone(),
            kept: self.kept.iter().rev().map(Source::label).collect(),
            refused: self.refused.clone(),
            swaps: self.swaps,
        }
    }
}

/// What a new version goes through first; none when it goes live at once.
fn first_stage(rollout: &Rollout) -> Option<(Stage, StageRules)> {
    let shadow = rollout.shadow.map(|rules| (Stage::Shadow, rules));
    shadow.or(rollout.canary.map(|rules| (Stage::Canary, rules)))
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
    trust: Option<Arc<Trust>>,
) -> Result<Source, folder::RejectReason> {
    tokio::task::spawn_blocking(move || found.read(&defaults, trust.as_deref()))
        .await
        .unwrap_or_else(|panic| Err(LoadError::Read(std::io::Error::other(panic)).into()))
}
