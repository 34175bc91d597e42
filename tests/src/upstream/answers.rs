//! What a well-behaved upstream answers, by path; any path not named here is echoed.
//!
//! `/bytes/N` streams N bytes · `/count` says how many bytes the body had · `/slow/MS` echoes
//! after a pause · `/hold` echoes once released · `/hang` never answers · `/status/N` ·
//! `/trailers`, `/chunked`, `/cookies`, `/hop-by-hop` have a message of that kind · `/cut/N`
//! promises N bytes, sends half and closes · `representations` has more.

use std::{io, sync::Arc, sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header,
};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Frame, Incoming};
use serde::{Deserialize, Serialize};

use super::{Manner, State, representations};
use crate::body::{self, Body};

/// A request as the upstream saw it; the body of an echo.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Echo {
    /// The upstream's own name.
    pub upstream: String,
    /// The method.
    pub method: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
    /// The host that was asked for, and its port.
    pub authority: String,
    /// Path and query, as received.
    pub target: String,
    /// All fields, those of one name in the order received; what is not UTF-8 is replaced.
    pub headers: Vec<(String, String)>,
    /// The body's trailer fields.
    pub trailers: Vec<(String, String)>,
    /// Bytes of the body.
    pub bytes: u64,
}

impl Echo {
    /// The value of the first field of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// The values of all fields of this name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(n, _)| n == name);
        named.map(|(_, value)| value.as_str()).collect()
    }
}

type Answer = io::Result<Response<Body>>;

pub(super) async fn answer(request: Request<Incoming>, state: Arc<State>) -> Answer {
    let is_bare = request.method() == Method::HEAD && request.version() == Version::HTTP_2;
    let answer = answer_path(request, state).await?;
    Ok(if is_bare {
        without_body(answer)
    } else {
        answer
    })
}

/// The library leaves the body of an answer to HEAD away over HTTP/1.1 alone.
fn without_body(answer: Response<Body>) -> Response<Body> {
    let (mut head, body) = answer.into_parts();
    if let Some(length) = body.size_hint().exact() {
        head.headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Response::from_parts(head, body::empty())
}

async fn answer_path(request: Request<Incoming>, state: Arc<State>) -> Answer {
    state.seen.requests.fetch_add(1, Ordering::Relaxed);
    let path = request.uri().path().to_owned();
    let (kind, number) = path.rsplit_once('/').unwrap_or(("", ""));
    match (kind, number.parse::<u64>().ok()) {
        ("/bytes", Some(length)) => Ok(Response::new(body::zeros(length))),
        ("/cut", Some(length)) => cut(length),
        ("/status", Some(status)) => bare(status),
        ("/redirect", Some(status)) => representations::redirect(status),
        ("/slow", Some(ms)) => slow(request, &state, ms).await,
        _ => answer_word(&path, request, &state).await,
    }
}

async fn answer_word(path: &str, request: Request<Incoming>, state: &State) -> Answer {
    match path {
        "/count" => count(request).await,
        "/gzip" => Ok(representations::gzip()),
        "/hold" => hold(request, state).await,
        "/letters" => Ok(representations::letters(&request)),
        "/mirror" => Ok(representations::mirror(request)),
        "/hang" => std::future::pending().await,
        "/trailers" => Ok(trailers()),
        "/chunked" => Ok(chunked()),
        "/cookies" => Ok(with(&[
            ("set-cookie", "a=1; Path=/"),
            ("set-cookie", "b=2; Path=/"),
        ])),
        "/hop-by-hop" => Ok(hop_by_hop()),
        _ => echo(request, state).await,
    }
}

async fn echo(request: Request<Incoming>, state: &State) -> Answer {
    let (head, body) = request.into_parts();
    let (bytes, trailers) = drain(body).await?;
    let echo = Echo {
        upstream: state.name.clone(),
        method: head.method.to_string(),
        version: format!("{:?}", head.version),
        authority: authority(&head),
        target: head
            .uri
            .path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default(),
        headers: list(&head.headers),
        trailers: list(&trailers),
        bytes,
    };
    match state.manner {
        Manner::Words => Ok(representations::words(&echo)),
        _ => json(&echo),
    }
}

fn authority(head: &http::request::Parts) -> String {
    match (head.uri.authority(), head.headers.get(header::HOST)) {
        (Some(authority), _) => authority.to_string(),
        (None, Some(host)) => String::from_utf8_lossy(host.as_bytes()).into_owned(),
        (None, None) => String::new(),
    }
}

async fn slow(request: Request<Incoming>, state: &State, ms: u64) -> Answer {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    echo(request, state).await
}

async fn hold(request: Request<Incoming>, state: &State) -> Answer {
    state
        .held
        .acquire()
        .await
        .map_err(io::Error::other)?
        .forget();
    echo(request, state).await
}

async fn count(request: Request<Incoming>) -> Answer {
    let (bytes, _) = drain(request.into_body()).await?;
    json(&serde_json::json!({ "bytes": bytes }))
}

async fn drain(mut body: Incoming) -> io::Result<(u64, HeaderMap)> {
    let (mut bytes, mut trailers) = (0, HeaderMap::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(io::Error::other)?;
        match frame.into_data() {
            Ok(data) => bytes += data.len() as u64,
            Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
        }
    }
    Ok((bytes, trailers))
}

fn json(value: &impl Serialize) -> Answer {
    let mut response = Response::new(body::full(serde_json::to_vec(value)?));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}

fn bare(status: u64) -> Answer {
    let mut response = Response::new(body::empty());
    let status = u16::try_from(status).map_err(io::Error::other)?;
    *response.status_mut() = StatusCode::from_u16(status).map_err(io::Error::other)?;
    Ok(response)
}

fn with(fields: &[(&'static str, &'static str)]) -> Response<Body> {
    let mut response = Response::new(body::full("with fields\n"));
    for (name, value) in fields {
        let value = HeaderValue::from_static(value);
        response
            .headers_mut()
            .append(HeaderName::from_static(name), value);
    }
    response
}

fn hop_by_hop() -> Response<Body> {
    with(&[
        ("connection", "x-private"),
        ("connection", "X-Other"),
        ("x-private", "for one hop"),
        ("x-other", "for one hop"),
        ("proxy-connection", "keep-alive"),
        ("keep-alive", "timeout=5"),
        ("x-kept", "to the end"),
    ])
}

fn chunked() -> Response<Body> {
    let parts = ["one ", "two ", "three\n"];
    let frames = parts.map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes()))));
    Response::new(body::frames(frames.into()))
}

fn trailers() -> Response<Body> {
    let mut fields = HeaderMap::new();
    fields.insert("x-checksum", HeaderValue::from_static("abc"));
    let frames = vec![
        Ok(Frame::data(Bytes::from_static(b"with trailers\n"))),
        Ok(Frame::trailers(fields)),
    ];
    let mut response = Response::new(body::frames(frames));
    let names = HeaderValue::from_static("x-checksum");
    response.headers_mut().insert(header::TRAILER, names);
    response
}

fn cut(length: u64) -> Answer {
    let half = usize::try_from(length / 2).map_err(io::Error::other)?;
    let frames = vec![
        Ok(Frame::data(Bytes::from(vec![0; half]))),
        Err(io::Error::other("cut as asked")),
    ];
    let mut response = Response::new(body::frames(frames));
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length.into());
    Ok(response)
}

fn list(fields: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    fields
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect()
}
