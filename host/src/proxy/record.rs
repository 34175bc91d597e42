//! What is known of a request, collected on its way; becomes its access-log line and its
//! counts when it is dropped, which is when the request has ended, however it did.

use std::{
    cell::Cell,
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use http::{StatusCode, Uri, Version, header::HOST, request::Parts};

use super::{
    Client,
    trace::{self, Context, Spans, What},
    tunnel::{Passage, Side},
};
use crate::{
    access_log::{Entry, PluginEntry, TlsEntry, TunnelEntry},
    config::Role,
    error::{self, Cause, ConnectionFault, ErrorBody, GatewayError},
    local::{Cut, LocalSnapshot, OpenConnection, StreamWatch},
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
        let keeps_spans = snapshot.shared.config.trace.spans && open.local.access_log.is_on();
        Box::new(Self {
            id: open.local.next_id(),
            open,
            trace: None,
            spans: keeps_spans.then(|| Rc::new(Spans::new(started))),
            served: Served::All(snapshot),
            started,
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

    /// Ended neither by the last byte nor by an error of the gateway's: the client went away.
    fn client_left(&self) -> bool {
        let bodyless = self.method == http::Method::HEAD
            || matches!(
                self.status,
                Some(StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            );
        self.cause.is_none() && (self.status.is_none() || (!self.complete && !bodyless))
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let now = Instant::now();
        if self.client_left() {
            self.cause = Some(self.cut_by());
            let most = self.open.local.snapshot().shared.config.limits.h2_resets;
            if !self.is_http1() && self.open.requests.cancel(now, most) {
                self.open.end(ConnectionFault::H2Resets);
            }
        }
        self.open.requests.end(now);
        self.leave();
        self.count(now);
        if self.open.local.access_log.is_on() {
            self.open.local.access_log.write(&self.entry(now));
        }
    }
}

impl Record {
    /// Why it ended without a word.
    fn cut_by(&self) -> Cause {
        let cut = self.watch.cut();
        match &self.passage {
            // Nothing but the end of the process drops a tunnel that says nothing.
            Some(passage) if self.detail.is_none() && self.open.local.drain.started() => {
                passage.ended_by.set(Some(Side::Gateway));
                Cause::Shutdown
            }
            Some(_) => Cause::ClientClosed,
            None => match cut {
                Some(Cut::Stalled) => Cause::ClientStalled,
                Some(Cut::TimeOver) => Cause::RequestTimeout,
                None => Cause::ClientClosed,
            },
        }
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

    fn count(&self, now: Instant) {
        let counters = self.open.listener.counters.of(self.worker());
        let class = self
            .status
            .map_or(0, |status| usize::from(status.as_u16() / 100));
        if let Some(counter) = counters.responses.get(class) {
            counter.add(1);
        }
        // A tunnel's life says nothing about how fast requests are answered.
        let duration = match &self.passage {
            Some(passage) => {
                counters.tunnels.sub(1);
                passage.opened_after
            }
            None => now.saturating_duration_since(self.started),
        };
        counters.durations.observe(duration);
    }

    fn entry(&self, now: Instant) -> Entry<'_> {
        let duration = now.saturating_duration_since(self.started);
        let running = self.running_pool();
        let passage = self.passage.as_deref();
        let (bytes_in, bytes_out) = self.bytes();
        let endpoint = self.tried();
        Entry {
            time: humantime::format_rfc3339_millis(SystemTime::now() - duration),
            id: self.id,
            listener: &self.open.listener.name,
            peer: self.peer,
            tls: self.open.session.as_ref().map(TlsEntry::of),
            method: self.method.as_str(),
            authority: self.authority(),
            path: self.uri.path(),
            query: self.uri.query(),
            version: version(self.version),
            trace: self.trace.as_ref().map(Context::entry),
            status: self.status.map(|status| status.as_u16()),
            pool: running.map(|running| running.pool.name.as_str()),
            rule: self.rule.as_deref(),
            endpoint: endpoint.map(|endpoint| endpoint.key.id.as_str()),
            affinity: self.outcome.map(outcome),
            upstream_version: self.upstream_version.map(version),
            attempts: self.attempts,
            plugins: self.plugins.iter().map(PluginCall::entry).collect(),
            spans: self
                .spans
                .as_ref()
                .map(|spans| spans.entries(self.trace.as_ref(), |place| self.called_at(place))),
            fields: fields(&self.access_fields),
            duration_us: microseconds(duration),
            upstream_us: self.upstream.map(microseconds),
            bytes_in,
            bytes_out,
            tunnel: passage.map(|passage| TunnelEntry {
                protocol: &passage.protocol,
                ended_by: passage.ended_by.get().map_or("client", Side::token),
            }),
            cause: self.cause.map(Cause::token),
            detail: self.detail.as_deref(),
        }
    }

    /// Name, version and role of a call.
    fn called_at(&self, place: usize) -> Option<(&str, &str, &str)> {
        let call = self.plugins.get(place)?;
        let PluginNames { name, label } = &*call.plugin;
        Some((name, label, call.role.as_str()))
    }

    /// From the client, and to it.
    fn bytes(&self) -> (u64, u64) {
        match (&self.passage, &self.upload) {
            (Some(passage), _) => (passage.bytes_in.get(), passage.bytes_out.get()),
            (None, Some(upload)) => (upload.bytes.get(), self.bytes_out),
            (None, None) => (0, self.bytes_out),
        }
    }

    /// As the client sent it; plugins may have told the upstream another.
    fn authority(&self) -> &str {
        match (self.uri.authority(), &self.host) {
            (Some(authority), _) => authority.as_str(),
            (None, Some(host)) => host.to_str().unwrap_or_default(),
            (None, None) => "",
        }
    }
}

/// By plugin and name.
fn fields(fields: &[AccessField]) -> BTreeMap<&str, BTreeMap<&str, &str>> {
    let mut plugins = BTreeMap::<_, BTreeMap<_, _>>::new();
    for field in fields {
        let of_plugin = plugins.entry(&*field.plugin).or_default();
        of_plugin.insert(field.name.as_str(), field.value.as_str());
    }
    plugins
}

impl PluginCall {
    fn entry(&self) -> PluginEntry<'_> {
        PluginEntry {
            name: &self.plugin.name,
            version: &self.plugin.label,
            role: self.role.as_str(),
            us: (self.took.as_secs_f64() * 1e7).round() / 10.0,
        }
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Balanced => "balanced",
        Outcome::Honoured => "honoured",
        Outcome::Moved => "moved",
    }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
