//! The control socket: a Unix socket, for the user that the gateway runs as alone, over which
//! `witgate plugin status`, `promote` and `rollback` speak HTTP with a running gateway.

mod client;
mod plugins;

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path as InPath, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use tokio::{net::UnixListener, sync::oneshot, task::JoinHandle};

pub use client::{ClientError, promote, roll_back, status};
pub use plugins::{DifferenceView, PluginView, TrialView};

use crate::reload::{Command, CommandError, CommandSender, ReloadStatus};

/// How long a command may take: a version that is gone back to is compiled again.
const PATIENCE: Duration = Duration::from_secs(150);

/// The socket and its server; nobody is served once it is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Gateway {
    status: Arc<ReloadStatus>,
    commands: CommandSender,
}

impl ControlSocket {
    /// Listens at this path; a socket that is there already, as of a process that has ended or
    /// is being replaced, gives way.
    pub fn open(
        path: &Path,
        status: Arc<ReloadStatus>,
        commands: CommandSender,
    ) -> io::Result<Self> {
        // Under another name first, so that nobody can connect before it is only ours.
        let new = path.with_extension(format!("{}.new", std::process::id()));
        drop(fs::remove_file(&new));
        let listener = UnixListener::bind(&new)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
        fs::rename(&new, path)?;
        let routes = Router::new()
            .route("/plugins", get(show))
            .route("/plugins/{name}/promote", post(promoted))
            .route("/plugins/{name}/rollback", post(rolled_back))
            .with_state(Gateway { status, commands });
        tracing::info!(path = %path.display(), "control socket listening");
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                tracing::error!(%error, "the control socket has ended");
            }
        });
        Ok(Self {
            path: path.to_owned(),
            server,
        })
    }

    /// Takes the socket away, as the process ends and no other has taken its place.
    pub fn remove(&self) {
        drop(fs::remove_file(&self.path));
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn show(State(gateway): State<Gateway>) -> Json<Vec<PluginView>> {
    let plugins = gateway.status.plugins.all();
    Json(plugins.into_iter().map(PluginView::from).collect())
}

#[derive(Deserialize)]
struct Promoted {
    version: Option<String>,
}

async fn promoted(
    State(gateway): State<Gateway>,
    InPath(plugin): InPath<String>,
    Query(Promoted { version }): Query<Promoted>,
) -> Response {
    ask(&gateway, |answer| Command::Promote {
        plugin,
        version,
        answer,
    })
    .await
}

#[derive(Deserialize)]
struct Target {
    to: Option<String>,
}

async fn rolled_back(
    State(gateway): State<Gateway>,
    InPath(plugin): InPath<String>,
    Query(Target { to }): Query<Target>,
) -> Response {
    ask(&gateway, |answer| Command::RollBack { plugin, to, answer }).await
}

async fn ask(
    gateway: &Gateway,
    command: impl FnOnce(oneshot::Sender<Result<(), CommandError>>) -> Command,
) -> Response {
    let (answer, answered) = oneshot::channel();
    if gateway.commands.try_send(command(answer)).is_err() {
        let busy = "too many commands are waiting; try again";
        return (StatusCode::SERVICE_UNAVAILABLE, busy).into_response();
    }
    match tokio::time::timeout(PATIENCE, answered).await {
        Ok(Ok(Ok(()))) => StatusCode::NO_CONTENT.into_response(),
        Ok(Ok(Err(error))) => {
            let status = match &error {
                CommandError::Unknown(..) => StatusCode::NOT_FOUND,
                _ => StatusCode::CONFLICT,
            };
            (status, error.to_string()).into_response()
        }
        Ok(Err(_)) => (StatusCode::SERVICE_UNAVAILABLE, "the gateway is ending").into_response(),
        Err(_) => (StatusCode::GATEWAY_TIMEOUT, "it takes too long").into_response(),
    }
}
