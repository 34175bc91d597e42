//! What plugins do, by version: of those that serve, and of those on trial. The numbers of a version
//! that is retired go with it; what is of the plugin as a whole stays.

use std::fmt;

use prometheus_client::{
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet},
    metrics::MetricType,
};

use super::{Labels, Scrape, count, counter, family, gauge};
use crate::{
    metrics::{CallTimes, PLUGIN_FAILURES, PerWorker, PluginCounters},
    plugin::{Tally, Version},
    reload::PluginStatus,
};

/// Name, help, and a number of one worker's, to be added up.
type PluginCounter = (&'static str, &'static str, fn(&PluginCounters) -> u64);
/// Name, help, and a number of all workers'.
type PluginGauge = (
    &'static str,
    &'static str,
    fn(&PerWorker<PluginCounters>) -> u64,
);

const PLUGIN_COUNTERS: [PluginCounter; 6] = [
    (
        "plugin_calls",
        "Calls of a plugin, all roles together",
        |each| each.calls.count(),
    ),
    (
        "plugin_yields",
        "Times that a call was not done within its slice and others got their turn",
        |each| each.yields.get(),
    ),
    (
        "plugin_callouts",
        "Requests of a plugin's own to pools",
        |each| each.callouts.get(),
    ),
    (
        "plugin_callouts_failed",
        "Requests of a plugin's own that had no answer in time",
        |each| each.callouts_failed.get(),
    ),
    (
        "plugin_instances_made",
        "Instances of a plugin that were started for calls",
        |each| each.instances_made.get(),
    ),
    (
        "plugin_suspensions",
        "Times that a worker suspended a plugin as its calls kept failing",
        |each| each.suspensions.get(),
    ),
];

/// Name, help, and a number of a trial's.
type TrialCounter = (&'static str, &'static str, fn(&Tally) -> u64);

const TRIAL_COUNTERS: [TrialCounter; 4] = [
    (
        "plugin_trial_requests",
        "Requests that a version on trial was asked about",
        |tally| tally.requests,
    ),
    (
        "plugin_trial_errors",
        "Failed calls and refused decisions of a version on trial",
        |tally| tally.failures,
    ),
    (
        "plugin_trial_alike",
        "Decisions of a shadow that were those of the version in service",
        |tally| tally.alike,
    ),
    (
        "plugin_trial_differing",
        "Decisions of a shadow that were not",
        |tally| tally.differing,
    ),
];

const PLUGIN_GAUGES: [PluginGauge; 3] = [
    ("plugin_instances", "Instances of a plugin now", |all| {
        all.sum(|each| each.instances.get())
    }),
    (
        "plugin_suspended",
        "Workers on which a plugin is suspended now",
        |all| all.sum(|each| each.suspended.get()),
    ),
    (
        "plugin_instance_memory_bytes",
        "Most linear memory that one instance of a plugin has had",
        |all| all.most(|each| each.memory.get()),
    ),
];

/// A version that decides, or is about to.
struct Serving<'a> {
    version: &'a Version,
    /// `live`, `shadow` or `canary`.
    stage: &'static str,
}

impl Serving<'_> {
    fn labels(&self) -> Labels<'_, 3> {
        let Version { name, label, .. } = self.version;
        [("plugin", name), ("version", label), ("stage", self.stage)]
    }
}

impl Scrape {
    pub(super) fn plugins(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let plugins = self.snapshot.plugins.iter();
        let serving = plugins.flat_map(|plugin| {
            let live = Serving {
                version: &plugin.live,
                stage: "live",
            };
            let trial = plugin.trial.as_deref().map(|trial| Serving {
                version: &trial.version,
                stage: trial.stage.as_str(),
            });
            std::iter::once(live).chain(trial)
        });
        let serving: Vec<_> = serving.collect();
        live(encoder, &serving)?;
        calls(encoder, &serving)?;
        errors(encoder, &serving)?;
        self.trials(encoder)?;
        files(encoder, &self.state.reloads.plugins.all())
    }

