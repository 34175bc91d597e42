//! Where the project is, and how its cargo is called.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::toolchain;

/// The workspace that this xtask belongs to.
#[derive(Debug)]
pub(crate) struct Project {
    root: PathBuf,
    target: PathBuf,
}

impl Project {
    /// Finds it by the folder that cargo names, else by where this program was built.
    pub(crate) fn find() -> Result<Self> {
        let xtask = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let xtask = xtask.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
        let root = xtask.parent().unwrap_or(&xtask);
        let root = root
            .canonicalize()
            .with_context(|| format!("{} is gone", root.display()))?;
        let target =
            env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let target = std::path::absolute(target)?;
        Ok(Self { root, target })
    }

    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's target folder.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// A program of the workspace, as `cargo build` makes it.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        self.target.join("debug").join(name)
    }

    /// The same, as `cargo build --release` makes it.
    pub(crate) fn release_binary(&self, name: &str) -> PathBuf {
        self.target.join("release").join(name)
    }

    /// `cargo SUBCOMMAND` as a person would run it in the workspace: nothing of the cargo that
    /// runs xtask is left but the choice of the compiler.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut cargo = self.program("cargo");
        if let Some(chosen) = env::var_os("RUSTUP_TOOLCHAIN") {
            cargo.env("RUSTUP_TOOLCHAIN", chosen);
        }
        cargo.arg(subcommand);
        cargo
    }

    /// Another program, run in the workspace with the same target folder.
    pub(crate) fn program(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        toolchain::clean(&mut command);
        command
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target);
        command
    }

    /// The names of the reference plugins, sorted.
    pub(crate) fn plugins(&self) -> Result<Vec<String>> {
        let dir = self.root.join("plugins");
        let entries = fs::read_dir(&dir).with_context(|| dir.display().to_string())?;
        let mut names: Vec<_> = entries
            .flatten()
            .filter(|entry| entry.path().join("Cargo.toml").is_file())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        Ok(names)
    }
}
