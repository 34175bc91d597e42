//! Sending a plugin's own request to a pool: over the same trust, connections and limits as any
//! other request, its answer whole or none.

use std::{future::poll_fn, pin::Pin, rc::Rc, time::Instant};

use http::{
    HeaderValue, Version,
    header::HOST,
    uri::{Authority, PathAndQuery},
};
use http_body::Body as _;
use tokio::time::timeout_at;

use super::{
    admit::permit_request,
    attempt::{Failed, Framing, Next, absolute, framing},
    connect::{connect, open_connection},
    forward::{self, no_endpoint, no_room, report},
    retry::{Again, Tries},
};
use crate::{
    error::{GatewayError, UpstreamError},
    headers,
    local::{LocalPool, LocalSnapshot},
    plugin::{Callout, CalloutAnswer, CalloutFailure},
    pool::{Endpoint, Wanted},
    upstream::{
        self, BodyError, Connection, Incoming, NoAnswer, RequestBody, ResponseBody, Source, Upload,
    },
};

/// Sends it and waits for the whole answer.
pub(super) async fn send(
    snapshot: &LocalSnapshot,
    worker: usize,
    callout: Callout,
) -> Result<CalloutAnswer, CalloutFailure> {
    let place = snapshot.shared.pool(&callout.pool);
    let Some(local) = place.and_then(|place| snapshot.pools.get(place)) else {
        return Err(CalloutFailure::UndeclaredPool(callout.pool));
    };
    let asked = callout.head.uri.host().unwrap_or_default();
    let name = forward::server_name(local, asked).map_err(|error| unavailable(&error))?;
    let asking = Asking {
        local,
        worker,
        name,
        callout: &callout,
        deadline: Instant::now() + callout.timeout,
    };
    asking.ask().await
}

/// A callout under way.
struct Asking<'a> {
    local: &'a LocalPool,
    worker: usize,
    name: upstream::Name,
    callout: &'a Callout,
    deadline: Instant,
}

/// Why an endpoint has no answer for the plugin, and whether another may be asked.
struct NotAnswered {
    failure: CalloutFailure,
    again: Again,
}

impl NotAnswered {
    fn finally(failure: CalloutFailure) -> Self {
        let again = Again::Never;
        Self { failure, again }
    }

    /// Of an endpoint that was not asked.
    fn unasked(failed: &Failed) -> Self {
        Self {
            failure: cause(&failed.error),
            again: match failed.next {
                Next::Room => Again::ElsewhereForFree,
                Next::GiveUp => Again::Never,
                _ => Again::Elsewhere,
            },
        }
    }
}

