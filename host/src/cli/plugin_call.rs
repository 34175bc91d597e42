//! `witgate plugin call`: what a plugin decides about one request, and how long that takes.
//!
//! Calls are made and timed as the gateway makes and times them for its metrics.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;
use tracing::{instrument::WithSubscriber as _, subscriber::NoSubscriber};

use super::{
    plugin_file::{PluginFile, block_on},
    say,
};
use crate::{
    config::{Case, RawBody, RawCase, RawPool},
    plugin::{MadeCall, Rehearsal, Rehearsed},
};

/// Calls behind the first, whose median is the time of a warm one.
const WARM: usize = 101;
/// They end at the latest after this time.
const WARM_FOR: Duration = Duration::from_secs(1);

/// A plugin and a request.
#[derive(Debug, Args)]
pub(super) struct Asked {
    /// The plugin's file, with its sidecar beside it
    pub(super) file: PathBuf,
    /// Method and URL; `GET` when there is no method
    #[arg(
        short,
        long,
        value_name = "REQUEST",
        default_value = "GET https://shop.example/"
    )]
    request: String,
    /// A header field of the request
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The request's body, for plugins that read it
    #[arg(short, long, value_name = "TEXT", default_value = "")]
    body: String,
    /// The client's address and port
    #[arg(long, value_name = "ADDRESS")]
    peer: Option<String>,
    /// The listener's name
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// The ids of the endpoints that affinity is asked about
    #[arg(long = "endpoint", value_name = "ID", default_values = ["a", "b"])]
    endpoints: Vec<String>,
}

impl Asked {
    /// The request, about which nothing is expected.
    pub(super) fn case(&self) -> Result<Case, String> {
        let case = RawCase {
            request: self.request.clone(),
            headers: self.headers.clone(),
            body: RawBody::Text(self.body.clone()),
            peer: self.peer.clone(),
            listener: self.listener.clone(),
            pool: Some(RawPool {
                name: "web".to_owned(),
                endpoints: self.endpoints.clone(),
            }),
            ..RawCase::default()
        };
        case.request_alone()
            .map_err(|error| format!("error: {error}"))
    }
}

/// Prints each decision, how long it took and, on stderr, what the plugin logs.
///
/// The decisions and the log are those of the first calls. What comes behind is for the time alone,
/// unless it is decided otherwise: then that is said.
pub(super) fn call(asked: &Asked) -> Result<(), String> {
    let case = asked.case()?;
    tracing_subscriber::fmt()
        .with_env_filter("off,witgate=debug")
        .with_writer(std::io::stderr)
        .with_target(false)
        .without_time()
        .init();
    block_on(async {
        let PluginFile { version, .. } = PluginFile::load(&asked.file).await?;
        let rehearsal = Rehearsal::of(version);
        let first = rehearsal.ask(&case).await;
        let again = match first.iter().all(came_back) {
            true => {
                ask_again(&rehearsal, &case)
                    .with_subscriber(NoSubscriber::default())
                    .await
            }
            false => Vec::new(),
        };
        let mut failed = None;
        for (place, Rehearsed { call, made }) in first.into_iter().enumerate() {
            let Some(made) = made else {
                say(&format!(
                    "{call}: left out, as the plugin says that it does nothing there\n"
                ));
                continue;
            };
            let again: Vec<&MadeCall> = again
                .iter()
                .filter_map(|round| round.get(place)?.made.as_ref())
                .collect();
            let time = times(&made, &again);
            match &made.decision {
                Ok(decision) => {
                    say(&format!("{call}: {decision}  ({time})\n"));
                    if let Some(other) = other_decision(decision, &again) {
                        say(&format!("{call}: {other}  (asked again)\n"));
                    }
                }
                Err(error) => {
                    say(&format!("{call}: nothing  ({time})\n"));
                    failed.get_or_insert(format!("error: {error}"));
                }
            }
        }
        failed.map_or(Ok(()), Err)
    })
}

fn came_back(asked: &Rehearsed) -> bool {
    let made = asked.made.as_ref();
    made.is_none_or(|made| made.decision.is_ok())
}

/// Asks the same again, until a call fails.
async fn ask_again(rehearsal: &Rehearsal, case: &Case) -> Vec<Vec<Rehearsed>> {
    let since = Instant::now();
    let mut rounds = Vec::new();
    while rounds.len() < WARM && since.elapsed() < WARM_FOR {
        let round = rehearsal.ask(case).await;
        let is_last = !round.iter().all(came_back);
        rounds.push(round);
        if is_last {
            break;
        }
    }
    rounds
}

/// The first that is not the same, or what a call came to that failed.
fn other_decision(first: &String, again: &[&MadeCall]) -> Option<String> {
    again.iter().find_map(|made| match &made.decision {
        Ok(decision) => (decision != first).then(|| decision.clone()),
        Err(error) => Some(format!("nothing: {error}")),
    })
}

fn times(first: &MadeCall, again: &[&MadeCall]) -> String {
    let mut warm: Vec<Duration> = again.iter().map(|made| made.took).collect();
    warm.sort_unstable();
    let first = micros(first.took);
    match warm.get(warm.len() / 2) {
        Some(median) => format!("the first {first}, a warm one {}", micros(*median)),
        None => format!("the first {first}"),
    }
}

/// For people.
pub(super) fn micros(time: Duration) -> String {
    format!("{:.1} µs", time.as_secs_f64() * 1e6)
}
