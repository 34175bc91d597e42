//! Packages of Debian and Ubuntu, installed where this user may.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, bail};

use crate::{
    command::{self, which},
    toolchain::DEBIAN_PACKAGES,
};

/// The compiler and its sources have some 200 MB.
const LIMIT: Duration = Duration::from_secs(900);

/// Installs packages that bring `what`; the error says what to do by hand.
pub(super) fn install(packages: &[&str], what: &str) -> Result<()> {
    let by_hand = || {
        format!(
            "{what} is missing: install it, on Debian with\n    apt-get install {}",
            packages.join(" ")
        )
    };
    let mut update = apt_get().with_context(by_hand)?;
    command::run_quietly(update.arg("update"), LIMIT).with_context(by_hand)?;
    add(packages).with_context(by_hand)
}

/// Unpacks a package into a folder of ours; nothing is installed, and nothing started.
pub(super) fn unpack(package: &str, into: &Path) -> Result<()> {
    let by_hand = || format!("{package} is missing, and could not be fetched: install it");
    if download(package, into).is_err() {
        // The lists are old, or there are none yet.
        let mut update = apt_get().with_context(by_hand)?;
        command::run_quietly(update.arg("update"), LIMIT).with_context(by_hand)?;
        download(package, into).with_context(by_hand)?;
    }
    Ok(())
}

fn download(package: &str, into: &Path) -> Result<()> {
    eprintln!("    apt-get download {package}");
    let dir = tempfile::tempdir()?;
    let mut download = Command::new("apt-get");
    download.args(["download", package]).current_dir(dir.path());
    command::run_quietly(&mut download, LIMIT)?;
    let file = fs::read_dir(dir.path())?
        .next()
        .context("apt-get brought no file")??;
    let mut unpack = Command::new("dpkg-deb");
    unpack.arg("--extract").arg(file.path()).arg(into);
    command::run_quietly(&mut unpack, LIMIT)
}

/// Installs Debian's compiler, its library's sources and the newest linker for wasm.
pub(super) fn install_wasm() -> Result<()> {
    // `Toolchain::find` says what to install when this comes to nothing.
    let Ok(mut update) = apt_get() else {
        return Ok(());
    };
    let updated = command::run_quietly(update.arg("update"), LIMIT);
    let linker = newest_linker();
    let packages: Vec<_> = DEBIAN_PACKAGES
        .into_iter()
        .chain(linker.as_deref())
        .collect();
    if let Err(error) = updated.and_then(|()| add(&packages)) {
        eprintln!("    {error:#}");
    }
    Ok(())
}

fn add(packages: &[&str]) -> Result<()> {
    eprintln!(
        "    apt-get install --no-install-recommends {}",
        packages.join(" ")
    );
    let mut install = apt_get()?;
    install
        .args(["install", "-y", "--no-install-recommends"])
        .args(packages);
    command::run_quietly(&mut install, LIMIT)
}

/// `apt-get`, if this user may use it without being asked for a password.
fn apt_get() -> Result<Command> {
    if which("apt-get").is_none() {
        bail!("there is no apt-get");
    }
    let mut command = if rustix::process::geteuid().is_root() {
        Command::new("apt-get")
    } else {
        let mut sudo = Command::new("sudo");
        if command::output(Command::new("sudo").args(["-n", "true"])).is_none() {
            bail!("apt-get needs root, and sudo needs a password");
        }
        sudo.args(["-n", "apt-get"]);
        sudo
    };
    command.env("DEBIAN_FRONTEND", "noninteractive");
    Ok(command)
}

/// The `lld-NN` with the highest number that apt knows.
fn newest_linker() -> Option<String> {
    let mut search = Command::new("apt-cache");
    let found = command::output(search.args(["search", "--names-only", "^lld-[0-9]+$"]))?;
    newest(&found)
}

fn newest(lines: &str) -> Option<String> {
    let numbers = lines.lines().filter_map(|line| {
        let name = line.split_whitespace().next()?;
        name.strip_prefix("lld-")?.parse::<u32>().ok()
    });
    numbers.max().map(|number| format!("lld-{number}"))
}

#[cfg(test)]
mod tests {
    use super::newest;

    #[test]
    fn the_highest_number_is_the_newest() {
        let found =
            "lld-9 - LLVM-based linker\nlld-22 - LLVM-based linker\nlld-19 - x\nlld-dbg - y\n";
        assert_eq!(newest(found).as_deref(), Some("lld-22"));
        assert_eq!(newest(""), None);
    }
}
