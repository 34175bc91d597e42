//! The way of one request: taken in, routed, given an endpoint, rewritten, sent upstream, and
//! its answer rewritten on the way back. Plugins decide; each of their decisions is checked
//! before it is acted on.

mod admit;
mod answer;
mod attempt;
mod balance_key;
mod body;
mod callout;
mod connect;
mod decide;
mod edits;
mod forward;
mod intake;
mod normal;
mod record;
mod redirect;
mod retry;
mod services;
mod session;
mod trace;
mod tunnel;
mod unsent;
mod upgrade;

use std::{rc::Rc, sync::Arc, time::Instant};

use http::{Method, StatusCode};
use http_body::Body as _;

pub use body::Body;
pub use tunnel::Tunnel;

use self::{
    body::Content, decide::Routed, record::Record, services::RequestServices, unsent::Unsent,
    upgrade::Upgrade,
};
use crate::{
    client_body::ClientBody,
    config::Timeouts,
    error::GatewayError,
    local::{Canaries, LocalSnapshot, OpenConnection, StreamWatch},
    plugin::{Connection, Lendable, Request},
    upstream::OnInterim,
};

/// Whom a request comes from, and its answer goes to.
pub struct Client {
    /// Its connection.
    pub open: Rc<OpenConnection>,
    /// The same, as plugins see it.
    pub connection: Arc<Connection>,
    /// The note of the stream that carries the answer; over HTTP/1.1, of the connection itself.
    pub watch: Rc<StreamWatch>,
    /// Where interim answers go; none when the client could not read them.
    pub interim: Option<Arc<dyn OnInterim>>,
}

/// Serves one request. Cancelled when its client goes away: what it holds is dropped, which
/// ends the upstream request and writes the access-log line.
pub async fn serve(client: Client, request: http::Request<ClientBody>) -> Served {
    let (open, connection) = (Rc::clone(&client.open), Arc::clone(&client.connection));
    let snapshot = open.local.snapshot();
    let (mut head, body) = request.into_parts();
    // As the listener is configured now; one that is gone keeps its last rules.
    let listener = snapshot.shared.listener(&open.listener.name);
    let listener = listener.unwrap_or(&open.listener);
    let accepts = intake::Rules {
        limits: &snapshot.shared.config.limits,
        requests: &listener.requests,
    };
    let to_head = head.method == Method::HEAD;
    let mut record = Record::new(client, Rc::clone(&snapshot), &head);
    let has_body = !body.is_end_stream();
    let upgrade = Upgrade::asked(&mut head, has_body, &listener.requests.upgrades);
    let accepted = accepts.accept(record.id, head, connection);
    let accepted = accepted.map(|mut request| {
        record.enter_trace(&mut request.head.headers);
        request
    });
    let answered = match accepted.and_then(|request| session::admit(&open, request)) {
        Ok(request) => match &listener.https_redirect {
            Some(redirect) => redirect::to_https(redirect, &request),
            None => {
                let client = request.connection.peer.ip();
                Exchange {
                    request: Lendable::new(request),
                    upgrade: upgrade.as_ref(),
                    body_bytes: accepts.requests.body_bytes,
                    snapshot: Rc::clone(&snapshot),
                    canaries: snapshot.canaries(client, record.id.0),
                    call_began: record.started,
                    turn: None,
                    services: RequestServices::new(
                        Rc::clone(&snapshot),
                        &record,
                        Unsent::new(body),
                    ),
                    record: &mut record,
                }
                .run()
                .await
            }
        },
        Err(error) => Err(error),
    };
    match upgrade {
        Some(upgrade) => {
            let timeouts = &snapshot.shared.config.timeouts;
            settle(&upgrade, answered, record, to_head, timeouts)
        }
        None => Served {
            response: answer_with(answered, record, to_head),
            tunnel: None,
        },
    }
}

/// Answers a request to go over to another protocol: the endpoint has done so, or not.
fn settle(
    upgrade: &Upgrade,
    answered: Result<hyper::Response<Content>, GatewayError>,
    mut record: Box<Record>,
    to_head: bool,
    timeouts: &Timeouts,
) -> Served {
    let answered = match upgrade.check(answered) {
        Ok(response) => {
            let (mut head, content) = response.into_parts();
            if let Content::Switched(endpoint, protocol) = content {
                upgrade.tell(&protocol, &mut head);
                record.status(head.status);
                record.switched(protocol);
                return Served {
                    response: hyper::Response::from_parts(head, Body::of_tunnel()),
                    tunnel: Some(Tunnel::new(endpoint, record, timeouts)),
                };
            }
            Ok(hyper::Response::from_parts(head, content))
        }
        Err(error) => Err(error),
    };
    let mut response = answer_with(answered, record, to_head);
    if !upgrade.is_of_stream() {
        // Bytes that the client has sent in the hope of another answer are no requests.
        answer::close(&mut response);
    }
    Served {
        response,
        tunnel: None,
    }
}

/// What a client gets.
pub struct Served {
    /// The answer.
    pub response: hyper::Response<Body>,
    /// What the connection, or the stream, becomes behind it.
    pub tunnel: Option<Box<Tunnel>>,
}

/// Answers a request with this error, whatever it asks for.
pub fn refuse(client: Client, request: http::Request<ClientBody>, error: GatewayError) -> Served {
    let snapshot = client.open.local.snapshot();
    let (head, _) = request.into_parts();
    let record = Record::new(client, snapshot, &head);
    Served {
        response: answer_with(Err(error), record, head.method == Method::HEAD),
        tunnel: None,
    }
}

fn answer_with(
    answered: Result<hyper::Response<Content>, GatewayError>,
    mut record: Box<Record>,
    to_head: bool,
) -> hyper::Response<Body> {
    let mut response = answered.unwrap_or_else(|error| {
        record.failed(&error);
        let body = record.error_body(&error);
        let mut response = answer::error(&error, record.id, body);
        if let GatewayError::Method(_) = error {
            answer::allow(&mut response, record.listener().requests.trace);
        }
        if error.ends_connection() && record.is_http1() {
            answer::close(&mut response);
        }
        response
    });
    record.status(response.status());
    if to_head || has_no_body(response.status()) {
        answer::drop_body(&mut response, to_head);
    }
    response.map(|content| Body::new(content, record))
}

/// RFC 9110 §6.4.1.
fn has_no_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// A request on its way.
struct Exchange<'a> {
    request: Lendable<Request>,
    /// The protocol that it would go over to.
    upgrade: Option<&'a Upgrade>,
    snapshot: Rc<LocalSnapshot>,
    /// The most that its body may have.
    body_bytes: u64,
    record: &'a mut Record,
    /// What plugins that wait may ask for.
    services: RequestServices,
    /// Which plugins decide it in a version on trial.
    canaries: Canaries,
    /// When the plugin call that runs, or that ran last, began.
    call_began: Instant,
    /// Since when its plugin calls hold the worker; none until the next one.
    turn: Option<Instant>,
}

impl Exchange<'_> {
    async fn run(&mut self) -> Result<hyper::Response<Content>, GatewayError> {
        let pool = match self.route().await? {
            Routed::To(pool) => pool,
            Routed::Answered(response) => return Ok(*response),
        };
        let wanted = self.prefer(pool).await?;
        self.rewrite_request().await?;
        let answer = self.forward(pool, wanted).await?;
        self.rewrite_response(pool, answer).await
    }
}
