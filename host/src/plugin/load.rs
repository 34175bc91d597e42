//! From a file of the folder to a version that may take part in decisions.

use std::sync::Arc;

use super::{
    cases,
    component::CheckedComponent,
    engine::PluginEngine,
    error::LoadError,
    instance::Instance,
    version::{Source, Version},
};

/// How far a file is on its way into service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadStep {
    /// It has changed and is being read.
    Seen,
    /// It is being compiled.
    Compiling,
    /// It is being started, and its cases are tried.
    Testing,
}

impl LoadStep {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Compiling => "compiling",
            Self::Testing => "testing",
        }
    }
}

/// Compiles, checks, instantiates and configures a plugin, off the workers.
///
/// `unchanged` is the version in service: its compiled code is used again when only the
/// sidecar is another, unless that has another size of stack. So many `workers` count its calls;
/// `step` is told how far it is.
pub async fn load(
    engine: &PluginEngine,
    source: Source,
    unchanged: Option<&Arc<Version>>,
    workers: usize,
    step: impl Fn(LoadStep),
) -> Result<Arc<Version>, LoadError> {
    let is_usable = |version: &&Arc<Version>| {
        let stacks = [version.limits.stack, source.sidecar.limits.stack];
        version.source.digest == source.digest && stacks[0] == stacks[1]
    };
    let unchanged = unchanged.filter(is_usable);
    let component = match unchanged {
        Some(version) => Arc::clone(&version.component),
        None => {
            step(LoadStep::Compiling);
            let limits = &source.sidecar.limits;
            Arc::new(CheckedComponent::compile(engine, &source.bytes, limits).await?)
        }
    };
    let source = compared(&component, source).await?;
    let version = Arc::new(Version::new(engine, component, source, workers)?);
    step(LoadStep::Testing);
    Instance::try_out(&version).await?;
    if let Some(cases) = &version.source.cases {
        cases::try_all(&version, cases).await?;
    }
    if unchanged.is_none() {
        keep(engine, &version).await;
    }
    Ok(version)
}

/// The source again, when its schema allows its configuration. On a thread of its own: whoever made
/// the schema says how long it takes, within its bounds.
async fn compared(component: &Arc<CheckedComponent>, source: Source) -> Result<Source, LoadError> {
    if component.schema.is_none() {
        return Ok(source);
    }
    let component = Arc::clone(component);
    let comparing = tokio::task::spawn_blocking(move || {
        if let Some(schema) = &component.schema {
            source.sidecar.check_config(schema)?;
        }
        Ok(source)
    });
    match comparing.await {
        Ok(compared) => compared.map_err(LoadError::Configuration),
        Err(panic) => Err(LoadError::Compile {
            message: panic.to_string(),
        }),
    }
}

/// Keeps the code of a version that is good, for the next start. What takes too long to compile
/// or is not fit never gets there.
async fn keep(engine: &PluginEngine, version: &Version) {
    let (engine, component) = (engine.clone(), Arc::clone(&version.component));
    let keeping = tokio::task::spawn_blocking(move || component.keep(&engine));
    if let Err(panic) = keeping.await {
        tracing::warn!("compiled code cannot be kept: {panic}");
    }
}
