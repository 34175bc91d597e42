//! A new version of a plugin beside the one in service: how far it is, and how it does.
//!
//! Workers count and, when it fails too often, stop using it at once; what that leads to, and
//! when a stage is passed, is decided where versions are followed.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hasher as _},
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::version::Version;
use crate::{
    config::StageRules,
    metrics::{Counter, PerWorker},
};

/// Requests that errors are at least counted against.
const FEW: u64 = 100;
/// Differences that are kept to be looked at.
const KEPT_DIFFERENCES: usize = 32;

/// What a new version is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its decisions are compared and never used.
    Shadow,
    /// It decides for some clients.
    Canary,
}

impl Stage {
    /// As in `[rollout]`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Canary => "canary",
        }
    }

    /// The stage of this name.
    pub fn parse(name: &str) -> Option<Self> {
        let mut all = [Self::Shadow, Self::Canary].into_iter();
        all.find(|stage| stage.as_str() == name)
    }
}

/// A version on trial.
#[derive(Debug)]
pub struct Trial {
    /// What is tried.
    pub version: Arc<Version>,
    /// How.
    pub stage: Stage,
    /// Until when.
    pub rules: StageRules,
    began: Instant,
    /// What a process before has seen of it.
    earlier: Progress,
    counters: PerWorker<TrialCounters>,
    stopped: AtomicBool,
    differences: Mutex<VecDeque<Difference>>,
}

#[derive(Debug, Default)]
struct TrialCounters {
    requests: Counter,
    failures: Counter,
    alike: Counter,
    differing: Counter,
}

/// One decision that the version in service made otherwise.
#[derive(Debug, Clone)]
pub struct Difference {
    /// The request: id, method and target URI.
    pub request: String,
    /// The role that was asked, and what for.
    pub call: &'static str,
    /// What the version in service decided.
    pub live: String,
    /// What this one decided.
    pub shadow: String,
}

/// What becomes of a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Open,
    /// It would be over but for this.
    Held(String),
    /// The next stage.
    Passed,
    /// The version is given up.
    Failed(String),
}

/// How a trial goes, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests of which it was asked anything.
    pub requests: u64,
    /// Calls that failed, and decisions that were refused.
    pub failures: u64,
    /// Decisions that were the same.
    pub alike: u64,
    /// Decisions that were not.
    pub differing: u64,
}

/// How far a trial is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// How long it has been going on, without the time between processes.
    pub lasted: Duration,
    /// What it has come to.
    pub tally: Tally,
}

impl Trial {
    /// Begins a stage, or goes on with one that is so far.
    pub fn new(
        version: Arc<Version>,
        stage: Stage,
        rules: StageRules,
        workers: usize,
        earlier: Progress,
    ) -> Self {
        let trial = Self {
            version,
            stage,
            rules,
            began: Instant::now(),
            earlier,
            counters: PerWorker::new(workers),
            stopped: AtomicBool::new(false),
            differences: Mutex::default(),
        };
        trial.stop_if_failed();
        trial
    }

    /// Whether the requests of this client are decided by it. Another version gets other
    /// clients.
    pub fn has_client(&self, client: IpAddr) -> bool {
        if self.stage != Stage::Canary || self.is_stopped() {
            return false;
        }
        let mut hasher = DefaultHasher::new();
        hasher.write(self.version.label.as_bytes());
        match client.to_canonical() {
            IpAddr::V4(client) => hasher.write(&client.octets()),
            IpAddr::V6(client) => hasher.write(&client.octets()),
        }
        hasher.finish() % 100 < u64::from(self.rules.share)
    }

    /// Whether the decisions about the request of this id are compared.
    pub fn shadows(&self, request: u128) -> bool {
        self.stage == Stage::Shadow
            && !self.is_stopped()
            && request % 100 < u128::from(self.rules.share)
    }

    /// Counts a request.
    pub fn begin(&self, worker: usize) {
        self.counters.of(worker).requests.add(1);
    }

    /// Counts a failure; one too many stops the trial.
    pub fn failed(&self, worker: usize) {
        self.counters.of(worker).failures.add(1);
        self.stop_if_failed();
    }

    fn stop_if_failed(&self) {
        if self.has_failed(self.tally()) {
            self.stopped.store(true, Ordering::Relaxed);
        }
    }

    /// Counts a decision that was the same.
    pub fn alike(&self, worker: usize) {
        self.counters.of(worker).alike.add(1);
    }

    /// Counts a decision that was not, and keeps it to be looked at.
    pub fn differs(&self, worker: usize, difference: Difference) {
        self.counters.of(worker).differing.add(1);
        let mut kept = self.lock();
        if kept.len() == KEPT_DIFFERENCES {
            kept.pop_front();
        }
        kept.push_back(difference);
    }

    /// The last differences, the oldest first.
    pub fn differences(&self) -> Vec<Difference> {
        self.lock().iter().cloned().collect()
    }

    /// Whether it is used no more, as it failed.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// How it goes.
    pub fn tally(&self) -> Tally {
        let sum = |earlier: u64, number: fn(&TrialCounters) -> &Counter| {
            earlier.saturating_add(self.counters.sum(|each| number(each).get()))
        };
        let earlier = self.earlier.tally;
        Tally {
            requests: sum(earlier.requests, |each| &each.requests),
            failures: sum(earlier.failures, |each| &each.failures),
            alike: sum(earlier.alike, |each| &each.alike),
            differing: sum(earlier.differing, |each| &each.differing),
        }
    }

    /// How far it is.
    pub fn progress(&self, now: Instant) -> Progress {
        let here = now.saturating_duration_since(self.began);
        Progress {
            lasted: self.earlier.lasted.saturating_add(here),
            tally: self.tally(),
        }
    }

    /// What becomes of it.
    pub fn verdict(&self, now: Instant) -> Verdict {
        let Progress { lasted, tally } = self.progress(now);
        if self.has_failed(tally) {
            let Tally {
                requests, failures, ..
            } = tally;
            let limit = self.rules.max_errors;
            return Verdict::Failed(format!(
                "{failures} errors in {requests} requests, max_errors is {limit} %"
            ));
        }
        let enough = self
            .rules
            .requests
            .is_some_and(|least| tally.requests >= least);
        let long_enough = self.rules.time.is_some_and(|time| lasted >= time) && tally.requests > 0;
        if !enough && !long_enough {
            return Verdict::Open;
        }
        let compared = tally.alike + tally.differing;
        match exceeds(tally.differing, self.rules.max_differences, compared) {
            true => Verdict::Held(format!(
                "{} of {compared} decisions differ, max_differences is {} %",
                tally.differing, self.rules.max_differences
            )),
            false => Verdict::Passed,
        }
    }

    fn has_failed(&self, tally: Tally) -> bool {
        exceeds(
            tally.failures,
            self.rules.max_errors,
            tally.requests.max(FEW),
        )
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Difference>> {
        self.differences
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a part is more than so many percent of the whole.
fn exceeds(part: u64, percent: u8, whole: u64) -> bool {
    u128::from(part) * 100 > u128::from(percent) * u128::from(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_exceeded_by_one_more() {
        assert!(!exceeds(1, 1, 100));
        assert!(exceeds(2, 1, 100));
        assert!(!exceeds(0, 0, 0));
        assert!(exceeds(1, 0, 1_000_000));
        assert!(!exceeds(5, 100, 5));
    }
}
