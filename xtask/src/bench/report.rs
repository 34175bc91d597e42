//! Tables of what was measured, in Markdown: for the terminal and for `docs/performance.md`.

use super::{
    measure::{Outcome, RunOutcome},
    scenario::{Goal, Limit, Metric, Scenario},
    statistics::{Spread, number},
};

/// What a run is compared by, in this order.
const MAIN: [Metric; 4] = [Metric::Cpu, Metric::Memory, Metric::Calls, Metric::Time];

/// Whether goals are met, a line for each.
pub(crate) fn goals(measured: &[(Scenario, Outcome)]) -> String {
    let mut lines = Vec::new();
    for (scenario, outcome) in measured {
        for goal in &scenario.goals {
            let Some(spread) = reached(scenario, outcome, goal) else {
                continue;
            };
            lines.push(vec![
                scenario.title.to_owned(),
                goal.run.to_owned(),
                wanted(scenario, goal),
                spread.to_string(),
                if is_met(goal, spread) {
                    "yes"
                } else {
                    "**no**"
                }
                .to_owned(),
            ]);
        }
    }
    table(&["scenario", "Witgate", "goal", "measured", "met"], &lines)
}

/// What a goal is about: the ratio, the difference, or the value itself.
pub(crate) fn reached(scenario: &Scenario, outcome: &Outcome, goal: &Goal) -> Option<Spread> {
    let values = outcome.values(goal.run, goal.metric);
    match goal.limit {
        Limit::Ratio(_) => {
            let base = outcome.values(scenario.runs.first()?.name, goal.metric);
            Spread::of_ratios(&values, &base)
        }
        Limit::AtMost(_) => Spread::of(&values),
        Limit::Over(other, _) => {
            Spread::of_differences(&values, &outcome.values(other, goal.metric))
        }
    }
}

/// By the median, as it is shown.
fn is_met(goal: &Goal, spread: Spread) -> bool {
    let (Limit::Ratio(limit) | Limit::AtMost(limit) | Limit::Over(_, limit)) = goal.limit;
    spread.median < limit + 0.005
}

fn wanted(scenario: &Scenario, goal: &Goal) -> String {
    let base = scenario.runs.first().map_or("", |run| run.name);
    let (metric, unit) = (goal.metric.title(), goal.metric.unit());
    let text = match goal.limit {
        Limit::Ratio(limit) => format!("{metric} ≤ {} × {base}", number(limit)),
        Limit::AtMost(limit) => format!("{metric} ≤ {limit} {unit}"),
        Limit::Over(other, limit) => format!("{metric} ≤ {other} + {limit} {unit}"),
    };
    text.trim_end().to_owned()
}

/// All that was measured, a line for each run.
pub(crate) fn costs(measured: &[(Scenario, Outcome)]) -> String {
    let mut lines = Vec::new();
    for (scenario, outcome) in measured {
        for run in &outcome.runs {
            lines.extend(cost(scenario, outcome, run));
        }
    }
    let head = [
        "scenario",
        "",
        "each request, connection or time",
        "ratio",
        "requests/s",
        "p50 ms",
        "p99 ms",
    ];
    table(&head, &lines)
}

fn cost(scenario: &Scenario, outcome: &Outcome, run: &RunOutcome) -> Option<Vec<String>> {
    let main = |metric: &Metric| Some((*metric, Spread::of(&run.values(*metric))?));
    let (metric, spread) = MAIN.iter().find_map(main)?;
    let first = outcome.runs.first()?;
    let ratio = Spread::of_ratios(&run.values(metric), &first.values(metric))?;
    let is_first = first.run == run.run;
    let only = |metric| {
        let spread = Spread::of(&run.values(metric));
        spread.map_or_else(|| "–".to_owned(), |spread| number(spread.median))
    };
    Some(vec![
        if is_first { scenario.title } else { "" }.to_owned(),
        run.run.clone(),
        format!("{spread} {}", metric.unit()).trim_end().to_owned(),
        if is_first {
            "1".to_owned()
        } else {
            ratio.to_string()
        },
        only(Metric::Rate),
        only(Metric::P50),
        only(Metric::P99),
    ])
}

/// How much of the machine others took; believe only large differences when it was much.
pub(crate) fn others(measured: &[(Scenario, Outcome)]) -> Option<String> {
    let all = measured.iter().flat_map(|(_, outcome)| &outcome.others);
    let spread = Spread::of(&all.copied().collect::<Vec<_>>())?;
    Some(format!(
        "Other programs took {:.0} % of the machine meanwhile (median of all turns; {:.0} to {:.0} %).",
        spread.median * 100.0,
        spread.least * 100.0,
        spread.most * 100.0,
    ))
}

fn table(head: &[&str], lines: &[Vec<String>]) -> String {
    let row = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
    let mut text = row(head.to_vec());
    text += &format!("|{}\n", " --- |".repeat(head.len()));
    for line in lines {
        text += &row(line.iter().map(String::as_str).collect());
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{
        super::{measure::Sample, scenario},
        *,
    };

    /// `h1`, where nginx takes 20 µs, plain 15 and three roles 22.
    pub(crate) fn measured() -> Vec<(Scenario, Outcome)> {
        let run = |name: &str, cpu: [f64; 3]| RunOutcome {
            run: name.into(),
            samples: cpu.map(|cpu| Sample::from([(Metric::Cpu, cpu)])).into(),
        };
        let outcome = Outcome {
            scenario: "h1".into(),
            runs: vec![
                run(scenario::NGINX, [20.0, 40.0, 20.0]),
                run(scenario::BARE, [10.0, 20.0, 10.0]),
                run(scenario::PLAIN, [15.0, 30.0, 16.0]),
                run(scenario::ROLES, [22.0, 44.0, 22.0]),
            ],
            others: vec![0.02, 0.5, 0.1],
        };
        let all = scenario::with_goals().into_iter();
        all.filter(|one| one.name == "h1")
            .map(|one| (one, outcome.clone()))
            .collect()
    }

    #[test]
    fn goals_are_met_or_not() {
        let text = goals(&measured());
        for line in [
            "| plain | CPU ≤ 0.85 × nginx | 0.75 (0.75 to 0.80) | yes |",
            "| three roles | CPU ≤ 1.00 × nginx | 1.10 (1.10 to 1.10) | **no** |",
            "| three roles | CPU ≤ plain + 4 µs | 7.00 (6.00 to 14.0) | **no** |",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn costs_have_a_line_for_each_run() {
        let text = costs(&measured());
        let line = "|  | plain | 16.0 (15.0 to 30.0) µs | 0.75 (0.75 to 0.80) | – | – | – |";
        assert!(text.contains(line), "{text}");
        let told = others(&measured());
        assert!(told.is_some_and(|told| told.contains("took 10 % of the machine")));
    }
}
