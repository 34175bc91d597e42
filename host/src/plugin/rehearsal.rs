//! Asking a version outside of any gateway, for people to look at: what it decides about one
//! request, and whether its cases hold.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Outcome,
    cases::{self, CaseDifference, CaseServices},
    error::{CallError, LoadError},
    facts::PoolFacts,
    instance::Instance,
    shown,
    version::Version,
};
use crate::config::{Case, Role};

/// A version, and an instance of it that is used as long as its calls come back.
pub struct Rehearsal {
    version: Arc<Version>,
    instance: Option<Instance>,
}

/// What one call came to.
#[derive(Debug)]
pub struct Rehearsed {
    /// `route`, `prefer` and so on, as in a file of cases.
    pub call: &'static str,
    /// The decision as text, as in a file of cases.
    pub decision: Result<String, CallError>,
    /// How long the call took.
    pub took: Duration,
}

impl Rehearsal {
    /// Of this version.
    pub fn of(version: Arc<Version>) -> Self {
        let instance = None;
        Self { version, instance }
    }

    /// Whether the version decides as a case says, on an instance of its own; what it decides
    /// otherwise. Fails when there can be no instance.
    pub async fn try_case(&self, case: &Case) -> Result<Vec<CaseDifference>, LoadError> {
        let mut instance = Instance::try_out(&self.version).await?;
        Ok(cases::tried(&mut instance, case).await.differences)
    }

    /// What the version decides about a request, in each of its roles. Fails when there can be no
    /// instance.
    pub async fn ask(&mut self, case: &Case) -> Result<Vec<Rehearsed>, LoadError> {
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => Instance::try_out(&self.version).await?,
        };
        let all = ask(&self.version, &mut instance, case).await;
        let came_back = all.iter().all(|each| each.decision.is_ok());
        self.instance = came_back.then_some(instance);
        Ok(all)
    }

    /// Linear memory that the instance has, bytes; 0 without one.
    pub fn memory(&self) -> usize {
        self.instance.as_ref().map_or(0, Instance::memory)
    }
}

async fn ask(version: &Version, instance: &mut Instance, case: &Case) -> Vec<Rehearsed> {
    let services = CaseServices::of(case);
    let mut request = cases::request(case);
    let pool = Arc::new(PoolFacts {
        name: case.pool.0.clone(),
        generation: 1,
        endpoints: case.pool.1.clone(),
    });
    let mut all = Vec::new();
    let mut note = |call, since: Instant, decision: Result<String, CallError>| {
        let took = since.elapsed();
        all.push(Rehearsed {
            call,
            decision,
            took,
        });
    };
    if version.has(Role::Routing) {
        let since = Instant::now();
        let decided = instance.route(&mut request, &services, since).await;
        note("route", since, decided.map(|it| shown::decision(&it)));
    }
    if version.has(Role::Affinity) {
        let since = Instant::now();
        let preferred = instance.prefer(&mut request, &pool, since).await;
        note("prefer", since, preferred.map(|it| shown::preference(&it)));
        if let Some(endpoint) = pool.endpoints.first() {
            let since = Instant::now();
            let outcome = Outcome::Balanced;
            let edits = instance
                .stick(&mut request, &pool, endpoint, outcome, since)
                .await;
            let edits = edits.map(|edits| cases::texts(&edits, shown::response_edit));
            note("stick", since, edits);
        }
    }
    if version.has(Role::Rewriting) {
        let since = Instant::now();
        let edits = instance
            .rewrite_request(&mut request, &services, since)
            .await;
        let edits = edits.map(|edits| cases::texts(&edits, shown::request_edit));
        note("rewrite_request", since, edits);
        let mut response = cases::response(case);
        let since = Instant::now();
        let edits = instance
            .rewrite_response(&mut request, &mut response, &services, since)
            .await;
        let edits = edits.map(|edits| cases::texts(&edits, shown::response_edit));
        note("rewrite_response", since, edits);
    }
    all
}
