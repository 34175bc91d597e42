//! `[rollout]` of a sidecar: the stages that a new version of a plugin goes through beside the
//! one in service, before it takes over.

use std::{ops::RangeInclusive, time::Duration};

use super::{check::Check, raw};

const SHARE: RangeInclusive<i64> = 1..=100;
const PERCENT: RangeInclusive<i64> = 0..=100;
const REQUESTS: RangeInclusive<i64> = 1..=1_000_000_000_000;
const TIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(30 * 24);

/// The stages of a new version; without any it goes live at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rollout {
    /// First: it is asked beside the live version, and its decisions are only compared.
    pub shadow: Option<StageRules>,
    /// Then: it decides for some clients.
    pub canary: Option<StageRules>,
}

/// How one stage goes, and when it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageRules {
    /// Percent: of requests for a shadow, of clients for a canary. 1 to 100; default 10.
    pub share: u8,
    /// It is passed after so many requests. Without this and `time` only by command.
    pub requests: Option<u64>,
    /// It is passed after this time, if there was a request. 1 s to 30 d.
    pub time: Option<Duration>,
    /// Failed calls and refused decisions that roll it back when there are more, percent of its
    /// requests (of 100, while there were fewer). 0 to 100; default 1.
    pub max_errors: u8,
    /// Other decisions than the live version's that keep a shadow from passing when there are
    /// more, percent of the decisions compared. 0 to 100; default 0.
    pub max_differences: u8,
    /// What becomes of the callouts of a shadow.
    pub callouts: ShadowCallouts,
}

/// What becomes of the callouts of a shadow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ShadowCallouts {
    /// Those that the live version has made as well are answered alike; others are refused.
    #[default]
    Reuse,
    /// They are made.
    Make,
    /// They are refused.
    Refuse,
}

impl ShadowCallouts {
    const ALL: [(&'static str, Self); 3] = [
        ("reuse", Self::Reuse),
        ("make", Self::Make),
        ("refuse", Self::Refuse),
    ];
}

impl Check<'_> {
    pub(super) fn rollout(&mut self, raw: raw::Rollout) -> Rollout {
        let shadow = raw.shadow.map(|raw| {
            let stage = raw::Stage {
                share: raw.share,
                requests: raw.requests,
                time: raw.time,
                max_errors: raw.max_errors,
            };
            let key = |name: &str| format!("rollout.shadow.{name}");
            let (differences, callouts) = (raw.max_differences, raw.callouts.as_deref());
            let default = ShadowCallouts::default();
            StageRules {
                max_differences: self.count(&key("max_differences"), differences, PERCENT, 0),
                callouts: self.choice(&key("callouts"), callouts, &ShadowCallouts::ALL, default),
                ..self.stage("rollout.shadow", stage)
            }
        });
        let canary = raw.canary.map(|raw| self.stage("rollout.canary", raw));
        Rollout { shadow, canary }
    }

    fn stage(&mut self, prefix: &str, raw: raw::Stage) -> StageRules {
        let key = |name: &str| format!("{prefix}.{name}");
        let requests = raw
            .requests
            .map(|requests| self.count(&key("requests"), Some(requests), REQUESTS, 1));
        let time = raw
            .time
            .map(|time| self.duration(&key("for"), Some(&time), TIMES, *TIMES.start()));
        StageRules {
            share: self.count(&key("share"), raw.share, SHARE, 10),
            requests,
            time,
            max_errors: self.count(&key("max_errors"), raw.max_errors, PERCENT, 1),
            max_differences: 0,
            callouts: ShadowCallouts::default(),
        }
    }
}
