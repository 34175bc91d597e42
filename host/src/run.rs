//! `witgate run`: workers, control and the way from start to exit. The control runtime does
//! all that is not a request: reloads, compiling, the admin listener, signals.

use std::{io, net::SocketAddr, path::Path, sync::Arc, thread::JoinHandle, time::Duration};

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use crate::{
    access_log, admin,
    admission::Admission,
    config::{Config, ConfigError},
    probe,
    reload::{Reloader, StartError},
    shutdown::Phase,
    snapshot::{Snapshot, Sockets},
    worker,
};

/// How long the access-log writer may take for its last lines.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Why the gateway did not start or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Configuration, certificates, plugins.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The address or file of a part of the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Threads, signals, runtimes.
    #[error("the system refuses {what}: {source}")]
    System {
        /// What was wanted of it.
        what: &'static str,
        /// What it says.
        source: io::Error,
    },
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> RunError {
    move |source| RunError::System { what, source }
}

/// Runs the gateway until it is told to end. `set_up_log` is called with the first good
/// configuration, before certificates and plugins are loaded; what it returns is dropped at the
/// end.
pub fn run<Log>(path: &Path, set_up_log: impl FnOnce(&Config) -> Log) -> Result<(), RunError> {
    raise_descriptor_limit();
    let control = control_runtime().map_err(system("a runtime"))?;
    let ended = control.block_on(async {
        let mut signals = Signals::new().map_err(system("signal handlers"))?;
        let config = Config::load(path)?;
        let _log = set_up_log(&config);
        let reloader = tokio::select! {
            reloader = Reloader::start(path, config, Sockets::Open) => reloader?,
            () = signals.end() => return Ok(()),
        };
        let gateway = Gateway::start(reloader).await?;
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            workers = gateway.workers.len(),
            "ready"
        );
        gateway.until_the_end(&mut signals).await;
        Ok(())
    });
    // A plugin that is being compiled does not hold up the end.
    control.shutdown_background();
    ended
}

/// Loads all that `run` would, certificates and plugins too, and serves nothing. Leaves the
/// listening addresses alone: a gateway that runs may have them.
pub fn check(path: &Path) -> Result<Arc<Snapshot>, RunError> {
    let control = control_runtime().map_err(system("a runtime"))?;
    let reloader = control.block_on(Reloader::start(path, Config::load(path)?, Sockets::Leave))?;
    Ok(Arc::clone(reloader.live()))
}

/// Sockets are descriptors: takes as many as the system allows instead of the default of old.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // A refusal leaves the limit as it was, which the accept loop copes with.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// How many descriptors the process may have.
fn descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    })
}

fn control_runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .thread_name("control")
        .enable_all()
        .build()
}

/// The parts of a running gateway.
struct Gateway {
    workers: Vec<JoinHandle<()>>,
    access_log: Option<JoinHandle<()>>,
    phase: watch::Sender<Phase>,
    reloads: watch::Sender<u64>,
    grace: Duration,
}

impl Gateway {
    async fn start(reloader: Reloader) -> Result<Self, RunError> {
        let live = Arc::clone(reloader.live());
        let config = Arc::clone(&live.config);
        let (log_sender, log_writer) = access_log::start(&config.access_log)
            .map_err(|error| config.error("access_log.path", error))?;
        let admin = bind_admin(&config).await?;
        let (snapshots, _) = watch::channel(Arc::clone(&live));
        let (phase, _) = watch::channel(Phase::Serve);
        let (reloads, asked) = watch::channel(0);
        let admission = Admission::new(descriptors());
        let workers = (0..config.workers.get())
            .map(|index| {
                worker::start(worker::Setup {
                    index,
                    snapshots: snapshots.subscribe(),
                    phase: phase.subscribe(),
                    access_log: log_sender.clone(),
                    admission: Arc::clone(&admission),
                })
            })
            .collect::<io::Result<Vec<_>>>()
            .map_err(system("worker threads"))?;
        for listener in &live.listeners {
            tracing::info!(listener = %listener.name, address = %listener.socket.address, "listening");
        }
        if let Some((listener, address)) = admin {
            tracing::info!(%address, "admin listening");
            let state = admin::State {
                snapshots: snapshots.subscribe(),
                phase: phase.subscribe(),
                reloads: reloader.status(),
                lookups: reloader.lookups(),
                lost_lines: log_sender.lost(),
            };
            tokio::spawn(admin::serve(listener, state));
        }
        tokio::spawn(probe::follow(snapshots.subscribe()));
        tokio::spawn(reloader.follow(snapshots, asked));
        Ok(Self {
            workers,
            access_log: log_writer,
            phase,
            reloads,
            grace: config.timeouts.shutdown_grace,
        })
    }

    /// Serves; SIGHUP reloads; the first SIGTERM or SIGINT drains, the second or the end of the
    /// grace period stops.
    async fn until_the_end(self, signals: &mut Signals) {
        loop {
            let Signals {
                hangup,
                terminate,
                interrupt,
            } = signals;
            tokio::select! {
                _ = hangup.recv() => {
                    tracing::info!("reload asked for");
                    self.reloads.send_modify(|count| *count += 1);
                }
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            }
        }
        tracing::info!(grace = ?self.grace, "draining: no new connections, running requests finish");
        self.phase.send_replace(Phase::Drain);
        let mut workers = tokio::task::spawn_blocking(move || join(self.workers));
        let cut = tokio::select! {
            _ = &mut workers => None,
            () = tokio::time::sleep(self.grace) => Some("the grace period is over"),
            () = signals.end() => Some("told to end at once"),
        };
        if let Some(reason) = cut {
            tracing::warn!(reason, "running requests are cut");
            self.phase.send_replace(Phase::Stop);
            drop(workers.await);
        }
        if let Some(writer) = self.access_log {
            let written = tokio::task::spawn_blocking(move || writer.join());
            if tokio::time::timeout(LAST_LINES, written).await.is_err() {
                tracing::warn!("the access log cannot be written; its last lines are lost");
            }
        }
        tracing::info!("ended");
    }
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a worker has panicked");
        }
    }
}

async fn bind_admin(config: &Config) -> Result<Option<(TcpListener, SocketAddr)>, RunError> {
    let Some(address) = config.admin else {
        return Ok(None);
    };
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok::<_, io::Error>((listener, address))
    };
    match bound.await {
        Ok(bound) => Ok(Some(bound)),
        Err(error) => Err(config
            .error(
                "admin.address",
                format!("cannot listen on {address}: {error}"),
            )
            .into()),
    }
}

/// What the process is told by signals.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
