//! `witgate plugin build`: compiles a plugin project and writes components.
//!
//! Takes a cargo project, runs cargo for `wasm32-unknown-unknown`, turns each module that
//! comes out into a component and puts it where the gateway will find it; what is written in
//! C is for `c`, in JavaScript or Python for `script`. Whether the
//! gateway would take it into service is for `witgate plugin check` to say.

mod c;
mod component;
mod diagnostics;
mod output;
mod schema;
mod script;

pub(super) use output::replace;

use std::{
    fs,
    io::{self, BufRead, BufReader, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use serde::Deserialize;
use thiserror::Error;

use super::toolchain::{Toolchain, ToolchainError};
use crate::{config::SchemaError, plugin::LoadError};
use diagnostics::Diagnostic;
use script::Script;

/// The name of the world in the `wit/` of a project that is not cargo's.
const WORLD: &str = "plugin";

/// Why no component was written.
#[derive(Debug, Error)]
pub(crate) enum BuildError {
    /// Nothing on this machine compiles plugins.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    /// A program that should be there could not be started.
    #[error("cannot run {program}")]
    Start {
        /// Its name or path.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// The folder has no project that cargo understands.
    #[error("{dir} is not a cargo project: {message}")]
    Project {
        /// The folder.
        dir: PathBuf,
        /// What cargo says, in its words.
        message: String,
    },
    /// Cargo has shown its errors and failed.
    #[error("cargo build failed ({status}){}", mend.map(|mend| format!("; {mend}")).unwrap_or_default())]
    Cargo {
        /// How it ended.
        status: ExitStatus,
        /// What mends it, where that is known.
        mend: Option<&'static str>,
    },
    /// The tool of another language is not there.
    #[error(
        "{tool} is not in {place}: run `{mend}` (`witgate doctor --lang {language}` says what that needs)"
    )]
    Lacking {
        /// Its name.
        tool: &'static str,
        /// The project, where it should be.
        place: String,
        /// What installs it.
        mend: String,
        /// For `doctor`.
        language: &'static str,
    },
    /// There is no clang where one is looked for.
    #[error("{why}: {mend} (`witgate doctor --lang c` says what is needed)")]
    NoClang {
        /// Where there is none.
        why: String,
        /// What mends it.
        mend: String,
    },
    /// Options for a tool that is given none.
    #[error("{tool} is given no options, found `{}`: those behind `--` are for cargo and clang", .args.join(" "))]
    Options {
        /// Its name.
        tool: &'static str,
        /// The options.
        args: Vec<String>,
    },
    /// It has shown its errors and failed.
    #[error("{0} failed ({1})")]
    Tool(&'static str, ExitStatus),
    /// Clang has shown its errors and failed.
    #[error(
        "clang failed ({0}); where a header, library or linker is missing, `witgate doctor --lang c` says what brings it"
    )]
    Clang(ExitStatus),
    /// There is no world to make bindings of.
    #[error("no bindings can be made of the world `{WORLD}` in {wit}: {message}")]
    Interface {
        /// The folder.
        wit: PathBuf,
        /// What is wrong, in the parser's words.
        message: String,
    },
    /// The build made no wasm file.
    #[error("{0} makes no wasm file: its Cargo.toml needs [lib] crate-type = [\"cdylib\"]")]
    NoModule(PathBuf),
    /// Several files for one name.
    #[error(
        "{out} is one file but the project makes {}: name a folder (with a / at its end), or \
         pick one with `-- -p NAME`",
        .modules.join(", ")
    )]
    OneFileForMany {
        /// What was asked for.
        out: PathBuf,
        /// The plugins' names.
        modules: Vec<String>,
    },
    /// The module is no plugin.
    #[error("{module} cannot become a component")]
    Component {
        /// The file that cargo made.
        module: PathBuf,
        /// What is wrong with it.
        source: LoadError,
    },
    /// What the project says its configuration to be is no schema.
    #[error("{path} is no schema of a configuration")]
    Schema {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: SchemaError,
    },
    /// What was built has a schema already, which is none.
    #[error("the component that was made")]
    Made(#[source] LoadError),
    /// A file cannot be read or written.
    #[error("cannot {action} {path}")]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// One wasm file that cargo made.
struct Module {
    /// The plugin's name: the file's, with `-` for `_`.
    name: String,
    path: PathBuf,
}

/// Builds the project in `dir` and writes its components to `out`: a file when the project
/// makes one plugin and `out` neither is a folder nor ends with `/`, else a folder that
/// gets `NAME.wasm` for each.
///
/// Builds with `--release` and for `wasm32-unknown-unknown` unless `args` name a
/// profile or target; projects in C hand `args` to clang, those in JavaScript and Python take none.
/// Blocks until the tool is done; its output goes to stderr and the summary to stdout. Files are replaced by renaming, so that a gateway which watches the
/// folder never sees half of one.
///
/// # Errors
/// See [`BuildError`]; components written before the failure stay.
pub(crate) fn run(dir: &Path, out: &Path, args: &[String]) -> Result<(), BuildError> {
    let modules = match Script::of(dir) {
        Some(script) => vec![script.compile(dir, args)?],
        None if c::is_project(dir) => vec![c::compile(dir, args)?],
        None if names_option(args, &["--target"]) => compile(&Toolchain::Installed, dir, args)?,
        None => compile(&Toolchain::find(dir)?, dir, args)?,
    };
    let files = output::place(out, &modules)?;
    for (module, file) in modules.iter().zip(files) {
        let bytes = fs::read(&module.path).map_err(failed("read", &module.path))?;
        let bytes = component::from_module(bytes).map_err(|source| BuildError::Component {
            module: module.path.clone(),
            source,
        })?;
        let bytes = schema::put(dir, bytes)?;
        replace(&file, &bytes).map_err(failed("write", &file))?;
        component::describe(&file, &bytes);
    }
    Ok(())
}

/// A project that is not cargo's: its folder, and the one file that is to be made of it, named after
/// it and beside its other build products.
fn single(dir: &Path) -> Result<(PathBuf, Module), BuildError> {
    let dir = dir.canonicalize().map_err(failed("read", dir))?;
    let made = dir.join("target/witgate-build");
    fs::create_dir_all(&made).map_err(failed("write", &made))?;
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let module = Module {
        path: made.join(format!("{name}.wasm")),
        name: name.into_owned(),
    };
    Ok((dir, module))
}

/// Runs `cargo build`; returns the wasm files of the workspace's own packages by name.
fn compile(toolchain: &Toolchain, dir: &Path, args: &[String]) -> Result<Vec<Module>, BuildError> {
    let project = Project::read(toolchain, dir)?;
    let mut cargo = toolchain.cargo(dir, "build");
    cargo.arg(match io::stderr().is_terminal() {
        true => "--message-format=json-diagnostic-rendered-ansi",
        false => "--message-format=json",
    });
    if let Some(subdir) = toolchain.target_subdir() {
        cargo.env("CARGO_TARGET_DIR", project.target_directory.join(subdir));
    }
    if !names_option(args, &["--target"]) {
        cargo.args(toolchain.build_flags());
    }
    if !names_option(args, &["--profile", "--release", "-r"]) {
        cargo.arg("--release");
    }
    let mut modules = wasm_files(cargo.args(args), &project)?;
    modules.sort_by(|a, b| a.name.cmp(&b.name));
    modules.dedup_by(|a, b| a.path == b.path);
    if modules.is_empty() {
        return Err(BuildError::NoModule(dir.to_owned()));
    }
    Ok(modules)
}

/// What `cargo metadata` says of a project.
#[derive(Deserialize)]
struct Project {
    target_directory: PathBuf,
    workspace_members: Vec<String>,
}

impl Project {
    fn read(toolchain: &Toolchain, dir: &Path) -> Result<Self, BuildError> {
        let mut cargo = toolchain.cargo(dir, "metadata");
        cargo.args(["--format-version", "1", "--no-deps"]);
        let output = cargo.output().map_err(not_started(&cargo))?;
        let refused = |message: String| BuildError::Project {
            dir: dir.to_owned(),
            message,
        };
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr);
            return Err(refused(message.trim().replacen("error: ", "", 1)));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| refused(error.to_string()))
    }
}

