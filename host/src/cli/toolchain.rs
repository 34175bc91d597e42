//! Finds a compiler that builds for `wasm32-unknown-unknown`, and starts its cargo.
//!
//! Two ways are known: the `rustc` of the PATH with the target installed, and Debian's
//! compiler, which builds the standard library from its own sources. `xtask` shares this
//! file, so it uses nothing but the standard library and `thiserror`.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use thiserror::Error;

/// What plugins are compiled for.
pub(crate) const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// Debian's packages that together compile plugins; a `lld-NN` comes on top.
pub(crate) const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// Where Debian puts compilers.
const DEBIAN_BIN: &str = "/usr/bin";

/// Cargo's variables that are a person's settings. All others come from a surrounding cargo
/// and speak of another package or compiler.
const KEPT: [&str; 10] = [
    "CARGO_HOME",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_BUILD_JOBS",
    "CARGO_INCREMENTAL",
    "CARGO_TARGET_WASM32_",
    "CARGO_NET_",
    "CARGO_HTTP_",
    "CARGO_REGISTR",
    "CARGO_TERM_",
];

/// A cargo and rustc that can build plugins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// `cargo` and `rustc` of the PATH; the target's standard library is installed.
    Installed,
    /// Debian's compiler: the standard library is built together with the plugin.
    BuildStd {
        /// The folder of its `cargo` and `rustc`.
        bin: PathBuf,
        /// A `wasm-ld`.
        linker: PathBuf,
    },
}

/// No compiler can build plugins.
#[derive(Debug, Error)]
#[error(
    "no compiler for {WASM_TARGET} is installed ({why}). Install one, either with rustup:\n    \
     rustup target add {WASM_TARGET}\n\
     or with the packages of Debian or Ubuntu:\n    \
     apt-get install --no-install-recommends {} lld-NN   (the newest NN that there is)",
    DEBIAN_PACKAGES.join(" ")
)]
pub(crate) struct ToolchainError {
    why: String,
}

impl Toolchain {
    /// Looks for a compiler as a build in `dir` would see it.
    ///
    /// # Errors
    /// When there is none; the message says what to install.
    pub(crate) fn find(dir: &Path) -> Result<Self, ToolchainError> {
        if installed(dir) {
            return Ok(Self::Installed);
        }
        build_std(Path::new(DEBIAN_BIN)).map_err(|why| ToolchainError { why })
    }

    /// A `cargo SUBCOMMAND` in `dir` that no surrounding cargo influences; stdin is closed.
    #[must_use]
    pub(crate) fn cargo(&self, dir: &Path, subcommand: &str) -> Command {
        let mut command = match self {
            Self::Installed => Command::new("cargo"),
            Self::BuildStd { bin, .. } => Command::new(bin.join("cargo")),
        };
        clean(&mut command);
        if let Self::BuildStd { bin, linker } = self {
            command
                .env("RUSTC", bin.join("rustc"))
                .env("RUSTC_BOOTSTRAP", "1")
                .env("PATH", path_with(bin))
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
        command
            .arg(subcommand)
            .current_dir(dir)
            .stdin(Stdio::null());
        command
    }

    /// Flags that `cargo build` needs to build for the target.
    #[must_use]
    pub(crate) fn build_flags(&self) -> &'static [&'static str] {
        match self {
            Self::Installed => &["--target", WASM_TARGET],
            Self::BuildStd { .. } => &["--target", WASM_TARGET, "-Zbuild-std=std,panic_abort"],
        }
    }

    /// The sub-folder of the target folder that keeps this compiler's files from those of
    /// the usual one; none when it is the usual one.
    #[must_use]
    pub(crate) fn target_subdir(&self) -> Option<&'static str> {
        match self {
            Self::Installed => None,
            Self::BuildStd { .. } => Some("wasm-build-std"),
        }
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Installed => write!(f, "rustc with the target {WASM_TARGET}"),
            Self::BuildStd { bin, linker } => write!(
                f,
                "{} with its library sources, linked by {}",
                bin.join("rustc").display(),
                linker.display()
            ),
        }
    }
}

/// Takes out of `command`'s environment what a surrounding cargo, rustup or build script
/// put there for itself.
pub(crate) fn clean(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(leaks) {
            command.env_remove(name);
        }
    }
}

fn leaks(name: &str) -> bool {
    let ours = name == "CARGO" || name.starts_with("CARGO_");
    (ours && !KEPT.iter().any(|kept| name.starts_with(kept)))
        || name.starts_with("RUSTC")
        || name.starts_with("RUSTDOC")
        || matches!(name, "RUSTUP_TOOLCHAIN" | "RUST_RECURSION_COUNT")
}

