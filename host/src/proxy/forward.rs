//! Sending a request upstream: an endpoint is chosen, a connection taken or opened, and the
//! answer awaited. Tried again only where that cannot do a thing twice.

use std::{
    pin::pin,
    rc::Rc,
    time::{Duration, Instant},
};

use http::{
    HeaderValue,
    header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
    response,
    uri::PathAndQuery,
};
use hyper::{body::Body as _, body::Incoming, client::conn::TrySendError};
use rustls_pki_types::ServerName;
use tokio::time::timeout;

use super::{Exchange, admit::permit};
use crate::{
    config::ServerNameFrom,
    error::{GatewayError, UpstreamError},
    headers,
    local::LocalPool,
    plugin::Outcome,
    pool::{Choice, Endpoint, Pool, Wanted},
    tls,
    upstream::{self, BodyError, Connection, RequestBody, ResponseBody, Transport, Upload},
};

/// Endpoints that one request may be tried on.
const MAX_ENDPOINTS: usize = 3;

/// An upstream's answer; its body is still to come.
pub(super) struct Answer {
    pub(super) head: response::Parts,
    pub(super) body: ResponseBody,
    /// Who gave it, by place in the pool.
    pub(super) endpoint: usize,
    /// How that relates to what affinity wanted.
    pub(super) outcome: Outcome,
}

/// The body, until it is on its way.
struct Sending {
    upload: Rc<Upload>,
    body: Option<RequestBody>,
    /// Whether the request may be sent a second time although a first may have arrived
    /// (RFC 9110 §9.2.2).
    repeatable: bool,
    /// How long the client may be silent.
    idle: Duration,
}

/// Why an attempt failed, and what that allows.
struct Failed {
    error: UpstreamError,
    next: Next,
}

enum Next {
    /// Nothing of the request was sent, and this endpoint will not do.
    OtherEndpoint,
    /// An idle connection had been closed by the other side; a new one may do.
    NewConnection,
    /// The request may have been acted on.
    GiveUp,
}

