//! One instance of a plugin version: a store with its memory, and the calls into it. Used by
//! one call at a time, on one worker.

use std::{sync::Arc, time::Duration};

use wasmtime::Store;

use super::{
    bindings::exports::witgate::plugin::{affinity, lifecycle, rewriting, routing},
    bindings::witgate::plugin::types::{RequestEdit, ResponseEdit},
    error::{CallError, DeadlineExceeded, LoadError},
    facts::{Lendable, PoolFacts, Request, Response},
    lines::printable,
    state::State,
    version::Version,
};

/// How long a new instance may take to start and to accept its configuration. More than a
/// call has, since regular expressions are compiled and tables built here.
const START_LIMIT: Duration = Duration::from_secs(2);
/// What one call may hand over in lists and strings, bytes as laid out in the host's memory.
/// Responses of 64 KiB and 128 edits fit many times.
const TRANSFER_LIMIT: usize = 1 << 20;

/// A configured instance.
pub struct Instance {
    store: Store<State>,
    plugin: Arc<Version>,
    exports: Exports,
}

struct Exports {
    lifecycle: lifecycle::Guest,
    routing: Option<routing::Guest>,
    affinity: Option<affinity::Guest>,
    rewriting: Option<rewriting::Guest>,
}

impl Instance {
    /// Instantiates and configures, within [`START_LIMIT`].
    pub(super) async fn start(plugin: &Arc<Version>) -> Result<Self, LoadError> {
        let mut store = new_store(plugin);
        let started = within(START_LIMIT, start_in(&mut store, plugin)).await;
        match started {
            Ok((exports, Ok(()))) => Ok(Self {
                store,
                plugin: Arc::clone(plugin),
                exports,
            }),
            Ok((_, Err(message))) => Err(LoadError::Refused {
                message: printable(&message),
            }),
            Err(error) => Err(LoadError::Start(call_error(&store, plugin, &error))),
        }
    }

    /// Asks for the request's pool.
    pub(super) async fn route(
        &mut self,
        request: &mut Lendable<Request>,
    ) -> Result<routing::Decision, CallError> {
        let Some(role) = &self.exports.routing else {
            return Ok(routing::Decision::Pass);
        };
        self.store.data_mut().request = request.lend();
        let result = call(&mut self.store, &self.plugin, async |store| {
            role.call_route(store).await
        })
        .await;
        request.give_back(self.store.data_mut().request.take());
        result
    }

    /// Asks which endpoint the session sticks to.
    pub(super) async fn prefer(
        &mut self,
        request: &mut Lendable<Request>,
        pool: &Arc<PoolFacts>,
    ) -> Result<affinity::Preference, CallError> {
        let Some(role) = &self.exports.affinity else {
            return Ok(affinity::Preference::None);
        };
        self.store.data_mut().request = request.lend();
        self.store.data_mut().pool = Some(Arc::clone(pool));
        let result = call(&mut self.store, &self.plugin, async |store| {
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
    ) -> Result<Vec<ResponseEdit>, CallError> {
        let Some(role) = &self.exports.affinity else {
            return Ok(Vec::new());
        };
        self.store.data_mut().request = request.lend();
        self.store.data_mut().pool = Some(Arc::clone(pool));
        let result = call(&mut self.store, &self.plugin, async |store| {
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
    ) -> Result<Vec<RequestEdit>, CallError> {
        let Some(role) = &self.exports.rewriting else {
            return Ok(Vec::new());
        };
        self.store.data_mut().request = request.lend();
        let result = call(&mut self.store, &self.plugin, async |store| {
            role.call_rewrite_request(store).await
        })
        .await;
        request.give_back(self.store.data_mut().request.take());
        result
    }

    /// Asks for the response's edits.
    pub(super) async fn rewrite_response(
        &mut self,
        request: &mut Lendable<Request>,
        response: &mut Lendable<Response>,
    ) -> Result<Vec<ResponseEdit>, CallError> {
        let Some(role) = &self.exports.rewriting else {
            return Ok(Vec::new());
        };
        self.store.data_mut().request = request.lend();
        self.store.data_mut().response = response.lend();
        let result = call(&mut self.store, &self.plugin, async |store| {
            role.call_rewrite_response(store).await
        })
        .await;
        request.give_back(self.store.data_mut().request.take());
        response.give_back(self.store.data_mut().response.take());
        result
    }
}

fn new_store(plugin: &Arc<Version>) -> Store<State> {
    let state = State::new(
        Arc::clone(&plugin.name),
        plugin.limits.memory,
        plugin.component.imports_wasi(),
    );
    let mut store = Store::new(&plugin.engine, state);
    store.limiter(|state| &mut state.memory);
    store.set_hostcall_fuel(TRANSFER_LIMIT);
    store.epoch_deadline_callback(|mut store| store.data_mut().slice_over());
    store
}

async fn start_in(
    store: &mut Store<State>,
    plugin: &Arc<Version>,
) -> wasmtime::Result<(Exports, Result<(), String>)> {
    begin(store, START_LIMIT);
    let component = &plugin.component;
    let instance = component.pre.instantiate_async(&mut *store).await?;
    let exports = Exports {
        lifecycle: component.lifecycle.load(&mut *store, &instance)?,
        routing: component
            .routing
            .as_ref()
            .map(|role| role.load(&mut *store, &instance))
            .transpose()?,
        affinity: component
            .affinity
            .as_ref()
            .map(|role| role.load(&mut *store, &instance))
            .transpose()?,
        rewriting: component
            .rewriting
            .as_ref()
            .map(|role| role.load(&mut *store, &instance))
            .transpose()?,
    };
    let configured = exports
        .lifecycle
        .call_configure(&mut *store, &plugin.config_json)
        .await?;
    Ok((exports, configured))
}

/// Runs one call within the plugin's deadline.
async fn call<R>(
    store: &mut Store<State>,
    plugin: &Version,
    run: impl AsyncFnOnce(&mut Store<State>) -> wasmtime::Result<R>,
) -> Result<R, CallError> {
    let deadline = plugin.limits.deadline;
    begin(store, deadline);
    let result = match plugin.component.imports_wasi() {
        // Only WASI lets a call wait outside Wasm, where epochs do not reach it.
        true => within(deadline, run(store)).await,
        false => run(store).await,
    };
    result.map_err(|error| call_error(store, plugin, &error))
}

fn begin(store: &mut Store<State>, deadline: Duration) {
    store.data_mut().start(deadline);
    store.set_epoch_deadline(1);
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

fn call_error(store: &Store<State>, plugin: &Version, error: &wasmtime::Error) -> CallError {
    let memory = &store.data().memory;
    let plugin = plugin.name.to_string();
    match error.downcast_ref::<DeadlineExceeded>() {
        Some(DeadlineExceeded(deadline)) => CallError::Deadline {
            plugin,
            deadline: *deadline,
        },
        None if memory.denied => CallError::Memory {
            plugin,
            limit: memory.limit,
        },
        None => CallError::Trap {
            plugin,
            message: printable(&format!("{error:#}")),
        },
    }
}
