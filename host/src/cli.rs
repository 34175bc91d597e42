//! The command line: what can be asked of `witgate`, and what it prints.

mod clang;
mod doctor;
mod import;
mod plugin_bench;
mod plugin_build;
mod plugin_call;
mod plugin_check;
mod plugin_control;
mod plugin_dev;
mod plugin_file;
mod plugin_new;
mod plugin_replay;
mod plugin_schema;
mod plugin_test;
mod toolchain;

use std::{
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};

use crate::{config::OwnFile, plugin::compile, run};

/// A TLS gateway whose decisions are hot-reloadable Wasm plugins.
#[derive(Debug, Parser)]
#[command(
    name = "witgate",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway
    ///
    /// Follows the configuration file, the certificates and the plugin folder while it runs. SIGHUP
    /// reloads at once, SIGUSR1 opens the access log again, SIGUSR2 starts the program again and
    /// hands everything over to it. SIGTERM finishes what runs and exits, a second SIGTERM exits at
    /// once.
    Run {
        #[command(flatten)]
        file: ConfigFile,
        /// Listen even where another gateway does
        ///
        /// Both get connections until one of them ends. Without it an address in use ends the start.
        #[arg(long)]
        overlap: bool,
    },
    /// Load everything that `run` would and say what is wrong with it
    ///
    /// Reads configuration, certificates and plugins, serves nothing and leaves the listening
    /// addresses alone. Exits with 0 when all of it is good.
    Check(ConfigFile),
    /// Say what this machine lacks, and the command that mends it
    ///
    /// Looks for what making plugins needs and, with a configuration file, for what running the
    /// gateway on it needs. Changes nothing. Exits with 0 when nothing that is needed is lacking.
    Doctor {
        #[command(flatten)]
        looked: doctor::Looked,
    },
    /// Translate the configuration of another gateway
    #[command(subcommand)]
    Import(ImportCommand),
    /// Print the JSON Schema of the files that operators write, for editors
    Schema {
        /// Which file
        #[arg(value_enum)]
        file: OwnFile,
    },
    /// Make, build and check plugins
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// What the gateway starts itself as to have a plugin compiled
    #[command(name = compile::COMMAND, hide = true)]
    CompilePlugin,
}

