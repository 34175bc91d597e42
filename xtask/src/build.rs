//! Builds what demo and tests run. Cargo knows what has changed, so each of these may be
//! called at any time.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::{command, project::Project, setup::Compiler, step::step};

/// Everything native: the gateway, the demo's upstreams, this program.
///
/// The whole workspace at once, as the tests need it: with other packages cargo would choose
/// other features and compile the Wasm engine a second time.
pub(crate) fn host(project: &Project) -> Result<()> {
    step(
        "Build the gateway (the Wasm engine takes a few minutes the first time)",
        || command::run(project.cargo("build").arg("--workspace")),
    )
}

/// The gateway of a developer build as the workspace declares that, whatever this user's own
/// configuration of cargo says: what is counted in it does not differ between machines.
pub(crate) fn host_as_declared(project: &Project) -> Result<()> {
    step("Build the gateway as the workspace declares it", || {
        let mut build = project.cargo("build");
        build.args(["--workspace", "--config", "profile.dev.opt-level=1"]);
        command::run(&mut build)
    })
}

/// Programs as they are used, for measurements.
pub(crate) fn release(project: &Project, programs: &[&str]) -> Result<()> {
    step(
        &format!(
            "Build {} for release (as one piece: it takes many minutes)",
            programs.join(" and ")
        ),
        || {
            let mut build = project.cargo("build");
            build.args(["--release", "--workspace"]);
            for program in programs {
                build.args(["--bin", program]);
            }
            command::run(&mut build)
        },
    )
}

/// The same with this flag for the compiler, into a folder of its own. Returns the program. The
/// flag is not for what runs while it compiles.
pub(crate) fn with_flag(project: &Project, dir: &Path, flag: &str) -> Result<PathBuf> {
    let host = Compiler::of_path()?.host;
    let mut build = project.cargo("build");
    build
        .args(["--release", "--workspace", "--bin", "witgate"])
        .args(["--target", host.as_str(), "--target-dir"])
        .arg(dir)
        // Not `RUSTFLAGS`, which is split at spaces; a folder may have one.
        .env("CARGO_ENCODED_RUSTFLAGS", flag);
    command::run(&mut build)?;
    Ok(dir.join(host).join("release/witgate"))
}

/// The reference plugins, into `target/plugins/`.
pub(crate) fn plugins(project: &Project) -> Result<()> {
    step("Build the reference plugins", || {
        let mut build = project.program(project.binary("witgate"));
        build.args(["plugin", "build", ".", "-o"]);
        build
            .arg(project.target().join("plugins/"))
            .args(["--", "--profile", "plugin"]);
        for name in project.plugins()? {
            build.args(["-p", &name]);
        }
        command::run(&mut build)
    })
}

/// The misbehaving plugins of the tests, into `target/guests/`.
pub(crate) fn guests(project: &Project) -> Result<()> {
    step("Build the plugins of the tests", || {
        let mut build = project.program(project.binary("witgate"));
        build.args(["plugin", "build", "tests/guests", "-o"]);
        build
            .arg(project.target().join("guests/"))
            .args(["--", "--examples"]);
        command::run(&mut build)
    })
}
