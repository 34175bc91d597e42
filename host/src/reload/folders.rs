//! What a configuration says of the means that plugins are loaded with: memory, and the folders for
//! compiled code and for versions.

use witgate_compiled_code::CompiledCode;

use super::state::StateFolder;
use crate::{
    config::{Config, ConfigError, PrivateFolder},
    plugin::PluginEngine,
};

/// Bounds what all plugins have together.
pub(super) fn limit_memory(engine: &PluginEngine, config: &Config) {
    if let Some(folder) = &config.plugins {
        engine.limit_memory(folder.total_memory, folder.total_bodies);
    }
}

/// Opens the folder for compiled code when another one is configured than is open.
pub(super) fn keep_code(
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
pub(super) fn keep_state(
    config: &Config,
    open: &mut Option<StateFolder>,
) -> Result<(), ConfigError> {
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
