//! Following the configuration file, the plugin folder and all files that they name. Events
//! of the file system are hints: what counts is whether a file's stamp has changed, and then
//! whether its contents have. A change is tried as a whole and swapped in at once, or refused
//! with its reason while everything stays as it was.

mod announce;
mod apply;
mod board;
mod command;
mod expiry;
mod folders;
mod inputs;
mod keep;
mod plugins;
mod rolled_back;
mod stamp;
mod state;
mod status;
mod watch;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::sync::{oneshot, watch as channel};

pub use board::{Board, PluginStatus};
pub use command::{Command, CommandSender, Commands};
pub use keep::{Keeper, Kept};
pub use plugins::{CommandError, PluginSet, Rejected};
pub use status::ReloadStatus;

use self::{
    announce::{announce, warn_of_shares, warn_of_undeclared_pools},
    apply::update,
    expiry::ExpiryWatch,
    folders::{keep_code, keep_state, limit_memory},
    inputs::inputs,
    stamp::Signature,
    state::StateFolder,
    watch::FolderWatch,
};
use crate::{
    config::{Config, ConfigError, PrivateFolder},
    names::{LookupStatus, Names},
    plugin::{Compiler, PluginEngine},
    snapshot::Snapshot,
    sockets::Sockets,
};

/// How often files are looked at when no event says that they have changed: network file
/// systems send none, and queues of events overflow.
const POLL: Duration = Duration::from_secs(1);
/// Files must stay the same for this long before they are read, so that what is being written
/// is left alone.
const SETTLE: Duration = Duration::from_millis(100);
/// How often it is written down how far trials are.
const KEEP_TRIALS: Duration = Duration::from_secs(5);
/// A file that is written without end is read after this many looks all the same.
const MAX_LOOKS: u32 = 50;

/// Why the gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration, or a file that it names.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Plugin files; at a start none may be missing from the chain.
    #[error("{}", list(.0))]
    Plugins(Vec<Rejected>),
    /// The Wasm engine.
    #[error("the Wasm engine cannot start: {0:#}")]
    Engine(wasmtime::Error),
}

fn list(rejected: &[Rejected]) -> String {
    let lines: Vec<_> = rejected
        .iter()
        .map(|rejected| format!("error: plugin {rejected}"))
        .collect();
    lines.join("\n")
}

/// The configuration in service and the means to replace it.
pub struct Reloader {
    path: PathBuf,
    engine: PluginEngine,
    plugins: PluginSet,
    live: Arc<Snapshot>,
    /// The last configuration that could be read: the live one, or one that was refused for
    /// what it names, whose files are followed as well.
    tried: Arc<Config>,
    seen: Signature,
    /// Where compiled code is kept.
    cache: Option<PrivateFolder>,
    /// Where versions outlive the process.
    state: Option<StateFolder>,
    /// When what is known of them was last written down.
    remembered: Instant,
    expiry: ExpiryWatch,
    names: Names,
    sockets: Sockets,
    status: Arc<ReloadStatus>,
}

