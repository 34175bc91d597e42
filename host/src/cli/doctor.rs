//! `witgate doctor`: what this machine lacks, and the command that mends it.
//!
//! Two parts: what making plugins needs, language by language, and, with a configuration, what
//! running the gateway on it needs. Nothing is changed.

use std::{
    env, fs, io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use clap::Args;
use notify::{RecursiveMode, Watcher as _};
use rustix::process::{Resource, getrlimit};

use super::{
    clang,
    plugin_new::Language,
    plural, say,
    toolchain::{self, Toolchain},
};
use crate::config::{Config, PrivateFolder};

/// Fewer descriptors than this are too few for any gateway in service.
const FEW_DESCRIPTORS: u64 = 1024;

/// What to look at.
#[derive(Debug, Args)]
pub(super) struct Looked {
    /// The configuration file of a gateway; without it only what plugins need is looked at
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A language that plugins are to be written in; the others are shown and do not count
    #[arg(short, long = "lang", value_name = "LANG", default_values = ["rust"])]
    languages: Vec<Language>,
}

/// What was found.
struct Finding {
    /// What was looked at.
    what: String,
    state: State,
}

enum State {
    /// It is there: which.
    Good(String),
    /// It is wanted by nothing that was asked for: why, and what mends it.
    Optional(String, String),
    /// It is needed: why, and what mends it.
    Lacking(String, String),
}

/// Prints what was found.
///
/// # Errors
/// Something is lacking.
pub(super) fn run(looked: &Looked) -> Result<(), String> {
    let mut count = 0;
    let mut section = |title: &str, findings: Vec<Finding>| {
        say(&format!("{title}\n"));
        for finding in findings {
            let what = finding.what;
            match finding.state {
                State::Good(which) => say(&format!("  ok        {what}: {which}\n")),
                State::Optional(why, mend) => {
                    say(&format!(
                        "  optional  {what}: {why}\n              {mend}\n"
                    ));
                }
                State::Lacking(why, mend) => {
                    count += 1;
                    say(&format!(
                        "  LACKING   {what}: {why}\n              {mend}\n"
                    ));
                }
            }
        }
    };
    let needs = |language| looked.languages.contains(&language);
    let plugins = [
        rust(needs(Language::Rust)),
        javascript(needs(Language::JavaScript)),
        python(needs(Language::Python)),
        c(needs(Language::C)),
    ];
    section("plugins", plugins.into_iter().flatten().collect());
    section("what the documentation uses", tools());
    if let Some(path) = &looked.config {
        section(&format!("a gateway on {}", path.display()), gateway(path));
    }
    match count {
        0 => Ok(()),
        _ => Err(format!(
            "error: {count} thing{} lacking; the commands above mend {}",
            plural(count),
            if count == 1 { "it" } else { "them" }
        )),
    }
}

impl Finding {
    fn new(what: &str, state: State) -> Self {
        Self {
            what: what.to_owned(),
            state,
        }
    }

    /// Good when there is a value; else lacking or, where it is not needed, optional.
    fn of(what: &str, found: Result<String, (String, String)>, is_needed: bool) -> Self {
        let state = match found {
            Ok(which) => State::Good(which),
            Err((why, mend)) if is_needed => State::Lacking(why, mend),
            Err((why, mend)) => State::Optional(why, mend),
        };
        Self::new(what, state)
    }
}

/// A program of the PATH with the first line that it prints about its version; else what mends
/// it.
fn program(names: &[&str], argument: &str, mend: &str) -> Result<String, (String, String)> {
    let found = names.iter().find_map(|name| {
        let path = in_path(name)?;
        let mut command = Command::new(&path);
        toolchain::clean(&mut command);
        let output = command.arg(argument).stdin(Stdio::null()).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().next().unwrap_or_default().trim().to_owned();
        output
            .status
            .success()
            .then(|| format!("{line} ({})", path.display()))
    });
    let why = || {
        (
            format!("no {} in the PATH", names.join(" or ")),
            mend.to_owned(),
        )
    };
    found.ok_or_else(why)
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let files = env::split_paths(&path).map(|dir| dir.join(name));
    files.into_iter().find(|file| file.is_file())
}

fn rust(is_needed: bool) -> Vec<Finding> {
    let lines = |error: &dyn std::fmt::Display| {
        let text = error.to_string();
        let (why, mend) = text.split_once(". Install one, ").unwrap_or((&text, ""));
        (why.to_owned(), mend.replace('\n', "\n              "))
    };
    let found = Toolchain::find(Path::new("."));
    let mut findings = Vec::new();
    if let Ok(Toolchain::Installed) = found {
        let mend = "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh";
        findings.push(Finding::of(
            "cargo",
            program(&["cargo"], "--version", mend),
            is_needed,
        ));
        let version = program(&["rustc"], "--version", mend).and_then(|version| {
            let needed = env!("CARGO_PKG_RUST_VERSION");
            match toolchain::is_recent(&version) {
                true => Ok(version),
                false => Err((
                    format!("{version} is older than {needed}"),
                    "rustup update stable".to_owned(),
                )),
            }
        });
        findings.push(Finding::of("rustc", version, is_needed));
    }
    let compiler = found
        .map(|toolchain| toolchain.to_string())
        .map_err(|error| lines(&error));
    findings.push(Finding::of(
        "a compiler for plugins in Rust",
        compiler,
        is_needed,
    ));
    findings
}

fn javascript(is_needed: bool) -> Vec<Finding> {
    let mend = "apt-get install nodejs npm";
    let programs = [("node", "--version"), ("npm", "--version")];
    let of = |(name, argument)| {
        let what = format!("{name}, for plugins in JavaScript");
        Finding::of(&what, program(&[name], argument, mend), is_needed)
    };
    programs.map(of).into()
}

fn python(is_needed: bool) -> Vec<Finding> {
    let mend = "apt-get install python3 python3-venv";
    let python = program(&["python3", "python"], "--version", mend);
    vec![Finding::of(
        "Python, for plugins in Python",
        python,
        is_needed,
    )]
}

/// Clang, and whether it makes a module, which takes a linker and a C library as well.
fn c(is_needed: bool) -> Vec<Finding> {
    let mend = clang::mend();
    let what = "clang, for plugins in C";
    let clang = match clang::find() {
        Ok(clang) => clang,
        Err(why) => return vec![Finding::of(what, Err((why, mend)), is_needed)],
    };
    let name = clang.to_string_lossy();
    let version = program(&[&name], "--version", &mend)
        .map_err(|(_, mend)| (format!("{name} tells no version"), mend));
    let made = match clang::lacks(&clang) {
        Ok(None) => Ok("it is there".to_owned()),
        Ok(Some(why)) => Err((why, mend)),
        Err(error) => Err((error.to_string(), mend)),
    };
    let library = "a linker and a C library for WebAssembly, for plugins in C";
    vec![
        Finding::of(what, version, is_needed),
        Finding::of(library, made, is_needed),
    ]
}

fn tools() -> Vec<Finding> {
    [
        (
            "openssl, for certificates",
            &["openssl"][..],
            "version",
            "apt-get install openssl",
        ),
        (
            "curl, for requests",
            &["curl"],
            "--version",
            "apt-get install curl",
        ),
        (
            "minisign, for signatures of plugins",
            &["minisign"],
            "-v",
            "apt-get install minisign",
        ),
    ]
    .map(|(what, names, argument, mend)| Finding::of(what, program(names, argument, mend), false))
    .into()
}

fn gateway(path: &Path) -> Vec<Finding> {
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(error) => {
            let text = error.render(false).replace('\n', "\n              ");
            let mend = format!("witgate check --config {}", path.display());
            let state = State::Lacking(text, mend);
            return vec![Finding::new("the configuration", state)];
        }
    };
    let mut findings = vec![
        Finding::new(
            "the configuration",
            State::Good(
                "it can be read (witgate check loads certificates and plugins, too)".to_owned(),
            ),
        ),
        descriptors(&config),
    ];
    if let Some(plugins) = &config.plugins {
        findings.push(Finding::of(
            "the plugin folder",
            watched(&plugins.dir),
            true,
        ));
        let private = [
            ("plugins.cache", &plugins.cache),
            ("plugins.state", &plugins.state),
        ];
        let set = private
            .into_iter()
            .filter_map(|(what, folder)| Some((what, folder.as_ref()?)));
        findings.extend(set.map(|(what, folder)| Finding::of(what, is_private(folder), true)));
    }
    let listeners = config.listeners.iter();
    let listeners =
        listeners.map(|listener| (format!("listener {}", listener.name), listener.address));
    let admin = config
        .admin
        .map(|address| ("the admin listener".to_owned(), address));
    findings.extend(
        listeners
            .chain(admin)
            .map(|(what, address)| Finding::of(&what, is_free(address), true)),
    );
    findings
}

