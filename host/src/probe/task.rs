//! The probes of one endpoint, one after the other, and what they come to.

use std::{sync::Arc, time::Duration, time::SystemTime};

use tokio::{sync::Semaphore, time::sleep};

use super::{
    Job,
    attempt::{self, ProbeError},
};
use crate::pool::{Probed, Verdict};

/// The first probes of a start are spread over at most this long.
const FIRST_WITHIN: Duration = Duration::from_secs(1);

/// Runs until it is aborted.
pub(super) async fn run(job: Job, permits: Arc<Semaphore>) {
    let interval = job.rules.interval;
    sleep(interval.min(FIRST_WITHIN).mul_f64(random())).await;
    let mut row = Row::default();
    loop {
        let permit = permits.acquire().await;
        let result = attempt::probe(&job.question, &job.rules).await;
        drop(permit);
        job.endpoint.probes.count(result.is_ok());
        if let Some(probed) = row.after(&result, &job) {
            tell(&job, probed, result.err());
        }
        // A tenth either way, so that endpoints and gateways do not fall into step.
        sleep(interval.mul_f64(0.9 + 0.2 * random())).await;
    }
}

/// Results in a row.
#[derive(Default)]
struct Row {
    good: u32,
    bad: u32,
}

impl Row {
    /// What the endpoint is from now on, when that has changed.
    fn after(&mut self, result: &Result<(), ProbeError>, job: &Job) -> Option<Probed> {
        let now = job.endpoint.health.probed();
        let next = match result {
            Ok(()) => {
                (self.good, self.bad) = (self.good.saturating_add(1), 0);
                let enough = now == Probed::Unknown || self.good >= job.rules.healthy_after;
                enough.then_some(Probed::Healthy)
            }
            Err(_) => {
                (self.good, self.bad) = (0, self.bad.saturating_add(1));
                (self.bad >= job.rules.unhealthy_after).then_some(Probed::Unhealthy)
            }
        };
        next.filter(|next| *next != now)
    }
}

fn tell(job: &Job, probed: Probed, error: Option<ProbeError>) {
    let key = &job.endpoint.key;
    let before = job.endpoint.health.probed();
    let verdict = Verdict {
        cause: error.as_ref().map_or("probe-ok", ProbeError::cause),
        detail: error.as_ref().map_or_else(String::new, ToString::to_string),
        since: SystemTime::now(),
    };
    match &error {
        Some(error) => tracing::warn!(
            pool = key.pool, endpoint = key.id, address = %job.question.address,
            cause = verdict.cause, "endpoint is unhealthy: {error}"
        ),
        None if before == Probed::Unhealthy => {
            tracing::info!(
                pool = key.pool,
                endpoint = key.id,
                "endpoint is healthy again"
            );
        }
        None => tracing::debug!(pool = key.pool, endpoint = key.id, "endpoint is healthy"),
    }
    job.endpoint.health.set_probed(probed, Some(verdict));
}

/// From 0 to 1.
fn random() -> f64 {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}
