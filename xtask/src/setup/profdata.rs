//! `llvm-profdata`, which makes one file of what a build with counters has counted. It has to be
//! of the LLVM that the compiler has.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::{RUSTUP_LIMIT, apt};
use crate::command::{self, which};

/// Looks beside the compiler, then on the PATH; else has rustup or apt-get bring it.
pub(crate) fn find() -> Result<PathBuf> {
    let compiler = Compiler::of_path()?;
    if let Some(found) = compiler.profdata() {
        return Ok(found);
    }
    if which("rustup").is_some() {
        let mut rustup = Command::new("rustup");
        rustup.args(["component", "add", "llvm-tools"]);
        if let Err(error) = command::run_quietly(&mut rustup, RUSTUP_LIMIT) {
            eprintln!("    {error:#}");
        }
    }
    if compiler.profdata().is_none() {
        let package = format!("llvm-{}", compiler.llvm);
        let what = format!(
            "llvm-profdata of LLVM {} (with rustup: `rustup component add llvm-tools`)",
            compiler.llvm
        );
        apt::install(&[&package], &what)?;
    }
    compiler
        .profdata()
        .with_context(|| format!("there is still no llvm-profdata of LLVM {}", compiler.llvm))
}

/// `rustc` as cargo finds it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Compiler {
    /// What it compiles for unless told otherwise: `x86_64-unknown-linux-gnu`.
    pub(crate) host: String,
    /// The major version of its LLVM: `22`.
    llvm: String,
}

impl Compiler {
    pub(crate) fn of_path() -> Result<Self> {
        let about =
            command::output(Command::new("rustc").arg("-vV")).context("cannot run rustc")?;
        Self::read(&about)
    }

    fn read(about: &str) -> Result<Self> {
        let line = |name| about.lines().find_map(|line| line.strip_prefix(name));
        match (line("host: "), line("LLVM version: ")) {
            (Some(host), Some(llvm)) => Ok(Self {
                host: host.to_owned(),
                llvm: llvm.split('.').next().unwrap_or(llvm).to_owned(),
            }),
            _ => bail!("rustc -vV names no host and no LLVM:\n{about}"),
        }
    }

    fn profdata(&self) -> Option<PathBuf> {
        let sysroot = command::output(Command::new("rustc").args(["--print", "sysroot"]));
        let beside = sysroot.map(|sysroot| {
            Path::new(sysroot.trim())
                .join("lib/rustlib")
                .join(&self.host)
                .join("bin/llvm-profdata")
        });
        beside
            .filter(|file| file.is_file())
            .or_else(|| which(&format!("llvm-profdata-{}", self.llvm)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_says_what_it_is() {
        let about = "rustc 1.95.0\nhost: x86_64-unknown-linux-gnu\nLLVM version: 22.1.2\n";
        let found = Compiler::read(about).ok();
        assert_eq!(
            found,
            Some(Compiler {
                host: "x86_64-unknown-linux-gnu".into(),
                llvm: "22".into(),
            })
        );
        assert!(Compiler::read("rustc 1.95.0").is_err());
    }
}
