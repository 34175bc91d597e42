//! A worker: one thread that is a whole gateway, with its own runtime, listening sockets,
//! upstream connections and plugin instances. Workers share nothing that is written on the
//! request path; what they serve arrives as an `Arc<Snapshot>`.

mod local;

use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::sync::watch;

pub use local::{LocalPool, LocalSnapshot};

use crate::{
    access_log::{self, AccessLog},
    listener::Acceptors,
    plugin::RequestId,
    shutdown::{Drain, Phase},
    snapshot::Snapshot,
};

/// How often idle upstream connections and the access log's buffer are looked after.
const HOUSEKEEPING: Duration = Duration::from_millis(200);

/// What a worker is given at its start.
pub struct Setup {
    /// Its number, from 0.
    pub index: usize,
    /// The configuration to serve, now and later.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Whether to serve on, drain or stop.
    pub phase: watch::Receiver<Phase>,
    /// Where its access-log lines go.
    pub access_log: access_log::Sender,
}

/// One worker, as everything on its thread sees it.
pub struct Worker {
    /// Its number, from 0.
    pub index: usize,
    /// Lines of finished requests.
    pub access_log: AccessLog,
    /// Says when connections should end.
    pub drain: Rc<Drain>,
    /// Client connections that are open.
    pub connections: Cell<usize>,
    current: RefCell<Rc<LocalSnapshot>>,
    ids: Cell<u128>,
}

impl Worker {
    /// What a request that starts now is served with.
    pub fn snapshot(&self) -> Rc<LocalSnapshot> {
        Rc::clone(&self.current.borrow())
    }

    /// A new request id: a random start, which no other worker shares, and an odd step that
    /// spreads the digits.
    pub fn next_id(&self) -> RequestId {
        let id = self
            .ids
            .get()
            .wrapping_add(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        self.ids.set(id);
        RequestId(id)
    }
}

/// Starts a worker's thread and returns when it serves. The thread ends when the phase becomes
/// `Stop`, or `Drain` and its last connection has ended.
pub fn start(setup: Setup) -> io::Result<JoinHandle<()>> {
    let (ready, is_ready) = mpsc::sync_channel(1);
    let name = format!("worker-{}", setup.index);
    let thread = std::thread::Builder::new()
        .name(name)
        .spawn(move || run(setup, &ready))?;
    is_ready
        .recv()
        .unwrap_or_else(|_| Err(io::Error::other("the worker ended while it started")))?;
    Ok(thread)
}

fn run(setup: Setup, ready: &mpsc::SyncSender<io::Result<()>>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default());
    match runtime {
        Ok(runtime) => runtime.block_on(serve(setup, ready)),
        Err(error) => drop(ready.send(Err(error))),
    }
}

async fn serve(mut setup: Setup, ready: &mpsc::SyncSender<io::Result<()>>) {
    let first = Arc::clone(&setup.snapshots.borrow_and_update());
    let worker = Rc::new(Worker {
        index: setup.index,
        access_log: AccessLog::new(setup.access_log),
        drain: Rc::default(),
        connections: Cell::new(0),
        current: RefCell::new(Rc::new(LocalSnapshot::new(first, setup.index, None))),
        ids: Cell::new(random_start()),
    });
    let mut acceptors = Acceptors::default();
    acceptors.follow(&worker);
    drop(ready.send(Ok(())));
    let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
    loop {
        tokio::select! {
            changed = setup.snapshots.changed() => {
                let latest = Arc::clone(&setup.snapshots.borrow_and_update());
                adopt(&worker, latest);
                acceptors.follow(&worker);
                if changed.is_err() { break }
            }
            changed = setup.phase.changed() => {
                let phase = *setup.phase.borrow_and_update();
                if changed.is_err() || phase == Phase::Stop { break }
                if phase == Phase::Drain { acceptors.stop(); worker.drain.start(); }
            }
            _ = housekeeping.tick() => tidy(&worker),
        }
        if worker.drain.started() && worker.connections.get() == 0 {
            break;
        }
    }
    worker.access_log.flush();
}

fn adopt(worker: &Worker, latest: Arc<Snapshot>) {
    let before = worker.snapshot();
    let next = LocalSnapshot::new(latest, worker.index, Some(&before));
    worker.current.replace(Rc::new(next));
}

fn tidy(worker: &Worker) {
    let now = Instant::now();
    worker.access_log.flush();
    worker
        .snapshot()
        .pools
        .iter()
        .flat_map(|pool| &pool.idle)
        .for_each(|idle| idle.sweep(now));
}

fn random_start() -> u128 {
    let mut bytes = [0; 16];
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => u128::from_ne_bytes(bytes),
        // Ids need to be unlikely to repeat, not to be secret.
        Err(_) => u128::from(std::process::id()) << 64,
    }
}
