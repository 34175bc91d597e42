//! The admin listener, on a loopback address: whether the process lives, whether it should get
//! traffic, and its numbers.

mod exposition;
mod pools;
mod readiness;

use std::sync::{Arc, OnceLock};

use axum::{
    Json, Router,
    extract::FromRequestParts,
    http::{StatusCode, header, request::Parts},
    response::IntoResponse,
    routing::get,
};
use tokio::{net::TcpListener, sync::watch};

use crate::{
    access_log, control::PluginView, log, names::LookupStatus, plugin::PluginEngine,
    reload::ReloadStatus, shutdown::Phase, snapshot::Snapshot,
};

/// What the admin listener tells about; nothing yet while the gateway starts.
pub type Shown = Arc<OnceLock<State>>;

/// What the admin listener tells about.
#[derive(Clone)]
pub struct State {
    /// What is in service.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Whether the process drains.
    pub phase: watch::Receiver<Phase>,
    /// How reloads went.
    pub reloads: Arc<ReloadStatus>,
    /// What plugins use.
    pub engine: PluginEngine,
    /// How name lookups went.
    pub lookups: Arc<LookupStatus>,
    /// What the access log could not write.
    pub lost_lines: access_log::LostLines,
    /// What the log could not write.
    pub lost_log_lines: log::LostLines,
}

/// Serves `/healthz`, `/readyz`, `/metrics`, `/pools` and `/plugins` until the process ends.
pub async fn serve(listener: TcpListener, shown: Shown) {
    let routes = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .route("/metrics", get(metrics))
        .route("/pools", get(pools))
        .route("/plugins", get(plugins))
        .with_state(shown);
    if let Err(error) = axum::serve(listener, routes).await {
        tracing::error!(%error, "the admin listener has ended");
    }
}

impl FromRequestParts<Shown> for State {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(_: &mut Parts, shown: &Shown) -> Result<Self, Self::Rejection> {
        let starting = (StatusCode::SERVICE_UNAVAILABLE, "starting\n");
        shown.get().cloned().ok_or(starting)
    }
}

async fn readiness(state: State) -> impl IntoResponse {
    readiness::answer(&state)
}

async fn metrics(state: State) -> impl IntoResponse {
    let snapshot = Arc::clone(&state.snapshots.borrow());
    match exposition::text(&snapshot, &state) {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn pools(state: State) -> impl IntoResponse {
    let snapshot = Arc::clone(&state.snapshots.borrow());
    match pools::json(&snapshot) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn plugins(state: State) -> impl IntoResponse {
    let plugins = state.reloads.plugins.all().into_iter();
    let views = plugins.map(|plugin| PluginView::from(plugin).without_requests());
    Json(views.collect::<Vec<_>>())
}
