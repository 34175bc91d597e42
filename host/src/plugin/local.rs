//! A plugin version on one worker: its idle instances, and the calls that `proxy` makes.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    bindings::exports::witgate::plugin::affinity::{Outcome, Preference},
    bindings::witgate::plugin::types::{RequestEdit, ResponseEdit},
    decision::Decision,
    error::{CallError, LoadError},
    facts::{Lendable, PoolFacts, Request, Response},
    instance::Instance,
    overtime::Overtime,
    shadow::Shadow,
    suspension::{AfterFailure, Failures},
    trial::Trial,
    version::Version,
    waiting::Services,
};
use crate::config::Isolation;

/// What a plugin version is called in the access log.
#[derive(Debug)]
pub struct PluginNames {
    /// The plugin's name.
    pub name: Arc<str>,
    /// The version's.
    pub label: Arc<str>,
}

/// The instances of one plugin version on one worker.
pub struct LocalPlugin {
    /// What they are instances of.
    pub version: Arc<Version>,
    /// What it is called, for those who may outlive it.
    pub names: Rc<PluginNames>,
    worker: usize,
    trial: Option<Arc<Trial>>,
    /// Boxed, as they come and go with each call.
    #[allow(
        clippy::vec_box,
        reason = "an instance is large and moves twice a call"
    )]
    idle: RefCell<Vec<Box<Instance>>>,
    /// Where there is one that takes the place of an instance which has served its calls.
    successor: Option<Rc<Successor>>,
    busy: Cell<u32>,
    /// Instances that it may have.
    most: Cell<u32>,
    overtime: Arc<Overtime>,
    failures: Failures,
    reported: Cell<Option<(Instant, usize)>>,
}

/// An instance that is made ahead of its time, since one that is made while requests wait for it
/// keeps them waiting for as long as its configuration takes.
#[derive(Default)]
struct Successor {
    instance: RefCell<Option<Box<Instance>>>,
    /// It is being made.
    underway: Cell<bool>,
}

/// The part of an instance's calls that is left when its successor is made, and that it may serve
/// beyond them while it is not there.
const AHEAD: u32 = 20;
/// Overtime without a bound, percent.
const ALL_OF_IT: u8 = 100;

impl LocalPlugin {
    /// A version outside of any gateway, whose calls may go on for as long as they like within
    /// their deadline: there is nobody whom they would keep waiting. Instances are made when they
    /// are needed.
    pub fn alone(version: Arc<Version>) -> Self {
        Self::new(version, 0, None, ALL_OF_IT)
    }

    /// A version on the worker of this number, perhaps on trial. For a thread on which tasks can
    /// be started: instances whose calls are nearly over have a successor made beside the requests.
    pub fn serving(version: Arc<Version>, worker: usize, trial: Option<Arc<Trial>>) -> Self {
        let overtime = version.limits.overtime;
        let mut plugin = Self::new(version, worker, trial, overtime);
        plugin.successor = Some(Rc::default());
        plugin
    }

    fn new(version: Arc<Version>, worker: usize, trial: Option<Arc<Trial>>, overtime: u8) -> Self {
        let names = PluginNames {
            name: Arc::clone(&version.name),
            label: Arc::clone(&version.label),
        };
        Self {
            overtime: Arc::new(Overtime::new(
                overtime,
                version.limits.deadline,
                Some(version.component.runtime.ticker.clone()),
            )),
            failures: Failures::default(),
            most: Cell::new(version.limits.instances),
            version,
            names: Rc::new(names),
            worker,
            trial,
            idle: RefCell::default(),
            successor: None,
            busy: Cell::new(0),
            reported: Cell::new(None),
        }
    }

    /// Routing: which pool serves the request. The call began at `since`, as in all of these;
    /// what it asks while it waits, `services` answer.
    pub async fn route(
        &self,
        request: &mut Lendable<Request>,
        services: &impl Services,
        since: Instant,
    ) -> Result<Decision, CallError> {
        self.call(async |instance| instance.route(request, services, since).await)
            .await
    }

    /// Affinity: which endpoint the session sticks to.
    pub async fn prefer(
        &self,
        request: &mut Lendable<Request>,
        pool: &Arc<PoolFacts>,
        since: Instant,
    ) -> Result<Preference, CallError> {
        self.call(async |instance| instance.prefer(request, pool, since).await)
            .await
    }

