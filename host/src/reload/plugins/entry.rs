//! One plugin's way through its versions: what its files say is loaded, tried and taken into
//! service, and what was in service before is kept to be gone back to.

mod command;
mod recall;

use std::{path::PathBuf, sync::Arc, time::Instant};

use super::{
    super::{
        board::{LiveStatus, PluginStatus},
        rolled_back::RolledBack,
        stamp::Stamp,
        state::Unfinished,
    },
    LoadContext,
};
use crate::{
    config::{PluginLimits, Rollout, Sidecar, StageRules},
    plugin::{
        self, LoadError, Progress, Signatures, Source, Stage, Trial, Trust, Verdict, Version,
        folder,
    },
};

/// Versions that were in service before and can be gone back to: their files are kept in memory.
const KEPT_VERSIONS: usize = 3;

/// One file of the folder.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) name: Arc<str>,
    pub(super) path: PathBuf,
    pub(super) stamps: [Option<Stamp>; 5],
    pub(super) defaults: PluginLimits,
    pub(super) trust: Option<Arc<Trust>>,
    /// The version in service; none while no version was ever fit.
    pub(super) live: Option<Arc<Version>>,
    /// The signatures of the version in service, when they are other than when it was loaded.
    pub(super) signed_anew: Option<Signatures>,
    /// The version that is about to be.
    pub(super) trial: Option<Arc<Trial>>,
    /// What the process before was trying: it goes on when it is still what the files say.
    pub(super) unfinished: Option<Unfinished>,
    /// Those that were before, the last one at the end.
    pub(super) kept: Vec<Source>,
    /// What was rolled back: it is not tried again by itself.
    pub(super) rolled_back: RolledBack,
    /// What the files said when they could last be read, without the bytes.
    pub(super) on_disk: Option<Source>,
    /// Why the file, as it is now, is not in service.
    pub(super) refused: Option<String>,
    /// How often a version took another's place.
    pub(super) swaps: u64,
    /// How often what its files say was refused.
    pub(super) rejections: u64,
    pub(super) workers: usize,
}