    fn trials(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let plugins = self.snapshot.plugins.iter();
        let trials = plugins.filter_map(|plugin| plugin.trial.as_deref());
        let trials: Vec<_> = trials.collect();
        for (name, help, value) in TRIAL_COUNTERS {
            let mut counters = counter(encoder, name, help)?;
            for trial in &trials {
                let serving = Serving {
                    version: &trial.version,
                    stage: trial.stage.as_str(),
                };
                count(&mut counters, serving.labels(), value(&trial.tally()))?;
            }
        }
        Ok(())
    }
}

fn live(encoder: &mut DescriptorEncoder<'_>, serving: &[Serving<'_>]) -> fmt::Result {
    let help = "The version of each plugin in service";
    let mut versions = gauge(encoder, "plugin_live", help)?;
    for each in serving.iter().filter(|each| each.stage == "live") {
        let [plugin, version, _] = each.labels();
        versions
            .encode_family(&[plugin, version])?
            .encode_gauge(&1_u64)?;
    }
    Ok(())
}

fn calls(encoder: &mut DescriptorEncoder<'_>, serving: &[Serving<'_>]) -> fmt::Result {
    let help = "Time of a call of a plugin, with acting on the decision before it";
    let name = "plugin_call_duration_seconds";
    let mut times = family(encoder, name, help, MetricType::Histogram)?;
    for each in serving {
        call_times(&mut times, each)?;
    }
    for (name, help, value) in PLUGIN_COUNTERS {
        let mut counters = counter(encoder, name, help)?;
        for each in serving {
            let value = each.version.counters.sum(value);
            count(&mut counters, each.labels(), value)?;
        }
    }
    for (name, help, value) in PLUGIN_GAUGES {
        let mut gauges = gauge(encoder, name, help)?;
        for each in serving {
            gauges
                .encode_family(&each.labels())?
                .encode_gauge(&value(&each.version.counters))?;
        }
    }
    Ok(())
}

fn errors(encoder: &mut DescriptorEncoder<'_>, serving: &[Serving<'_>]) -> fmt::Result {
    let help = "Calls that failed, and decisions that were refused";
    let mut errors = counter(encoder, "plugin_errors", help)?;
    for each in serving {
        let [plugin, version, stage] = each.labels();
        let counters = &each.version.counters;
        let failures = PLUGIN_FAILURES.into_iter().enumerate();
        let failures = failures.map(|(kind, label)| {
            let value = counters.sum(|each| each.failures(kind));
            (label, value)
        });
        let refused = counters.sum(|each| each.refused.get());
        for (kind, value) in failures.chain([("decision-refused", refused)]) {
            count(&mut errors, [plugin, version, stage, ("kind", kind)], value)?;
        }
    }
    Ok(())
}

fn files(encoder: &mut DescriptorEncoder<'_>, plugins: &[PluginStatus]) -> fmt::Result {
    let help = "Times that a version of a plugin took another's place";
    let mut swaps = counter(encoder, "plugin_swaps", help)?;
    for plugin in plugins {
        count(&mut swaps, [("plugin", &plugin.name)], plugin.swaps)?;
    }
    let help = "Times that what a plugin's files say was refused";
    let mut rejections = counter(encoder, "plugin_rejections", help)?;
    for plugin in plugins {
        count(
            &mut rejections,
            [("plugin", &plugin.name)],
            plugin.rejections,
        )?;
    }
    let help = "1 while what a plugin's files say is not in service for its faults";
    let mut rejected = gauge(encoder, "plugin_rejected", help)?;
    for plugin in plugins {
        rejected
            .encode_family(&[("plugin", &*plugin.name)])?
            .encode_gauge(&u64::from(plugin.refused.is_some()))?;
    }
    Ok(())
}

fn call_times(family: &mut MetricEncoder<'_>, serving: &Serving<'_>) -> fmt::Result {
    let counters = &serving.version.counters;
    let buckets = (0..CallTimes::BUCKETS).map(|index| {
        let count = counters.sum(|each| each.calls.bucket(index));
        (CallTimes::bound(index), count)
    });
    let buckets: Vec<_> = buckets.collect();
    let total = buckets.iter().map(|(_, count)| count).sum();
    let seconds = counters.sum(|each| each.calls.nanoseconds()) as f64 / 1e9;
    family
        .encode_family(&serving.labels())?
        .encode_histogram::<NoLabelSet>(seconds, total, &buckets, None)
}
