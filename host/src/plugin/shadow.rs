//! Asking a version on trial what the one in service is asked, beside the request: on a copy of
//! its facts, in a task of its own, so that neither its time nor its errors are the request's.

use std::{rc::Rc, sync::Arc, time::Instant};

use super::{
    CallError, Decision, Outcome, Preference, RequestEdit, ResponseEdit,
    facts::{Lendable, PoolFacts, Request, Response},
    local::LocalPlugin,
    shown,
    trial::{Difference, Trial},
    version::Version,
    waiting::Services,
};
use crate::config::ShadowCallouts;

/// A call that is about to be made of the version in service, and will be made of the other one.
pub struct Shadow {
    plugin: Rc<LocalPlugin>,
    trial: Arc<Trial>,
    request: Lendable<Request>,
}

/// What a call of the version in service came to, as text; none when it failed.
type Live = Option<String>;

impl Shadow {
    /// Copies what the call is about.
    pub(super) fn new(plugin: &Rc<LocalPlugin>, trial: &Arc<Trial>, request: &Request) -> Self {
        Self {
            plugin: Rc::clone(plugin),
            trial: Arc::clone(trial),
            request: Lendable::new(Request {
                imports: None,
                ..request.clone()
            }),
        }
    }

    /// The version, whose grants say what it may ask.
    pub fn version(&self) -> &Version {
        &self.trial.version
    }

    /// What becomes of its callouts.
    pub fn callouts(&self) -> ShadowCallouts {
        self.trial.rules.callouts
    }

    /// Compares decisions of routing; what this one asks while it waits, `services` answer.
    pub fn route(mut self, live: &Result<Decision, CallError>, services: impl Services + 'static) {
        let live = text(live, shown::decision);
        tokio::task::spawn_local(async move {
            let (request, now) = (&mut self.request, Instant::now());
            let called = self.plugin.route(request, &services, now).await;
            self.compare("route", now, live, called, shown::decision);
        });
    }

    /// Compares preferences of affinity.
    pub fn prefer(mut self, live: &Result<Preference, CallError>, pool: &Arc<PoolFacts>) {
        let live = text(live, shown::preference);
        let pool = Arc::clone(pool);
        tokio::task::spawn_local(async move {
            let (request, now) = (&mut self.request, Instant::now());
            let called = self.plugin.prefer(request, &pool, now).await;
            self.compare("prefer", now, live, called, shown::preference);
        });
    }

    /// Compares what makes sessions stick.
    pub fn stick(
        mut self,
        live: &Result<Vec<ResponseEdit>, CallError>,
        pool: &Arc<PoolFacts>,
        endpoint: &str,
        outcome: Outcome,
    ) {
        let live = text(live, |edits| list(edits, shown::response_edit));
        let (pool, endpoint) = (Arc::clone(pool), endpoint.to_owned());
        tokio::task::spawn_local(async move {
            let (request, now) = (&mut self.request, Instant::now());
            let called = self
                .plugin
                .stick(request, &pool, &endpoint, outcome, now)
                .await;
            self.compare("stick", now, live, called, |edits| {
                list(edits, shown::response_edit)
            });
        });
    }

    /// Compares edits of requests.
    pub fn rewrite_request(
        mut self,
        live: &Result<Vec<RequestEdit>, CallError>,
        services: impl Services + 'static,
    ) {
        let live = text(live, |edits| list(edits, shown::request_edit));
        tokio::task::spawn_local(async move {
            let (request, now) = (&mut self.request, Instant::now());
            let called = self.plugin.rewrite_request(request, &services, now).await;
            self.compare("rewrite-request", now, live, called, |edits| {
                list(edits, shown::request_edit)
            });
        });
    }

    /// Compares edits of responses; `response` is as it was before the call.
    pub fn rewrite_response(
        mut self,
        live: &Result<Vec<ResponseEdit>, CallError>,
        mut response: Lendable<Response>,
        services: impl Services + 'static,
    ) {
        let live = text(live, |edits| list(edits, shown::response_edit));
        tokio::task::spawn_local(async move {
            let (request, now) = (&mut self.request, Instant::now());
            let called = self
                .plugin
                .rewrite_response(request, &mut response, &services, now)
                .await;
            self.compare("rewrite-response", now, live, called, |edits| {
                list(edits, shown::response_edit)
            });
        });
    }

    fn compare<D>(
        &self,
        call: &'static str,
        since: Instant,
        live: Live,
        called: Result<D, CallError>,
        shown: impl Fn(&D) -> String,
    ) {
        let worker = self.plugin.worker();
        // Nothing is said by a worker that has too much to do, nor by one of the two alone.
        if let Err(CallError::Busy { .. }) = called {
            return;
        }
        self.plugin.called(since.elapsed(), called.as_ref().err());
        let (Some(live), Ok(decision)) = (live, called) else {
            return;
        };
        let shadow = shown(&decision);
        if shadow == live {
            return self.trial.alike(worker);
        }
        let head = &self.request;
        let difference = Difference {
            request: format!("{} {} {}", head.id, head.head.method, head.target_uri()),
            call,
            live,
            shadow,
        };
        let version = &self.trial.version;
        if self.plugin.may_report(usize::MAX) {
            tracing::warn!(plugin = %version.name, version = %version.label, call, request = difference.request, live = difference.live, shadow = difference.shadow, "a version on trial decides otherwise");
        }
        self.trial.differs(worker, difference);
    }
}

fn text<D>(called: &Result<D, CallError>, shown: impl Fn(&D) -> String) -> Live {
    called.as_ref().ok().map(shown)
}

fn list<E>(edits: &[E], text: impl Fn(&E) -> String) -> String {
    shown::list(&edits.iter().map(text).collect::<Vec<_>>())
}
