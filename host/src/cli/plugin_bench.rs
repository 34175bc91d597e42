//! `witgate plugin bench`: what a plugin's decisions about one request cost, beside those of a
//! plugin that does nothing.
//!
//! Calls are made and timed as the gateway makes and times them for its metrics, one after the
//! other on one thread. The two plugins take turns, so that both have the same machine. How cold the
//! processor's caches are between the calls of a gateway depends on what else it does, so that both
//! ends are measured: nothing else, and enough to empty them.

mod empty;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use super::{
    plugin_call::{Asked, micros},
    plugin_file::{PluginFile, block_on},
    say,
};
use crate::{config::Case, plugin::Rehearsal};

/// How long it asks again and again.
const BENCH: Duration = Duration::from_secs(3);
/// Rounds before that, which warm the caches.
const WARM: usize = 200;
/// Rounds of one plugin before it is the other's turn.
const TURN: usize = 50;
/// Rounds behind that, each with cold caches.
const COLD: usize = 101;
/// What is read before each of them, twice, bytes: together more than most processors' caches hold.
const CACHES: usize = 32 << 20;

/// Asks for some seconds, and prints how often, how long a call takes and what memory it needs.
pub(super) fn bench(asked: &Asked) -> Result<(), String> {
    let case = asked.case()?;
    block_on(async {
        let file = PluginFile::load(&asked.file).await?;
        let nothing = empty::beside(&file.engine, &file.version).await?;
        let mut plugin = Measured::of(Rehearsal::of(file.version));
        let mut empty = Measured::of(Rehearsal::of(nothing));
        for each in [&mut plugin, &mut empty] {
            each.rounds(&case, WARM, || ()).await?;
            each.calls.iter_mut().for_each(|call| call.warm.clear());
        }
        let (begun, mut rounds) = (Instant::now(), 0);
        while begun.elapsed() < BENCH {
            plugin.rounds(&case, TURN, || ()).await?;
            empty.rounds(&case, TURN, || ()).await?;
            rounds += TURN;
        }
        plugin.cold(&case).await?;
        let instances = match plugin.asked.is_isolated() {
            true => "each on a new instance",
            false => "on a warm instance",
        };
        say(&format!(
            "{}: {rounds} rounds, one call at a time, {instances}\n\n  \
             {:<16} {:>10} {:>10} {:>10} {:>10} {:>15}   cost\n",
            file.name, "call", "median", "mean", "99 %", "cold", "calls a second"
        ));
        for (call, empty) in plugin.sorted().iter().zip(empty.sorted()) {
            say(&format!("  {:<16} {}\n", call.name, call.line(empty)));
        }
        let memory = |of: &Measured| of.asked.memory() >> 10;
        say(&format!(
            "\n  memory of an instance: {} KiB, of the empty plugin's {} KiB\n",
            memory(&plugin),
            memory(&empty)
        ));
        Ok(())
    })
}

/// A plugin and how long its calls took.
struct Measured {
    asked: Rehearsal,
    calls: Vec<Call>,
}

/// What is called at one place of a round.
struct Call {
    name: &'static str,
    /// Empty when the gateway does without it.
    warm: Vec<Duration>,
    cold: Vec<Duration>,
}

impl Measured {
    fn of(asked: Rehearsal) -> Self {
        let calls = Vec::new();
        Self { asked, calls }
    }

    /// Asks so many times, and does something before each.
    async fn rounds(
        &mut self,
        case: &Case,
        rounds: usize,
        before: impl Fn(),
    ) -> Result<(), String> {
        for _ in 0..rounds {
            before();
            for (place, asked) in self.asked.ask(case).await.into_iter().enumerate() {
                if place == self.calls.len() {
                    self.calls.push(Call::of(asked.call));
                }
                let Some(made) = asked.made else {
                    continue;
                };
                let decided = made.decision;
                decided.map_err(|error| format!("error: {}: {error}", asked.call))?;
                self.calls[place].warm.push(made.took);
            }
        }
        Ok(())
    }

    /// Asks some times more, each with cold caches.
    async fn cold(&mut self, case: &Case) -> Result<(), String> {
        let warm = self.calls.iter_mut();
        let warm: Vec<_> = warm.map(|call| std::mem::take(&mut call.warm)).collect();
        // Compared, since that reads at the speed of memory however this program is compiled.
        let memory = [vec![1_u8; CACHES], vec![1_u8; CACHES]];
        let cold = self
            .rounds(case, COLD, || {
                let [one, other] = black_box(&memory);
                black_box(one == other);
            })
            .await;
        for (call, warm) in self.calls.iter_mut().zip(warm) {
            call.cold = std::mem::replace(&mut call.warm, warm);
        }
        cold
    }

    /// Its calls, the fastest of each first.
    fn sorted(&mut self) -> &[Call] {
        for call in &mut self.calls {
            call.warm.sort_unstable();
            call.cold.sort_unstable();
        }
        &self.calls
    }
}

impl Call {
    fn of(name: &'static str) -> Self {
        let (warm, cold) = Default::default();
        Self { name, warm, cold }
    }

    fn line(&self, empty: &Self) -> String {
        if self.warm.is_empty() {
            return "left out: the plugin says that it does nothing there".to_owned();
        }
        let (own, empty) = (at(&self.warm, 50), at(&empty.warm, 50));
        let mean = mean(&self.warm);
        format!(
            "{:>10} {:>10} {:>10} {:>10} {:>15.0}   {} above an empty plugin's {}",
            micros(own),
            micros(mean),
            micros(at(&self.warm, 99)),
            micros(at(&self.cold, 50)),
            1.0 / mean.as_secs_f64().max(1e-9),
            micros(own.saturating_sub(empty)),
            micros(empty)
        )
    }
}

/// What so many percent of sorted times are at most.
fn at(sorted: &[Duration], percent: usize) -> Duration {
    let last = sorted.len().saturating_sub(1);
    let at = (sorted.len() * percent / 100).min(last);
    sorted.get(at).copied().unwrap_or_default()
}

fn mean(times: &[Duration]) -> Duration {
    let sum: Duration = times.iter().sum();
    let count = u32::try_from(times.len()).unwrap_or(u32::MAX);
    sum / count.max(1)
}