/// Those of cargo's JSON messages that are of use here; the others parse to their defaults.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    package_id: String,
    #[serde(default)]
    target: Target,
    #[serde(default)]
    filenames: Vec<PathBuf>,
    /// What the compiler says.
    message: Option<Diagnostic>,
}

#[derive(Deserialize, Default)]
struct Target {
    #[serde(default)]
    crate_types: Vec<String>,
    #[serde(default)]
    kind: Vec<String>,
}

/// Runs `cargo`, shows what the compiler says and collects what was made.
fn wasm_files(cargo: &mut Command, project: &Project) -> Result<Vec<Module>, BuildError> {
    let of = cargo.get_current_dir().unwrap_or(Path::new("."));
    let _ = writeln!(io::stderr(), "cargo: building {}", of.display());
    let mut child = cargo
        .stdout(Stdio::piped())
        .spawn()
        .map_err(not_started(cargo))?;
    let lines = child.stdout.take().into_iter().map(BufReader::new);
    let mut mend = None;
    let modules = lines
        .flat_map(BufRead::lines)
        .map_while(Result::ok)
        .filter_map(|line| serde_json::from_str::<Message>(&line).ok())
        .inspect(|message| {
            if let Some(diagnostic) = &message.message {
                diagnostic.show();
                mend = mend.or_else(|| diagnostic.mend());
            }
        })
        .flat_map(|message| wasm_file(message, project))
        .collect();
    let status = child.wait().map_err(not_started(cargo))?;
    if !status.success() {
        return Err(BuildError::Cargo { status, mend });
    }
    Ok(modules)
}