impl Exchange<'_> {
    pub(super) async fn forward(
        &mut self,
        pool: usize,
        wanted: Wanted,
        body: Incoming,
    ) -> Result<Answer, GatewayError> {
        let snapshot = Rc::clone(&self.snapshot);
        let local = snapshot.pools.get(pool).ok_or(GatewayError::NoRoute)?;
        let name = self.server_name(local)?;
        let mut sending = self.sending(body);
        let mut tried = Vec::new();
        let mut last_error = None;
        self.record.pool(pool);
        while tried.len() < MAX_ENDPOINTS {
            let choice = local
                .balancer
                .choose(&local.running.pool, wanted, &tried, Instant::now());
            let Some(choice) = choice else { break };
            match self.try_endpoint(local, choice, &name, &mut sending).await {
                Ok((response, connection)) => {
                    let upload = Rc::clone(&sending.upload);
                    return Ok(self.answer(local, choice, wanted, response, connection, upload));
                }
                Err(failed) => {
                    let error = self.failure(local, choice.index, failed.error, &sending);
                    if !matches!(failed.next, Next::OtherEndpoint) {
                        return Err(error);
                    }
                    last_error = Some(error);
                }
            }
            tried.push(choice.index);
        }
        Err(last_error.unwrap_or_else(|| no_endpoint(&local.running.pool)))
    }

    fn sending(&mut self, body: Incoming) -> Sending {
        let upload = Upload::new(Instant::now(), self.body_bytes);
        self.record.upload(Rc::clone(&upload));
        let idle = self.snapshot.shared.config.timeouts.body_idle;
        let method = &self.request.head.method;
        Sending {
            repeatable: body.is_end_stream() && method.is_idempotent(),
            body: Some(RequestBody::new(Some(body), idle, Rc::clone(&upload))),
            upload,
            idle,
        }
    }

    /// One endpoint, with an idle connection and then, where that had died, with a new one.
    async fn try_endpoint(
        &mut self,
        local: &LocalPool,
        choice: Choice,
        name: &upstream::Name,
        sending: &mut Sending,
    ) -> Result<(http::Response<Incoming>, Connection), Failed> {
        self.record.attempt(choice.index);
        self.admit(local, choice.index).await.map_err(no_room)?;
        let idle = local
            .idle
            .get(choice.index)
            .and_then(|idle| idle.take(name, Instant::now()));
        if let Some(connection) = idle {
            match self.attempt(local, choice.index, connection, sending).await {
                Err(Failed {
                    next: Next::NewConnection,
                    ..
                }) => {}
                done => return done,
            }
        }
        let connection = self.connect(local, choice.index, name).await?;
        self.attempt(local, choice.index, connection, sending).await
    }

    /// The name for the endpoint's TLS, where it is the request's own: that of the host which
    /// the endpoint is asked for.
    fn server_name(&self, local: &LocalPool) -> Result<upstream::Name, GatewayError> {
        let running = &local.running;
        let is_tls = matches!(running.transports.first(), Some(Transport::Tls(..)));
        if running.server_name_from == ServerNameFrom::Configuration || !is_tls {
            return Ok(None);
        }
        let host = match &running.pool.authority {
            Some(authority) => authority.host().trim_matches(['[', ']']),
            None => self.request.host(),
        };
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let name = ServerName::try_from(host);
        name.map(Some)
            .map_err(|_| GatewayError::BadRequest("the host is no name that TLS can ask for"))
    }

    async fn connect(
        &mut self,
        local: &LocalPool,
        index: usize,
        name: &upstream::Name,
    ) -> Result<Connection, Failed> {
        let pool = &local.running.pool;
        let parts = (
            pool.endpoints.get(index),
            local.running.transports.get(index),
            local.idle.get(index),
        );
        let (Some(endpoint), Some(transport), Some(home)) = parts else {
            return Err(Failed {
                error: UpstreamError::Closed,
                next: Next::OtherEndpoint,
            });
        };
        let permit = permit(local, index).await.map_err(no_room)?;
        endpoint
            .counters
            .of(self.record.worker())
            .connections
            .add(1);
        match upstream::connect(
            endpoint.key.address,
            transport,
            name,
            &pool.timeouts,
            home,
            permit,
        )
        .await
        {
            Ok(connection) => {
                pool.reached(index);
                Ok(connection)
            }
            Err(error @ UpstreamError::Exhausted(_)) => Err(Failed {
                error,
                next: Next::GiveUp,
            }),
            Err(error) => Err(Failed {
                error,
                next: Next::OtherEndpoint,
            }),
        }
    }

    async fn attempt(
        &mut self,
        local: &LocalPool,
        index: usize,
        mut connection: Connection,
        sending: &mut Sending,
    ) -> Result<(http::Response<Incoming>, Connection), Failed> {
        if let Some(endpoint) = local.running.pool.endpoints.get(index) {
            endpoint.counters.of(self.record.worker()).requests.add(1);
        }
        // Connecting has its own deadlines; the wait for the answer begins here.
        sending.upload.last.set(Instant::now());
        let request = self.upstream_request(local, sending);
        let limit = local.running.pool.timeouts.first_byte;
        let reused = connection.reused;
        match answer_of(&mut connection, request, &sending.upload, limit).await {
            Ok(response) if response.status().is_informational() => Err(Failed {
                error: UpstreamError::Invalid(format!(
                    "status {} was not asked for",
                    response.status()
                )),
                next: Next::GiveUp,
            }),
            Ok(response) => match framing(&response) {
                Framing::Plain => Ok((response, connection)),
                Framing::Doubtful => {
                    connection.retire();
                    Ok((response, connection))
                }
                Framing::Unknown => Err(Failed {
                    error: UpstreamError::Invalid(
                        "a transfer coding that is not `chunked`".to_owned(),
                    ),
                    next: Next::GiveUp,
                }),
            },
            Err(NoAnswer::Unsent(body)) => {
                sending.body = Some(body);
                Err(Failed {
                    error: UpstreamError::Closed,
                    next: next_connection(reused),
                })
            }
            Err(NoAnswer::Failed(error)) => {
                let raced = reused && sending.repeatable && matches!(error, UpstreamError::Closed);
                Err(Failed {
                    error,
                    next: if raced {
                        Next::NewConnection
                    } else {
                        Next::GiveUp
                    },
                })
            }
        }
    }

    /// The request as it goes on the wire: origin form, the authority as `Host`.
    fn upstream_request(
        &self,
        local: &LocalPool,
        sending: &mut Sending,
    ) -> http::Request<RequestBody> {
        let head = &self.request.head;
        let body = sending.body.take();
        let body = body
            .unwrap_or_else(|| RequestBody::new(None, sending.idle, Rc::clone(&sending.upload)));
        let mut request = http::Request::new(body);
        *request.method_mut() = head.method.clone();
        let target = head
            .uri
            .path_and_query()
            .cloned()
            .unwrap_or(PathAndQuery::from_static("/"));
        *request.uri_mut() = target.into();
        *request.headers_mut() = head.headers.clone();
        let authority = local
            .running
            .pool
            .authority
            .as_ref()
            .unwrap_or(&self.request.authority);
        if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
            request.headers_mut().insert(HOST, host);
        }
        if !request.body().is_end_stream() && !request.headers().contains_key(CONTENT_LENGTH) {
            // Said aloud, since a GET of unknown length is taken to have no body.
            let chunked = HeaderValue::from_static("chunked");
            request.headers_mut().insert(TRANSFER_ENCODING, chunked);
        }
        request
    }

    fn answer(
        &mut self,
        local: &LocalPool,
        choice: Choice,
        wanted: Wanted,
        response: http::Response<Incoming>,
        connection: Connection,
        upload: Rc<Upload>,
    ) -> Answer {
        let (head, body) = response.into_parts();
        let outcome = match (wanted, choice.as_wanted) {
            (Wanted::Any | Wanted::Key(_), _) => Outcome::Balanced,
            (_, true) => Outcome::Honoured,
            (_, false) => Outcome::Moved,
        };
        let status = head.status.as_u16();
        local
            .running
            .pool
            .answered(choice.index, status, Instant::now());
        self.record
            .answered(local.affinity.is_some().then_some(outcome));
        let idle = self.snapshot.shared.config.timeouts.body_idle;
        Answer {
            head,
            body: ResponseBody::new(body, idle, connection, upload),
            endpoint: choice.index,
            outcome,
        }
    }

    /// What a failed attempt means for the request; told at the default log level.
    fn failure(
        &mut self,
        local: &LocalPool,
        index: usize,
        error: UpstreamError,
        sending: &Sending,
    ) -> GatewayError {
        if let Some(error) = sending.upload.error.take() {
            return match error {
                BodyError::TooLarge(limit) => GatewayError::BodyTooLarge { limit },
                BodyError::Idle(limit) => GatewayError::RequestBodyTimeout(limit),
                BodyError::Read(message) => GatewayError::RequestBody(message),
            };
        }
        let Some(endpoint) = local.running.pool.endpoints.get(index) else {
            return GatewayError::NoEndpoint {
                pool: local.running.pool.name.clone(),
            };
        };
        endpoint
            .counters
            .of(self.record.worker())
            .failed(error.cause());
        if let Some(failure) = error.of_endpoint() {
            local.running.pool.failed(index, failure, Instant::now());
        }
        report(endpoint, &error);
        GatewayError::Upstream {
            endpoint: endpoint.key.id.clone(),
            error,
        }
    }
}

