//! What is measured: scenarios, the servers that take turns in each, and the goals.

use serde::{Deserialize, Serialize};

use super::{
    load::Load,
    peers::{Plugins, Server, Setup, Upstream},
};

/// One line of measurements and its goals. Ratios are to the first run.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// For people.
    pub(crate) title: &'static str,
    pub(crate) runs: Vec<Run>,
    pub(crate) goals: Vec<Goal>,
}

/// A server and what is done with it; the runs of a scenario take turns.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) name: &'static str,
    pub(crate) server: Server,
    pub(crate) work: Work,
}

/// What a sample is taken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Processor time for each request, under a load.
    Load(Load),
    /// System calls for each request.
    SystemCalls,
    /// Memory for each idle connection; a new server for each sample.
    Idle,
    /// From the start of the process to the first answer, with compiled code in the cache.
    Start,
    /// From a plugin's new version in the folder to the first answer that obeys it, under load.
    Swap,
}

/// What a sample tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Metric {
    /// Processor time for each request, µs.
    Cpu,
    /// Requests a second.
    Rate,
    /// Median latency, ms.
    P50,
    /// Latency that one percent exceeds, ms.
    P99,
    /// Memory for each connection, KiB.
    Memory,
    /// System calls for each request.
    Calls,
    /// ms.
    Time,
    /// Requests without a good answer.
    Failed,
}

impl Metric {
    /// With its unit.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::Rate => "requests/s",
            Self::P50 => "p50",
            Self::P99 => "p99",
            Self::Memory => "memory",
            Self::Calls => "system calls",
            Self::Time => "time",
            Self::Failed => "failed requests",
        }
    }

    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Cpu => "µs",
            Self::P50 | Self::P99 | Self::Time => "ms",
            Self::Memory => "KiB",
            Self::Rate | Self::Calls | Self::Failed => "",
        }
    }
}

/// What one run has to reach.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Goal {
    pub(crate) run: &'static str,
    pub(crate) metric: Metric,
    pub(crate) limit: Limit,
}

/// All are upper bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Limit {
    /// By the first run.
    Ratio(f64),
    /// In the metric's unit.
    AtMost(f64),
    /// In the metric's unit, over another run.
    Over(&'static str, f64),
}

pub(crate) const NGINX: &str = "nginx";
pub(crate) const ENVOY: &str = "Envoy with one Wasm filter";
/// hyper and rustls without a gateway.
pub(crate) const BARE: &str = "libraries alone";
pub(crate) const PLAIN: &str = "plain";
pub(crate) const ROLES: &str = "three roles";