/// Half of the descriptors are for clients.
fn descriptors(config: &Config) -> Finding {
    let limit = getrlimit(Resource::Nofile).maximum;
    let connections = u64::try_from(config.limits.connections).unwrap_or(u64::MAX);
    let mend = "`LimitNOFILE=` of systemd, or `ulimit -Hn` before the start, sets it".to_owned();
    let state = match limit {
        None => State::Good("no limit".to_owned()),
        Some(limit) if limit < FEW_DESCRIPTORS => {
            State::Lacking(format!("the process may open {limit}"), mend)
        }
        Some(limit) if limit / 2 < connections => State::Optional(
            format!(
                "the process may open {limit}, so that clients can hold {} connections, not the {connections} of \
                 limits.connections",
                limit / 2
            ),
            mend,
        ),
        Some(limit) => State::Good(format!("the process may open {limit}")),
    };
    Finding::new("open files", state)
}

/// Whether the folder can be read, and whether the system tells of changes in it.
fn watched(dir: &Path) -> Result<String, (String, String)> {
    let shown = dir.display();
    fs::read_dir(dir).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => (format!("{shown} is not there"), format!("mkdir -p {shown}")),
        _ => (
            format!("{shown} cannot be read: {error}"),
            format!("chmod u+rx {shown}   (as its owner)"),
        ),
    })?;
    let watching = notify::recommended_watcher(|_| ())
        .and_then(|mut watcher| watcher.watch(dir, RecursiveMode::NonRecursive));
    watching.map_err(|error| {
        (
            format!("changes in {shown} are only found by polling: {error}"),
            "sysctl fs.inotify.max_user_instances=1024 fs.inotify.max_user_watches=65536"
                .to_owned(),
        )
    })?;
    Ok(format!("{shown} is watched"))
}