/// How sure it is where an answer ends.
enum Framing {
    Plain,
    /// Both a length and a transfer coding: the coding counts, and the connection carries
    /// nothing more (RFC 9112 §6.1).
    Doubtful,
    /// A coding that the gateway would have to undo.
    Unknown,
}

fn framing(response: &http::Response<Incoming>) -> Framing {
    let headers = response.headers();
    match headers::is_chunked_alone(headers) {
        None => Framing::Plain,
        Some(false) => Framing::Unknown,
        Some(true) if headers.contains_key(CONTENT_LENGTH) => Framing::Doubtful,
        Some(true) => Framing::Plain,
    }
}

fn no_endpoint(pool: &Pool) -> GatewayError {
    match pool
        .unresolved
        .first()
        .filter(|_| pool.endpoints.is_empty())
    {
        Some(name) => GatewayError::Upstream {
            endpoint: name.clone(),
            error: UpstreamError::Dns("no lookup has found one".to_owned()),
        },
        None => GatewayError::NoEndpoint {
            pool: pool.name.clone(),
        },
    }
}

/// Another endpoint may have room; a request that has waited once does not wait again.
fn no_room(error: UpstreamError) -> Failed {
    let next = match error {
        UpstreamError::QueueFull(_) => Next::OtherEndpoint,
        _ => Next::GiveUp,
    };
    Failed { error, next }
}

fn report(endpoint: &Endpoint, error: &UpstreamError) {
    if endpoint.may_report(error.cause().index()) {
        tracing::warn!(
            pool = endpoint.key.pool,
            endpoint = endpoint.key.id,
            address = %endpoint.key.address,
            cause = error.cause().token(),
            "{error}"
        );
    }
}

/// A connection that was new and did not take the request will not do better next time.
fn next_connection(reused: bool) -> Next {
    if reused {
        Next::NewConnection
    } else {
        Next::OtherEndpoint
    }
}

/// Why there is no answer.
enum NoAnswer {
    /// Nothing was sent; here is the body again.
    Unsent(RequestBody),
    Failed(UpstreamError),
}

/// Sends, and waits for the head of the answer for at most `limit` after the last byte of the
/// request that the upstream took, or that the client has yet to send.
async fn answer_of(
    connection: &mut Connection,
    request: http::Request<RequestBody>,
    upload: &Upload,
    limit: Duration,
) -> Result<http::Response<Incoming>, NoAnswer> {
    let mut answer = pin!(connection.send(request));
    loop {
        let spent = upload.last.get().elapsed();
        match timeout(limit.saturating_sub(spent), &mut answer).await {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(error)) => return Err(no_answer(error)),
            // The client is slow, not the upstream; the body's own deadline sees to it.
            Err(_) if upload.starved.get() => upload.last.set(Instant::now()),
            Err(_) if upload.last.get().elapsed() < limit => {}
            Err(_) => return Err(NoAnswer::Failed(UpstreamError::FirstByteTimeout(limit))),
        }
    }
}

fn no_answer(mut error: TrySendError<http::Request<RequestBody>>) -> NoAnswer {
    match error.take_message() {
        Some(request) => NoAnswer::Unsent(request.into_body()),
        None => NoAnswer::Failed(send_error(&error.into_error())),
    }
}

fn send_error(error: &hyper::Error) -> UpstreamError {
    if error.is_parse() || error.is_parse_too_large() || error.is_parse_status() {
        return UpstreamError::Invalid(error.to_string());
    }
    let source =
        std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    match source.map(tls::upstream::failure) {
        Some(failure @ tls::upstream::HandshakeFailure::Tls(_)) => {
            UpstreamError::Handshake(failure)
        }
        _ => UpstreamError::Closed,
    }
}
