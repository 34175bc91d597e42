//! Plugins and their versions as JSON: what `status` shows, and `/plugins` of the admin listener.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::{
    plugin::{Progress, Trial, Verdict},
    reload::PluginStatus,
};

/// A plugin.
#[derive(Debug, Serialize, Deserialize)]
pub struct PluginView {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: String,
    /// The state of what the file holds now: `seen`, `compiling`, `testing`, `shadow`, `canary`,
    /// `live` or `rejected`.
    pub state: String,
    /// Why it is rejected.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The version in service: the first 12 digits of its SHA-256 and, where it is configured,
    /// four of its configuration's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub live: Option<String>,
    /// What that is used for.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub roles: Vec<String>,
    /// The version on trial.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trial: Option<TrialView>,
    /// Retired versions that can be gone back to, the last one first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub kept: Vec<String>,
    /// Versions that were rolled back and are not tried again by themselves, the last one first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub rolled_back: Vec<RolledBackView>,
}

/// A version that was rolled back.
#[derive(Debug, Serialize, Deserialize)]
pub struct RolledBackView {
    /// As `live`.
    pub version: String,
    /// Its stage, if it was on trial, itself, and what was wrong or who has said so.
    pub reason: String,
}

/// A version on trial.
#[derive(Debug, Serialize, Deserialize)]
pub struct TrialView {
    /// As `live`.
    pub version: String,
    /// `shadow` or `canary`.
    pub stage: String,
    /// Percent.
    pub share: u8,
    /// How long it has been going on, seconds, without the time between processes.
    pub seconds: u64,
    /// Requests that it was asked about.
    pub requests: u64,
    /// Failed calls and refused decisions.
    pub errors: u64,
    /// Decisions that were the same as those of the version in service.
    pub alike: u64,
    /// Decisions that were not.
    pub differing: u64,
    /// What keeps it from being passed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub held: Option<String>,
    /// The last decisions that were not the same.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub differences: Vec<DifferenceView>,
}

/// Two decisions about one request.
#[derive(Debug, Serialize, Deserialize)]
pub struct DifferenceView {
    /// Its id, method and URL.
    pub request: String,
    /// What was asked: `route`, `prefer`, `stick`, `rewrite-request`, `rewrite-response`.
    pub call: String,
    /// What the version in service decided.
    pub live: String,
    /// What the version on trial decided.
    pub shadow: String,
}

impl PluginView {
    /// Without what clients asked for: for those who may see how the gateway is, and no more.
    pub fn without_requests(mut self) -> Self {
        if let Some(trial) = &mut self.trial {
            trial.differences.clear();
        }
        self
    }
}

impl From<PluginStatus> for PluginView {
    fn from(status: PluginStatus) -> Self {
        let state = match (&status.step, &status.trial, &status.refused) {
            (Some(step), _, _) => step.as_str(),
            (None, Some(trial), _) => trial.stage.as_str(),
            (None, None, Some(_)) => "rejected",
            (None, None, None) => "live",
        };
        let roles = status.live.iter().flat_map(|live| &live.roles);
        let rolled_back = status.rolled_back.into_iter();
        Self {
            name: status.name.to_string(),
            file: status.file.display().to_string(),
            state: state.to_owned(),
            roles: roles.map(ToString::to_string).collect(),
            live: status.live.map(|live| live.version),
            trial: status.trial.as_deref().map(TrialView::from),
            kept: status.kept,
            rolled_back: rolled_back
                .map(|(version, reason)| RolledBackView { version, reason })
                .collect(),
            reason: status.refused,
        }
    }
}

impl From<&Trial> for TrialView {
    fn from(trial: &Trial) -> Self {
        let now = Instant::now();
        let Progress { lasted, tally } = trial.progress(now);
        let differences = trial.differences().into_iter();
        Self {
            version: trial.version.source.label(),
            stage: trial.stage.as_str().to_owned(),
            share: trial.rules.share,
            seconds: lasted.as_secs(),
            requests: tally.requests,
            errors: tally.failures,
            alike: tally.alike,
            differing: tally.differing,
            held: match trial.verdict(now) {
                Verdict::Held(reason) => Some(reason),
                _ => None,
            },
            differences: differences
                .map(|difference| DifferenceView {
                    request: difference.request,
                    call: difference.call.to_owned(),
                    live: difference.live,
                    shadow: difference.shadow,
                })
                .collect(),
        }
    }
}