impl Reloader {
    /// Loads what the configuration names for the first time; whatever is not fit is an error.
    pub async fn start(path: &Path, config: Config, sockets: Sockets) -> Result<Self, StartError> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let config = Arc::new(config);
        let engine = PluginEngine::new(Compiler::apart()).map_err(StartError::Engine)?;
        let status = Arc::<ReloadStatus>::default();
        let none = PluginSet::default();
        let (mut cache, mut state) = (None, None);
        // Who checks a configuration may be another user, whose folders would be of no use.
        if matches!(sockets, Sockets::Open(_)) {
            keep_code(&engine, &config, &mut cache)?;
            keep_state(&config, &mut state)?;
        }
        let recall = state.as_ref().map(StateFolder::dir);
        let board = &status.plugins;
        let (plugins, rejected) = update(&none, &engine, &config, false, board, recall).await?;
        if rejected.iter().any(|rejected| rejected.kept.is_none()) {
            return Err(StartError::Plugins(rejected));
        }
        limit_memory(&engine, &config);
        let seen = Signature::of(inputs(&path, [&config]));
        let tried = Arc::clone(&config);
        let mut names = Names::new();
        let addresses = names.add(&config).await;
        let in_service = plugins.in_service();
        let live = Arc::new(Snapshot::build(
            config, in_service, &addresses, None, &sockets,
        )?);
        status.plugins.show(plugins.statuses());
        let mut expiry = ExpiryWatch::default();
        expiry.look(&live);
        warn_of_undeclared_pools(None, &live);
        warn_of_shares(None, &live);
        let mut started = Self {
            path,
            engine,
            plugins,
            live,
            tried,
            seen,
            cache,
            state,
            remembered: Instant::now(),
            expiry,
            names,
            sockets,
            status,
        };
        started.report(&rejected);
        if !rejected.is_empty() {
            started.status.last_refused.store(true, Ordering::Relaxed);
        }
        started.remember().await;
        Ok(started)
    }

    fn inputs(&self) -> Vec<PathBuf> {
        inputs(&self.path, [&self.live.config, &self.tried])
    }

    /// What is in service.
    pub fn live(&self) -> &Arc<Snapshot> {
        &self.live
    }

    /// What plugins run on.
    pub fn engine(&self) -> &PluginEngine {
        &self.engine
    }

    /// Counts for metrics and readiness.
    pub fn status(&self) -> Arc<ReloadStatus> {
        Arc::clone(&self.status)
    }

    /// Counts of name lookups.
    pub fn lookups(&self) -> Arc<LookupStatus> {
        self.names.status()
    }

    /// Follows changes until the process ends. `asked` says that someone wants a reload now, by
    /// a number that `answered` gets when it has been done.
    pub async fn follow(
        mut self,
        to_workers: channel::Sender<Arc<Snapshot>>,
        mut asked: channel::Receiver<u64>,
        answered: channel::Sender<u64>,
        mut commands: Commands,
        mut kept: Kept,
    ) {
        let mut folders = FolderWatch::new();
        loop {
            self.expiry.look(&self.live);
            folders.watch(self.inputs());
            let question = tokio::select! {
                () = folders.changed() => None,
                () = tokio::time::sleep(POLL) => None,
                () = self.names.changed() => {
                    self.readdress(&to_workers);
                    None
                }
                command = commands.next() => {
                    self.released(&mut kept).await;
                    self.obey(command, &to_workers).await;
                    None
                }
                answer = kept.wanted() => {
                    self.remember_for(answer).await;
                    None
                }
                changed = asked.changed() => match changed {
                    Ok(()) => Some(*asked.borrow_and_update()),
                    Err(_) => return,
                },
            };
            let everything = question.is_some();
            self.released(&mut kept).await;
            let is_behind = self.state.as_ref().is_some_and(StateFolder::is_behind);
            let goes_on = self.plugins.has_trials() && self.remembered.elapsed() >= KEEP_TRIALS;
            if is_behind || goes_on {
                self.remember().await;
            }
            if self.live.has_left(Instant::now()) {
                self.readdress(&to_workers);
            }
            if let Some(advanced) = self.plugins.advanced(self.live.config.workers.get()) {
                self.serve(advanced, &to_workers);
                self.remember().await;
            }
            let now = self.settled().await;
            if !everything && now == self.seen {
                continue;
            }
            self.seen = now;
            if self.apply(everything).await {
                to_workers.send_replace(Arc::clone(&self.live));
                self.see_new_inputs();
                self.remember().await;
            }
            if let Some(question) = question {
                answered.send_replace(question);
            }
        }
    }

    /// Waits while changes are to be left alone, as while another process takes over, which would
    /// not know of them.
    async fn released(&mut self, kept: &mut Kept) {
        let status = Arc::clone(&self.status);
        loop {
            tokio::select! {
                biased;
                () = status.released() => return,
                answer = kept.wanted() => self.remember_for(answer).await,
            }
        }
    }

    /// Does what an operator wants of a plugin's versions.
    async fn obey(&mut self, command: Command, to_workers: &channel::Sender<Arc<Snapshot>>) {
        let done = match &command {
            Command::Promote {
                plugin, version, ..
            } => {
                let version = version.as_deref();
                self.plugins.promoted(&self.engine, plugin, version).await
            }
            Command::RollBack { plugin, to, .. } => {
                let to = to.as_deref();
                self.plugins.rolled_back(&self.engine, plugin, to).await
            }
        };
        let done = done.map(|plugins| self.serve(plugins, to_workers));
        if done.is_ok() {
            self.remember().await;
        }
        command.answer(done);
    }

    /// Writes down what is to outlive the process, for somebody who waits for it.
    async fn remember_for(&mut self, waiting: oneshot::Sender<()>) {
        self.remember().await;
        // Who has left does not want to know.
        let _ = waiting.send(());
    }

    /// Writes down what is to outlive the process.
    async fn remember(&mut self) {
        self.remembered = Instant::now();
        let Some(mut state) = self.state.take() else {
            return;
        };
        let memories = self.plugins.memories();
        let writing = tokio::task::spawn_blocking(move || {
            state.keep(&memories);
            state
        });
        match writing.await {
            Ok(state) => self.state = Some(state),
            Err(panic) => tracing::error!("versions of plugins are kept no more: {panic}"),
        }
    }

    /// Serves with other versions of the same plugins.
    fn serve(&mut self, plugins: PluginSet, to_workers: &channel::Sender<Arc<Snapshot>>) {
        let after = self.live.with_versions(plugins.in_service());
        announce(&self.live, &after);
        self.live = Arc::new(after);
        self.status.plugins.show(plugins.statuses());
        self.plugins = plugins;
        to_workers.send_replace(Arc::clone(&self.live));
    }

    /// Serves with the addresses that names have now.
    fn readdress(&mut self, to_workers: &channel::Sender<Arc<Snapshot>>) {
        let addresses = self.names.addresses();
        match self.live.readdressed(&addresses) {
            Ok(snapshot) => {
                self.live = Arc::new(snapshot);
                to_workers.send_replace(Arc::clone(&self.live));
            }
            Err(error) => tracing::error!("addresses stay as they were:\n{error}"),
        }
    }

    /// A new configuration names other files; they count as seen unless something has changed
    /// since they were read.
    fn see_new_inputs(&mut self) {
        let now = Signature::of(self.inputs());
        if now.agrees_with(&self.seen) {
            self.seen = now;
        }
    }

    /// The inputs' signature once it stays the same.
    async fn settled(&self) -> Signature {
        let look = || Signature::of(self.inputs());
        let mut last = look();
        if last == self.seen {
            return last;
        }
        for _ in 0..MAX_LOOKS {
            tokio::time::sleep(SETTLE).await;
            let now = look();
            if now == last {
                break;
            }
            last = now;
        }
        last
    }
}
