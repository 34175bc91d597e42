//! The programs that the tests compare the gateway with and speak to it through: nginx, node,
//! the clients of nghttp2, and Python with the packages of `tests/python/requirements.txt`.

use std::{path::Path, process::Command};

use anyhow::{Result, bail};

use super::{apt, venv};
use crate::{
    bench::envoy,
    command::{self, which},
    project::Project,
};

/// What `tests/src/peers.rs` looks for in cargo's target folder.
pub(crate) const NGINX: &str = "nginx/usr/sbin/nginx";
const PYTHON: &str = "python";

/// Installs what is missing, on the machine or in the target folder.
pub(super) fn run(project: &Project) -> Result<()> {
    nginx(project)?;
    if which("node").is_none() {
        apt::install(&["nodejs"], "node")?;
    }
    nghttp2()?;
    let wanted = project.root().join("tests/python/requirements.txt");
    venv::install(&wanted, &project.target().join(PYTHON))
}

/// What `cargo xtask bench` runs: the peer, and what asks and counts.
pub(super) fn bench(project: &Project) -> Result<()> {
    nginx(project)?;
    nghttp2()?;
    for program in ["wrk", "strace"] {
        if which(program).is_none() {
            apt::install(&[program], program)?;
        }
    }
    Ok(())
}

/// Envoy's program.
pub(super) fn envoy(project: &Project) -> Result<()> {
    let wanted = project.root().join(envoy::SOURCES);
    let dir = project.target().join(envoy::PACKAGE);
    venv::install(&wanted.join("requirements.txt"), &dir)
}

fn nghttp2() -> Result<()> {
    let programs = ["h2load", "nghttp"];
    if programs.iter().any(|name| which(name).is_none()) {
        apt::install(&["nghttp2-client"], "nghttp2's clients")?;
    }
    Ok(())
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

/// Some when the program runs at all.
fn version(program: &Path) -> Option<String> {
    command::output(Command::new(program).arg("-v"))
}
