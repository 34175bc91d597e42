//! Virtual environments of Python with packages whose versions a file pins.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::apt;
use crate::command::{self, which};

/// Wheels of some 30 MB; none is compiled here.
const PIP_LIMIT: Duration = Duration::from_secs(300);

/// Makes `dir` one with what the file `wanted` asks for. Its stamp is a copy of that, written
/// last.
pub(super) fn install(wanted: &Path, dir: &Path) -> Result<()> {
    let stamp = dir.join("requirements.txt");
    let asked = fs::read(wanted).with_context(|| wanted.display().to_string())?;
    let python = dir.join("bin/python");
    if fs::read(&stamp).is_ok_and(|made| made == asked) && runs(&python) {
        return Ok(());
    }
    let base = base_python()?;
    eprintln!("    {} -m venv {}", base.display(), dir.display());
    let mut venv = Command::new(base);
    command::run_quietly(venv.args(["-m", "venv", "--clear"]).arg(dir), PIP_LIMIT)?;
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--no-input"])
        .args(["--disable-pip-version-check", "--only-binary=:all:", "-r"])
        .arg(wanted);
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

fn runs(python: &Path) -> bool {
    command::output(Command::new(python).arg("--version")).is_some()
}
