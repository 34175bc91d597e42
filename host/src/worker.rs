//! A worker: one thread that is a whole gateway, with its own runtime, listening sockets,
//! upstream connections and plugin instances. Workers share nothing that is written on the
//! request path; what they serve arrives as an `Arc<Snapshot>`.

use std::{
    io,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use crate::{
    access_log, admission::Admission, listener::Acceptors, local::Local, shutdown::Phase,
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
    /// The books of all workers' connections.
    pub admission: Arc<Admission>,
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
        Ok(runtime) => {
            runtime.block_on(serve(setup, ready));
            // Whatever still runs does not hold up the end.
            runtime.shutdown_background();
        }
        Err(error) => drop(ready.send(Err(error))),
    }
}

async fn serve(mut setup: Setup, ready: &mpsc::SyncSender<io::Result<()>>) {
    let first = Arc::clone(&setup.snapshots.borrow_and_update());
    let local = Local::new(setup.index, first, setup.access_log, setup.admission);
    let mut acceptors = Acceptors::default();
    acceptors.follow(&local);
    drop(ready.send(Ok(())));
    let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
    loop {
        tokio::select! {
            // Without anyone to change it the snapshot is served on.
            Ok(()) = setup.snapshots.changed() => {
                let latest = Arc::clone(&setup.snapshots.borrow_and_update());
                local.adopt(latest);
                acceptors.follow(&local);
            }
            changed = setup.phase.changed() => {
                let phase = *setup.phase.borrow_and_update();
                if changed.is_err() || phase == Phase::Stop { break }
                if phase >= Phase::Leave { local.drain.announce(); }
                if phase >= Phase::Drain { local.drain.start(); acceptors.close(); }
            }
            _ = housekeeping.tick() => tidy(&local),
        }
        if local.drain.started() && acceptors.ended() && local.connections.get() == 0 {
            break;
        }
    }
    local.access_log.flush();
}

fn tidy(local: &Local) {
    let now = Instant::now();
    local.access_log.flush();
    local.snapshot().trim();
    for pool in &local.snapshot().pools {
        let endpoints = &pool.running.pool.endpoints;
        for (connections, endpoint) in pool.connections.iter().zip(endpoints) {
            // What is idle here may be all that another worker waits for.
            match endpoint.connections.waiting() {
                0 => connections.sweep(now),
                _ => connections.clear(),
            }
        }
    }
}