/// Those with goals, in the order of the report.
pub(crate) fn with_goals() -> Vec<Scenario> {
    use Metric::{Calls, Cpu, Failed, Memory, P50, P99, Time};
    let keep_alive = Load::wrk(32, "/128");
    vec![
        loaded("h1", "HTTP/1.1 keep-alive, 128 B", keep_alive)
            .goal(PLAIN, Cpu, Limit::Ratio(0.85))
            .goal(ROLES, Cpu, Limit::Ratio(1.0))
            .goal(ROLES, Cpu, Limit::Over(PLAIN, 4.0)),
        envoy(keep_alive).goal(ROLES, Cpu, Limit::Ratio(0.33)),
        loaded(
            "h1-1000",
            "HTTP/1.1 keep-alive, 128 B, 1,000 connections",
            Load::wrk(1000, "/128"),
        ),
        loaded(
            "h1-16k",
            "HTTP/1.1 keep-alive, 16 KiB",
            Load::wrk(32, "/16k"),
        )
        .goal(ROLES, Cpu, Limit::Ratio(0.95)),
        loaded("h2", "HTTP/2, upstream HTTP/1.1, 128 B", Load::H2load)
            .goal(PLAIN, Cpu, Limit::Ratio(0.75))
            .goal(ROLES, Cpu, Limit::Ratio(0.9)),
        loaded("h2-h2", "HTTP/2 on both sides, 128 B", Load::H2load)
            .upstream(Upstream::H2)
            .goal(ROLES, Cpu, Limit::Ratio(0.5)),
        loaded(
            "full",
            "a new TLS connection for each request",
            Load::Connect { resume: false },
        )
        .goal(ROLES, Cpu, Limit::Ratio(0.65)),
        loaded(
            "resumed",
            "a new TLS connection, resumed",
            Load::Connect { resume: true },
        )
        .goal(ROLES, Cpu, Limit::Ratio(0.65)),
        loaded("down", "1 MiB down", Load::wrk(8, "/1m")).goal(ROLES, Cpu, Limit::Ratio(0.7)),
        loaded("up", "1 MiB up", Load::Upload).goal(ROLES, Cpu, Limit::Ratio(0.6)),
        loaded(
            "paced",
            "3,000 requests/s over HTTP/1.1, 128 B",
            Load::Paced,
        )
        .goal(PLAIN, Cpu, Limit::Ratio(0.9))
        .goal(ROLES, Cpu, Limit::Ratio(1.05))
        .goal(ROLES, P50, Limit::Ratio(1.0))
        .goal(ROLES, P99, Limit::Ratio(1.0)),
        peers("idle", "an idle TLS connection", Work::Idle).goal(
            ROLES,
            Memory,
            Limit::AtMost(14.0),
        ),
        peers(
            "calls",
            "system calls, HTTP/1.1 keep-alive",
            Work::SystemCalls,
        )
        .goal(ROLES, Calls, Limit::AtMost(4.5)),
        alone(
            "start",
            "start to the first answer, 6 plugins, compiled before",
            Plugins::Six,
            Work::Start,
        )
        .goal("6 plugins", Time, Limit::AtMost(150.0)),
        alone(
            "swap",
            "a plugin's new version, copied to live, compiled before",
            Plugins::Version,
            Work::Swap,
        )
        .goal("1 plugin", Time, Limit::AtMost(300.0))
        .goal("1 plugin", Failed, Limit::AtMost(0.0)),
    ]
}

/// Those that show how the cost grows, each against its smallest size.
pub(crate) fn of_scaling() -> Vec<Scenario> {
    let with = |plugins| Setup {
        plugins,
        ..Setup::default()
    };
    let keep_alive = Load::wrk(32, "/128");
    let sizes = |name, title, sizes: Vec<(&'static str, Setup)>| {
        let runs = sizes.into_iter();
        let runs = runs.map(|(name, setup)| (name, setup, keep_alive));
        scaling(name, title, runs.collect())
    };
    let held = |held| Setup {
        held,
        ..Setup::default()
    };
    let endpoints = |endpoints| Setup {
        endpoints,
        ..with(Plugins::Roles)
    };
    let workers = |workers| Setup {
        workers,
        ..with(Plugins::Roles)
    };
    vec![
        scaling(
            "connections",
            "connections, plain",
            vec![
                ("10", Setup::default(), Load::wrk(10, "/128")),
                ("1,000", Setup::default(), Load::wrk(1000, "/128")),
                ("10 and 990 idle", held(990), Load::wrk(10, "/128")),
                ("10 and 9,000 idle", held(9000), Load::wrk(10, "/128")),
            ],
        ),
        sizes(
            "plugins",
            "plugins, each a path-router that passes",
            vec![
                ("1", with(Plugins::Chain(1))),
                ("10", with(Plugins::Chain(10))),
                ("100", with(Plugins::Chain(100))),
            ],
        ),
        sizes(
            "routes",
            "rules of the path-router, the last one fits",
            vec![
                ("10", with(Plugins::Routes(10))),
                ("10,000", with(Plugins::Routes(10_000))),
            ],
        ),
        sizes(
            "sites",
            "sites of the site-router, the last one fits",
            vec![
                ("10", with(Plugins::Sites(10))),
                ("10,000", with(Plugins::Sites(10_000))),
            ],
        ),
        sizes(
            "endpoints",
            "endpoints of the pool, three roles, sessions stick",
            vec![("10", endpoints(10)), ("10,000", endpoints(10_000))],
        ),
        sizes(
            "workers",
            "workers, three roles",
            vec![("1", workers(1)), ("2", workers(2))],
        ),
    ]
}

