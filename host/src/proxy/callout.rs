//! Sending a plugin's own request to a pool: over the same trust, connections and limits as any
//! other request, its answer whole or none.

use std::{future::poll_fn, pin::Pin, time::Instant};

use http::{HeaderValue, Version, header::HOST, uri::Authority};
use http_body::Body as _;
use tokio::time::timeout;

use super::{
    admit::permit_request,
    attempt::{Next, absolute},
    connect::{connect, open_connection},
    forward::{no_endpoint, report},
};
use crate::{
    error::{GatewayError, UpstreamError},
    headers,
    local::{LocalPool, LocalSnapshot},
    plugin::{Callout, CalloutAnswer, CalloutFailure},
    pool::{Endpoint, Wanted},
    upstream::{
        BodyError, Connection, Incoming, NoAnswer, RequestBody, ResponseBody, Source, Upload,
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
    let limit = callout.timeout;
    timeout(limit, ask(local, worker, &callout))
        .await
        .unwrap_or(Err(CalloutFailure::Timeout(limit)))
}

/// Asks one endpoint after the other, as long as nothing was sent.
async fn ask(
    local: &LocalPool,
    worker: usize,
    callout: &Callout,
) -> Result<CalloutAnswer, CalloutFailure> {
    let pool = &local.running.pool;
    let mut failed = Vec::new();
    loop {
        let choice = local
            .balancer
            .choose(pool, Wanted::Any, &failed, Instant::now());
        let Some(choice) = choice else {
            return Err(unavailable(&no_endpoint(pool)));
        };
        let Some(endpoint) = pool.endpoints.get(choice.index) else {
            return Err(unavailable(&no_endpoint(pool)));
        };
        match ask_endpoint(local, (choice.index, endpoint), worker, callout).await {
            Ok(answer) => return Ok(answer),
            Err(NotAsked::Answered(failure)) => return Err(failure),
            Err(NotAsked::Elsewhere(error)) => {
                failed.push(choice.index);
                let more = failed.len() < pool.retries.tries as usize;
                if !more || failed.len() >= pool.endpoints.len() {
                    return Err(cause(&error));
                }
            }
        }
    }
}

/// Why an endpoint has no answer for the plugin.
enum NotAsked {
    /// It was not asked; another may be.
    Elsewhere(UpstreamError),
    /// It was, and that was all.
    Answered(CalloutFailure),
}

async fn ask_endpoint(
    local: &LocalPool,
    (index, endpoint): (usize, &Endpoint),
    worker: usize,
    callout: &Callout,
) -> Result<CalloutAnswer, NotAsked> {
    let pool = &local.running.pool;
    let fail = |error: &UpstreamError| {
        endpoint.counters.of(worker).failed(error.cause());
        if let Some(failure) = error.of_endpoint() {
            pool.failed(index, failure, Instant::now());
        }
        report(endpoint, error);
    };
    let _slot = permit_request(local, index)
        .await
        .map_err(NotAsked::Elsewhere)?;
    let _running = Running::on(endpoint, worker);
    let mut open = open_connection(local, index, &None);
    let (response, connection, upload) = loop {
        let was_open = open.is_some();
        let mut connection = match open.take() {
            Some(connection) => connection,
            None => connect(local, index, &None, worker)
                .await
                .map_err(|failed| {
                    fail(&failed.error);
                    match failed.next {
                        Next::GiveUp => NotAsked::Answered(cause(&failed.error)),
                        _ => NotAsked::Elsewhere(failed.error),
                    }
                })?,
        };
        endpoint.counters.of(worker).requests.add(1);
        let upload = Upload::new(Instant::now(), u64::MAX);
        let source = Source::of(&callout.body);
        let body = RequestBody::new(source.as_ref(), callout.timeout, 0, upload.clone());
        let request = request(local, (index, endpoint), callout, &connection, body);
        let error = match connection.send(request, None).await {
            Ok(response) => break (response, connection, upload),
            // The end of a connection that was idle is no answer: a new one is asked, once.
            Err(NoAnswer::Unsent | NoAnswer::Refused(_)) if was_open => continue,
            Err(NoAnswer::Failed(_))
                if was_open
                    && connection.may_have_raced()
                    && callout.head.method.is_idempotent() =>
            {
                continue;
            }
            Err(NoAnswer::Unsent) => UpstreamError::Closed,
            Err(NoAnswer::Refused(error) | NoAnswer::Failed(error)) => error,
        };
        fail(&error);
        return Err(NotAsked::Answered(cause(&error)));
    };
    pool.answered(index, response.status().as_u16(), Instant::now());
    upload.answered.set(true);
    whole(response, connection, upload, callout)
        .await
        .map_err(NotAsked::Answered)
}

/// The request as it goes on the wire.
fn request(
    local: &LocalPool,
    (index, endpoint): (usize, &Endpoint),
    callout: &Callout,
    connection: &Connection,
    body: RequestBody,
) -> http::Request<RequestBody> {
    let head = &callout.head;
    let version = connection.version();
    let mut request = http::Request::new(body);
    *request.method_mut() = head.method.clone();
    *request.version_mut() = version;
    *request.headers_mut() = head.headers.clone();
    let target = head.uri.path_and_query().cloned().unwrap_or_else(|| {
        // `callout` has checked that there is one.
        http::uri::PathAndQuery::from_static("/")
    });
    let own;
    let authority = match head
        .uri
        .authority()
        .or(local.running.pool.authority.as_ref())
    {
        Some(authority) => authority,
        None => {
            own = endpoint.key.address.to_string().parse();
            match &own {
                Ok(authority) => authority,
                Err(_) => &Authority::from_static("localhost"),
            }
        }
    };
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
    request
}

/// Reads the answer to its end.
async fn whole(
    response: http::Response<Incoming>,
    connection: Connection,
    upload: std::rc::Rc<Upload>,
    callout: &Callout,
) -> Result<CalloutAnswer, CalloutFailure> {
    let (mut head, body) = response.into_parts();
    headers::clean_response(&mut head.headers);
    let mut body = ResponseBody::new(body, callout.timeout, None, connection, upload);
    let mut bytes = Vec::new();
    loop {
        let frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        let frame = match frame {
            None => return Ok(CalloutAnswer { head, body: bytes }),
            Some(Ok(frame)) => frame,
            Some(Err(BodyError::Idle(limit))) => return Err(CalloutFailure::Timeout(limit)),
            Some(Err(_)) => return Err(cause(&UpstreamError::Closed)),
        };
        if let Ok(data) = frame.into_data() {
            if bytes.len() + data.len() > callout.most {
                return Err(CalloutFailure::TooLarge(callout.most));
            }
            bytes.extend_from_slice(&data);
        }
    }
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
