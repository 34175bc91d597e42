//! Sending a request upstream: an endpoint is chosen, a connection taken or opened, and the
//! request tried on it; once more, or elsewhere, only where that cannot do a thing twice.

use std::{pin::pin, rc::Rc, time::Instant};

use http::response;
use rustls_pki_types::ServerName;
use tokio::time::timeout_at;

use super::{
    Exchange,
    attempt::{Failed, Next, Sending},
    body::Content,
    connect::{connect, open_connection},
    retry::Tries,
    trace::{self, What},
};
use crate::{
    config::{PoolHttp, ServerNameFrom},
    error::{Cause, GatewayError, UpstreamError},
    local::LocalPool,
    plugin::Outcome,
    pool::{Choice, Endpoint, Pool, Wanted},
    upstream::{self, BodyError, Connection, Deadline, Incoming, ResponseBody, Switched, Upload},
};

/// An upstream's answer; its body, or another protocol, is still to come.
pub(super) struct Answer {
    pub(super) head: response::Parts,
    pub(super) body: Content,
    /// Who gave it, by place in the pool.
    pub(super) endpoint: usize,
    /// How that relates to what affinity wanted.
    pub(super) outcome: Outcome,
}

impl Exchange<'_> {
    /// Sends the request, within the time that it has.
    pub(super) async fn forward(
        &mut self,
        pool: usize,
        wanted: Wanted,
    ) -> Result<Answer, GatewayError> {
        let snapshot = Rc::clone(&self.snapshot);
        let local = snapshot.pools.get(pool).ok_or(GatewayError::NoRoute)?;
        self.record.pool(pool);
        let begun = self.record.started;
        let limit = local.running.pool.timeouts.request;
        let deadline = limit.map(|limit| Deadline::new(begun, limit));
        let end = deadline.as_ref().map(|deadline| deadline.at);
        let tries = pin!(self.try_all(local, wanted, deadline));
        match end {
            None => tries.await,
            Some(end) => timeout_at(end.into(), tries)
                .await
                .unwrap_or_else(|_| Err(GatewayError::RequestTimeout(limit.unwrap_or_default()))),
        }
    }

    async fn try_all(
        &mut self,
        local: &LocalPool,
        wanted: Wanted,
        deadline: Option<Deadline>,
    ) -> Result<Answer, GatewayError> {
        let name = server_name(local, self.request.host())?;
        let sending = self.sending(local);
        let mut tries = Tries::new(local, self.record.worker(), wanted);
        let mut choice = tries
            .first()
            .ok_or_else(|| no_endpoint(&local.running.pool))?;
        loop {
            let tried = self.try_endpoint(local, choice, &name, &sending, &mut tries);
            let (again, ended) = match tried.await {
                Ok(answered) => {
                    let again = tries.after_answer(answered.0.status(), &sending);
                    (again, Ok(answered))
                }
                Err(failed) => {
                    let again = tries.after(&failed, &sending);
                    let error = self.failure(local, choice.index, failed.error, &sending);
                    (again, Err(error))
                }
            };
            match (tries.next(again, choice.index), ended) {
                (None, Ok((response, connection))) => {
                    let upload = Rc::clone(&sending.upload);
                    let body = (connection, deadline, upload);
                    return Ok(self.answer(local, choice, wanted, response, body));
                }
                (None, Err(error)) => return Err(error),
                (Some(next), ended) => {
                    if let Ok((response, _)) = &ended {
                        let status = response.status().as_u16();
                        let pool = &local.running.pool;
                        pool.answered(choice.index, status, Instant::now());
                    }
                    choice = next;
                }
            }
        }
    }

    fn sending(&mut self, local: &LocalPool) -> Sending {
        let upload = Upload::new(Instant::now(), self.body_bytes);
        self.record.upload(Rc::clone(&upload));
        let timeouts = &self.snapshot.shared.config.timeouts;
        let head = &self.request.head;
        let idempotent = head.method.is_idempotent();
        let keep = local.running.pool.retries.buffer;
        Sending {
            upload,
            source: self.services.body.send(if idempotent { keep } else { 0 }),
            idempotent,
            idle: timeouts.body_idle,
            min_rate: match is_grpc(&head.headers) {
                true => 0,
                false => timeouts.body_min_rate,
            },
        }
    }

    /// One endpoint, with an idle connection and then, where that had died, with a new one.
    async fn try_endpoint(
        &mut self,
        local: &LocalPool,
        choice: Choice,
        name: &upstream::Name,
        sending: &Sending,
        tries: &mut Tries<'_>,
    ) -> Result<(http::Response<Incoming>, Connection), Failed> {
        self.record.attempt(choice.index);
        self.admit(local, choice.index).await.map_err(no_room)?;
        // A tunnel has a connection of its own from the start.
        let now = Instant::now();
        let open = match self.upgrade {
            Some(_) => None,
            None => open_connection(local, choice.index, name, now),
        };
        if let Some(connection) = open {
            let attempt = self.attempt(local, choice.index, connection, sending, now);
            match attempt.await {
                Err(failed) if failed.next == Next::NewConnection => {}
                Err(failed) if tries.after_race(&failed, sending) => self.record.again(),
                done => return done,
            }
        }
        let since = self.record.begin_span();
        // Boxed, as few requests open one and each would have room for it.
        let connected = match self.upgrade {
            Some(_) => Box::pin(self.connect_tunnel(local, choice.index, name)).await,
            None => Box::pin(connect(local, choice.index, name, self.record.worker())).await,
        };
        let outcome = match &connected {
            Ok(_) => "ok",
            Err(failed) => failed.error.cause().token(),
        };
        let what = || What::Connect(trace::endpoint(&local.running.pool, choice.index));
        self.record
            .end_span(since, what, trace::Outcome::Word(outcome));
        let now = Instant::now();
        self.attempt(local, choice.index, connected?, sending, now)
            .await
    }

    fn answer(
        &mut self,
        local: &LocalPool,
        choice: Choice,
        wanted: Wanted,
        mut response: http::Response<Incoming>,
        (connection, deadline, upload): (Connection, Option<Deadline>, Rc<Upload>),
    ) -> Answer {
        let outcome = match (wanted, choice.as_wanted) {
            (Wanted::Any | Wanted::Key(_), _) => Outcome::Balanced,
            (_, true) => Outcome::Honoured,
            (_, false) => Outcome::Moved,
        };
        let status = response.status().as_u16();
        let now = Instant::now();
        local.running.pool.answered(choice.index, status, now);
        self.record
            .answered(local.affinity.is_some().then_some(outcome), now);
        upload.answered.set(true);
        let idle = self.snapshot.shared.config.timeouts.body_idle;
        let (head, body) = match self.agreed(&response) {
            Some(protocol) => {
                let switched = Switched::new(connection, &mut response);
                let (head, _) = response.into_parts();
                (head, Content::Switched(switched, protocol))
            }
            None => {
                let (head, body) = response.into_parts();
                if let Some(deadline) = &deadline {
                    self.record.ends_at(deadline.at);
                }
                let body = ResponseBody::new(body, idle, deadline, connection, upload);
                (head, Content::Upstream(body))
            }
        };
        Answer {
            head,
            body,
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
                BodyError::Slow(rate) => GatewayError::RequestBodySlow(rate),
                BodyError::Deadline(limit) => GatewayError::RequestTimeout(limit),
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
        // That it speaks HTTP/2 alone is no fault of its own that clients could find in it.
        let transport = local.running.transports.get(index);
        let is_h2_pool = transport.is_some_and(|transport| transport.http == PoolHttp::H2);
        let no_tunnel =
            self.upgrade.is_some() && (is_h2_pool || error.cause() == Cause::ProtocolMismatch);
        if let Some(failure) = error.of_endpoint().filter(|_| !no_tunnel) {
            local.running.pool.failed(index, failure, Instant::now());
        }
        report(endpoint, &error);
        GatewayError::Upstream {
            endpoint: endpoint.key.id.clone(),
            error,
        }
    }
}