impl Asking<'_> {
    /// Asks one endpoint after the other, as long as nothing was sent and the pool's budget allows.
    async fn ask(&self) -> Result<CalloutAnswer, CalloutFailure> {
        let pool = &self.local.running.pool;
        let none = || unavailable(&no_endpoint(pool));
        let mut tries = Tries::new(self.local, self.worker, Wanted::Any);
        let mut choice = tries.first().ok_or_else(none)?;
        loop {
            let endpoint = pool.endpoints.get(choice.index).ok_or_else(none)?;
            let asked = self.ask_endpoint(choice.index, endpoint, &mut tries);
            let NotAnswered { failure, again } = match asked.await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            choice = tries.next(again, choice.index).ok_or(failure)?;
        }
    }

    /// Until the deadline.
    async fn in_time<R>(&self, step: impl Future<Output = R>) -> Result<R, NotAnswered> {
        let late = |_| NotAnswered::finally(self.late());
        timeout_at(self.deadline.into(), step).await.map_err(late)
    }

    fn late(&self) -> CalloutFailure {
        CalloutFailure::Timeout(self.callout.timeout)
    }

    async fn ask_endpoint(
        &self,
        index: usize,
        endpoint: &Endpoint,
        tries: &mut Tries<'_>,
    ) -> Result<CalloutAnswer, NotAnswered> {
        let pool = &self.local.running.pool;
        let slot = self.in_time(permit_request(self.local, index)).await?;
        let _slot = slot.map_err(|error| NotAnswered::unasked(&no_room(error)))?;
        let _running = Running::on(endpoint, self.worker);
        let mut open = open_connection(self.local, index, &self.name, Instant::now());
        let (response, connection, upload) = loop {
            let was_open = open.is_some();
            let mut connection = match open.take() {
                Some(connection) => connection,
                None => {
                    let connecting = connect(self.local, index, &self.name, self.worker);
                    self.in_time(connecting).await?.map_err(|failed| {
                        self.note(index, endpoint, &failed.error);
                        NotAnswered::unasked(&failed)
                    })?
                }
            };
            endpoint.counters.of(self.worker).requests.add(1);
            let upload = Upload::new(Instant::now(), u64::MAX);
            let source = Source::of(&self.callout.body);
            let idle = self.callout.timeout;
            let body = RequestBody::new(source.as_ref(), idle, 0, Rc::clone(&upload));
            let request = self.request(index, endpoint, &connection, body);
            let sending = connection.send(request, None);
            let error = match timeout_at(self.deadline.into(), sending).await {
                Ok(Ok(response)) => break (response, connection, upload),
                Err(_) => {
                    connection.was_late();
                    UpstreamError::FirstByteTimeout(self.callout.timeout)
                }
                // Nothing of it was acted on.
                Ok(Err(NoAnswer::Unsent | NoAnswer::Refused(_))) if was_open => continue,
                Ok(Err(NoAnswer::Failed(UpstreamError::Closed)))
                    if was_open
                        && connection.may_have_raced()
                        && self.callout.head.method.is_idempotent()
                        && tries.once_more() =>
                {
                    continue;
                }
                Ok(Err(NoAnswer::Unsent)) => UpstreamError::Closed,
                Ok(Err(NoAnswer::Refused(error) | NoAnswer::Failed(error))) => error,
            };
            self.note(index, endpoint, &error);
            return Err(NotAnswered::finally(match error {
                UpstreamError::FirstByteTimeout(_) => self.late(),
                error => cause(&error),
            }));
        };
        pool.answered(index, response.status().as_u16(), Instant::now());
        upload.answered.set(true);
        self.whole(response, connection, upload)
            .await
            .map_err(|error| {
                self.note(index, endpoint, &error);
                NotAnswered::finally(match error {
                    UpstreamError::BodyTimeout(_) => self.late(),
                    error => cause(&error),
                })
            })?
            .map_err(NotAnswered::finally)
    }

    /// Tells the endpoint's counters, its health and the log of a failure.
    fn note(&self, index: usize, endpoint: &Endpoint, error: &UpstreamError) {
        endpoint.counters.of(self.worker).failed(error.cause());
        if let Some(failure) = error.of_endpoint() {
            let pool = &self.local.running.pool;
            pool.failed(index, failure, Instant::now());
        }
        report(endpoint, error);
    }

    /// The request as it goes on the wire.
    fn request(
        &self,
        index: usize,
        endpoint: &Endpoint,
        connection: &Connection,
        body: RequestBody,
    ) -> http::Request<RequestBody> {
        let (head, running) = (&self.callout.head, &self.local.running);
        let version = connection.version();
        let mut request = http::Request::new(body);
        *request.method_mut() = head.method.clone();
        *request.version_mut() = version;
        *request.headers_mut() = head.headers.clone();
        // It was checked when it was asked.
        let target = head.uri.path_and_query().cloned();
        let target = target.unwrap_or(PathAndQuery::from_static("/"));
        let named = head.uri.authority().or(running.pool.authority.as_ref());
        let authority = named.cloned().unwrap_or_else(|| own_authority(endpoint));
        if version == Version::HTTP_2 {
            let transport = running.transports.get(index);
            let is_tls = transport.is_some_and(|transport| transport.tls.is_some());
            *request.uri_mut() = absolute(is_tls, &authority, target);
            return request;
        }
        *request.uri_mut() = target.into();
        if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
            request.headers_mut().insert(HOST, host);
        }
        request
    }

    /// Reads the answer to its end.
    async fn whole(
        &self,
        response: http::Response<Incoming>,
        mut connection: Connection,
        upload: Rc<Upload>,
    ) -> Result<Result<CalloutAnswer, CalloutFailure>, UpstreamError> {
        let invalid = |problem: &str| Err(UpstreamError::Invalid(problem.to_owned()));
        match framing(&response) {
            _ if response.status().is_informational() => {
                return invalid("a status that was not asked for");
            }
            Framing::Unknown => return invalid("a transfer coding that is not `chunked`"),
            Framing::Doubtful => connection.retire(),
            Framing::Plain => {}
        }
        let limit = self.callout.timeout;
        let (mut head, body) = response.into_parts();
        headers::clean_response(&mut head.headers);
        let mut body = ResponseBody::new(body, limit, None, connection, upload);
        let mut bytes = Vec::new();
        loop {
            let frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
            let frame = match timeout_at(self.deadline.into(), frame).await {
                Ok(None) => return Ok(Ok(CalloutAnswer { head, body: bytes })),
                Ok(Some(Ok(frame))) => frame,
                Err(_) | Ok(Some(Err(BodyError::Idle(_)))) => {
                    return Err(UpstreamError::BodyTimeout(limit));
                }
                Ok(Some(Err(_))) => return Err(UpstreamError::Closed),
            };
            if let Ok(data) = frame.into_data() {
                let most = self.callout.most;
                if bytes.len() + data.len() > most {
                    return Ok(Err(CalloutFailure::TooLarge(most)));
                }
                bytes.extend_from_slice(&data);
            }
        }
    }
}

/// What an endpoint is asked for where nobody says.
fn own_authority(endpoint: &Endpoint) -> Authority {
    let own = endpoint.key.address.to_string().parse();
    own.unwrap_or_else(|_| Authority::from_static("localhost"))
}

fn cause(error: &UpstreamError) -> CalloutFailure {
    CalloutFailure::Unavailable(error.cause().token().to_owned())
}

fn unavailable(error: &GatewayError) -> CalloutFailure {
    CalloutFailure::Unavailable(error.cause().token().to_owned())
}

/// Counts a request among those that an endpoint has to do, until dropped.
struct Running<'a> {
    endpoint: &'a Endpoint,
    worker: usize,
}

impl<'a> Running<'a> {
    fn on(endpoint: &'a Endpoint, worker: usize) -> Self {
        endpoint.counters.of(worker).running.add(1);
        Self { endpoint, worker }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.endpoint.counters.of(self.worker).running.sub(1);
    }
}
