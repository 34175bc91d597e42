//! A plugin version on one worker: its idle instances, and the calls that `proxy` makes.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    bindings::exports::witgate::plugin::{
        affinity::{Outcome, Preference},
        routing::Decision,
    },
    bindings::witgate::plugin::types::{RequestEdit, ResponseEdit},
    error::{CallError, LoadError},
    facts::{Lendable, PoolFacts, Request, Response},
    instance::Instance,
    version::Version,
};

/// Calls of one plugin that may run on one worker at a time. A call that does not use up its
/// slice never leaves the worker, so that one instance serves nearly always; the rest are for
/// those that do.
const MAX_INSTANCES: usize = 64;

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
    /// Boxed, as they come and go with each call.
    #[allow(
        clippy::vec_box,
        reason = "an instance is large and moves twice a call"
    )]
    idle: RefCell<Vec<Box<Instance>>>,
    busy: Cell<usize>,
    reported: Cell<Option<(Instant, usize)>>,
}

impl LocalPlugin {
    /// A version on the worker of this number; instances are made when they are needed.
    pub fn new(version: Arc<Version>, worker: usize) -> Self {
        let names = PluginNames {
            name: Arc::clone(&version.name),
            label: Arc::clone(&version.label),
        };
        Self {
            version,
            names: Rc::new(names),
            worker,
            idle: RefCell::default(),
            busy: Cell::new(0),
            reported: Cell::new(None),
        }
    }

    /// Routing: which pool serves the request.
    pub async fn route(&self, request: &mut Lendable<Request>) -> Result<Decision, CallError> {
        self.call(async |instance| instance.route(request).await)
            .await
    }

    /// Affinity: which endpoint the session sticks to.
    pub async fn prefer(
        &self,
        request: &mut Lendable<Request>,
        pool: &Arc<PoolFacts>,
    ) -> Result<Preference, CallError> {
        self.call(async |instance| instance.prefer(request, pool).await)
            .await
    }

    /// Affinity: the edits that make the session stick.
    pub async fn stick(
        &self,
        request: &mut Lendable<Request>,
        pool: &Arc<PoolFacts>,
        endpoint: &str,
        outcome: Outcome,
    ) -> Result<Vec<ResponseEdit>, CallError> {
        self.call(async |instance| instance.stick(request, pool, endpoint, outcome).await)
            .await
    }

    /// Rewriting: the request's edits.
    pub async fn rewrite_request(
        &self,
        request: &mut Lendable<Request>,
    ) -> Result<Vec<RequestEdit>, CallError> {
        self.call(async |instance| instance.rewrite_request(request).await)
            .await
    }

    /// Rewriting: the response's edits.
    pub async fn rewrite_response(
        &self,
        request: &mut Lendable<Request>,
        response: &mut Lendable<Response>,
    ) -> Result<Vec<ResponseEdit>, CallError> {
        self.call(async |instance| instance.rewrite_response(request, response).await)
            .await
    }

    /// Counts a call that took this long; `error` where it failed.
    pub fn called(&self, took: Duration, error: Option<&CallError>) {
        let counters = self.version.counters.of(self.worker);
        counters.calls.add(1);
        counters
            .nanoseconds
            .add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        if let Some(error) = error {
            counters.failed(error);
        }
    }

    /// Counts a decision that the gateway did not act on.
    pub fn refused(&self) {
        self.version.counters.of(self.worker).refused.add(1);
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
        let _busy = self.busy()?;
        let idle = self.idle.borrow_mut().pop();
        let mut instance = match idle {
            Some(instance) => instance,
            None => {
                let started = Instance::start(&self.version).await;
                Box::new(started.map_err(|error| self.not_started(error))?)
            }
        };
        let decision = run(&mut instance).await?;
        self.idle.borrow_mut().push(instance);
        Ok(decision)
    }

    fn busy(&self) -> Result<Busy<'_>, CallError> {
        let running = self.busy.get();
        if running >= MAX_INSTANCES {
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
struct Busy<'a>(&'a Cell<usize>);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
