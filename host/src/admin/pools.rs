//! `/pools`: each pool's endpoints as operators want to see them, JSON.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Instant, SystemTime},
};

use serde::Serialize;

use crate::{
    pool::{Drain, EndpointState, Pool},
    snapshot::Snapshot,
};

#[derive(Serialize)]
struct PoolView<'a> {
    /// Names without an address.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    unresolved: &'a [String],
    endpoints: Vec<EndpointView<'a>>,
}

#[derive(Serialize)]
struct EndpointView<'a> {
    id: &'a str,
    address: SocketAddr,
    weight: u16,
    state: &'static str,
    /// Whether it may be chosen for a request of a session that sticks to it.
    available: bool,
    /// Why it is in this state; absent where nothing is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Since when, UTC; absent for what has been so from the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    requests_running: u64,
    ejections: u64,
}

/// All pools by name, indented.
pub(super) fn json(snapshot: &Snapshot) -> Result<String, serde_json::Error> {
    let now = Instant::now();
    let pools = snapshot.pools.iter().map(|running| {
        let pool = &running.pool;
        let endpoints = (0..pool.endpoints.len()).filter_map(|index| view(pool, index, now));
        let endpoints = endpoints.collect();
        let unresolved = &pool.unresolved;
        (
            pool.name.as_str(),
            PoolView {
                unresolved,
                endpoints,
            },
        )
    });
    let pools: BTreeMap<_, _> = pools.collect();
    serde_json::to_string_pretty(&pools).map(|text| text + "\n")
}

fn view(pool: &Pool, index: usize, now: Instant) -> Option<EndpointView<'_>> {
    let endpoint = pool.endpoints.get(index)?;
    let key = &endpoint.key;
    let state = pool.state(index, now);
    let (cause, detail, since) = why(pool, index, state, now);
    Some(EndpointView {
        id: &key.id,
        address: key.address,
        weight: pool.weights.get(index).copied().unwrap_or(0),
        state: state.token(),
        available: pool.is_available(index, now),
        cause,
        detail: detail.filter(|detail| !detail.is_empty()),
        since: since.map(|since| humantime::format_rfc3339_seconds(since).to_string()),
        requests_running: endpoint.running(),
        ejections: endpoint.health.ejections(),
    })
}

type Why = (Option<&'static str>, Option<String>, Option<SystemTime>);

fn why(pool: &Pool, index: usize, state: EndpointState, now: Instant) -> Why {
    let health = pool.endpoints.get(index).map(|endpoint| &endpoint.health);
    match state {
        EndpointState::Draining => match pool.drains.get(index) {
            Some(Drain::Leaves(until)) => {
                let left = until.saturating_duration_since(now).as_secs();
                (Some("removed"), Some(format!("leaves in {left} s")), None)
            }
            _ => (Some("drain"), None, None),
        },
        EndpointState::Ejected => {
            let Some((passed, left)) = health.and_then(|health| health.ejected(now)) else {
                return (None, None, None);
            };
            let detail = format!("for {} s more", left.as_secs());
            let since = SystemTime::now().checked_sub(passed);
            (Some("ejected"), Some(detail), since)
        }
        EndpointState::Healthy | EndpointState::Unhealthy | EndpointState::Unprobed => {
            match health.and_then(|health| health.verdict()) {
                Some(verdict) => {
                    let cause = (state == EndpointState::Unhealthy).then_some(verdict.cause);
                    (cause, Some(verdict.detail), Some(verdict.since))
                }
                None => (None, None, None),
            }
        }
    }
}