    /// Affinity: the edits that make the session stick.
    pub async fn stick(
        &self,
        request: &mut Lendable<Request>,
        pool: &Arc<PoolFacts>,
        endpoint: &str,
        outcome: Outcome,
        since: Instant,
    ) -> Result<Vec<ResponseEdit>, CallError> {
        self.call(async |instance| {
            instance
                .stick(request, pool, endpoint, outcome, since)
                .await
        })
        .await
    }

    /// Rewriting: the request's edits.
    pub async fn rewrite_request(
        &self,
        request: &mut Lendable<Request>,
        services: &impl Services,
        since: Instant,
    ) -> Result<Vec<RequestEdit>, CallError> {
        self.call(async |instance| instance.rewrite_request(request, services, since).await)
            .await
    }

    /// Rewriting: the response's edits.
    pub async fn rewrite_response(
        &self,
        request: &mut Lendable<Request>,
        response: &mut Lendable<Response>,
        services: &impl Services,
        since: Instant,
    ) -> Result<Vec<ResponseEdit>, CallError> {
        self.call(async |instance| {
            instance
                .rewrite_response(request, response, services, since)
                .await
        })
        .await
    }

    /// Counts a call that took this long; `error` where it failed.
    pub fn called(&self, took: Duration, error: Option<&CallError>) {
        let counters = self.version.counters.of(self.worker);
        counters.calls.observe(took);
        if let Some(error) = error {
            counters.failed(error);
            self.failed_on_trial();
        }
    }

    /// The worker's number.
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// Whether this is what the worker makes of that.
    pub fn is_of(&self, version: &Arc<Version>, trial: Option<&Arc<Trial>>) -> bool {
        Arc::ptr_eq(&self.version, version)
            && self.trial.as_ref().map(Arc::as_ptr) == trial.map(Arc::as_ptr)
    }

    /// How many instances it may have from now on.
    pub fn allow(&self, most: u32) {
        self.most.set(most);
    }

    /// A call of this version, beside that of the one in service.
    pub fn shadow(self: &Rc<Self>, trial: &Arc<Trial>, request: &Request) -> Shadow {
        Shadow::new(self, trial, request)
    }

    fn failed_on_trial(&self) {
        if let Some(trial) = &self.trial {
            trial.failed(self.worker);
        }
    }

    /// Counts a decision that the gateway did not act on.
    pub fn refused(&self) {
        self.version.counters.of(self.worker).refused.add(1);
        self.failed_on_trial();
    }

    /// Whether a failure of this kind may be logged: another one at once, the same again after a
    /// second, since a plugin that fails always fails as often as there are requests; the
    /// counters have them all.
    pub fn may_report(&self, kind: usize) -> bool {
        let due = self.reported.get().is_none_or(|(last, reported)| {
            reported != kind || last.elapsed() >= Duration::from_secs(1)
        });
        if due {
            self.reported.set(Some((Instant::now(), kind)));
        }
        due
    }

