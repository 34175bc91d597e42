//! `witgate plugin call` and `bench`: what a plugin decides about one request, and what that
//! costs.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;

use super::{
    plugin_file::{PluginFile, block_on},
    say,
};
use crate::{
    config::{Case, RawBody, RawCase, RawPool},
    plugin::Rehearsal,
};

/// How long a bench asks again and again.
const BENCH: Duration = Duration::from_secs(3);
/// Calls before it, which warm the caches.
const WARM: u32 = 200;

/// A plugin and a request.
#[derive(Debug, Args)]
pub(super) struct Asked {
    /// The plugin's file, with its sidecar beside it
    file: PathBuf,
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
    fn case(&self) -> Result<Case, String> {
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
        let mut rehearsal = Rehearsal::of(version);
        // The first call pays for what the others find ready.
        let again = rehearsal.ask(&case).await;
        let mut all = again.map_err(|error| format!("error: {error}"))?;
        if all.iter().all(|each| each.decision.is_ok()) {
            all = rehearsal
                .ask(&case)
                .await
                .map_err(|error| format!("error: {error}"))?;
        }
        let mut failed = None;
        for each in all {
            let took = micros(each.took);
            match each.decision {
                Ok(decision) => say(&format!("{}: {decision}  ({took})\n", each.call)),
                Err(error) => {
                    say(&format!("{}: nothing  ({took})\n", each.call));
                    failed.get_or_insert(format!("error: {error}"));
                }
            }
        }
        failed.map_or(Ok(()), Err)
    })
}

/// Asks for some seconds, and prints how often, how long a call takes and what memory it needs.
pub(super) fn bench(asked: &Asked) -> Result<(), String> {
    let case = asked.case()?;
    block_on(async {
        let PluginFile { name, version, .. } = PluginFile::load(&asked.file).await?;
        let mut rehearsal = Rehearsal::of(version);
        let mut times: Vec<(&'static str, Vec<Duration>)> = Vec::new();
        let (mut begun, mut rounds) = (Instant::now(), 0_u32);
        while rounds < WARM || begun.elapsed() < BENCH {
            let all = rehearsal.ask(&case).await;
            for each in all.map_err(|error| format!("error: {error}"))? {
                let decided = each.decision;
                decided.map_err(|error| format!("error: {}: {error}", each.call))?;
                match times.iter_mut().find(|(call, _)| *call == each.call) {
                    Some((_, times)) => times.push(each.took),
                    None => times.push((each.call, vec![each.took])),
                }
            }
            rounds += 1;
            if rounds == WARM {
                times.clear();
                begun = Instant::now();
            }
        }
        say(&format!(
            "{name}: {} rounds in {BENCH:?}, one call at a time\n",
            rounds - WARM
        ));
        for (call, mut times) in times {
            times.sort_unstable();
            let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
            say(&format!(
                "  {call:<16} median {:>9}  99 % {:>9}  {:>9.0} calls a second\n",
                micros(at(50)),
                micros(at(99)),
                1.0 / at(50).as_secs_f64().max(1e-9)
            ));
        }
        say(&format!(
            "  memory           {} KiB\n",
            rehearsal.memory() >> 10
        ));
        Ok(())
    })
}

fn micros(time: Duration) -> String {
    format!("{:.1} µs", time.as_secs_f64() * 1e6)
}
