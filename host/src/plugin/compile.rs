//! From the bytes of a file to machine code: a child process validates and compiles, bounded in
//! time and memory, so that no file can take the gateway down or keep it busy. What is kept from
//! an earlier time needs no child. Whether the component is a plugin is `component`'s to say.

use std::{borrow::Cow, ffi::OsString, process::ExitCode, sync::Arc, time::Duration};

use tokio::time::Instant;
use wasmtime::{Engine, component::Component};
use witgate_compiled_code::{self as code, CompileError, JobLimits};

use super::{
    component,
    engine::{Kind, PluginEngine, Runtime},
    error::LoadError,
    version::Digest,
};
use crate::config::{ConfigSchema, PluginLimits};

/// The subcommand by which the program that runs becomes a compiler.
pub const COMMAND: &str = "compile-plugin";

/// Where plugins are compiled.
#[derive(Debug, Clone)]
pub enum Compiler {
    /// In a child process, which comes to [`serve`].
    Apart(code::Compiler),
    /// In this process, for programs that are not `witgate`.
    Here,
}

impl Compiler {
    /// A child of the program that runs, which must have the subcommand [`COMMAND`].
    pub fn apart() -> Self {
        Self::Apart(code::Compiler::of_this_program([OsString::from(COMMAND)]))
    }
}

/// A component for one engine.
pub(super) struct Compiled {
    pub(super) runtime: Arc<Runtime>,
    pub(super) component: Component,
    pub(super) waits: bool,
    pub(super) schema: Option<ConfigSchema>,
    /// None when that is where it comes from.
    pub(super) keep_as: Option<Digest>,
}

/// The compiler's side: answers the gateway that has started this process.
pub fn serve() -> ExitCode {
    code::serve(|bytes| {
        let (kind, component) = prepared(bytes).map_err(|error| error.to_string())?;
        let engine = Engine::new(&kind.compiling())
            .map_err(|error| format!("the Wasm engine cannot start: {error:#}"))?;
        Ok((engine, component))
    })
}

/// Has a file compiled, unless its code is kept. Takes no longer than it may, and little more
/// memory of this process than what comes out.
pub(super) async fn compile(
    engine: &PluginEngine,
    bytes: &Arc<[u8]>,
    limits: &PluginLimits,
) -> Result<Compiled, LoadError> {
    component::look_at(bytes)?;
    let clock = Clock {
        limit: limits.compile_timeout,
        end: Instant::now() + limits.compile_timeout,
    };
    let (looking, file, stack) = (engine.clone(), Arc::clone(bytes), limits.stack);
    let looked = clock.blocking(move || {
        let kind = component::kind(&file);
        let runtime = looking.runtime(kind, stack)?;
        let name = name(&file);
        let kept = looking.kept_code(&runtime.engine, name);
        let schema = component::config_schema(&file)?;
        Ok((kind, runtime, name, kept, schema))
    });
    let (kind, runtime, name, kept, schema) = looked.await?;
    let keep_as = kept.is_none().then_some(name);
    let component = match kept {
        Some(component) => component,
        None => make(engine, &runtime, bytes, limits, &clock).await?,
    };
    Ok(Compiled {
        runtime,
        component,
        waits: kind == Kind::Waiting,
        schema,
        keep_as,
    })
}

async fn make(
    engine: &PluginEngine,
    runtime: &Runtime,
    bytes: &Arc<[u8]>,
    limits: &PluginLimits,
    clock: &Clock,
) -> Result<Component, LoadError> {
    let for_engine = runtime.engine.clone();
    if let Compiler::Apart(compiler) = engine.compiler() {
        let job = JobLimits {
            time: clock.end.saturating_duration_since(Instant::now()),
            memory: limits.compile_memory,
        };
        match compiler.compile(&for_engine, bytes, job).await {
            Ok(made) => {
                return clock
                    .blocking(move || made.load(&for_engine).map_err(LoadError::Compiler))
                    .await;
            }
            Err(CompileError::Late(_)) => return Err(clock.late()),
            // A system that is short of processes shall not keep a gateway from its plugins.
            Err(error @ CompileError::Start(_)) => {
                tracing::warn!(
                    "{error}; it is compiled in this process, without a limit to its memory"
                );
            }
            Err(error) => return Err(LoadError::Compiler(error)),
        }
    }
    let file = Arc::clone(bytes);
    let compiling = move || {
        let (_, component) = prepared(&file)?;
        Component::new(&for_engine, component).map_err(|error| LoadError::Compile {
            message: format!("{error:#}"),
        })
    };
    clock.blocking(compiling).await
}

/// The component in a file, which is encoded where that is a core module, and what it needs.
fn prepared(bytes: &[u8]) -> Result<(Kind, Cow<'_, [u8]>), LoadError> {
    let component = component::as_component(bytes)?;
    Ok((component::kind(bytes), component))
}

/// What the code of a file is kept as. That of a core module depends on who encodes it as well.
fn name(bytes: &[u8]) -> Digest {
    match wasmparser::Parser::is_component(bytes) {
        true => Digest::of(bytes),
        false => Digest::of(&[env!("CARGO_PKG_VERSION").as_bytes(), &[0], bytes].concat()),
    }
}

/// How long all of it may take.
struct Clock {
    limit: Duration,
    end: Instant,
}

impl Clock {
    /// Does it on a thread for such things. What takes too long there cannot be stopped: it is left
    /// alone, and what it makes is thrown away.
    async fn blocking<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<R, LoadError> + Send + 'static,
    ) -> Result<R, LoadError> {
        let working = tokio::task::spawn_blocking(work);
        match tokio::time::timeout_at(self.end, working).await {
            Ok(Ok(done)) => done,
            Ok(Err(panic)) => Err(LoadError::Compile {
                message: panic.to_string(),
            }),
            Err(_) => Err(self.late()),
        }
    }

    fn late(&self) -> LoadError {
        LoadError::CompileTimeout { limit: self.limit }
    }
}
