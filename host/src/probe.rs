//! Active probes: one task for each endpoint of a pool with `health`, on the control runtime,
//! none on the workers. Asks over the pool's own trust, and tells the endpoint what it found.

mod attempt;
mod task;

use std::{collections::HashMap, sync::Arc};

use tokio::{
    sync::{Semaphore, watch},
    task::AbortHandle,
};

use self::attempt::Question;
use crate::{
    config,
    pool::{Endpoint, EndpointKey, Probed},
    snapshot::{RunningPool, Snapshot},
};

/// Probes that may be under way at a time: each is a descriptor and perhaps a TLS handshake on
/// the one thread of the control runtime.
const AT_A_TIME: usize = 64;

/// What a task probes; an equal one goes on over a reload.
#[derive(Clone)]
struct Job {
    endpoint: Arc<Endpoint>,
    rules: config::Probe,
    question: Question,
}

impl Job {
    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.endpoint, &other.endpoint)
            && self.rules == other.rules
            && self.question == other.question
    }
}

/// A task and what it probes; ends with it.
struct Prober {
    job: Job,
    task: AbortHandle,
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Probes what the snapshot in service says, until the process ends.
pub async fn follow(mut snapshots: watch::Receiver<Arc<Snapshot>>) {
    let permits = Arc::new(Semaphore::new(AT_A_TIME));
    let mut probers = HashMap::new();
    loop {
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        adopt(&mut probers, &snapshot, &permits);
        if snapshots.changed().await.is_err() {
            return;
        }
    }
}

fn adopt(
    probers: &mut HashMap<EndpointKey, Prober>,
    snapshot: &Snapshot,
    permits: &Arc<Semaphore>,
) {
    let mut before = std::mem::take(probers);
    let jobs = snapshot.pools.iter().flat_map(|running| jobs(running));
    for job in jobs {
        let key = job.endpoint.key.clone();
        let known = before.remove(&key).filter(|known| known.job.is_same(&job));
        let prober = known.unwrap_or_else(|| {
            let task = tokio::spawn(task::run(job.clone(), Arc::clone(permits)));
            Prober {
                task: task.abort_handle(),
                job,
            }
        });
        probers.insert(key, prober);
    }
    // What nobody probes any more must not stay unhealthy for ever.
    for (_, gone) in before {
        gone.job.endpoint.health.set_probed(Probed::Unknown, None);
    }
}

fn jobs(running: &RunningPool) -> Vec<Job> {
    let Some(rules) = &running.pool.fitness.probe else {
        return Vec::new();
    };
    let endpoints = running.pool.endpoints.iter().zip(&running.transports);
    let jobs = endpoints.map(|(endpoint, transport)| Job {
        endpoint: Arc::clone(endpoint),
        rules: rules.clone(),
        question: Question::new(&running.pool, endpoint, transport, rules),
    });
    jobs.collect()
}
