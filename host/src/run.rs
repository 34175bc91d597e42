//! `witgate run`: workers, control and the way from start to exit. The control runtime does
//! all that is not a request: reloads, compiling, the admin listener, signals.

mod admin_socket;
mod life;
mod signals;

use std::{io, path::Path, sync::Arc, thread::JoinHandle, time::Duration};

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::sync::watch;

use self::{admin_socket::AdminSocket, signals::Signals};
use crate::{
    access_log, admin,
    admission::Admission,
    config::{Config, ConfigError},
    control::ControlSocket,
    log::{self, Log},
    probe,
    reload::{CommandSender, Commands, Keeper, ReloadStatus, Reloader, StartError},
    shutdown::Phase,
    snapshot::Snapshot,
    sockets::{Origin, Passed, Sockets},
    supervisor,
    upgrade::{self, Program},
    worker,
};

/// Threads for what blocks are kept for good: a system that refuses new ones later then makes
/// reloads slower and does not end them.
const KEEP_THREADS: Duration = Duration::from_hours(24 * 365);

/// Why the gateway did not start or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Configuration, certificates, plugins.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The address or file of a part of the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What was passed to it is of no use.
    #[error("the sockets that were passed cannot be used: {0}")]
    Passed(io::Error),
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

/// Runs the gateway until it is told to end. With `overlap` it listens even where another
/// gateway does.
pub fn run(path: &Path, overlap: bool) -> Result<(), RunError> {
    // First, while there are no threads: it changes the environment.
    let passed = Passed::from_environment().map_err(RunError::Passed)?;
    let origin = Arc::new(Origin { passed, overlap });
    let program = Program::of_this_process();
    raise_descriptor_limit();
    let control = control_runtime().map_err(system("a runtime"))?;
    let ended = control.block_on(async {
        let mut signals = Signals::new().map_err(system("signal handlers"))?;
        let config = Config::load(path)?;
        let log = Log::set_up(&config.log);
        let admin = open_admin(&config, &origin)?;
        let sockets = Sockets::Open(Arc::clone(&origin));
        let reloader = tokio::select! {
            reloader = Reloader::start(path, config, sockets) => reloader?,
            () = signals.end() => return Ok(()),
        };
        origin.passed.close_the_rest();
        let mut gateway = Gateway::start(reloader, admin, program, log.lost())?;
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            workers = gateway.workers.len(),
            "ready"
        );
        gateway.tell_ready(&origin.passed)?;
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
    let runtime = tokio::runtime::Builder::new_current_thread()
        .thread_name("control")
        .thread_keep_alive(KEEP_THREADS)
        .enable_all()
        .build()?;
    drop(runtime.spawn_blocking(|| ()));
    Ok(runtime)
}

/// The admin listener, which answers from now on; that of an upgrade waits for its turn.
fn open_admin(config: &Config, origin: &Origin) -> Result<Option<AdminSocket>, RunError> {
    let Some(address) = config.admin else {
        return Ok(None);
    };
    let opened = AdminSocket::open(address, origin).and_then(|mut admin| {
        if !origin.passed.is_upgrade() {
            admin.serve()?;
        }
        Ok(admin)
    });
    opened.map(Some).map_err(|error| {
        let problem = format!("cannot listen on {address}: {error}");
        config.error("admin.address", problem).into()
    })
}

/// The parts of a running gateway.
struct Gateway {
    workers: Vec<JoinHandle<()>>,
    access_log: access_log::Sender,
    access_log_writer: Option<JoinHandle<()>>,
    admin: Option<AdminSocket>,
    control: Option<ControlSocket>,
    commands: CommandSender,
    keeper: Keeper,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    phase: watch::Sender<Phase>,
    reloads: watch::Sender<u64>,
    answered: watch::Receiver<u64>,
    status: Arc<ReloadStatus>,
    program: Program,
}

impl Gateway {
    fn start(
        reloader: Reloader,
        admin: Option<AdminSocket>,
        program: Program,
        lost_log_lines: log::LostLines,
    ) -> Result<Self, RunError> {
        let live = Arc::clone(reloader.live());
        let config = Arc::clone(&live.config);
        let (access_log, access_log_writer) = access_log::start(&config.access_log)
            .map_err(|error| config.error("access_log.path", error))?;
        let (to_workers, snapshots) = watch::channel(Arc::clone(&live));
        let (phase, _) = watch::channel(Phase::Serve);
        let (reloads, asked) = watch::channel(0);
        let (answers, answered) = watch::channel(0);
        let status = reloader.status();
        let (commands, asked_of_plugins) = Commands::channel();
        let (keeper, kept) = Keeper::channel();
        let admission = Admission::new(descriptors());
        let workers = (0..config.workers.get())
            .map(|index| {
                worker::start(worker::Setup {
                    index,
                    snapshots: snapshots.clone(),
                    phase: phase.subscribe(),
                    access_log: access_log.clone(),
                    admission: Arc::clone(&admission),
                })
            })
            .collect::<io::Result<Vec<_>>>()
            .map_err(system("worker threads"))?;
        for listener in &live.listeners {
            tracing::info!(listener = %listener.name, address = %listener.socket.address, "listening");
        }
        if let Some(admin) = &admin {
            admin.show(admin::State {
                snapshots: snapshots.clone(),
                phase: phase.subscribe(),
                reloads: Arc::clone(&status),
                engine: reloader.engine().clone(),
                lookups: reloader.lookups(),
                lost_lines: access_log.lost(),
                lost_log_lines,
            });
        }
        tokio::spawn(probe::follow(snapshots.clone()));
        tokio::spawn(reloader.follow(to_workers, asked, answers, asked_of_plugins, kept));
        Ok(Self {
            workers,
            access_log,
            access_log_writer,
            admin,
            control: None,
            commands,
            keeper,
            snapshots,
            phase,
            reloads,
            answered,
            status,
            program,
        })
    }

    /// Tells who waits for it: the process that this one replaces, which tells the supervisor in
    /// its turn, or the supervisor itself.
    fn tell_ready(&mut self, passed: &Passed) -> Result<(), RunError> {
        if !passed.is_upgrade() {
            self.open_control()?;
            supervisor::ready();
            return Ok(());
        }
        if let Some(admin) = &mut self.admin {
            admin.serve().map_err(system("the admin listener"))?;
        }
        if let Err(error) = upgrade::tell_ready() {
            tracing::warn!(%error, "the process before is gone already");
            supervisor::ready();
        }
        if let Err(error) = self.open_control() {
            tracing::error!("there is no control socket:\n{error}");
        }
        Ok(())
    }

    fn open_control(&mut self) -> Result<(), RunError> {
        let config = Arc::clone(&self.snapshots.borrow().config);
        let Some(path) = &config.control else {
            return Ok(());
        };
        let commands = self.commands.clone();
        let opened = ControlSocket::open(path, Arc::clone(&self.status), commands);
        let socket = opened.map_err(|error| {
            let problem = format!("cannot listen on {}: {error}", path.display());
            config.error("control.socket", problem)
        })?;
        self.control = Some(socket);
        Ok(())
    }
}
