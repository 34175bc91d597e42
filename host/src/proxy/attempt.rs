//! One try of a request on one connection: sent, the head of its answer awaited, and what a
//! failure says of the next one.

use std::{
    cell::RefCell,
    pin::pin,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{
    HeaderValue, StatusCode, Uri, Version,
    header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
    uri::{self, Authority, PathAndQuery, Scheme},
};
use hyper::body::Body as _;
use tokio::time::timeout;

use super::{
    Exchange,
    trace::{self, What},
};
use crate::{
    error::UpstreamError,
    headers,
    local::LocalPool,
    upstream::{Connection, Incoming, NoAnswer, OnInterim, Past, RequestBody, Source, Upload},
};

/// The body, which each try sends from its start.
pub(super) struct Sending {
    pub(super) upload: Rc<Upload>,
    /// None without a body.
    pub(super) source: Option<Rc<RefCell<Source>>>,
    /// Whether it may be sent a second time although a first may have arrived
    /// (RFC 9110 §9.2.2).
    pub(super) idempotent: bool,
    /// How long the client may be silent.
    pub(super) idle: Duration,
    /// Bytes that it sends each second while it is waited for.
    pub(super) min_rate: u64,
}

impl Sending {
    /// Whether the body is still there from its start.
    pub(super) fn is_replayable(&self) -> bool {
        let source = self.source.as_ref();
        source.is_none_or(|source| source.borrow().is_replayable())
            && self.upload.error.borrow().is_none()
    }

    /// Whether the request may be sent again although it may have arrived.
    pub(super) fn is_repeatable(&self) -> bool {
        self.idempotent && self.is_replayable()
    }

    fn body(&self) -> RequestBody {
        let upload = Rc::clone(&self.upload);
        RequestBody::new(self.source.as_ref(), self.idle, self.min_rate, upload)
    }
}

/// Why an attempt failed, and what that allows.
pub(super) struct Failed {
    pub(super) error: UpstreamError,
    pub(super) next: Next,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The endpoint has all that it may have; another may have room.
    Room,
    /// Nothing of the request was sent, and this endpoint will not do.
    OtherEndpoint,
    /// Nothing of it was acted on: the other side had closed the connection, or takes no more
    /// requests on it; a new one may do.
    NewConnection,
    /// The request may have been acted on, or has met the end of an idle connection: if it is
    /// idempotent, a new connection may do.
    Raced,
    /// The request may have been acted on; if it is idempotent, it may be sent again.
    Repeat,
    /// It would fail again.
    GiveUp,
}

impl Exchange<'_> {
    pub(super) async fn attempt(
        &mut self,
        local: &LocalPool,
        index: usize,
        mut connection: Connection,
        sending: &Sending,
        now: Instant,
    ) -> Result<(http::Response<Incoming>, Connection), Failed> {
        if let Some(endpoint) = local.running.pool.endpoints.get(index) {
            endpoint.counters.of(self.record.worker()).requests.add(1);
        }
        // Connecting has its own deadlines; the wait for the answer begins here.
        sending.upload.last.set(now);
        let version = connection.version();
        self.record.speaks(version);
        let request = self.upstream_request(local, index, sending, version);
        let interim = self.record.interim();
        let limit = local.running.pool.timeouts.first_byte;
        let past = connection.past;
        let since = self.record.begin_span();
        let answered = answer_of(&mut connection, request, interim, &sending.upload, limit).await;
        let what = || What::FirstByte(trace::endpoint(&local.running.pool, index));
        self.record.end_span(since, what, outcome_of(&answered));
        let failed = match answered {
            Ok(response) => return self.judged(response, connection),
            Err(NoAnswer::Unsent) => Failed {
                error: UpstreamError::Closed,
                next: next_connection(past),
            },
            Err(NoAnswer::Refused(error)) => Failed {
                error,
                next: match sending.is_replayable() {
                    true => next_connection(past),
                    false => Next::GiveUp,
                },
            },
            Err(NoAnswer::Failed(error)) => {
                if matches!(error, UpstreamError::FirstByteTimeout(_)) {
                    connection.was_late();
                }
                let closed = matches!(error, UpstreamError::Closed);
                let raced = closed && connection.may_have_raced();
                let next = if raced { Next::Raced } else { Next::Repeat };
                Failed { error, next }
            }
        };
        Err(failed)
    }

    /// Whether an answer can be passed on.
    fn judged(
        &self,
        response: http::Response<Incoming>,
        mut connection: Connection,
    ) -> Result<(http::Response<Incoming>, Connection), Failed> {
        let problem = match framing(&response) {
            _ if response.status().is_informational() => match self.switches(&response) {
                Ok(()) => return Ok((response, connection)),
                Err(problem) => problem,
            },
            Framing::Plain if self.upgrade.is_none() => return Ok((response, connection)),
            // Nor is a connection that was to become a tunnel used for anything else.
            Framing::Plain | Framing::Doubtful => {
                connection.retire();
                return Ok((response, connection));
            }
            Framing::Unknown => "a transfer coding that is not `chunked`".to_owned(),
        };
        Err(Failed {
            error: UpstreamError::Invalid(problem),
            next: Next::GiveUp,
        })
    }

    /// Whether a 1xx is the 101 that was asked for; hyper passes over the others.
    fn switches(&self, response: &http::Response<Incoming>) -> Result<(), String> {
        match self.upgrade {
            Some(upgrade) => upgrade
                .agreed(response.headers())
                .map(drop)
                .map_err(str::to_owned),
            None => Err(format!("status {} was not asked for", response.status())),
        }
    }

    /// The protocol that an answer switches to, if it does.
    pub(super) fn agreed(&self, response: &http::Response<Incoming>) -> Option<String> {
        let is_switch = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let upgrade = self.upgrade.filter(|_| is_switch)?;
        upgrade.agreed(response.headers()).ok()
    }

    /// The request as it goes on the wire: over HTTP/1.1 in origin form with the authority as
    /// `Host`, over HTTP/2 with the authority in its own place (RFC 9113 §8.3.1).
    fn upstream_request(
        &self,
        local: &LocalPool,
        index: usize,
        sending: &Sending,
        version: Version,
    ) -> http::Request<RequestBody> {
        let head = &self.request.head;
        let mut request = http::Request::new(sending.body());
        *request.method_mut() = head.method.clone();
        *request.version_mut() = version;
        *request.headers_mut() = head.headers.clone();
        let target = head.uri.path_and_query().cloned();
        let target = target.unwrap_or(PathAndQuery::from_static("/"));
        let pool = &local.running.pool;
        let authority = pool.authority.as_ref().unwrap_or(&self.request.authority);
        if version == Version::HTTP_2 {
            let transport = local.running.transports.get(index);
            let is_tls = transport.is_some_and(|transport| transport.tls.is_some());
            *request.uri_mut() = absolute(is_tls, authority, target);
            return request;
        }
        *request.uri_mut() = target.into();
        if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
            request.headers_mut().insert(HOST, host);
        }
        if !request.body().is_end_stream() && !request.headers().contains_key(CONTENT_LENGTH) {
            // Said aloud, since a GET of unknown length is taken to have no body.
            let chunked = HeaderValue::from_static("chunked");
            request.headers_mut().insert(TRANSFER_ENCODING, chunked);
        }
        if let Some(upgrade) = self.upgrade {
            upgrade.ask(request.headers_mut());
        }
        request
    }
}