/// The wasm file that a message tells of, when it is one of the project's plugins.
fn wasm_file(message: Message, project: &Project) -> Option<Module> {
    let target = &message.target;
    let is_plugin = message.reason == "compiler-artifact"
        && project.workspace_members.contains(&message.package_id)
        && (target.crate_types.iter().any(|one| one == "cdylib")
            || target.kind.iter().any(|one| one == "bin"));
    if !is_plugin {
        return None;
    }
    let is_wasm = |path: &PathBuf| path.extension().is_some_and(|one| one == "wasm");
    let path = message.filenames.into_iter().find(is_wasm)?;
    let name = path.file_stem()?.to_str()?.replace('_', "-");
    Some(Module { name, path })
}

/// Whether cargo arguments contain one of `options`, alone or as `--option=value`.
fn names_option(args: &[String], options: &[&str]) -> bool {
    args.iter().any(|arg| {
        let name = arg.split_once('=').map_or(arg.as_str(), |(name, _)| name);
        options.contains(&name)
    })
}

fn not_started(command: &Command) -> impl FnOnce(io::Error) -> BuildError + use<> {
    let program = command.get_program().to_string_lossy().into_owned();
    move |source| BuildError::Start { program, source }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BuildError + use<> {
    let path = path.to_owned();
    move |source| BuildError::File {
        action,
        path,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> Project {
        Project {
            target_directory: PathBuf::from("/t"),
            workspace_members: vec!["path+file:///p#0.1.0".to_owned()],
        }
    }

    fn parsed(line: &str) -> Option<String> {
        let message = serde_json::from_str(line).ok()?;
        wasm_file(message, &project()).map(|module| module.name)
    }

    #[test]
    fn a_cdylib_of_the_workspace_is_a_plugin() {
        let line = r#"{"reason":"compiler-artifact","package_id":"path+file:///p#0.1.0",
            "target":{"kind":["cdylib"],"crate_types":["cdylib"],"name":"path_router"},
            "filenames":["/t/path_router.d","/t/path_router.wasm"]}"#;
        assert_eq!(parsed(line).as_deref(), Some("path-router"));
    }

    #[test]
    fn dependencies_and_other_messages_are_not_plugins() {
        let foreign = r#"{"reason":"compiler-artifact","package_id":"registry+x#std@1.0.0",
            "target":{"kind":["cdylib"],"crate_types":["cdylib"]},"filenames":["/t/std.wasm"]}"#;
        let library = r#"{"reason":"compiler-artifact","package_id":"path+file:///p#0.1.0",
            "target":{"kind":["lib"],"crate_types":["lib"]},"filenames":["/t/libp.rlib"]}"#;
        for line in [
            foreign,
            library,
            r#"{"reason":"build-finished","success":true}"#,
        ] {
            assert_eq!(parsed(line), None, "{line}");
        }
    }

    #[test]
    fn options_are_found_in_both_spellings() {
        let args = ["--profile=plugin".to_owned(), "-r".to_owned()];
        assert!(names_option(&args, &["--profile"]));
        assert!(names_option(&args, &["-r"]));
        assert!(!names_option(&args, &["--target"]));
    }
}
