//! Asking a version outside of any gateway, for people to look at: what it decides about one
//! request, and whether its cases hold.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Calls, Outcome,
    cases::{self, CaseDifference, CaseServices},
    error::{CallError, LoadError},
    facts::PoolFacts,
    instance::Instance,
    local::LocalPlugin,
    shown,
    version::Version,
};
use crate::config::{Case, Isolation, Role};

/// A version as a worker has it: its instances are made, used again and thrown away as there.
pub struct Rehearsal(LocalPlugin);

/// What one call came to.
#[derive(Debug)]
pub struct Rehearsed {
    /// `route`, `prefer` and so on, as in a file of cases.
    pub call: &'static str,
    /// None when the gateway does without the call, as the plugin says that it does nothing there.
    pub made: Option<MadeCall>,
}

/// A call that was made.
#[derive(Debug)]
pub struct MadeCall {
    /// The decision as text, as in a file of cases.
    pub decision: Result<String, CallError>,
    /// How long the call took, as the gateway's metrics count it: with making an instance where
    /// none was idle.
    pub took: Duration,
}

impl Rehearsal {
    /// Of this version.
    pub fn of(version: Arc<Version>) -> Self {
        Self(LocalPlugin::alone(version))
    }

    /// Whether the version decides as a case says, on an instance of its own; what it decides
    /// otherwise. Fails when there can be no instance.
    pub async fn try_case(&self, case: &Case) -> Result<Vec<CaseDifference>, LoadError> {
        let mut instance = Instance::try_out(&self.0.version).await?;
        Ok(cases::tried(&mut instance, case).await.differences)
    }

    /// What the version decides about a request, in each of its roles.
    pub async fn ask(&self, case: &Case) -> Vec<Rehearsed> {
        let services = CaseServices::of(case);
        let mut request = cases::request(case);
        let pool = Arc::new(PoolFacts {
            name: case.pool.0.clone(),
            generation: 1,
            endpoints: case.pool.1.clone(),
        });
        let (plugin, version) = (&self.0, &self.0.version);
        let mut all = Vec::new();
        if version.has(Role::Routing) {
            let since = Instant::now();
            let decided = plugin.route(&mut request, &services, since).await;
            all.push(made("route", since, decided, shown::decision));
        }
        if version.has(Role::Affinity) {
            let since = Instant::now();
            let preferred = plugin.prefer(&mut request, &pool, since).await;
            all.push(made("prefer", since, preferred, shown::preference));
            if let Some(endpoint) = pool.endpoints.first() {
                let since = Instant::now();
                let edits = plugin
                    .stick(&mut request, &pool, endpoint, Outcome::Balanced, since)
                    .await;
                let text = |edits: &Vec<_>| cases::texts(edits, shown::response_edit);
                all.push(made("stick", since, edits, text));
            }
        }
        if version.has(Role::Rewriting) {
            all.push(match version.does_without(Calls::REWRITE_REQUEST) {
                true => left_out("rewrite_request"),
                false => {
                    let since = Instant::now();
                    let edits = plugin.rewrite_request(&mut request, &services, since).await;
                    let text = |edits: &Vec<_>| cases::texts(edits, shown::request_edit);
                    made("rewrite_request", since, edits, text)
                }
            });
            all.push(match version.does_without(Calls::REWRITE_RESPONSE) {
                true => left_out("rewrite_response"),
                false => {
                    let mut response = cases::response(case);
                    let since = Instant::now();
                    let edits = plugin
                        .rewrite_response(&mut request, &mut response, &services, since)
                        .await;
                    let text = |edits: &Vec<_>| cases::texts(edits, shown::response_edit);
                    made("rewrite_response", since, edits, text)
                }
            });
        }
        all
    }

    /// Most linear memory that one of its instances had, bytes.
    pub fn memory(&self) -> u64 {
        self.0.version.counters.most(|each| each.memory.get())
    }

    /// Whether each call gets an instance of its own.
    pub fn is_isolated(&self) -> bool {
        self.0.version.limits.isolation == Isolation::Request
    }
}

fn made<D>(
    call: &'static str,
    since: Instant,
    decided: Result<D, CallError>,
    text: impl Fn(&D) -> String,
) -> Rehearsed {
    let took = since.elapsed();
    let decision = decided.map(|decided| text(&decided));
    let made = Some(MadeCall { decision, took });
    Rehearsed { call, made }
}

fn left_out(call: &'static str) -> Rehearsed {
    Rehearsed { call, made: None }
}
