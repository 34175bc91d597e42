//! Trying what is on disk: the configuration and the plugins are read, a snapshot is built, and it
//! is served, or refused and everything stays as it was.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use super::{
    Board, PluginSet, Rejected, Reloader,
    announce::announce,
    folders::{keep_code, keep_state, limit_memory},
    plugins::LoadContext,
};
use crate::{
    config::{Config, ConfigError},
    plugin::{PluginEngine, Trust},
    snapshot::Snapshot,
};

impl Reloader {
    /// Tries the files as they are now. True when there is something new to serve.
    pub(super) async fn apply(&mut self, everything: bool) -> bool {
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

    pub(super) fn report(&self, rejected: &[Rejected]) {
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

/// The plugins as the folder has them now; of `state` those that are seen for the first time.
pub(super) async fn update(
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
