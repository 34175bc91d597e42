//! The other end of the control socket: what the command line asks a running gateway.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::PluginView;

/// How long an answer may take; longer than the gateway takes for it.
const PATIENCE: Duration = Duration::from_secs(160);

/// Why a gateway did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error("no gateway listens at {0}")]
    Connect(PathBuf, #[source] io::Error),
    /// It does not speak the language.
    #[error("what listens at {0} is no gateway of this version")]
    Protocol(PathBuf, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// It does not answer.
    #[error("the gateway at {0} has not answered within {PATIENCE:?}")]
    Silent(PathBuf),
    /// It says no.
    #[error("{0}")]
    Refused(String),
}

/// All plugins and their versions.
///
/// # Errors
/// No gateway answers there.
pub fn status(socket: &Path) -> Result<Vec<PluginView>, ClientError> {
    let body = ask(socket, Method::GET, "/plugins")?;
    serde_json::from_slice(&body)
        .map_err(|error| ClientError::Protocol(socket.to_owned(), error.into()))
}

/// Takes the version of a plugin that is on trial into service, or one that was rolled back, when
/// it is named.
///
/// # Errors
/// No gateway answers there, or there is no such version.
pub fn promote(socket: &Path, plugin: &str, version: Option<&str>) -> Result<(), ClientError> {
    let mut target = format!("/plugins/{}/promote", escaped(plugin));
    if let Some(version) = version {
        target.push_str(&format!("?version={}", escaped(version)));
    }
    ask(socket, Method::POST, &target).map(drop)
}

/// Gives up the version on trial; without one, goes back to an earlier one.
///
/// # Errors
/// No gateway answers there, or there is no such version.
pub fn roll_back(socket: &Path, plugin: &str, to: Option<&str>) -> Result<(), ClientError> {
    let mut target = format!("/plugins/{}/rollback", escaped(plugin));
    if let Some(to) = to {
        target.push_str(&format!("?to={}", escaped(to)));
    }
    ask(socket, Method::POST, &target).map(drop)
}

fn ask(socket: &Path, method: Method, target: &str) -> Result<Bytes, ClientError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| ClientError::Connect(socket.to_owned(), error))?;
    let asked = async { tokio::time::timeout(PATIENCE, exchange(socket, method, target)).await };
    runtime
        .block_on(asked)
        .unwrap_or_else(|_| Err(ClientError::Silent(socket.to_owned())))
}

async fn exchange(socket: &Path, method: Method, target: &str) -> Result<Bytes, ClientError> {
    let wrong = |error: Box<dyn std::error::Error + Send + Sync>| {
        ClientError::Protocol(socket.to_owned(), error)
    };
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|error| ClientError::Connect(socket.to_owned(), error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| wrong(error.into()))?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header(http::header::HOST, "localhost")
        .body(Empty::<Bytes>::new())
        .map_err(|error| wrong(error.into()))?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| wrong(error.into()))?;
    let status = response.status();
    let body = response.into_body().collect().await;
    let body = body.map_err(|error| wrong(error.into()))?.to_bytes();
    match status {
        StatusCode::OK | StatusCode::NO_CONTENT => Ok(body),
        _ => Err(ClientError::Refused(
            String::from_utf8_lossy(&body).into_owned(),
        )),
    }
}

/// A name in a target (RFC 3986 §2.1).
fn escaped(name: &str) -> String {
    let bytes = name.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    });
    bytes.collect()
}
