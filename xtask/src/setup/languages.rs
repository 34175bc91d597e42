//! The tools that make plugins of JavaScript and of Python, as the examples pin them, in cargo's
//! target folder: packages of npm and of PyPI, which need a node with npm, and a Python. What
//! makes them of C comes from Debian.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, bail};

use super::{apt, venv};
use crate::{
    clang,
    command::{self, which},
    languages::{self, JAVASCRIPT, PYTHON},
    project::Project,
};

/// Nearly 200 MB once unpacked.
const NPM_LIMIT: Duration = Duration::from_secs(300);

/// Installs what is missing or another version.
pub(super) fn run(project: &Project) -> Result<()> {
    c()?;
    if which("npm").is_none() {
        apt::install(&["npm"], "npm")?;
    }
    javascript(project)?;
    let wanted = project.root().join(PYTHON).join("requirements.txt");
    venv::install(&wanted, &languages::python_tools(project))
}

/// A clang that makes modules; else Debian's is installed.
fn c() -> Result<()> {
    let lacks = || match clang::find() {
        Ok(clang) => clang::lacks(&clang).map_err(anyhow::Error::from),
        Err(why) => Ok(Some(why)),
    };
    if lacks()?.is_some() {
        apt::install(&clang::DEBIAN_PACKAGES, "a clang for WebAssembly")?;
    }
    match lacks()? {
        None => Ok(()),
        Some(why) => bail!("plugins in C cannot be compiled: {why}: {}", clang::mend()),
    }
}

/// What npm installs is what the lock file lists, with its digests. The stamp is a copy of it,
/// written last.
fn javascript(project: &Project) -> Result<()> {
    let example = project.root().join(JAVASCRIPT);
    let dir = languages::javascript_tools(project);
    let stamp = dir.join("installed.json");
    let asked = read(&example.join("package-lock.json"))?;
    if fs::read(&stamp).is_ok_and(|made| made == asked) {
        return Ok(());
    }
    fs::create_dir_all(&dir)?;
    for name in ["package.json", "package-lock.json", ".npmrc"] {
        fs::write(dir.join(name), read(&example.join(name))?)?;
    }
    eprintln!("    npm ci in {}", dir.display());
    let mut npm = Command::new("npm");
    command::run_quietly(
        npm.args(["ci", "--include=dev"]).current_dir(&dir),
        NPM_LIMIT,
    )?;
    fs::write(&stamp, asked)?;
    Ok(())
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| file.display().to_string())
}
