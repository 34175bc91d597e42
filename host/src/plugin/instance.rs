//! One instance of a plugin version: a store with its memory, and the calls into it. Used by
//! one call at a time, on one worker.

use std::{
    future::poll_fn,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use wasmtime::{Store, component::Accessor};

use super::{
    bindings::{
        exports::witgate::plugin::{affinity, interest::Calls, lifecycle, rewriting, routing},
        v0_2::exports::witgate::plugin0_2_0 as v0_2,
        witgate::plugin::types::{RequestEdit, ResponseEdit},
    },
    component::{RewritingIndices, RoutingIndices},
    decision::Decision,
    error::{CallError, DeadlineExceeded, LoadError, NoRoomForBodies, OvertimeExceeded},
    facts::{Lendable, PoolFacts, Request, Response},
    lines::printable,
    memory::Denied,
    overtime::Overtime,
    shared::Uses,
    state::State,
    ticker::Ticker,
    version::Version,
    waiting::{Asking, Services, attended},
};

/// How long a new instance may take to start and to accept its configuration. More than a
/// call has, since regular expressions are compiled and tables built here.
const START_LIMIT: Duration = Duration::from_secs(2);

/// Calls, waits and the like that the engine keeps for one instance.
const MAX_UNDER_WAY: usize = 1_000;

/// A configured instance.
pub struct Instance {
    store: Store<State>,
    plugin: Arc<Version>,
    exports: Exports,
    calls: u32,
    /// The worker that it serves on; none for one that was only tried.
    worker: Option<usize>,
}

struct Exports {
    lifecycle: lifecycle::Guest,
    routing: Option<Routing>,
    affinity: Option<affinity::Guest>,
    rewriting: Option<Rewriting>,
}

/// The routing role, in the version of the WIT that the plugin speaks.
enum Routing {
    V0_1(routing::Guest),
    V0_2(v0_2::routing::Guest),
}

/// The same of rewriting.
enum Rewriting {
    V0_1(rewriting::Guest),
    V0_2(v0_2::rewriting::Guest),
}

impl Instance {
    /// Instantiates and configures, within [`START_LIMIT`]; to be thrown away when it has been
    /// looked at. What it keeps and counts is gone with it.
    pub(super) async fn try_out(plugin: &Arc<Version>) -> Result<Self, LoadError> {
        Self::start_with(plugin, plugin.uses_alone()).await
    }

    /// Instantiates and configures, likewise; shares what the plugin's instances share.
    pub(super) async fn start(plugin: &Arc<Version>) -> Result<Self, LoadError> {
        Self::start_with(plugin, plugin.uses()).await
    }

    async fn start_with(plugin: &Arc<Version>, uses: Option<Uses>) -> Result<Self, LoadError> {
        let mut store = new_store(plugin, uses);
        let started = within(START_LIMIT, start_in(&mut store, plugin)).await;
        match started {
            Ok((exports, Ok(()))) => Ok(Self {
                store,
                plugin: Arc::clone(plugin),
                exports,
                calls: 0,
                worker: None,
            }),
            Ok((_, Err(message))) => Err(LoadError::Refused {
                message: printable(&message),
            }),
            Err(error) => Err(LoadError::Start(call_error(&store, plugin, &error))),
        }
    }

    /// It serves on this worker from now on, and what its calls need beyond their first slice
    /// counts there.
    pub(super) fn serve_on(&mut self, worker: usize, overtime: &Arc<Overtime>) {
        let counters = self.plugin.counters.of(worker);
        counters.instances_made.add(1);
        counters.instances.add(1);
        self.worker = Some(worker);
        if let Some(uses) = &mut self.store.data_mut().shared {
            uses.worker = worker;
        }
        self.store.data_mut().count_overtime(Arc::clone(overtime));
    }

    /// How many calls it has served.
    pub(super) fn calls(&self) -> u32 {
        self.calls
    }

    /// How often the last call has left the worker to others.
    pub(super) fn yields(&self) -> u32 {
        self.store.data().yields()
    }

    /// Whether something that the last call has asked is still open.
    pub(super) fn is_waiting(&self) -> bool {
        let asking = self.store.data().asking.as_ref();
        asking.is_some_and(|asking| asking.waits.is_waiting())
    }

    /// How many callouts the last call has made, and how many of them had no answer.
    pub(super) fn callouts(&self) -> (u32, u32) {
        let asking = self.store.data().asking.as_ref();
        asking.map_or((0, 0), |asking| (asking.callouts, asking.failed))
    }

    /// Linear memory that it has, bytes.
    pub(super) fn memory(&self) -> usize {
        self.store.data().memory.used
    }

    /// Asks for the request's pool.
    pub(super) async fn route(
        &mut self,
        request: &mut Lendable<Request>,
        services: &impl Services,
        since: Instant,
    ) -> Result<Decision, CallError> {
        let Some(role) = &self.exports.routing else {
            return Ok(Decision::Pass(Vec::new()));
        };
        self.store.data_mut().request = request.lend();
        self.calls = self.calls.saturating_add(1);
        let (store, plugin) = (&mut self.store, &self.plugin);
        let result = match role {
            Routing::V0_1(role) => {
                let decided = call(store, plugin, since, async |store| {
                    role.call_route(store).await
                });
                decided.await.map(Into::into)
            }
            Routing::V0_2(role) => {
                let decided = waiting_call(store, plugin, services, since, async |accessor| {
                    role.call_route(accessor).await
                });
                decided.await.map(Into::into)
            }
        };
        request.give_back(self.store.data_mut().request.take());
        result
    }

    /// Asks which endpoint the session sticks to.
    pub(super) async fn prefer(
        &mut self,
        request: &mut Lendable<Request>,
        pool: &Arc<PoolFacts>,
        since: Instant,
    ) -> Result<affinity::Preference, CallError> {
        let Some(role) = &self.exports.affinity else {
            return Ok(affinity::Preference::None);
        };
        self.store.data_mut().request = request.lend();
        self.store.data_mut().pool = Some(Arc::clone(pool));
        self.calls = self.calls.saturating_add(1);
        let result = call(&mut self.store, &self.plugin, since, async |store| {
            role.call_prefer(store, pool.generation).await
        })
        .await;
        self.store.data_mut().pool = None;
        request.give_back(self.store.data_mut().request.take());
        result
    }

    /// Asks for the edits that make the session stick to the endpoint that answered.
    pub(super) async fn stick(
        &mut self,
        request: &mut Lendable<Request>,
        pool: &Arc<PoolFacts>,
        endpoint: &str,
        outcome: affinity::Outcome,
        since: Instant,
    ) -> Result<Vec<ResponseEdit>, CallError> {
        let Some(role) = &self.exports.affinity else {
            return Ok(Vec::new());
        };
        if outcome == affinity::Outcome::Honoured && self.plugin.does_without(Calls::STICK_HONOURED)
        {
            return Ok(Vec::new());
        }
        self.store.data_mut().request = request.lend();
        self.store.data_mut().pool = Some(Arc::clone(pool));
        self.calls = self.calls.saturating_add(1);
        let result = call(&mut self.store, &self.plugin, since, async |store| {
            role.call_stick(store, pool.generation, endpoint, outcome)
                .await
        })
        .await;
        self.store.data_mut().pool = None;
        request.give_back(self.store.data_mut().request.take());
        result
    }

    /// Asks for the request's edits.
    pub(super) async fn rewrite_request(
        &mut self,
        request: &mut Lendable<Request>,
        services: &impl Services,
        since: Instant,
    ) -> Result<Vec<RequestEdit>, CallError> {
        let Some(role) = &self.exports.rewriting else {
            return Ok(Vec::new());
        };
        if self.plugin.does_without(Calls::REWRITE_REQUEST) {
            return Ok(Vec::new());
        }
        self.store.data_mut().request = request.lend();
        self.calls = self.calls.saturating_add(1);
        let (store, plugin) = (&mut self.store, &self.plugin);
        let result = match role {
            Rewriting::V0_1(role) => {
                call(store, plugin, since, async |store| {
                    role.call_rewrite_request(store).await
                })
                .await
            }
            Rewriting::V0_2(role) => {
                waiting_call(store, plugin, services, since, async |accessor| {
                    role.call_rewrite_request(accessor).await
                })
                .await
            }
        };
        request.give_back(self.store.data_mut().request.take());
        result
    }

    /// Asks for the response's edits.
    pub(super) async fn rewrite_response(
        &mut self,
        request: &mut Lendable<Request>,
        response: &mut Lendable<Response>,
        services: &impl Services,
        since: Instant,
    ) -> Result<Vec<ResponseEdit>, CallError> {
        let Some(role) = &self.exports.rewriting else {
            return Ok(Vec::new());
        };
        if self.plugin.does_without(Calls::REWRITE_RESPONSE) {
            return Ok(Vec::new());
        }
        self.store.data_mut().request = request.lend();
        self.store.data_mut().response = response.lend();
        self.calls = self.calls.saturating_add(1);
        let (store, plugin) = (&mut self.store, &self.plugin);
        let result = match role {
            Rewriting::V0_1(role) => {
                call(store, plugin, since, async |store| {
                    role.call_rewrite_response(store).await
                })
                .await
            }
            Rewriting::V0_2(role) => {
                waiting_call(store, plugin, services, since, async |accessor| {
                    role.call_rewrite_response(accessor).await
                })
                .await
            }
        };
        request.give_back(self.store.data_mut().request.take());
        response.give_back(self.store.data_mut().response.take());
        result
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(worker) = self.worker {
            self.plugin.counters.of(worker).instances.sub(1);
        }
    }
}

fn new_store(plugin: &Arc<Version>, uses: Option<Uses>) -> Store<State> {
    let mut state = State::new(
        Arc::clone(&plugin.name),
        &plugin.limits,
        Arc::clone(&plugin.engine.memory),
        Arc::clone(&plugin.engine.bodies),
        plugin.component.runtime.ticker.clone(),
        plugin.component.uses_wasi,
    );
    state.shared = uses.map(Box::new);
    state.asking = Asking::of(&plugin.source.sidecar);
    let mut store = Store::new(&plugin.component.runtime.engine, state);
    store.limiter(|state| &mut state.memory);
    store.set_hostcall_fuel(plugin.limits.output);
    if let Some(under_way) = store.concurrent_resource_table() {
        under_way.set_max_capacity(MAX_UNDER_WAY);
    }
    store.epoch_deadline_callback(|mut store| store.data_mut().slice_over());
    store
}

async fn start_in(
    store: &mut Store<State>,
    plugin: &Arc<Version>,
) -> wasmtime::Result<(Exports, Result<(), String>)> {
    begin(store, Instant::now(), START_LIMIT);
    let component = &plugin.component;
    let instance = component.pre.instantiate_async(&mut *store).await?;
    let exports = Exports {
        lifecycle: component.lifecycle.load(&mut *store, &instance)?,
        routing: match &component.routing {
            None => None,
            Some(RoutingIndices::V0_1(role)) => {
                Some(Routing::V0_1(role.load(&mut *store, &instance)?))
            }
            Some(RoutingIndices::V0_2(role)) => {
                Some(Routing::V0_2(role.load(&mut *store, &instance)?))
            }
        },
        affinity: component
            .affinity
            .as_ref()
            .map(|role| role.load(&mut *store, &instance))
            .transpose()?,
        rewriting: match &component.rewriting {
            None => None,
            Some(RewritingIndices::V0_1(role)) => {
                Some(Rewriting::V0_1(role.load(&mut *store, &instance)?))
            }
            Some(RewritingIndices::V0_2(role)) => {
                Some(Rewriting::V0_2(role.load(&mut *store, &instance)?))
            }
        },
    };
    let configured = exports
        .lifecycle
        .call_configure(&mut *store, &plugin.source.sidecar.config_json)
        .await?;
    if let (Ok(()), None, Some(interest)) =
        (&configured, plugin.unneeded.get(), &component.interest)
    {
        let interest = interest.load(&mut *store, &instance)?;
        let unneeded = interest.call_unneeded(&mut *store).await?;
        let _ = plugin.unneeded.set(unneeded);
    }
    Ok((exports, configured))
}

/// Runs one call within the plugin's deadline.
async fn call<R>(
    store: &mut Store<State>,
    plugin: &Version,
    since: Instant,
    run: impl AsyncFnOnce(&mut Store<State>) -> wasmtime::Result<R>,
) -> Result<R, CallError> {
    let deadline = plugin.limits.deadline;
    begin(store, since, deadline);
    let result = match plugin.component.uses_wasi {
        // Only WASI lets a call wait outside Wasm, where epochs do not reach it.
        true => {
            let ticker = plugin.component.runtime.ticker.clone();
            Box::pin(within(deadline, ticking(ticker, run(store)))).await
        }
        false => run(store).await,
    };
    result.map_err(|error| call_error(store, plugin, &error))
}

/// Runs one call that may wait, within the plugin's deadline, and answers what it asks.
async fn waiting_call<R>(
    store: &mut Store<State>,
    plugin: &Version,
    services: &impl Services,
    since: Instant,
    run: impl AsyncFnOnce(&Accessor<State>) -> wasmtime::Result<R>,
) -> Result<R, CallError> {
    let deadline = plugin.limits.deadline;
    begin(store, since, deadline);
    let asked = store.data_mut().asking.get_or_insert_default().begin();
    let ticker = plugin.component.runtime.ticker.clone();
    let running = ticking(ticker, async { store.run_concurrent(run).await.flatten() });
    // Boxed: requests whose plugins never wait need no room for it.
    let result = Box::pin(attended(running, asked, services, deadline)).await;
    if let Some(asking) = &mut store.data_mut().asking {
        asking.end();
    }
    result.map_err(|error| call_error(store, plugin, &error))
}

fn begin(store: &mut Store<State>, since: Instant, deadline: Duration) {
    let slice = store.data_mut().start(since, deadline);
    store.set_epoch_deadline(slice);
}

/// A call that may wait for longer than the engine's clock goes on without calls.
async fn ticking<R>(ticker: Ticker, run: impl Future<Output = R>) -> R {
    let mut run = pin!(run);
    poll_fn(|cx| {
        ticker.run();
        run.as_mut().poll(cx)
    })
    .await
}

async fn within<R>(
    deadline: Duration,
    run: impl Future<Output = wasmtime::Result<R>>,
) -> wasmtime::Result<R> {
    match tokio::time::timeout(deadline + deadline / 2, run).await {
        Ok(result) => result,
        Err(_) => Err(wasmtime::Error::new(DeadlineExceeded(deadline))),
    }
}

/// What the engine says of a trap, and what mends it where it is the stack's end.
fn trapped(error: &wasmtime::Error) -> String {
    let message = printable(&format!("{error:#}"));
    match error.downcast_ref() {
        Some(wasmtime::Trap::StackOverflow) => {
            format!("{message} (recursion without end? otherwise `stack` in its sidecar)")
        }
        _ => message,
    }
}

fn call_error(store: &Store<State>, plugin: &Version, error: &wasmtime::Error) -> CallError {
    let memory = &store.data().memory;
    let name = plugin.name.to_string();
    if let Some(DeadlineExceeded(deadline)) = error.downcast_ref() {
        return CallError::Deadline {
            plugin: name,
            deadline: *deadline,
        };
    }
    if let Some(OvertimeExceeded(percent)) = error.downcast_ref() {
        return CallError::Overtime {
            plugin: name,
            slice: plugin.limits.slice,
            percent: *percent,
        };
    }
    if error.is::<NoRoomForBodies>() {
        return CallError::TotalBodies {
            plugin: name,
            limit: plugin.engine.bodies.limit(),
        };
    }
    match memory.denied {
        Some(Denied::Own) => CallError::Memory {
            plugin: name,
            limit: memory.limit,
        },
        Some(Denied::Total) => CallError::TotalMemory {
            plugin: name,
            limit: memory.total.limit(),
        },
        None => CallError::Trap {
            plugin: name,
            message: trapped(error),
        },
    }
}
