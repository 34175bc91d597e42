//! A plugin file as the gateway would take it into service, for commands that try it: with its
//! sidecar, and its cases beside it.

use std::{path::Path, sync::Arc};

use super::describe;
use crate::{
    config::{Cases, PluginLimits},
    plugin::{self, Compiler, PluginEngine, Version, folder::Found},
};

/// A loaded file.
pub(super) struct PluginFile {
    /// Its name, without `NN-` and `.wasm`.
    pub(super) name: Arc<str>,
    /// What runs it.
    pub(super) engine: PluginEngine,
    /// Ready to be asked.
    pub(super) version: Arc<Version>,
    /// Those beside it; not tried yet.
    pub(super) cases: Option<Cases>,
}

impl PluginFile {
    /// Compiles and configures a file. Fails with all that the gateway would refuse, but for
    /// decisions that the cases do not expect.
    pub(super) async fn load(file: &Path) -> Result<Self, String> {
        let engine = PluginEngine::new(Compiler::apart())
            .map_err(|error| format!("error: the Wasm engine cannot start: {error:#}"))?;
        let found = Found::at(file.to_owned()).ok_or_else(|| {
            format!(
                "error: {}: expected a name that ends with .wasm",
                file.display()
            )
        })?;
        let refused = |error: &dyn std::error::Error| {
            format!("error: {}: {}", file.display(), describe(error))
        };
        let mut source = found
            .read(&PluginLimits::DEFAULT, None)
            .map_err(|error| refused(&error))?;
        let cases = source.cases.take();
        let version = plugin::load(&engine, source, None, 1, |_| {})
            .await
            .map_err(|error| refused(&error))?;
        Ok(Self {
            name: Arc::clone(&version.name),
            engine,
            version,
            cases,
        })
    }
}

/// Runs a command that asks plugins.
pub(super) fn block_on(command: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("error: the system refuses a runtime: {error}"))?;
    runtime.block_on(command)
}
