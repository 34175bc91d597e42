//! From a file of the folder to a version that may take part in decisions.

use std::{sync::Arc, time::Duration};

use super::{
    component::CheckedComponent,
    engine::PluginEngine,
    error::LoadError,
    instance::Instance,
    version::{Source, Version},
};
use crate::metrics::{PerWorker, PluginCounters};

/// How long the compiler may take; a plugin of 20 MB needs about 20 s.
const COMPILE_LIMIT: Duration = Duration::from_secs(120);

/// Compiles, checks, instantiates and configures a plugin, off the workers.
///
/// `unchanged` is the version in service: its compiled code is used again when only the
/// sidecar is another.
pub async fn load(
    engine: &PluginEngine,
    mut source: Source,
    unchanged: Option<&Arc<Version>>,
    counters: Arc<PerWorker<PluginCounters>>,
) -> Result<Arc<Version>, LoadError> {
    let component = match unchanged.filter(|version| version.digest == source.digest) {
        Some(version) => Arc::clone(&version.component),
        None => Arc::new(compile(engine, std::mem::take(&mut source.bytes)).await?),
    };
    let version = Arc::new(Version::new(engine, component, source, counters)?);
    Instance::start(&version).await?;
    Ok(version)
}

async fn compile(engine: &PluginEngine, bytes: Vec<u8>) -> Result<CheckedComponent, LoadError> {
    let engine = engine.clone();
    let compiling = tokio::task::spawn_blocking(move || CheckedComponent::compile(&engine, &bytes));
    match tokio::time::timeout(COMPILE_LIMIT, compiling).await {
        Ok(Ok(compiled)) => compiled,
        Ok(Err(panic)) => Err(LoadError::Compile {
            message: panic.to_string(),
        }),
        Err(_) => Err(LoadError::CompileTimeout {
            limit: COMPILE_LIMIT,
        }),
    }
}