impl Scenario {
    fn goal(mut self, run: &'static str, metric: Metric, limit: Limit) -> Self {
        self.goals.push(Goal { run, metric, limit });
        self
    }

    pub(crate) fn has_envoy(&self) -> bool {
        self.runs.iter().any(|run| run.server == Server::Envoy)
    }

    /// Another protocol to the upstream: nginx keeps its own, the libraries alone speak no other.
    fn upstream(mut self, upstream: Upstream) -> Self {
        self.runs.retain(|run| run.server != Server::Bare);
        for run in &mut self.runs {
            if let Server::Witgate(setup) = &mut run.server {
                setup.upstream = upstream;
            }
        }
        self
    }
}

fn loaded(name: &'static str, title: &'static str, load: Load) -> Scenario {
    peers(name, title, Work::Load(load))
}

/// nginx, what Witgate stands on, then Witgate without plugins and with three roles.
fn peers(name: &'static str, title: &'static str, work: Work) -> Scenario {
    let witgate = |plugins| {
        Server::Witgate(Setup {
            plugins,
            ..Setup::default()
        })
    };
    let runs = [
        (NGINX, Server::Nginx),
        (BARE, Server::Bare),
        (PLAIN, witgate(Plugins::None)),
        (ROLES, witgate(Plugins::Roles)),
    ];
    let runs = runs.map(|(name, server)| Run { name, server, work });
    Scenario {
        name,
        title,
        runs: runs.into(),
        goals: Vec::new(),
    }
}

/// Envoy with a filter, then Witgate with three roles.
fn envoy(load: Load) -> Scenario {
    let roles = Server::Witgate(Setup {
        plugins: Plugins::Roles,
        ..Setup::default()
    });
    let work = Work::Load(load);
    let runs = [(ENVOY, Server::Envoy), (ROLES, roles)];
    Scenario {
        name: "h1-envoy",
        title: "HTTP/1.1 keep-alive, 128 B, beside Envoy",
        runs: runs.map(|(name, server)| Run { name, server, work }).into(),
        goals: Vec::new(),
    }
}

fn alone(name: &'static str, title: &'static str, plugins: Plugins, work: Work) -> Scenario {
    let run = Run {
        name: match plugins {
            Plugins::Six => "6 plugins",
            _ => "1 plugin",
        },
        server: Server::Witgate(Setup {
            plugins,
            ..Setup::default()
        }),
        work,
    };
    Scenario {
        name,
        title,
        runs: vec![run],
        goals: Vec::new(),
    }
}

fn scaling(
    name: &'static str,
    title: &'static str,
    runs: Vec<(&'static str, Setup, Load)>,
) -> Scenario {
    let run = |(name, setup, load)| Run {
        name,
        server: Server::Witgate(setup),
        work: Work::Load(load),
    };
    Scenario {
        name,
        title,
        runs: runs.into_iter().map(run).collect(),
        goals: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_goals_are_of_runs() {
        let all = [with_goals(), of_scaling()].concat();
        let names: BTreeSet<_> = all.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), all.len());
        for scenario in all {
            let has = |name| scenario.runs.iter().any(|run| run.name == name);
            for goal in &scenario.goals {
                assert!(has(goal.run), "{} has no run {}", scenario.name, goal.run);
                if let Limit::Over(other, _) = goal.limit {
                    assert!(has(other), "{} has no run {other}", scenario.name);
                }
            }
        }
    }
}
