//! The ratios to nginx as a picture: a bar for each run with its range, the goals, and a line
//! where nginx is. SVG, written by hand.

use std::fmt::Write as _;

use super::{
    measure::Outcome,
    report,
    scenario::{BARE, Goal, Limit, Metric, NGINX, PLAIN, ROLES, Scenario},
};

const WIDTH: f64 = 860.0;
/// Where bars begin: left of it is what they are about.
const LEFT: f64 = 320.0;
const RIGHT: f64 = 60.0;
const TOP: f64 = 76.0;
const BAR: f64 = 13.0;
const GAP: f64 = 16.0;
const BARE_COLOUR: &str = "#9aa5ad";
const PLAIN_COLOUR: &str = "#2a78b8";
const ROLES_COLOUR: &str = "#e08a1e";

/// A bar: what it is about, the ratio with its range, and the goal.
struct Bar {
    run: &'static str,
    median: f64,
    least: f64,
    most: f64,
    goal: Option<f64>,
}

/// The picture of all scenarios whose processor time is compared with nginx; none when there
/// is no such.
pub(crate) fn svg(measured: &[(Scenario, Outcome)]) -> Option<String> {
    let groups: Vec<_> = measured
        .iter()
        .map(|(scenario, outcome)| (scenario.title, bars(scenario, outcome)))
        .filter(|(_, bars)| !bars.is_empty())
        .collect();
    let all = groups.iter().flat_map(|(_, bars)| bars);
    let most = all.map(|bar| bar.most).fold(f64::NAN, f64::max);
    if most.is_nan() {
        return None;
    }
    // Up to the next half, with nginx always in the picture.
    let end = (most.max(1.1) * 2.0).ceil() / 2.0;
    let x = |ratio: f64| LEFT + ratio / end * (WIDTH - LEFT - RIGHT);
    let bars: usize = groups.iter().map(|(_, bars)| bars.len()).sum();
    let bottom = TOP + bars as f64 * (BAR + 2.0) + groups.len() as f64 * GAP;
    let mut text = String::new();
    axis(&mut text, end, bottom, x);
    let mut y = TOP + GAP / 2.0;
    for (title, bars) in &groups {
        let middle = y + bars.len() as f64 * (BAR + 2.0) / 2.0 + 4.0;
        let _ = writeln!(
            text,
            r#"<text x="{}" y="{middle:.0}" text-anchor="end">{title}</text>"#,
            LEFT - 12.0
        );
        for bar in bars {
            draw(&mut text, bar, y, x);
            y += BAR + 2.0;
        }
        y += GAP;
    }
    let height = bottom + 34.0;
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
         font-family=\"sans-serif\" font-size=\"13\" fill=\"#222\">\n\
         <rect width=\"{WIDTH}\" height=\"{height:.0}\" fill=\"#fff\"/>\n{}{text}</svg>\n",
        legend()
    ))
}

fn bars(scenario: &Scenario, outcome: &Outcome) -> Vec<Bar> {
    if scenario.runs.first().is_none_or(|run| run.name != NGINX) {
        return Vec::new();
    }
    let bar = |run: &'static str| {
        let wanted = scenario.goals.iter().find_map(|goal| match goal.limit {
            Limit::Ratio(limit) if goal.run == run && goal.metric == Metric::Cpu => Some(limit),
            _ => None,
        });
        let about = Goal {
            run,
            metric: Metric::Cpu,
            limit: Limit::Ratio(1.0),
        };
        let spread = report::reached(scenario, outcome, &about)?;
        Some(Bar {
            run,
            median: spread.median,
            least: spread.least,
            most: spread.most,
            goal: wanted,
        })
    };
    [BARE, PLAIN, ROLES].into_iter().filter_map(bar).collect()
}

fn axis(text: &mut String, end: f64, bottom: f64, x: impl Fn(f64) -> f64) {
    let mut at = 0.0;
    while at <= end {
        let (colour, width) = match at {
            1.0 => ("#222", 1.5),
            _ => ("#ddd", 1.0),
        };
        let x = x(at);
        let _ = writeln!(
            text,
            "<path d=\"M{x:.1} {TOP}V{bottom:.0}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>\n\
             <text x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{at}</text>",
            bottom + 20.0
        );
        at += 0.5;
    }
    let _ = writeln!(
        text,
        r#"<text x="{:.1}" y="{:.0}" text-anchor="middle" font-weight="bold">nginx</text>"#,
        x(1.0),
        TOP - 8.0
    );
}

fn draw(text: &mut String, bar: &Bar, y: f64, x: impl Fn(f64) -> f64) {
    let colour = match bar.run {
        BARE => BARE_COLOUR,
        PLAIN => PLAIN_COLOUR,
        _ => ROLES_COLOUR,
    };
    let middle = y + BAR / 2.0;
    let _ = writeln!(
        text,
        "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>\n\
         <path d=\"M{:.1} {middle:.1}H{:.1}\" stroke=\"#222\"/>\n\
         <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"11\" stroke=\"#fff\" stroke-width=\"3\" \
         paint-order=\"stroke\">{:.2}</text>",
        x(bar.median) - LEFT,
        x(bar.least),
        x(bar.most),
        x(bar.most) + 6.0,
        y + BAR - 2.5,
        bar.median,
    );
    if let Some(goal) = bar.goal {
        let _ = writeln!(
            text,
            r##"<path d="M{:.1} {:.1}v{:.1}" stroke="#c00" stroke-width="2.5"/>"##,
            x(goal),
            y - 1.0,
            BAR + 2.0
        );
    }
}

fn legend() -> String {
    let mut text = format!(
        "<text x=\"{LEFT}\" y=\"22\" font-weight=\"bold\">CPU time for each request, by nginx's</text>\n"
    );
    let entries = [
        (LEFT, BARE_COLOUR, BARE),
        (LEFT + 120.0, PLAIN_COLOUR, "Witgate"),
        (LEFT + 210.0, ROLES_COLOUR, "with three plugins"),
        (LEFT + 360.0, "#c00", "goal"),
    ];
    for (x, colour, name) in entries {
        let (width, start) = if name == "goal" {
            (3, x + 6.0)
        } else {
            (12, x)
        };
        let _ = writeln!(
            text,
            "<rect x=\"{start}\" y=\"31\" width=\"{width}\" height=\"12\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"41\" font-size=\"12\">{name}</text>",
            x + 17.0
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_has_a_bar_and_each_goal_a_mark() {
        let Some(picture) = svg(&report::tests::measured()) else {
            panic!("no picture");
        };
        for colour in [BARE_COLOUR, PLAIN_COLOUR, ROLES_COLOUR] {
            // One in the legend, one in the picture.
            assert_eq!(picture.matches(colour).count(), 2, "{picture}");
        }
        assert_eq!(picture.matches("stroke=\"#c00\"").count(), 2, "{picture}");
        assert_eq!(svg(&[]), None);
    }
}
