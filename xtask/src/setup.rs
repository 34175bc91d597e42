//! Makes sure that this machine can compile the gateway and its plugins.
//!
//! Looks first and installs only what is missing: by rustup, else with apt-get where this
//! user may; else it says what to install. What is there is never changed.

mod apt;
mod languages;
mod peers;
mod profdata;
mod venv;

use std::{process::Command, time::Duration};

use anyhow::{Result, bail};

pub(crate) use peers::NGINX;
pub(crate) use profdata::{Compiler, find as llvm_profdata};

use crate::{
    command::{self, which},
    project::Project,
    step::step,
    toolchain::{self, Toolchain, WASM_TARGET},
};

/// The target's standard library has 20 MB.
const RUSTUP_LIMIT: Duration = Duration::from_secs(180);

/// What building and the demo need: checks for it and installs what is missing.
pub(crate) fn build(project: &Project) -> Result<()> {
    step(
        "Look for a C compiler, curl, openssl and a compiler for wasm",
        || {
            c_compiler()?;
            curl()?;
            openssl()?;
            wasm(project)
        },
    )
}

/// What the tests need besides, see [`peers`] and [`languages()`].
pub(crate) fn tests(project: &Project) -> Result<()> {
    step("Look for nginx, node, nghttp2, Python and systemd", || {
        systemd()?;
        peers::run(project)
    })?;
    languages(project)
}

/// What measuring needs besides: nginx, load generators, and a counter of system calls.
pub(crate) fn bench(project: &Project) -> Result<()> {
    step("Look for nginx, wrk, h2load and strace", || {
        peers::bench(project)
    })
}

/// What the measurement beside Envoy needs besides: its program, from PyPI.
pub(crate) fn envoy(project: &Project) -> Result<()> {
    step("Look for Envoy", || peers::envoy(project))
}

/// What counting instructions needs besides.
pub(crate) fn instructions(project: &Project) -> Result<()> {
    bench(project)?;
    match which("valgrind") {
        Some(_) => Ok(()),
        None => apt::install(&["valgrind"], "valgrind"),
    }
}

/// What plugins in C, JavaScript and Python are made with.
pub(crate) fn languages(project: &Project) -> Result<()> {
    step(
        "Look for clang, componentize-js and componentize-py",
        || languages::run(project),
    )
}

/// The TLS library has C in it.
fn c_compiler() -> Result<()> {
    if std::env::var_os("CC").is_some()
        || ["cc", "gcc", "clang"]
            .into_iter()
            .any(|name| which(name).is_some())
    {
        return Ok(());
    }
    apt::install(&["gcc", "libc6-dev"], "a C compiler")
}

/// The demo's check and one test speak to the gateway as people do.
fn curl() -> Result<()> {
    if which("curl").is_none() {
        apt::install(&["curl", "ca-certificates"], "curl")?;
    }
    let features = command::output(Command::new("curl").arg("--version")).unwrap_or_default();
    if !features.contains("HTTP2") {
        bail!("this curl does not speak HTTP/2, which the demo shows; install one that does");
    }
    Ok(())
}

/// Tests speak to the gateway as old, careless and hostile peers do.
fn openssl() -> Result<()> {
    match which("openssl") {
        Some(_) => Ok(()),
        None => apt::install(&["openssl"], "openssl"),
    }
}

/// Passes sockets as it does to services; nothing of it needs to run.
fn systemd() -> Result<()> {
    match which("systemd-socket-activate") {
        Some(_) => Ok(()),
        None => apt::install(&["systemd"], "systemd-socket-activate"),
    }
}

fn wasm(project: &Project) -> Result<()> {
    if let Some(found) = find(project) {
        eprintln!("    plugins are compiled by {found}");
        return Ok(());
    }
    let added = rustup(project);
    if added.is_err() || find(project).is_none() {
        let why = added.err().map_or_else(
            || "rustup did not help".to_owned(),
            |error| format!("{error:#}"),
        );
        eprintln!("    {why}");
        apt::install_wasm()?;
    }
    let found = Toolchain::find(project.root())?;
    eprintln!("    plugins are compiled by {found}");
    Ok(())
}

fn find(project: &Project) -> Option<Toolchain> {
    Toolchain::find(project.root()).ok()
}

/// Adds the target to the toolchain that plugins will be built with.
fn rustup(project: &Project) -> Result<()> {
    if which("rustup").is_none() {
        bail!("rustup is not there");
    }
    eprintln!("    rustup target add {WASM_TARGET}");
    let mut rustup = Command::new("rustup");
    toolchain::clean(&mut rustup);
    rustup
        .args(["target", "add", WASM_TARGET])
        .current_dir(project.root());
    command::run_quietly(&mut rustup, RUSTUP_LIMIT)
}
