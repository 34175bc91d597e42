//! What is known of a request, collected on its way; becomes its access-log line and its
//! counts when it is dropped, which is when the request has ended, however it did.

mod end;
mod line;

use std::{
    cell::Cell,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use http::{StatusCode, Uri, Version, header::HOST, request::Parts};

use super::{
    Client,
    trace::{self, Context, Spans, What},
    tunnel::Passage,
};
use crate::{
    config::Role,
    error::{self, Cause, ErrorBody, GatewayError},
    local::{LocalSnapshot, OpenConnection, StreamWatch},
    metrics::Counter,
    plugin::{AccessField, LocalPlugin, Outcome, PluginNames, RequestId},
    pool::{ConnectionPermit, Endpoint},
    snapshot::{Listener, RunningPool},
    upstream::{BodyError, OnInterim, Upload},
};

/// Longest rule name that is kept, bytes; what `routing.wit` promises.
const MAX_RULE: usize = 128;

/// One request's record.
pub(super) struct Record {
    /// The request's id.
    pub(super) id: RequestId,
    open: Rc<OpenConnection>,
    served: Served,
    pub(super) started: Instant,
    /// The same by the calendar, for the access log, while that is on.
    time: Option<SystemTime>,
    peer: std::net::SocketAddr,
    method: http::Method,
    uri: Uri,
    host: Option<http::HeaderValue>,
    accept: Option<http::HeaderValue>,
    version: Version,
    status: Option<StatusCode>,
    pool: Option<usize>,
    rule: Option<String>,
    /// Which counts the request as its own, until another is tried or the request ends.
    endpoint: Option<usize>,
    /// Whether it holds one of the requests that the endpoint may have.
    has_slot: bool,
    outcome: Option<Outcome>,
    upstream_version: Option<Version>,
    attempts: u32,
    plugins: Vec<PluginCall>,
    trace: Option<Context>,
    spans: Option<Rc<Spans>>,
    access_fields: Vec<AccessField>,
    sent_upstream: Option<Instant>,
    upstream: Option<Duration>,
    upload: Option<Rc<Upload>>,
    bytes_out: u64,
    complete: bool,
    /// What the request has become, if it is one no more.
    passage: Option<Rc<Passage>>,
    /// Counts a tunnel's connection among those that its endpoint may have.
    permit: Option<Rc<Option<ConnectionPermit>>>,
    /// Of the stream that the answer goes out on; over HTTP/1.1 of the connection itself.
    watch: Rc<StreamWatch>,
    interim: Option<Arc<dyn OnInterim>>,
    cause: Option<Cause>,
    detail: Option<String>,
}

/// What the request is served with.
enum Served {
    All(Rc<LocalSnapshot>),
    /// All that a tunnel keeps of it: it may live for days, and plugins must not for its sake.
    Pool(Option<Arc<RunningPool>>),
}

struct PluginCall {
    plugin: Rc<PluginNames>,
    role: Role,
    took: Duration,
}

impl Record {
    /// In a box, in which it moves on from the request to its answer's body.
    pub(super) fn new(client: Client, snapshot: Rc<LocalSnapshot>, head: &Parts) -> Box<Self> {
        let Client {
            open,
            connection,
            watch,
            interim,
        } = client;
        open.requests.begin();
        watch.begin();
        let started = Instant::now();
        let is_logged = open.local.access_log.is_on();
        let time = is_logged.then(SystemTime::now);
        let keeps_spans = snapshot.shared.config.trace.spans && is_logged;
        Box::new(Self {
            id: open.local.next_id(),
            open,
            trace: None,
            spans: keeps_spans.then(|| Rc::new(Spans::new(started))),
            served: Served::All(snapshot),
            started,
            time,
            peer: connection.peer,
            method: head.method.clone(),
            uri: head.uri.clone(),
            host: head.headers.get(HOST).cloned(),
            accept: error::accept(&head.headers),
            version: head.version,
            status: None,
            pool: None,
            rule: None,
            endpoint: None,
            has_slot: false,
            outcome: None,
            upstream_version: None,
            attempts: 0,
            plugins: Vec::new(),
            access_fields: Vec::new(),
            sent_upstream: None,
            upstream: None,
            upload: None,
            bytes_out: 0,
            complete: false,
            passage: None,
            permit: None,
            watch,
            interim,
            cause: None,
            detail: None,
        })
    }

    /// Whether its connection carries one request after the other.
    pub(super) fn is_http1(&self) -> bool {
        self.version < Version::HTTP_2
    }

    /// Where interim answers to its client go; none where the client could not read them.
    pub(super) fn interim(&self) -> Option<&Arc<dyn OnInterim>> {
        self.interim.as_ref()
    }

    pub(super) fn worker(&self) -> usize {
        self.open.local.index
    }

    /// The pool of the listener that the request came in by, as the request's snapshot has it;
    /// the connection may be older.
    pub(super) fn default_pool(&self) -> Option<usize> {
        self.configured_listener()?.default_pool
    }

    /// The listener as it is configured now; one that is gone keeps its last rules.
    pub(super) fn listener(&self) -> &Listener {
        self.configured_listener().unwrap_or(&self.open.listener)
    }

    fn configured_listener(&self) -> Option<&Listener> {
        match &self.served {
            Served::All(snapshot) => snapshot.shared.listener(&self.open.listener.name),
            Served::Pool(_) => None,
        }
    }

    /// What the client reads of an error.
    pub(super) fn error_body(&self, error: &GatewayError) -> ErrorBody {
        let pages = &self.listener().error_pages;
        pages.body(error.cause(), self.id, self.accept.as_ref())
    }

    pub(super) fn rule(&mut self, rule: Option<String>) {
        self.rule = rule.map(|mut rule| {
            rule.truncate(rule.floor_char_boundary(MAX_RULE.min(rule.len())));
            rule
        });
    }

    pub(super) fn pool(&mut self, pool: usize) {
        self.pool = Some(pool);
    }

    pub(super) fn upload(&mut self, upload: Rc<Upload>) {
        self.upload = Some(upload);
    }

    pub(super) fn attempt(&mut self, endpoint: usize) {
        self.leave();
        self.endpoint = Some(endpoint);
        self.running(Counter::add);
        self.attempts += 1;
        self.sent_upstream.get_or_insert_with(Instant::now);
    }

    /// It is tried once more on the same endpoint.
    pub(super) fn again(&mut self) {
        self.attempts += 1;
    }

    /// The answer, which begins now, is cut at this time.
    pub(super) fn ends_at(&self, at: Instant) {
        self.watch.ends_at(at);
    }

    /// What the connection speaks that the request is sent on.
    pub(super) fn speaks(&mut self, version: Version) {
        self.upstream_version = Some(version);
    }

    /// The endpoint has taken the request among those that it may have.
    pub(super) fn admitted(&mut self) {
        self.has_slot = true;
    }

    /// A connection counts for as long as the request does.
    pub(super) fn hold(&mut self, permit: Rc<Option<ConnectionPermit>>) {
        self.permit = Some(permit);
    }

    /// The endpoint has switched to this protocol: the request is a tunnel from here on.
    pub(super) fn switched(&mut self, protocol: String) {
        self.open.listener.counters.of(self.worker()).tunnels.add(1);
        self.served = Served::Pool(self.running_pool().map(Arc::clone));
        self.passage = Some(Rc::new(Passage {
            protocol,
            opened_after: self.started.elapsed(),
            bytes_in: Cell::new(0),
            bytes_out: Cell::new(0),
            ended_by: Cell::new(None),
        }));
    }

    pub(super) fn passage(&self) -> Option<Rc<Passage>> {
        self.passage.clone()
    }

    /// An answer has begun; `outcome` where affinity had a say.
    pub(super) fn answered(&mut self, outcome: Option<Outcome>, now: Instant) {
        self.outcome = outcome;
        let sent = self.sent_upstream;
        self.upstream = sent.map(|sent| now.saturating_duration_since(sent));
    }

    /// It becomes a part of its trace, which its fields name from now on.
    pub(super) fn enter_trace(&mut self, headers: &mut http::HeaderMap) {
        if let Served::All(snapshot) = &self.served {
            self.trace = Context::enter(&snapshot.shared.config.trace, self.id, headers);
        }
    }

    pub(super) fn trace(&self) -> Option<Context> {
        self.trace
    }

    pub(super) fn spans(&self) -> Option<&Rc<Spans>> {
        self.spans.as_ref()
    }

    /// Now, where the log has spans.
    pub(super) fn begin_span(&self) -> Option<Instant> {
        self.spans.as_ref().map(|_| Instant::now())
    }

    /// Ends what began then.
    pub(super) fn end_span(
        &self,
        since: Option<Instant>,
        what: impl FnOnce() -> What,
        outcome: trace::Outcome,
    ) {
        if let (Some(spans), Some(since)) = (&self.spans, since) {
            spans.ended(spans.number(), what(), since, outcome);
        }
    }

    /// What came of the last call of a plugin.
    pub(super) fn decided(&self, word: &'static str) {
        if let Some(spans) = &self.spans {
            spans.last_came_to(trace::Outcome::Word(word));
        }
    }

    /// A plugin was called; the call took this long from `since` on.
    pub(super) fn called(
        &mut self,
        plugin: &Rc<LocalPlugin>,
        role: Role,
        since: Instant,
        took: Duration,
    ) {
        if let Some(spans) = &self.spans {
            spans.add(trace::Span {
                number: spans.number(),
                what: What::Plugin(self.plugins.len()),
                since,
                took,
                outcome: trace::Outcome::Word("ok"),
            });
        }
        self.plugins.push(PluginCall {
            plugin: Rc::clone(&plugin.names),
            role,
            took,
        });
    }

    /// What plugins want in the line.
    pub(super) fn access_fields(&mut self, fields: Vec<AccessField>) {
        self.access_fields = fields;
    }

    pub(super) fn failed(&mut self, error: &GatewayError) {
        self.cause = Some(error.cause());
        self.detail = Some(error.to_string());
    }

    /// It has ended, for this reason unless the client just left.
    pub(super) fn ended(&mut self, cause: Option<Cause>, detail: String) {
        self.cause = cause;
        self.detail = Some(detail);
    }

    pub(super) fn status(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.bytes_out += bytes as u64;
    }

    pub(super) fn cut(&mut self, error: &BodyError) {
        self.cause = Some(match error {
            BodyError::Idle(_) => Cause::ResponseBodyTimeout,
            BodyError::Deadline(_) => Cause::RequestTimeout,
            BodyError::Slow(_) => Cause::RequestBodySlow,
            BodyError::TooLarge(_) => Cause::RequestBodyTooLarge,
            BodyError::Read(_) => Cause::ResponseCut,
        });
        self.detail = Some(error.to_string());
    }

    /// The client has yet to take a part of the answer.
    pub(super) fn offered(&self) {
        self.watch.offered();
    }

    /// The client has taken what was offered.
    pub(super) fn taken(&self) {
        self.watch.taken();
    }

    pub(super) fn complete(&mut self) {
        self.complete = true;
    }

    /// Counts the request as one that its endpoint has to do, or no more.
    fn running(&self, change: fn(&Counter, u64)) {
        if let Some(endpoint) = self.tried() {
            change(&endpoint.counters.of(self.worker()).running, 1);
        }
    }

    /// Ends the request on the endpoint that it was tried on last.
    fn leave(&mut self) {
        self.running(Counter::sub);
        if std::mem::take(&mut self.has_slot)
            && let Some(endpoint) = self.tried()
        {
            endpoint.requests.give_back();
        }
    }

    /// The endpoint that was tried last.
    fn tried(&self) -> Option<&Endpoint> {
        let running = self.running_pool()?;
        running.pool.endpoints.get(self.endpoint?).map(Arc::as_ref)
    }

    fn running_pool(&self) -> Option<&Arc<RunningPool>> {
        match &self.served {
            Served::All(snapshot) => snapshot.shared.pools.get(self.pool?),
            Served::Pool(pool) => pool.as_ref(),
        }
    }
}
