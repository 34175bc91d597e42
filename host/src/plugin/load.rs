//! From a file of the folder to a version that may take part in decisions.

use std::{sync::Arc, time::Duration};

use super::{
    cases,
    component::CheckedComponent,
    engine::PluginEngine,
    error::LoadError,
    instance::Instance,
    version::{Source, Version},
};
use crate::metrics::{PerWorker, PluginCounters};

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
        None => {
            let limit = source.sidecar.limits.compile_timeout;
            let bytes = std::mem::take(&mut source.bytes);
            Arc::new(compile(engine, bytes, limit).await?)
        }
    };
    let version = Arc::new(Version::new(engine, component, source, counters)?);
    Instance::try_out(&version).await?;
    if let Some(cases) = &version.cases {
        cases::try_all(&version, cases).await?;
    }
    Ok(version)
}

/// A compiler that takes too long cannot be stopped: it is left alone, and what it makes is
/// thrown away.
async fn compile(
    engine: &PluginEngine,
    bytes: Vec<u8>,
    limit: Duration,
) -> Result<CheckedComponent, LoadError> {
    let engine = engine.clone();
    let compiling = tokio::task::spawn_blocking(move || CheckedComponent::compile(&engine, &bytes));
    match tokio::time::timeout(limit, compiling).await {
        Ok(Ok(compiled)) => compiled,
        Ok(Err(panic)) => Err(LoadError::Compile {
            message: panic.to_string(),
        }),
        Err(_) => Err(LoadError::CompileTimeout { limit }),
    }
}
