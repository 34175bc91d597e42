//! The programs that the tests compare the gateway with and speak to it through: nginx, node,
//! the clients of nghttp2, and Python with the packages of `tests/python/requirements.txt`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use super::apt;
use crate::{
    command::{self, which},
    project::Project,
};

/// Wheels of some 30 MB; none is compiled here.
const PIP_LIMIT: Duration = Duration::from_secs(300);

/// What `tests/src/peers.rs` looks for in cargo's target folder.
const NGINX: &str = "nginx/usr/sbin/nginx";
const PYTHON: &str = "python";

/// Installs what is missing, on the machine or in the target folder.
pub(super) fn run(project: &Project) -> Result<()> {
    nginx(project)?;
    if which("node").is_none() {
        apt::install(&["nodejs"], "node")?;
    }
    if ["h2load", "nghttp"]
        .iter()
        .any(|name| which(name).is_none())
    {
        apt::install(&["nghttp2-client"], "nghttp2's clients")?;
    }
    python(project)
}

/// Debian's package starts a server on port 80 when it is installed, so that it is only unpacked, into
/// the target folder; what it needs besides comes with openssl and git.
fn nginx(project: &Project) -> Result<()> {
    let installed = ["/usr/sbin/nginx", "/usr/local/sbin/nginx"];
    let program = project.target().join(NGINX);
    if which("nginx").is_some()
        || installed.iter().any(|file| Path::new(file).is_file())
        || version(&program).is_some()
    {
        return Ok(());
    }
    apt::unpack("nginx", &project.target().join("nginx"))?;
    match version(&program) {
        Some(_) => Ok(()),
        None => bail!("nginx does not run on this machine: install it"),
    }
}

/// A virtual environment. Its stamp is a copy of what was asked for, written last.
fn python(project: &Project) -> Result<()> {
    let wanted = project.root().join("tests/python/requirements.txt");
    let dir = project.target().join(PYTHON);
    let stamp = dir.join("requirements.txt");
    let asked = fs::read(&wanted).with_context(|| wanted.display().to_string())?;
    let python = dir.join("bin/python");
    if fs::read(&stamp).is_ok_and(|made| made == asked) && version(&python).is_some() {
        return Ok(());
    }
    let base = base_python()?;
    eprintln!("    {} -m venv {}", base.display(), dir.display());
    let mut venv = Command::new(base);
    command::run_quietly(venv.args(["-m", "venv", "--clear"]).arg(&dir), PIP_LIMIT)?;
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--no-input"])
        .args(["--disable-pip-version-check", "--only-binary=:all:", "-r"])
        .arg(&wanted);
    command::run_quietly(&mut pip, PIP_LIMIT)?;
    fs::write(&stamp, asked)?;
    Ok(())
}

/// A Python that can make virtual environments.
fn base_python() -> Result<PathBuf> {
    if let Some(found) = find_python() {
        return Ok(found);
    }
    apt::install(&["python3", "python3-venv"], "Python with venv")?;
    find_python().context("this python3 cannot make virtual environments: install its venv")
}

fn find_python() -> Option<PathBuf> {
    let candidates = [which("python3"), Some(PathBuf::from("/usr/bin/python3"))];
    candidates.into_iter().flatten().find(|python| {
        let mut modules = Command::new(python);
        command::output(modules.args(["-c", "import ensurepip, venv"])).is_some()
    })
}

/// Some when the program runs at all.
fn version(program: &Path) -> Option<String> {
    let flag = if program.ends_with("nginx") {
        "-v"
    } else {
        "--version"
    };
    command::output(Command::new(program).arg(flag))
}
