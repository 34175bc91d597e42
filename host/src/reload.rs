//! Following the configuration file, the plugin folder and all files that they name. Events
//! of the file system are hints: what counts is whether a file's stamp has changed, and then
//! whether its contents have. A change is tried as a whole and swapped in at once, or refused
//! with its reason while everything stays as it was.

mod announce;
mod board;
mod command;
mod expiry;
mod keep;
mod plugins;
mod rolled_back;
mod stamp;
mod state;
mod watch;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{oneshot, watch as channel};
use witgate_compiled_code::CompiledCode;

pub use board::{Board, PluginStatus};
pub use command::{Command, CommandSender, Commands};
pub use keep::{Keeper, Kept};
pub use plugins::{CommandError, PluginSet, Rejected};

use self::{
    announce::{announce, warn_of_shares, warn_of_undeclared_pools},
    expiry::ExpiryWatch,
    plugins::LoadContext,
    stamp::Signature,
    state::StateFolder,
    watch::FolderWatch,
};
use crate::{
    config::{Config, ConfigError, PrivateFolder},
    names::{LookupStatus, Names},
    plugin::{Compiler, PluginEngine, Trust},
    snapshot::{self, Snapshot},
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

/// What the outside may know about reloads.
#[derive(Debug, Default)]
pub struct ReloadStatus {
    /// Changes that were swapped in.
    pub applied: AtomicU64,
    /// Changes that were refused, in whole or for some plugin.
    pub refused: AtomicU64,
    /// Plugin files that were rejected.
    pub plugins_rejected: AtomicU64,
    /// Whether the last change was refused.
    pub last_refused: AtomicBool,
    /// What is known of each plugin.
    pub plugins: Board,
    /// Whether changes are left alone.
    held: channel::Sender<bool>,
}

impl ReloadStatus {
    /// Leaves changes alone, until told otherwise: what is handed over must not change.
    pub fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    async fn released(&self) {
        // It fails when the sender is gone, which is here.
        drop(self.held.subscribe().wait_for(|held| !held).await);
    }

    /// Whether the last change was refused.
    pub fn is_refused(&self) -> bool {
        self.last_refused.load(Ordering::Relaxed)
    }
}

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

    /// Tries the files as they are now. True when there is something new to serve.
    async fn apply(&mut self, everything: bool) -> bool {
        let (config, mut refused) = self.read_config();
        let opened = keep_code(&self.engine, &config, &mut self.cache)
            .and_then(|()| keep_state(&config, &mut self.state));
        if let Err(error) = opened {
            return self.refuse(&error);
        }
        let (engine, board) = (&self.engine, &self.status.plugins);
        let updated = update(&self.plugins, engine, &config, everything, board, None).await;
        let (plugins, rejected) = match updated {
            Ok(updated) => updated,
            Err(error) => return self.refuse(&error),
        };
        refused |= plugins.any_refused();
        self.report(&rejected);
        let in_service = plugins.in_service();
        let before = Arc::clone(&self.live);
        let addresses = self.names.add(&config).await;
        let sockets = self.sockets.clone();
        let built = tokio::task::spawn_blocking(move || {
            Snapshot::build(config, in_service, &addresses, Some(&before), &sockets)
        })
        .await;
        match built {
            Ok(Ok(snapshot)) => {
                announce(&self.live, &snapshot);
                if !refused {
                    tracing::info!("everything on disk is live");
                }
                self.live = Arc::new(snapshot);
                limit_memory(&self.engine, &self.live.config);
                self.status.plugins.show(plugins.statuses());
                self.plugins = plugins;
                self.names.keep(&self.live.config);
                self.finish(refused);
                true
            }
            Ok(Err(error)) => self.refuse(&error),
            Err(panic) => self.refuse(&panic),
        }
    }

    /// The configuration as the file says, else the one in service; and whether it was refused.
    fn read_config(&mut self) -> (Arc<Config>, bool) {
        match Config::load(&self.path) {
            Ok(mut config) => {
                keep_until_the_next_start(&mut config, &self.live.config);
                let config = Arc::new(config);
                self.tried = Arc::clone(&config);
                (config, false)
            }
            Err(error) => {
                tracing::error!(
                    "configuration refused, the last good one stays in service:\n{error}"
                );
                (Arc::clone(&self.live.config), true)
            }
        }
    }

    fn report(&self, rejected: &[Rejected]) {
        self.status
            .plugins_rejected
            .fetch_add(rejected.len() as u64, Ordering::Relaxed);
        for rejected in rejected {
            match &rejected.kept {
                Some(kept) => {
                    tracing::error!(kept = %kept.label, "plugin refused, the version before it stays in service: {rejected}")
                }
                None => tracing::error!("plugin refused: {rejected}"),
            }
        }
    }

    fn refuse(&self, error: &dyn std::error::Error) -> bool {
        tracing::error!("reload refused, everything stays as it was:\n{error}");
        self.status.plugins.show(self.plugins.statuses());
        self.finish(true);
        false
    }

    fn finish(&self, refused: bool) {
        let counter = if refused {
            &self.status.refused
        } else {
            &self.status.applied
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.status.last_refused.store(refused, Ordering::Relaxed);
    }
}

fn limit_memory(engine: &PluginEngine, config: &Config) {
    if let Some(folder) = &config.plugins {
        engine.limit_memory(folder.total_memory, folder.total_bodies);
    }
}

/// Opens the folder for compiled code when another one is configured than is open.
fn keep_code(
    engine: &PluginEngine,
    config: &Config,
    open: &mut Option<PrivateFolder>,
) -> Result<(), ConfigError> {
    let wanted = config.plugins.as_ref();
    let wanted = wanted.and_then(|plugins| plugins.cache.clone());
    if *open == wanted {
        return Ok(());
    }
    let kept = wanted.as_ref().map(|cache| {
        CompiledCode::open(&cache.dir, cache.size).map_err(|error| {
            config.error("plugins.cache", format!("{}: {error}", cache.dir.display()))
        })
    });
    engine.keep_code_in(kept.transpose()?);
    *open = wanted;
    Ok(())
}

/// Opens the folder in which versions outlive the process, when another one is configured than is
/// open. One that cannot be used for now is told of, and serving goes on without it.
fn keep_state(config: &Config, open: &mut Option<StateFolder>) -> Result<(), ConfigError> {
    let wanted = config.plugins.as_ref();
    let wanted = wanted.and_then(|plugins| plugins.state.as_ref());
    if open.as_ref().map(StateFolder::folder) != wanted {
        *open = wanted
            .map(|folder| {
                StateFolder::open(folder).map_err(|error| {
                    let problem = format!("{}: {error}", folder.dir.display());
                    config.error("plugins.state", problem)
                })
            })
            .transpose()?;
    }
    Ok(())
}

async fn update(
    plugins: &PluginSet,
    engine: &PluginEngine,
    config: &Config,
    everything: bool,
    board: &Board,
    state: Option<&Path>,
) -> Result<(PluginSet, Vec<Rejected>), ConfigError> {
    let Some(folder) = &config.plugins else {
        return Ok((PluginSet::default(), Vec::new()));
    };
    let needed: Vec<_> = config
        .pools
        .iter()
        .filter_map(|pool| pool.affinity.as_deref())
        .collect();
    let trust = folder.trust.as_ref().map(Trust::load).transpose();
    let trust = trust
        .map_err(|(index, error)| config.error(&format!("plugins.trust.keys[{index}]"), error))?
        .map(Arc::new);
    let context = LoadContext {
        engine,
        defaults: &folder.limits,
        trust: trust.as_ref(),
        workers: config.workers.get(),
        board,
        state,
    };
    plugins
        .updated(&context, &folder.dir, everything, &needed)
        .await
        .map_err(|error| config.error("plugins.dir", format!("{}: {error}", folder.dir.display())))
}

/// What is set up once keeps its value; a new one is told about, not used.
fn keep_until_the_next_start(config: &mut Config, live: &Config) {
    let same = config.workers == live.workers
        && config.admin == live.admin
        && config.control == live.control
        && config.log == live.log
        && config.access_log == live.access_log;
    if !same {
        tracing::warn!(
            "`workers`, `admin`, `control`, `log` and `access_log` take effect at the next start"
        );
    }
    config.workers = live.workers;
    config.admin = live.admin;
}

/// All files whose change may mean a change of what is served.
fn inputs<'a>(path: &Path, configs: impl IntoIterator<Item = &'a Arc<Config>>) -> Vec<PathBuf> {
    let mut inputs = vec![path.to_owned()];
    configs
        .into_iter()
        .for_each(|config| add_inputs(config, &mut inputs));
    inputs.sort();
    inputs.dedup();
    inputs
}

fn add_inputs(config: &Config, inputs: &mut Vec<PathBuf>) {
    inputs.extend(snapshot::files(config).map(Path::to_owned));
    if let Some(folder) = &config.plugins {
        inputs.push(folder.dir.clone());
        for found in crate::plugin::folder::scan(&folder.dir).unwrap_or_default() {
            inputs.extend(found.files());
        }
        let trust = folder.trust.iter();
        inputs.extend(trust.flat_map(|trust| trust.files().cloned()));
    }
}