impl Entry {
    pub(super) fn new(
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
            unfinished: before.and_then(|before| before.unfinished.clone()),
            kept: before.map_or_else(Vec::new, |before| before.kept.clone()),
            rolled_back: before
                .map_or_else(RolledBack::default, |before| before.rolled_back.clone()),
            on_disk: before.and_then(|before| before.on_disk.clone()),
            refused: None,
            swaps: before.map_or(0, |before| before.swaps),
            rejections: before.map_or(0, |before| before.rejections),
            workers: context.workers,
        }
    }

    /// Takes in what the files say now: nothing new, a version that goes live, or one that is
    /// tried first.
    pub(super) async fn load(
        &mut self,
        context: &LoadContext<'_>,
        found: &folder::Found,
    ) -> Result<(), folder::RejectReason> {
        let source = read(found.clone(), self.defaults.clone(), self.trust.clone()).await?;
        self.on_disk = Some(source.without_bytes());
        self.unfinished
            .take_if(|unfinished| !unfinished.version.makes_the_same(&source));
        let is_live = |version: &Arc<Version>| version.source.makes_the_same(&source);
        if self.live.as_ref().is_some_and(is_live) {
            // Whatever was tried is not what the files say any more.
            self.trial = None;
            self.rolled_back.forgive(&source);
            self.signed_anew = Some(source.signatures);
            return Ok(());
        }
        if let Some(reason) = self.rolled_back.reason(&source) {
            if self.live.is_some() {
                let reason = reason.to_owned();
                // Whatever was tried is not what the files say any more.
                self.trial = None;
                return Err(folder::RejectReason::RolledBack(reason));
            }
            tracing::warn!(plugin = %self.name, "no version from before can be served; the file in the folder is taken although it was rolled back");
            self.rolled_back.forgive(&source);
        }
        let on_trial = self.trial.as_ref().map(|trial| &trial.version);
        if on_trial.is_some_and(is_live) {
            return Ok(());
        }
        let sidecar = source.sidecar.clone();
        let same_code = |version: &&Arc<Version>| version.source.digest == source.digest;
        let unchanged = self.live.iter().chain(on_trial).find(same_code).cloned();
        let first = self.first_stage(&sidecar.rollout);
        let step = |step| context.board.step(&self.name, step);
        let loaded = plugin::load(
            context.engine,
            source,
            unchanged.as_ref(),
            self.workers,
            step,
        )
        .await;
        let version = loaded.map_err(|error| in_sidecar(&sidecar, error))?;
        match first {
            None => self.go_live(version, "nothing is to be tried first"),
            Some((stage, rules, earlier)) => {
                let version = match stage {
                    Stage::Shadow => Arc::new(version.apart()),
                    Stage::Canary => version,
                };
                match self.unfinished.take() {
                    Some(_) => {
                        tracing::info!(plugin = %version.name, version = %version.label, stage = stage.as_str(), share = rules.share, requests = earlier.tally.requests, errors = earlier.tally.failures, "plugin is on trial again, as far as it was")
                    }
                    None => {
                        tracing::info!(plugin = %version.name, version = %version.label, stage = stage.as_str(), share = rules.share, "plugin is on trial")
                    }
                }
                let trial = Trial::new(version, stage, rules, context.workers, earlier);
                self.trial = Some(Arc::new(trial));
            }
        }
        Ok(())
    }

    /// What a new version goes through first, and how far it is in it; none when it goes live at
    /// once. A stage that the sidecar does not have any more is not gone on with.
    fn first_stage(&self, rollout: &Rollout) -> Option<(Stage, StageRules, Progress)> {
        self.live.as_ref()?;
        let rules = |stage| match stage {
            Stage::Shadow => rollout.shadow,
            Stage::Canary => rollout.canary,
        };
        let begin = |stage| Some((stage, rules(stage)?, Progress::default()));
        let unfinished = self.unfinished.as_ref();
        unfinished
            .and_then(|it| Some((it.stage, rules(it.stage)?, it.progress)))
            .or_else(|| begin(Stage::Shadow))
            .or_else(|| begin(Stage::Canary))
    }

    /// Takes a version on trial into service. What a shadow has counted and stored stays behind.
    pub(super) fn pass(&mut self, trial: &Trial, why: &str) {
        let version = match trial.stage {
            Stage::Shadow => Arc::new(trial.version.in_company()),
            Stage::Canary => Arc::clone(&trial.version),
        };
        self.go_live(version, why);
    }

    fn go_live(&mut self, version: Arc<Version>, why: &str) {
        self.trial = None;
        if let Some(before) = self.live.replace(version) {
            self.swaps += 1;
            tracing::debug!(plugin = %before.name, version = %before.label, why, "plugin is retired");
            let source = with_signatures(&before.source, self.signed_anew.take());
            self.kept.retain(|kept| !kept.makes_the_same(&source));
            self.kept.push(source);
            let surplus = self.kept.len().saturating_sub(KEPT_VERSIONS);
            self.kept.drain(..surplus);
        }
    }

    /// Nothing is on trial any more, and what was is not tried again by itself.
    fn give_up_trial(&mut self, reason: &str) {
        let Some(trial) = self.trial.take() else {
            return;
        };
        let (version, stage) = (&trial.version, trial.stage.as_str());
        tracing::error!(plugin = %version.name, version = %version.label, stage, "plugin is rolled back: {reason}");
        let reason = format!("{stage} {}: {reason}", version.source.label());
        self.roll_back(&version.source, reason);
    }

    /// Remembers that a version was rolled back, which is why the file is not in service if it is
    /// what that holds.
    fn roll_back(&mut self, version: &Source, reason: String) {
        if self.is_on_disk(version) {
            let reason = folder::RejectReason::RolledBack(reason.clone());
            self.refused = Some(reason.to_string());
        }
        self.rolled_back.add(version, reason);
    }

    /// Takes back that a version was rolled back. False when it was not.
    fn forgive(&mut self, version: &Source) -> bool {
        let was_rolled_back = self.rolled_back.forgive(version);
        if was_rolled_back && self.is_on_disk(version) {
            self.refused = None;
        }
        was_rolled_back
    }

    fn is_on_disk(&self, version: &Source) -> bool {
        let on_disk = self.on_disk.as_ref();
        on_disk.is_some_and(|on_disk| on_disk.makes_the_same(version))
    }

    /// Moves the version on trial on, or out. False when it stays where it is.
    pub(super) fn advance(&mut self, workers: usize, now: Instant) -> bool {
        let Some(trial) = self.trial.clone() else {
            return false;
        };
        match trial.verdict(now) {
            Verdict::Open | Verdict::Held(_) => return false,
            Verdict::Failed(reason) => self.give_up_trial(&reason),
            Verdict::Passed => {
                let canary = trial.version.source.sidecar.rollout.canary;
                let next = canary.filter(|_| trial.stage == Stage::Shadow);
                match next {
                    Some(rules) => self.begin_canary(&trial, rules, workers),
                    None => self.pass(&trial, "its trial is passed"),
                }
            }
        }
        true
    }

    fn begin_canary(&mut self, passed: &Trial, rules: StageRules, workers: usize) {
        let version = Arc::new(passed.version.in_company());
        tracing::info!(plugin = %version.name, version = %version.label, stage = Stage::Canary.as_str(), share = rules.share, "plugin is on trial");
        let begin = Progress::default();
        let canary = Trial::new(version, Stage::Canary, rules, workers, begin);
        self.trial = Some(Arc::new(canary));
    }

    pub(super) fn status(&self) -> PluginStatus {
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
            rolled_back: self
                .rolled_back
                .iter()
                .rev()
                .map(|(version, reason)| (version.label(), reason.to_owned()))
                .collect(),
            refused: self.refused.clone(),
            swaps: self.swaps,
            rejections: self.rejections,
        }
    }
}

/// A version's files with the signatures that lie beside them now.
fn with_signatures(source: &Source, signatures: Option<Signatures>) -> Source {
    Source {
        signatures: signatures.unwrap_or_else(|| source.signatures.clone()),
        ..source.clone()
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
        LoadError::Configuration(error) => return folder::RejectReason::Configuration(error),
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
