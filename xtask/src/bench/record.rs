//! What was measured, kept in `target/bench/`, so that scenarios may be measured one by one; and
//! the part of `docs/performance.md` that is made of it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Context as _, Result};

use super::{
    measure::Outcome,
    plot, report,
    scenario::{self, Scenario},
};
use crate::project::Project;

const PAGE: &str = "docs/performance.md";
const PICTURE: &str = "docs/performance.svg";
/// What is between these lines of the page is written anew.
const BEGIN: &str = "<!-- written by `cargo xtask bench --write-docs`: begin -->\n";
const END: &str = "<!-- end -->\n";

/// The newest outcome of each scenario.
#[derive(Debug)]
pub(crate) struct Record {
    file: PathBuf,
    outcomes: BTreeMap<String, Outcome>,
}

impl Record {
    /// What is there of earlier runs, if it can be read. A quick run has a file of its own.
    pub(crate) fn open(project: &Project, quick: bool) -> Self {
        let name = if quick { "quick.json" } else { "results.json" };
        let file = project.target().join("bench").join(name);
        let outcomes = fs::read(&file).ok();
        let outcomes = outcomes.and_then(|text| serde_json::from_slice(&text).ok());
        Self {
            file,
            outcomes: outcomes.unwrap_or_default(),
        }
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Takes the place of what the scenario came to before.
    pub(crate) fn add(&mut self, outcome: Outcome) -> Result<()> {
        self.outcomes.insert(outcome.scenario.clone(), outcome);
        if let Some(dir) = self.file.parent() {
            fs::create_dir_all(dir)?;
        }
        let text = serde_json::to_string_pretty(&self.outcomes)?;
        fs::write(&self.file, text).with_context(|| self.file.display().to_string())
    }

    /// Those of these scenarios that were measured.
    pub(crate) fn of(&self, scenarios: &[Scenario]) -> Vec<(Scenario, Outcome)> {
        let with_outcome = |scenario: &Scenario| {
            let outcome = self.outcomes.get(scenario.name)?;
            Some((scenario.clone(), outcome.clone()))
        };
        scenarios.iter().filter_map(with_outcome).collect()
    }

    /// Writes tables and picture.
    pub(crate) fn write_docs(&self, project: &Project) -> Result<()> {
        let main = self.of(&scenario::with_goals());
        let scaling = self.of(&scenario::of_scaling());
        let all = [main.clone(), scaling.clone()].concat();
        let text = format!(
            "\nMeasured on a {}. {}\n\n### Goals\n\n{}\n![CPU time for each request, by nginx's](performance.svg)\n\n\
             ### Costs\n\n{}\n### How costs grow\n\n{}\n",
            machine(),
            report::others(&all).unwrap_or_default(),
            report::goals(&main),
            report::costs(&main),
            report::costs(&scaling),
        );
        let page = project.root().join(PAGE);
        let before = fs::read_to_string(&page).with_context(|| PAGE.to_owned())?;
        fs::write(&page, replaced(&before, &text)?)?;
        let picture = plot::svg(&main).context("there is nothing to draw yet")?;
        fs::write(project.root().join(PICTURE), picture)?;
        println!("wrote {PAGE} and {PICTURE}");
        Ok(())
    }
}

/// The page with another text between its marks.
fn replaced(page: &str, text: &str) -> Result<String> {
    let parts = page.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some([before, BEGIN, text, END, after].concat())
    });
    parts.with_context(|| format!("{PAGE} has not the lines {BEGIN:?} and {END:?}"))
}

/// In general words: `virtual machine with 2 cores`.
fn machine() -> String {
    let is_virtual =
        fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains("hypervisor"));
    let kind = if is_virtual {
        "virtual machine"
    } else {
        "machine"
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    format!("{kind} with {cores} cores, which client, gateway and upstream share")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let page = format!("# Title\n{BEGIN}old\n{END}more\n");
        let new = replaced(&page, "new\n");
        assert_eq!(new.ok(), Some(format!("# Title\n{BEGIN}new\n{END}more\n")));
        assert!(replaced("# Title\n", "new").is_err());
    }
}
