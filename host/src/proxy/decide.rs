//! Asking plugins: routing, affinity, rewriting. A call that fails, or a decision that cannot
//! be acted on, becomes an error of the request or, where its plugin fails open, no opinion.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use http::HeaderMap;

use super::{Exchange, answer, balance_key::balance_key, body::Content, edits, forward::Answer};
use crate::{
    config::{OnError, Role, ShadowCallouts},
    error::{Cause, GatewayError, RefusedDecision},
    headers,
    plugin::{
        CallError, Calls, Decision, Forward, Lendable, LocalPlugin, Outcome, Preference,
        RecordedCall, Respond, Response, Shadow,
    },
    pool::Wanted,
    record::Recorder,
};

/// How long the calls of one request hold their worker, one after the other.
const TURN: Duration = Duration::from_micros(500);

/// What routing came to.
pub(super) enum Routed {
    /// A pool, by its place in the snapshot.
    To(usize),
    /// A plugin's own answer.
    Answered(Box<hyper::Response<Content>>),
}

impl Exchange<'_> {
    /// Asks the routing plugins in order; the first that does not pass has decided.
    pub(super) async fn route(&mut self) -> Result<Routed, GatewayError> {
        let snapshot = Rc::clone(&self.snapshot);
        for slot in &snapshot.routing {
            let Some(plugin) = slot.deciding(&self.canaries, Role::Routing) else {
                continue;
            };
            let shadow = slot.shadow(Role::Routing, &self.request);
            self.listen(plugin, shadow.as_ref());
            self.begin_call().await;
            let called = plugin
                .route(&mut self.request, &self.services, self.call_began)
                .await;
            self.end_call(plugin, Role::Routing, &called);
            if let Some(shadow) = shadow {
                let services = self.services.beside(&shadow);
                shadow.route(&called, services);
            }
            if let Ok(decision) = &called {
                self.keep(plugin, None, RecordedCall::Route(decision));
            }
            let acted = match self.opinion(plugin, Role::Routing, called)? {
                None => continue,
                Some(Decision::Pass(edits)) => {
                    self.record.decided("pass");
                    let applied = edits::apply_to_request(edits, &mut self.request);
                    self.acted(plugin, Role::Routing, applied)?;
                    continue;
                }
                Some(Decision::Forward(forward)) => {
                    self.record.decided("forward");
                    self.act_on_forward(forward)
                }
                Some(Decision::Respond(respond)) => {
                    self.record.decided("respond");
                    self.act_on_respond(respond)
                }
            };
            if let Some(routed) = self.acted(plugin, Role::Routing, acted)? {
                return Ok(routed);
            }
        }
        self.record
            .default_pool()
            .map(Routed::To)
            .ok_or(GatewayError::NoRoute)
    }

    fn act_on_forward(&mut self, forward: Forward) -> Result<Routed, RefusedDecision> {
        let pool = self.snapshot.shared.pool(&forward.pool);
        let pool =
            pool.ok_or_else(|| RefusedDecision::UndeclaredPool(edits::shortened(&forward.pool)))?;
        edits::apply_to_request(forward.edits, &mut self.request)?;
        self.record.rule(forward.rule);
        Ok(Routed::To(pool))
    }

    fn act_on_respond(&mut self, mut respond: Respond) -> Result<Routed, RefusedDecision> {
        let rule = respond.rule.take();
        let response = edits::answer(respond)?;
        self.record.rule(rule);
        Ok(Routed::Answered(Box::new(response.map(Content::Whole))))
    }

    /// Asks the pool's affinity plugin which endpoint the session sticks to.
    pub(super) async fn prefer(&mut self, pool: usize) -> Result<Wanted, GatewayError> {
        let snapshot = Rc::clone(&self.snapshot);
        let Some(local) = snapshot.pools.get(pool) else {
            return Ok(Wanted::Any);
        };
        let Some(slot) = &local.affinity else {
            return Ok(balance_key(&local.running.pool.balance, &self.request)
                .map_or(Wanted::Any, Wanted::Key));
        };
        let Some(plugin) = slot.deciding(&self.canaries, Role::Affinity) else {
            return Ok(Wanted::Any);
        };
        let shadow = slot.shadow(Role::Affinity, &self.request);
        self.note_imports(plugin);
        self.begin_call().await;
        let called = plugin
            .prefer(&mut self.request, &local.facts, self.call_began)
            .await;
        self.end_call(plugin, Role::Affinity, &called);
        if let Some(shadow) = shadow {
            shadow.prefer(&called, &local.facts);
        }
        if let Ok(preference) = &called {
            let call = RecordedCall::Prefer(&local.facts, preference);
            self.keep(plugin, None, call);
        }
        Ok(match self.opinion(plugin, Role::Affinity, called)? {
            None | Some(Preference::None) => Wanted::Any,
            Some(Preference::Endpoint(id)) => Wanted::Endpoint(local.running.pool.position(&id)),
            Some(Preference::Hash(key)) => Wanted::Hash(key),
        })
    }

    /// Asks the rewriting plugins for the request's edits, in order.
    pub(super) async fn rewrite_request(&mut self) -> Result<(), GatewayError> {
        let snapshot = Rc::clone(&self.snapshot);
        for slot in &snapshot.rewriting {
            let Some(plugin) = slot.deciding(&self.canaries, Role::Rewriting) else {
                continue;
            };
            let shadow = slot.shadow(Role::Rewriting, &self.request);
            if shadow.is_none() && plugin.version.does_without(Calls::REWRITE_REQUEST) {
                continue;
            }
            self.listen(plugin, shadow.as_ref());
            self.begin_call().await;
            let called = plugin
                .rewrite_request(&mut self.request, &self.services, self.call_began)
                .await;
            self.end_call(plugin, Role::Rewriting, &called);
            if let Some(shadow) = shadow {
                let services = self.services.beside(&shadow);
                shadow.rewrite_request(&called, services);
            }
            if let Ok(edits) = &called {
                self.keep(plugin, None, RecordedCall::RewriteRequest(edits));
            }
            if let Some(list) = self.opinion(plugin, Role::Rewriting, called)? {
                let applied = edits::apply_to_request(list, &mut self.request);
                self.acted(plugin, Role::Rewriting, applied)?;
            }
        }
        Ok(())
    }

    /// Asks for the response's edits: rewriting plugins in reverse order, then affinity.
    pub(super) async fn rewrite_response(
        &mut self,
        pool: usize,
        answer: Answer,
    ) -> Result<hyper::Response<Content>, GatewayError> {
        let Answer {
            mut head,
            body,
            endpoint,
            outcome,
        } = answer;
        headers::clean_response(&mut head.headers);
        head.version = http::Version::HTTP_11;
        let snapshot = Rc::clone(&self.snapshot);
        let mut response = Lendable::new(Response { head });
        // While the endpoint was waited for, others had the worker.
        self.turn = None;
        for slot in snapshot.rewriting.iter().rev() {
            let Some(plugin) = slot.deciding(&self.canaries, Role::Rewriting) else {
                continue;
            };
            let shadow = slot.shadow(Role::Rewriting, &self.request);
            if shadow.is_none() && plugin.version.does_without(Calls::REWRITE_RESPONSE) {
                continue;
            }
            self.listen(plugin, shadow.as_ref());
            let shadow = shadow.map(|shadow| (shadow, Lendable::new((*response).clone())));
            self.begin_call().await;
            let called = plugin
                .rewrite_response(
                    &mut self.request,
                    &mut response,
                    &self.services,
                    self.call_began,
                )
                .await;
            self.end_call(plugin, Role::Rewriting, &called);
            if let Some((shadow, response)) = shadow {
                let services = self.services.beside(&shadow);
                shadow.rewrite_response(&called, response, services);
            }
            if let Ok(edits) = &called {
                let call = RecordedCall::RewriteResponse(edits);
                self.keep(plugin, Some(&response), call);
            }
            let list = self.opinion(plugin, Role::Rewriting, called)?;
            self.edit_response(plugin, Role::Rewriting, list, &mut response.head.headers)?;
        }
        self.stick(pool, endpoint, outcome, &mut response.head.headers)
            .await?;
        Ok(answer::upstream(response.into_inner().head, body))
    }

    async fn stick(
        &mut self,
        pool: usize,
        endpoint: usize,
        outcome: Outcome,
        headers: &mut HeaderMap,
    ) -> Result<(), GatewayError> {
        let snapshot = Rc::clone(&self.snapshot);
        let Some(local) = snapshot.pools.get(pool) else {
            return Ok(());
        };
        let (Some(slot), Some(endpoint)) =
            (&local.affinity, local.running.pool.endpoints.get(endpoint))
        else {
            return Ok(());
        };
        let Some(plugin) = slot.deciding(&self.canaries, Role::Affinity) else {
            return Ok(());
        };
        let (id, facts) = (&endpoint.key.id, &local.facts);
        let shadow = slot.shadow(Role::Affinity, &self.request);
        let is_honoured = outcome == Outcome::Honoured;
        if is_honoured && shadow.is_none() && plugin.version.does_without(Calls::STICK_HONOURED) {
            return Ok(());
        }
        self.note_imports(plugin);
        self.begin_call().await;
        let called = plugin
            .stick(&mut self.request, facts, id, outcome, self.call_began)
            .await;
        self.end_call(plugin, Role::Affinity, &called);
        if let Some(shadow) = shadow {
            shadow.stick(&called, facts, id, outcome);
        }
        if let Ok(edits) = &called {
            let call = RecordedCall::Stick(facts, id, outcome, edits);
            self.keep(plugin, None, call);
        }
        let list = self.opinion(plugin, Role::Affinity, called)?;
        self.edit_response(plugin, Role::Affinity, list, headers)
    }

    fn edit_response(
        &mut self,
        plugin: &Rc<LocalPlugin>,
        role: Role,
        list: Option<Vec<crate::plugin::ResponseEdit>>,
        headers: &mut HeaderMap,
    ) -> Result<(), GatewayError> {
        let applied = edits::apply_to_response(list.unwrap_or_default(), headers);
        self.acted(plugin, role, applied).map(drop)
    }

    /// Begins a call, whose time and deadline count from here. Leaves the worker to others first
    /// when the calls since it last did have held it for a [`TURN`]: each call is bounded, their sum
    /// is not.
    async fn begin_call(&mut self) {
        self.call_began = Instant::now();
        let turn = *self.turn.get_or_insert(self.call_began);
        if self.call_began.saturating_duration_since(turn) >= TURN {
            tokio::task::yield_now().await;
            self.call_began = Instant::now();
            self.turn = Some(self.call_began);
        }
    }

    /// Counts a call that has just ended, before anything else is done with what it decided: its
    /// time is its own.
    fn end_call<R>(&mut self, plugin: &Rc<LocalPlugin>, role: Role, called: &Result<R, CallError>) {
        let took = self.call_began.elapsed();
        plugin.called(took, called.as_ref().err());
        self.record.called(plugin, role, self.call_began, took);
    }

    /// Notes what a plugin is answered while it waits, if its decision is recorded, since without
    /// that it could not be made again, or if a version on trial is to be answered the same.
    fn listen(&mut self, plugin: &LocalPlugin, shadow: Option<&Shadow>) {
        self.note_imports(plugin);
        if plugin.version.waits() || shadow.is_some() {
            let reuses = |shadow: &Shadow| shadow.callouts() == ShadowCallouts::Reuse;
            let listen = shadow.is_some_and(reuses) || self.recorder(plugin).is_some();
            self.services.listen(listen);
        }
    }

    /// The same of what it reads of the clock, of random numbers and of its store.
    fn note_imports(&mut self, plugin: &LocalPlugin) {
        let recorder = self.recorder(plugin);
        let imports = recorder.and_then(|recorder| recorder.imports(&plugin.version));
        self.request.imports = imports;
    }

    /// Records a decision, if it is one of those that are kept.
    fn keep(&self, plugin: &LocalPlugin, response: Option<&Response>, call: RecordedCall<'_>) {
        if let Some(recorder) = self.recorder(plugin) {
            let heard = match plugin.version.waits() {
                true => self.services.take_heard(),
                false => None,
            };
            recorder.keep(plugin, &self.request, response, heard, call);
        }
    }

    /// Where the plugin's decisions about this request are recorded.
    fn recorder(&self, plugin: &LocalPlugin) -> Option<&Recorder> {
        let recorder = self.snapshot.shared.recorder.as_deref()?;
        recorder
            .wants(&plugin.version.name, self.request.id.0)
            .then_some(recorder)
    }

    /// The decision of a call; none when it failed and its plugin fails open.
    fn opinion<R>(
        &mut self,
        plugin: &LocalPlugin,
        role: Role,
        called: Result<R, CallError>,
    ) -> Result<Option<R>, GatewayError> {
        if !self.request.access_fields.is_empty() {
            self.record
                .access_fields(self.request.access_fields.clone());
        }
        called.map(Some).or_else(|error| {
            let error = GatewayError::Plugin(error);
            self.record.decided(error.cause().token());
            fail(plugin, role, error)
        })
    }

    /// What acting on a decision came to; none when it was refused and its plugin fails open.
    fn acted<R>(
        &mut self,
        plugin: &Rc<LocalPlugin>,
        role: Role,
        acted: Result<R, RefusedDecision>,
    ) -> Result<Option<R>, GatewayError> {
        acted.map(Some).or_else(|problem| {
            plugin.refused();
            self.record.decided(Cause::PluginDecisionRefused.token());
            fail(
                plugin,
                role,
                GatewayError::Refused {
                    plugin: plugin.version.name.to_string(),
                    problem,
                },
            )
        })
    }
}

fn fail<R>(
    plugin: &LocalPlugin,
    role: Role,
    error: GatewayError,
) -> Result<Option<R>, GatewayError> {
    let on_error = plugin.version.on_error(role);
    if plugin.may_report(error.cause().index()) {
        tracing::warn!(plugin = %plugin.version.name, version = %plugin.version.label, %role, cause = error.cause().token(), on_error = on_error.as_str(), "{error}");
    }
    match on_error {
        OnError::FailOpen => Ok(None),
        OnError::FailClosed => Err(error),
    }
}
