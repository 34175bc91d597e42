//! Rounds of a scenario: its servers run side by side and take turns, so that what else the
//! machine does falls on all of them.

use std::{collections::BTreeMap, thread};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{
    load::Load,
    peers::{Running, Stage},
    process,
    scenario::{Metric, Run, Scenario, Work},
    special,
};

/// What one turn of one server told.
pub(crate) type Sample = BTreeMap<Metric, f64>;

/// How long and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) rounds: u32,
    /// Of one turn.
    pub(crate) seconds: u64,
}

/// What a scenario came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) scenario: String,
    /// In the order of the scenario.
    pub(crate) runs: Vec<RunOutcome>,
    /// Share of the machine that programs took which were no part of it, for each turn that tells.
    pub(crate) others: Vec<f64>,
}

/// What a server came to: one sample for each round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunOutcome {
    pub(crate) run: String,
    pub(crate) samples: Vec<Sample>,
}

impl Outcome {
    /// A run's values, one for each round.
    pub(crate) fn values(&self, run: &str, metric: Metric) -> Vec<f64> {
        let run = self.runs.iter().find(|one| one.run == run);
        run.map_or_else(Vec::new, |run| run.values(metric))
    }
}

impl RunOutcome {
    /// One value for each round.
    pub(crate) fn values(&self, metric: Metric) -> Vec<f64> {
        let samples = self.samples.iter();
        samples
            .filter_map(|one| one.get(&metric).copied())
            .collect()
    }
}

/// Measures a scenario.
pub(crate) fn scenario(stage: &Stage, scenario: &Scenario, effort: Effort) -> Result<Outcome> {
    let mut servers = Servers::default();
    let mut outcome = Outcome {
        scenario: scenario.name.to_owned(),
        runs: Vec::new(),
        others: Vec::new(),
    };
    for run in &scenario.runs {
        if let Work::Load(load) = run.work {
            let server = servers.of(stage, run)?;
            // Connections to the upstream are opened, sessions begun, code and data cached.
            load.run(stage, server, load.seconds(effort.seconds))?;
        }
        outcome.runs.push(RunOutcome {
            run: run.name.to_owned(),
            samples: Vec::new(),
        });
    }
    for _ in 0..effort.rounds {
        for (run, into) in scenario.runs.iter().zip(&mut outcome.runs) {
            let sample = match run.work {
                Work::Load(load) => {
                    let server = servers.of(stage, run)?;
                    let seconds = load.seconds(effort.seconds);
                    let (sample, others) = under_load(stage, server, load, seconds)?;
                    outcome.others.push(others);
                    sample
                }
                Work::SystemCalls => {
                    let server = servers.of(stage, run)?;
                    special::system_calls(stage, server, effort.seconds)?
                }
                Work::Idle => special::idle(stage, run.server)?,
                Work::Start => special::start(stage, run.server)?,
                Work::Swap => special::swap(stage, run.server, effort.seconds)?,
            };
            eprintln!("    {:<18} {}", run.name, told(&sample));
            into.samples.push(sample);
        }
    }
    servers.end()?;
    Ok(outcome)
}

/// A line for the person who waits.
fn told(sample: &Sample) -> String {
    let parts = sample.iter().map(|(metric, value)| {
        let value = super::statistics::number(*value);
        format!("{} {value} {}", metric.title(), metric.unit())
            .trim_end()
            .to_owned()
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// The servers of a scenario's runs, started when they are first asked for: each run has its own,
/// which nothing else has left its marks on.
#[derive(Default)]
struct Servers(Vec<(&'static str, Running)>);

impl Servers {
    fn of(&mut self, stage: &Stage, run: &Run) -> Result<&Running> {
        let at = match self.0.iter().position(|(name, _)| *name == run.name) {
            Some(at) => at,
            None => {
                let running = stage.start(run.name, run.server)?;
                self.0.push((run.name, running));
                self.0.len() - 1
            }
        };
        self.0
            .get(at)
            .map(|(_, running)| running)
            .context("just started")
    }

    fn end(self) -> Result<()> {
        self.0
            .into_iter()
            .try_for_each(|(_, running)| running.end())
    }
}

/// One turn: processor time for each request, and the share of the machine that others took.
fn under_load(stage: &Stage, server: &Running, load: Load, seconds: u64) -> Result<(Sample, f64)> {
    let look = || -> Result<_> {
        let proxy = process::time(server.processes())?;
        let ours = proxy + process::time(stage.upstream())? + process::time_of_ended()?;
        Ok((proxy, ours, process::time_of_machine()?))
    };
    let before = look()?;
    let done = load.run(stage, server, seconds)?;
    let after = look()?;
    ensure!(
        done.failed == 0.0,
        "{} of {} requests failed; what it wrote:\n{}",
        done.failed,
        done.requests,
        server.log()
    );
    let [proxy, ours, machine] = [
        after.0.saturating_sub(before.0),
        after.1.saturating_sub(before.1),
        after.2.saturating_sub(before.2),
    ]
    .map(|time| time.as_secs_f64());
    let cores = thread::available_parallelism().map_or(1, usize::from) as f64;
    let others = (machine - ours).max(0.0) / (done.seconds * cores);
    let mut sample = Sample::from([
        (Metric::Cpu, proxy / done.requests * 1e6),
        (Metric::Rate, done.requests / done.seconds),
    ]);
    if let Some((p50, p99)) = done.latencies {
        sample.extend([(Metric::P50, p50), (Metric::P99, p99)]);
    }
    Ok((sample, others))
}