#[derive(Debug, Subcommand)]
enum ImportCommand {
    /// Translate an export of an Azure Application Gateway
    ///
    /// Writes witgate.toml, the sidecars of the plugins that it needs and import.txt, which says what
    /// has to be provided, what will be otherwise than before, and what has no equal. Exits with 0
    /// when all was translated, with 3 when something has no equal, with 1 when nothing was written.
    Azure {
        #[command(flatten)]
        asked: import::AzureExport,
    },
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration file (TOML)
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    /// Make a new plugin project
    New {
        /// The project's name, and its folder's
        name: String,
        /// What it does
        #[arg(short, long, value_enum, default_value = "router")]
        template: plugin_new::Template,
        /// What it is written in
        #[arg(short, long, value_enum, default_value = "rust")]
        lang: plugin_new::Language,
        /// The folder of witgate-sdk, when it is not the one that this program was built with
        #[arg(long, value_name = "DIR")]
        sdk: Option<PathBuf>,
    },
    /// Compile a plugin project into a component
    ///
    /// A cargo project, or one with `plugin.c`, `plugin.js` or `plugin.py`, as `plugin new` makes them.
    Build {
        /// The project's folder
        #[arg(default_value = ".")]
        dir: PathBuf,
        /// The file to write; a folder (or a name that ends with /) takes one file per plugin
        #[arg(short, long, value_name = "OUT")]
        output: PathBuf,
        /// Options for cargo or clang, behind `--`; the tools of JavaScript and Python take none
        #[arg(last = true, value_name = "ARGS")]
        args: Vec<String>,
    },
    /// Say whether the gateway would take a file into service
    ///
    /// Does what the gateway does when a file appears in the plugin folder, but for running it: shows
    /// size, version, roles and imports, or why the file is refused. A sidecar beside it is compared
    /// with the schema of the plugin's configuration.
    Check {
        /// Plugin files: components, or core modules as cargo writes them
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// A minisign public key: each file must have a signature by one of the keys beside it
        #[arg(short, long = "key", value_name = "FILE")]
        keys: Vec<PathBuf>,
    },
    /// Print the JSON Schema of a plugin's configuration, for editors
    ///
    /// Of its sidecar's `[config]`. It is read from the plugin's file, which is not run.
    Schema {
        /// The plugin's file
        file: PathBuf,
        /// Of the whole sidecar, not only of its `[config]`
        #[arg(long)]
        sidecar: bool,
    },
    /// Try the cases beside plugins, one by one
    ///
    /// Each `NN-name.cases.toml` is tried on its `NN-name.wasm` with its sidecar, as the gateway does
    /// before it takes the file into service.
    Test {
        /// The plugins' files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Write what is decided otherwise into the files of cases; all else in them stays
        #[arg(long)]
        bless: bool,
    },
    /// Build a plugin whenever its sources change, and put it into a gateway's folder
    ///
    /// It is copied, whole, only when it loads and its cases hold: `NAME.cases.toml` of the project, or
    /// those of the folder. The sidecar is the folder's own, else `NAME.toml` of the project.
    Dev {
        #[command(flatten)]
        developed: plugin_dev::Developed,
    },
    /// Show what a plugin decides about one request
    ///
    /// In each of its roles; its log goes to stderr. The times are those of the first call, which makes
    /// an instance, and of a warm one: the median of a hundred that follow. What it would ask of pools
    /// has no answer here: that is what cases are for.
    Call {
        #[command(flatten)]
        asked: plugin_call::Asked,
    },
    /// Measure what a plugin's decisions about one request cost
    ///
    /// How long a call takes, as the gateway's metrics count it, one after the other and with cold caches;
    /// how many of them a core makes in a second; what of that a plugin costs that does nothing; and the
    /// memory of an instance.
    Bench {
        #[command(flatten)]
        asked: plugin_call::Asked,
    },
    /// Try recorded decisions on another build of a plugin
    ///
    /// Prints each decision that it makes otherwise than the record of a gateway (`[record]`) says.
    /// The sidecar beside the file counts, as in the plugin folder.
    Replay {
        /// The plugin's file, with its sidecar beside it
        file: PathBuf,
        /// The record: one decision a line
        record: PathBuf,
        /// The plugin whose decisions they are, when it is not the one that the file is named after
        #[arg(long, value_name = "NAME")]
        plugin: Option<String>,
        /// Print all differences, not only the first 20
        #[arg(long)]
        all: bool,
    },
    /// Show the plugins of a running gateway and their versions
    ///
    /// What is live, what is on trial and how it does, what was refused and why, and which versions
    /// can be gone back to.
    Status {
        #[command(flatten)]
        gateway: RunningGateway,
        /// Show this plugin alone, with the differences that a shadow has found
        plugin: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take the version on trial into service now
    ///
    /// With a version, also one that was rolled back and is what the file in the folder holds.
    Promote {
        #[command(flatten)]
        gateway: RunningGateway,
        /// The plugin's name
        plugin: String,
        /// The first digits of the version; the one on trial without it
        #[arg(value_name = "VERSION")]
        only: Option<String>,
    },
    /// Give up the version on trial, or go back to an earlier version
    ///
    /// The file in the folder stays as it is and out of service, until it or its sidecar changes, or
    /// `promote` names its version. Without `plugins.state` the next start of the gateway takes it
    /// into service again.
    Rollback {
        #[command(flatten)]
        gateway: RunningGateway,
        /// The plugin's name
        plugin: String,
        /// The first digits of the version to go back to; without it, the last one that was not
        /// rolled back itself
        #[arg(long, value_name = "VERSION")]
        to: Option<String>,
    },
}

/// How to reach a gateway that runs.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct RunningGateway {
    /// Its configuration file, which says where its control socket is
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Its control socket
    #[arg(short, long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl Cli {
    /// Does what was asked; errors go to stderr.
    pub fn run(self) -> ExitCode {
        let done = match self.command {
            Command::CompilePlugin => return compile::serve(),
            Command::Run { file, overlap } => {
                run::run(&file.config, overlap).map_err(|error| render(&error))
            }
            Command::Check(file) => check(&file.config),
            Command::Doctor { looked } => doctor::run(&looked),
            Command::Schema { file } => plugin_schema::own(file),
            Command::Import(ImportCommand::Azure { asked }) => match import::azure(&asked) {
                Ok(code) => return code,
                Err(message) => Err(message),
            },
            Command::Plugin(PluginCommand::New {
                name,
                template,
                lang,
                sdk,
            }) => plugin_new::run(&name, Path::new("."), (template, lang), sdk.as_deref())
                .map(drop)
                .map_err(|error| describe(&error)),
            Command::Plugin(PluginCommand::Build { dir, output, args }) => {
                plugin_build::run(&dir, &output, &args).map_err(|error| describe(&error))
            }
            Command::Plugin(PluginCommand::Check { files, keys }) => {
                plugin_check::run(&files, &keys)
            }
            Command::Plugin(PluginCommand::Schema { file, sidecar }) => {
                plugin_schema::run(&file, sidecar)
            }
            Command::Plugin(PluginCommand::Test { files, bless }) => {
                plugin_test::run(&files, bless)
            }
            Command::Plugin(PluginCommand::Dev { developed }) => plugin_dev::run(&developed),
            Command::Plugin(PluginCommand::Call { asked }) => plugin_call::call(&asked),
            Command::Plugin(PluginCommand::Bench { asked }) => plugin_bench::bench(&asked),
            Command::Plugin(PluginCommand::Replay {
                file,
                record,
                plugin,
                all,
            }) => plugin_replay::run(&file, &record, plugin.as_deref(), all),
            Command::Plugin(PluginCommand::Status {
                gateway,
                plugin,
                json,
            }) => plugin_control::status(&gateway, plugin.as_deref(), json),
            Command::Plugin(PluginCommand::Promote {
                gateway,
                plugin,
                only,
            }) => plugin_control::promote(&gateway, &plugin, only.as_deref()),
            Command::Plugin(PluginCommand::Rollback {
                gateway,
                plugin,
                to,
            }) => plugin_control::roll_back(&gateway, &plugin, to.as_deref()),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => {
                eprintln!("{message}");
                ExitCode::FAILURE
            }
        }
    }
}

