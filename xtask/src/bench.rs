//! `cargo xtask bench`: what a request costs, beside nginx on the same machine.
//!
//! The measure is the gateway's processor time for each request. Servers run side by side and
//! take turns, and ratios are taken within a round, so that a busy machine falls on both sides.
//! `scenario` says what is measured, `peers` starts the servers, `load` asks them, `measure` and
//! `special` take samples, and `statistics`, `report` and `plot` make something of them.

pub(crate) mod guided;
pub(crate) mod instructions;
mod load;
mod measure;
mod peers;
mod plot;
mod process;
mod record;
mod report;
mod scenario;
mod special;
mod statistics;

use anyhow::{Result, bail, ensure};
use clap::Args;

use crate::{build, project::Project, setup, step::step};
use measure::Effort;
pub(crate) use peers::envoy;
use peers::{Measured, Stage};
use record::Record;
use scenario::Scenario;

const EFFORT: Effort = Effort {
    rounds: 3,
    seconds: 3,
};
const QUICK: Effort = Effort {
    rounds: 1,
    seconds: 1,
};

/// What to measure, and what to do with it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only this one; may be given again. Without any: all
    #[arg(long = "scenario", value_name = "NAME")]
    scenarios: Vec<String>,
    /// How often each server has its turn
    #[arg(long, default_value_t = EFFORT.rounds, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Length of a turn
    #[arg(long, default_value_t = EFFORT.seconds, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// One round of a second with the debug build: whether the harness works, no measurement
    #[arg(long, conflicts_with_all = ["rounds", "seconds", "write_docs"])]
    quick: bool,
    /// With the gateway that `cargo xtask release` has built
    #[arg(long, conflicts_with_all = ["quick", "report"])]
    guided: bool,
    /// Measures nothing and shows what was measured before
    #[arg(long, conflicts_with_all = ["rounds", "seconds", "quick"])]
    report: bool,
    /// Writes what was measured, now and before, into `docs/performance.md` and its picture
    #[arg(long)]
    write_docs: bool,
}

/// Measures, unless asked for a report alone, and tells.
pub(crate) fn run(project: &Project, options: &Options) -> Result<()> {
    let chosen = chosen(&options.scenarios)?;
    let mut record = Record::open(project, options.quick);
    if !options.report {
        measure(project, options, &chosen, &mut record)?;
    }
    let measured = record.of(&chosen);
    println!("{}\n{}", report::goals(&measured), report::costs(&measured));
    if let Some(others) = report::others(&measured) {
        println!("{others}");
    }
    println!("All of it is in {}.", record.file().display());
    if options.write_docs {
        record.write_docs(project)?;
    }
    Ok(())
}

/// Prepares what is missing, and measures these.
fn measure(
    project: &Project,
    options: &Options,
    chosen: &[Scenario],
    record: &mut Record,
) -> Result<()> {
    crate::prepare(project)?;
    setup::bench(project)?;
    if chosen.iter().any(Scenario::has_envoy) {
        setup::envoy(project)?;
        step("Build the filter for Envoy", || envoy::build(project))?;
    }
    let (measured, effort) = if options.quick {
        (Measured::debug(project), QUICK)
    } else {
        let effort = Effort {
            rounds: options.rounds,
            seconds: options.seconds,
        };
        (to_measure(project, options.guided)?, effort)
    };
    let stage = step("Start the upstream", || Stage::new(project, measured))?;
    for scenario in chosen {
        let title = format!("Measure `{}`: {}", scenario.name, scenario.title);
        let outcome = step(&title, || measure::scenario(&stage, scenario, effort))?;
        record.add(outcome)?;
    }
    Ok(())
}

/// Builds for release what is measured; the guided gateway is there already.
fn to_measure(project: &Project, guided: bool) -> Result<Measured> {
    let mut measured = Measured::release(project);
    if guided {
        measured.gateway = guided::binary(project);
        ensure!(
            measured.gateway.is_file(),
            "there is no {}: make it with `cargo xtask release`",
            measured.gateway.display()
        );
        build::release(project, &[peers::BARE])?;
    } else {
        build::release(project, &[peers::GATEWAY, peers::BARE])?;
    }
    Ok(measured)
}

/// The scenarios of these names; of none, all.
fn chosen(names: &[String]) -> Result<Vec<Scenario>> {
    let all = [scenario::with_goals(), scenario::of_scaling()].concat();
    if names.is_empty() {
        return Ok(all);
    }
    let known: Vec<_> = all.iter().map(|scenario| scenario.name).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        bail!(
            "there is no scenario {unknown:?}; there are {}",
            known.join(", ")
        );
    }
    let wanted = |scenario: &Scenario| names.iter().any(|name| name == scenario.name);
    Ok(all.into_iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::chosen;

    #[test]
    fn a_scenario_that_is_not_there_is_told_with_those_that_are() {
        let error = chosen(&["h3".to_owned()]).map_err(|error| error.to_string());
        let told = "there is no scenario \"h3\"; there are h1, h1-envoy, h1-1000";
        assert!(error.is_err_and(|error| error.starts_with(told)));
        assert!(chosen(&["h2".to_owned()]).is_ok_and(|found| found.len() == 1));
        assert!(chosen(&[]).is_ok_and(|found| found.len() > 10));
    }
}
