//! The admin listener, on a loopback address: whether the process lives, whether it should get
//! traffic, and its numbers.

mod exposition;
mod pools;

use std::sync::Arc;

use axum::{
    Router, extract,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use tokio::{net::TcpListener, sync::watch};

use crate::{
    access_log, names::LookupStatus, reload::ReloadStatus, shutdown::Phase, snapshot::Snapshot,
};

/// What the admin listener tells about.
#[derive(Clone)]
pub struct State {
    /// What is in service.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Whether the process drains.
    pub phase: watch::Receiver<Phase>,
    /// How reloads went.
    pub reloads: Arc<ReloadStatus>,
    /// How name lookups went.
    pub lookups: Arc<LookupStatus>,
    /// What the access log could not write.
    pub lost_lines: access_log::LostLines,
}

/// Serves `/healthz`, `/readyz`, `/metrics` and `/pools` until the process ends.
pub async fn serve(listener: TcpListener, state: State) {
    let routes = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .route("/metrics", get(metrics))
        .route("/pools", get(pools))
        .with_state(state);
    if let Err(error) = axum::serve(listener, routes).await {
        tracing::error!(%error, "the admin listener has ended");
    }
}

/// 200 while new connections are welcome, 503 from the start of a drain.
async fn readiness(extract::State(state): extract::State<State>) -> impl IntoResponse {
    match *state.phase.borrow() {
        Phase::Serve => (StatusCode::OK, "ready\n"),
        Phase::Drain | Phase::Stop => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    }
}

async fn metrics(extract::State(state): extract::State<State>) -> impl IntoResponse {
    let snapshot = Arc::clone(&state.snapshots.borrow());
    match exposition::text(&snapshot, &state) {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn pools(extract::State(state): extract::State<State>) -> impl IntoResponse {
    let snapshot = Arc::clone(&state.snapshots.borrow());
    match pools::json(&snapshot) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
