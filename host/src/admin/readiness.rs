//! `/readyz`: whether the gateway should get connections, and what an operator should know
//! besides. Only what another gateway would do better makes it not ready: a refused reload leaves
//! the last good configuration in service, and endpoints that fail here fail for others too.

use std::time::Instant;

use axum::http::StatusCode;

use super::State;
use crate::{shutdown::Phase, snapshot::Snapshot};

/// 200 while connections are welcome, 503 from the first signal to end. Its first line is one
/// word; each further line tells of something that is not as it should be.
pub(super) fn answer(state: &State) -> (StatusCode, String) {
    let (status, word) = match *state.phase.borrow() {
        Phase::Serve => (StatusCode::OK, "ready"),
        Phase::Leave | Phase::Drain | Phase::Stop => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
    };
    let mut text = format!("{word}\n");
    if state.reloads.is_refused() {
        text.push_str("the last reload was refused: the log says why\n");
    }
    for pool in without_endpoint(&state.snapshots.borrow()) {
        text.push_str(&format!("pool {pool} has no available endpoint\n"));
    }
    (status, text)
}

fn without_endpoint(snapshot: &Snapshot) -> Vec<String> {
    let now = Instant::now();
    let pools = snapshot.pools.iter().map(|running| &running.pool);
    let without = pools.filter(|pool| {
        let mut places = 0..pool.endpoints.len();
        !places.any(|place| pool.is_available(place, now))
    });
    without.map(|pool| pool.name.clone()).collect()
}