    /// Gives back one instance of those that only overlapping calls needed.
    pub fn trim(&self) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() > 1 {
            idle.pop();
        }
    }

    /// Runs a call on an idle or new instance, which goes back to the idle ones when the call
    /// comes back, and is thrown away when it fails or is cancelled.
    async fn call<R>(
        &self,
        run: impl AsyncFnOnce(&mut Instance) -> Result<R, CallError>,
    ) -> Result<R, CallError> {
        if let Some(left) = self.failures.suspended_for() {
            let plugin = self.version.name.to_string();
            return Err(CallError::Suspended { plugin, left });
        }
        let _busy = self.busy()?;
        let called = self.call_an_instance(run).await;
        match &called {
            Ok(_) => self.succeeded(),
            Err(_) => self.failed(),
        }
        called
    }

    async fn call_an_instance<R>(
        &self,
        run: impl AsyncFnOnce(&mut Instance) -> Result<R, CallError>,
    ) -> Result<R, CallError> {
        let mut instance = self.instance().await?;
        let called = run(&mut instance).await;
        let counters = self.version.counters.of(self.worker);
        counters.yields.add(u64::from(instance.yields()));
        counters.memory.raise(instance.memory() as u64);
        if let (callouts @ 1.., failed) = instance.callouts() {
            counters.callouts.add(callouts.into());
            counters.callouts_failed.add(failed.into());
        }
        let decision = called?;
        // What a call leaves open would go on in the next one.
        if self.is_reused(&instance) && !instance.is_waiting() {
            self.idle.borrow_mut().push(instance);
        }
        Ok(decision)
    }

    async fn instance(&self) -> Result<Box<Instance>, CallError> {
        let idle = self.idle.borrow_mut().pop();
        let successor = || self.successor.as_ref()?.instance.borrow_mut().take();
        if let Some(instance) = idle.or_else(successor) {
            return Ok(instance);
        }
        // Boxed, as few calls come by here and each would have room for it.
        let started = Box::pin(Instance::start(&self.version)).await;
        let mut instance = Box::new(started.map_err(|error| self.not_started(error))?);
        instance.serve_on(self.worker, &self.overtime);
        Ok(instance)
    }

    fn is_reused(&self, instance: &Instance) -> bool {
        match self.version.limits.isolation {
            Isolation::Request => false,
            Isolation::Reuse(None) => true,
            Isolation::Reuse(Some(most)) => {
                let (calls, ahead) = (instance.calls(), most / AHEAD);
                if calls == most - ahead && calls < most {
                    self.make_successor();
                }
                let is_awaited = self.successor.as_ref().is_some_and(|it| it.underway.get());
                calls < most || (is_awaited && calls < most.saturating_add(ahead))
            }
        }
    }

    /// What its making comes to when it fails, the next call finds out, which makes one itself.
    fn make_successor(&self) {
        let Some(successor) = &self.successor else {
            return;
        };
        if successor.instance.borrow().is_some() || successor.underway.replace(true) {
            return;
        }
        let (into, version) = (Rc::downgrade(successor), Arc::clone(&self.version));
        let (worker, overtime) = (self.worker, Arc::clone(&self.overtime));
        tokio::task::spawn_local(async move {
            let started = Instance::start(&version).await;
            let Some(successor) = into.upgrade() else {
                return;
            };
            successor.underway.set(false);
            if let Ok(instance) = started {
                let mut instance = Box::new(instance);
                instance.serve_on(worker, &overtime);
                *successor.instance.borrow_mut() = Some(instance);
            }
        });
    }

    fn succeeded(&self) {
        if self.failures.succeeded() {
            self.version.counters.of(self.worker).suspended.sub(1);
            let (plugin, version) = (&self.version.name, &self.version.label);
            tracing::info!(%plugin, %version, worker = self.worker, "plugin answers again; it is called for every request");
        }
    }

    fn failed(&self) {
        let was_suspended = self.failures.is_suspended();
        let after = self.failures.failed(&self.version.limits.suspension);
        if let AfterFailure::Suspended(duration) = after {
            let counters = self.version.counters.of(self.worker);
            counters.suspensions.add(1);
            if !was_suspended {
                counters.suspended.add(1);
            }
            let (plugin, version) = (&self.version.name, &self.version.label);
            tracing::warn!(%plugin, %version, worker = self.worker, ?duration, "plugin keeps failing and is suspended; its `on_error` applies");
        }
    }

    fn busy(&self) -> Result<Busy<'_>, CallError> {
        let running = self.busy.get();
        if running >= self.most.get() {
            return Err(CallError::Busy {
                plugin: self.version.name.to_string(),
                instances: running,
            });
        }
        self.busy.set(running + 1);
        Ok(Busy(&self.busy))
    }

    fn not_started(&self, error: LoadError) -> CallError {
        match error {
            LoadError::Start(error) => error,
            error => CallError::Instantiate {
                plugin: self.version.name.to_string(),
                message: error.to_string(),
            },
        }
    }
}

/// One running call; counted until dropped, also when the call is cancelled.
struct Busy<'a>(&'a Cell<u32>);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Drop for LocalPlugin {
    fn drop(&mut self) {
        if self.failures.is_suspended() {
            self.version.counters.of(self.worker).suspended.sub(1);
        }
    }
}