/// Whether the `rustc` of the PATH has the target's standard library.
fn installed(dir: &Path) -> bool {
    let mut rustc = Command::new("rustc");
    clean(&mut rustc);
    rustc.args(["--print", "target-libdir", "--target", WASM_TARGET]);
    let Some(libdir) = stdout(rustc.current_dir(dir)) else {
        return false;
    };
    let Ok(files) = fs::read_dir(libdir) else {
        return false;
    };
    files
        .flatten()
        .any(|file| file.file_name().to_string_lossy().starts_with("libstd-"))
}

/// The compiler in `bin`, if it can build its own standard library; else what it lacks.
fn build_std(bin: &Path) -> Result<Toolchain, String> {
    let [rustc, cargo] = ["rustc", "cargo"].map(|name| bin.join(name));
    let Some(version) = stdout(Command::new(&rustc).arg("--version")) else {
        return Err(format!(
            "rustc lacks the target and {} is not there",
            rustc.display()
        ));
    };
    if !is_recent(&version) {
        let needed = env!("CARGO_PKG_RUST_VERSION");
        return Err(format!("{version} is older than {needed}"));
    }
    if !cargo.is_file() {
        return Err(format!("{} is not there", cargo.display()));
    }
    let sysroot = stdout(Command::new(&rustc).args(["--print", "sysroot"])).unwrap_or_default();
    let sources = Path::new(&sysroot).join("lib/rustlib/src/rust/library/std/Cargo.toml");
    if !sources.is_file() {
        return Err(format!("{} is not there", sources.display()));
    }
    let linker = wasm_ld(bin).ok_or("no wasm-ld is there")?;
    Ok(Toolchain::BuildStd {
        bin: bin.to_owned(),
        linker,
    })
}

/// Whether `rustc 1.96.0 (…)` is at least the version that this package asks for.
pub(crate) fn is_recent(version: &str) -> bool {
    let number = version.split_whitespace().nth(1).unwrap_or_default();
    major_minor(number) >= major_minor(env!("CARGO_PKG_RUST_VERSION"))
}

fn major_minor(number: &str) -> Option<(u32, u32)> {
    let mut parts = number.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

/// The newest `wasm-ld-NN` in `bin`, else its `wasm-ld`.
fn wasm_ld(bin: &Path) -> Option<PathBuf> {
    let numbered = fs::read_dir(bin).ok()?.flatten().filter_map(|file| {
        let name = file.file_name();
        let number: u32 = name.to_str()?.strip_prefix("wasm-ld-")?.parse().ok()?;
        Some((number, file.path()))
    });
    let plain = Some(bin.join("wasm-ld")).filter(|path| path.is_file());
    numbered.max().map(|(_, path)| path).or(plain)
}

fn path_with(bin: &Path) -> std::ffi::OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(bin.to_owned()).chain(env::split_paths(&path));
    env::join_paths(all).unwrap_or(path)
}

/// What the command prints, trimmed; none when it fails. What it complains of is not shown.
fn stdout(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    #[test]
    fn a_surrounding_cargo_does_not_leak() {
        for name in [
            "CARGO",
            "CARGO_MANIFEST_DIR",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_BUILD_TARGET",
            "CARGO_PKG_NAME",
            "RUSTC",
            "RUSTC_WRAPPER",
            "RUSTUP_TOOLCHAIN",
        ] {
            assert!(leaks(name), "{name}");
        }
    }

    #[test]
    fn settings_of_a_person_are_kept() {
        for name in [
            "CARGO_HOME",
            "CARGO_TARGET_DIR",
            "CARGO_NET_OFFLINE",
            "RUSTFLAGS",
            "PATH",
        ] {
            assert!(!leaks(name), "{name}");
        }
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(is_recent("rustc 1.96.0 (ac68faa20 2026-05-25)"));
        assert!(is_recent("rustc 2.0.0"));
        assert!(!is_recent("rustc 1.63.0"));
        assert!(!is_recent("rustc 1.100-not-a-number"));
        assert!(!is_recent(""));
    }

    #[test]
    fn the_newest_linker_is_taken() {
        let bin = tempfile::tempdir().unwrap();
        assert_eq!(wasm_ld(bin.path()), None);
        for name in ["wasm-ld", "wasm-ld-9", "wasm-ld-22", "wasm-ld-x", "ld-99"] {
            fs::write(bin.path().join(name), "").unwrap();
        }
        assert_eq!(wasm_ld(bin.path()), Some(bin.path().join("wasm-ld-22")));
    }

    #[test]
    fn the_message_names_both_ways() {
        let error = build_std(Path::new("/no/such/folder"))
            .map_err(|why| ToolchainError { why }.to_string())
            .unwrap_err();
        assert!(
            error.contains("rustup target add wasm32-unknown-unknown"),
            "{error}"
        );
        assert!(
            error.contains("rustc-web cargo-web rust-web-src lld-NN"),
            "{error}"
        );
    }
}