/// The name for the endpoint's TLS, where it is the request's own: that of the host which the
/// endpoint is asked for.
pub(super) fn server_name(local: &LocalPool, asked: &str) -> Result<upstream::Name, GatewayError> {
    let running = &local.running;
    let transport = running.transports.first();
    let is_tls = transport.is_some_and(|transport| transport.tls.is_some());
    if running.server_name_from == ServerNameFrom::Configuration || !is_tls {
        return Ok(None);
    }
    let host = match &running.pool.authority {
        Some(authority) => authority.host().trim_matches(['[', ']']),
        None => asked,
    };
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let name = ServerName::try_from(host);
    name.map(Some)
        .map_err(|_| GatewayError::BadRequest("the host is no name that TLS can ask for"))
}

pub(super) fn no_endpoint(pool: &Pool) -> GatewayError {
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

/// Its messages may be seconds apart, in a body that lasts as long as the call.
fn is_grpc(headers: &http::HeaderMap) -> bool {
    let kind = headers.get(http::header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// Another endpoint may have room; a request that has waited once does not wait again.
pub(super) fn no_room(error: UpstreamError) -> Failed {
    let next = match error {
        UpstreamError::QueueFull(_) => Next::Room,
        _ => Next::GiveUp,
    };
    Failed { error, next }
}

pub(super) fn report(endpoint: &Endpoint, error: &UpstreamError) {
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