/// Whether a folder is this user's alone, or can be made.
fn is_private(folder: &PrivateFolder) -> Result<String, (String, String)> {
    let shown = folder.dir.display();
    if !folder.dir.exists() {
        return Ok(format!("{shown} is made at the start"));
    }
    match witgate_compiled_code::open_private(&folder.dir) {
        Ok(()) => Ok(format!("{shown} is this user's alone")),
        Err(error) => Err((
            format!("{shown}: {error}"),
            format!("chmod 0700 {shown}   (and `chown` it to the user that the gateway runs as)"),
        )),
    }
}

fn is_free(address: SocketAddr) -> Result<String, (String, String)> {
    let error = match TcpListener::bind(address) {
        Ok(_) => return Ok(format!("{address} is free")),
        Err(error) => error,
    };
    let port = address.port();
    let mend = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("ss -ltnp 'sport = :{port}'   (shows by whom; a gateway that runs already is no fault)")
        }
        io::ErrorKind::PermissionDenied => {
            "setcap cap_net_bind_service=+ep \"$(command -v witgate)\"   (or systemd's AmbientCapabilities=)"
                .to_owned()
        }
        _ => "ip address   (shows the addresses of this machine)".to_owned(),
    };
    Err((format!("{address}: {error}"), mend))
}