/// The whole target, for HTTP/2.
pub(super) fn absolute(is_tls: bool, authority: &Authority, target: PathAndQuery) -> Uri {
    let mut parts = uri::Parts::default();
    parts.scheme = Some(match is_tls {
        true => Scheme::HTTPS,
        false => Scheme::HTTP,
    });
    parts.authority = Some(authority.clone());
    parts.path_and_query = Some(target);
    Uri::from_parts(parts).expect("it has all three parts")
}

/// How sure it is where an answer ends.
pub(super) enum Framing {
    Plain,
    /// Both a length and a transfer coding: the coding counts, and the connection carries
    /// nothing more (RFC 9112 §6.1).
    Doubtful,
    /// A coding that the gateway would have to undo.
    Unknown,
}

/// How an answer says where it ends.
pub(super) fn framing(response: &http::Response<Incoming>) -> Framing {
    let headers = response.headers();
    match headers::is_chunked_alone(headers) {
        None => Framing::Plain,
        Some(false) => Framing::Unknown,
        Some(true) if headers.contains_key(CONTENT_LENGTH) => Framing::Doubtful,
        Some(true) => Framing::Plain,
    }
}

/// The status, or why there is none.
fn outcome_of(answered: &Result<http::Response<Incoming>, NoAnswer>) -> trace::Outcome {
    match answered {
        Ok(response) => trace::Outcome::Status(response.status().as_u16()),
        Err(NoAnswer::Unsent) => trace::Outcome::Word("unsent"),
        Err(NoAnswer::Refused(error) | NoAnswer::Failed(error)) => {
            trace::Outcome::Word(error.cause().token())
        }
    }
}

/// A connection that was new and did not take the request will not do better next time.
fn next_connection(past: Past) -> Next {
    match past {
        Past::New => Next::OtherEndpoint,
        Past::Idle | Past::Busy => Next::NewConnection,
    }
}

/// Sends, and waits for the head of the answer for at most `limit` after the last byte of the
/// request that the upstream took, or that the client has yet to send.
async fn answer_of(
    connection: &mut Connection,
    request: http::Request<RequestBody>,
    interim: Option<&Arc<dyn OnInterim>>,
    upload: &Upload,
    limit: Duration,
) -> Result<http::Response<Incoming>, NoAnswer> {
    let mut answer = pin!(connection.send(request, interim));
    loop {
        let spent = upload.last.get().elapsed();
        match timeout(limit.saturating_sub(spent), &mut answer).await {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(error)) => return Err(error),
            // The client is slow, not the upstream; the body's own deadline sees to it.
            Err(_) if upload.starved.get() => upload.last.set(Instant::now()),
            Err(_) if upload.last.get().elapsed() < limit => {}
            Err(_) => return Err(NoAnswer::Failed(UpstreamError::FirstByteTimeout(limit))),
        }
    }
}