fn check(path: &Path) -> Result<(), String> {
    let snapshot = run::check(path).map_err(|error| render(&error))?;
    let listeners = snapshot.listeners.len();
    let mut text = format!(
        "{}: ok: {listeners} listener{}, {} pool{}, {} plugin{}\n",
        path.display(),
        plural(listeners),
        snapshot.pools.len(),
        plural(snapshot.pools.len()),
        snapshot.plugins.len(),
        plural(snapshot.plugins.len()),
    );
    for plugin in &snapshot.plugins {
        let roles: Vec<_> = plugin.live.roles.iter().map(ToString::to_string).collect();
        let roles = roles.join(", ");
        text.push_str(&format!(
            "  plugin {} version {} ({roles})\n",
            plugin.live.name, plugin.live.label
        ));
    }
    say(&text);
    Ok(())
}

/// Prints; a reader that has gone away (`| head`) is no error.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// Problems of a configuration with their source lines, in colour on a terminal.
fn render(error: &run::RunError) -> String {
    use crate::reload::StartError;
    match error {
        run::RunError::Config(error) | run::RunError::Start(StartError::Config(error)) => {
            error.render(std::io::stderr().is_terminal())
        }
        run::RunError::Start(StartError::Plugins(_)) => error.to_string(),
        error => describe(error),
    }
}

/// An error with its causes, one per line.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = format!("error: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!("\n  because: {cause}"));
        source = cause.source();
    }
    text
}
