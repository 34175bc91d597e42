//! Packs the crates that are published and compiles each from its package alone, with the others
//! from theirs. Nothing of it needs the Wasm engine.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use crate::{command, project::Project, step::step};

/// Each after those that it needs.
const PUBLISHED: [&str; 3] = ["witgate-schema-derive", "witgate-schema", "witgate-sdk"];
/// What the SDK's bindings are made of.
const WIT: &str = "wit/0.1/types.wit";

/// Packs and verifies.
///
/// # Errors
/// When a package lacks a file or does not compile, or the SDK's version is not that of the WIT.
pub(crate) fn run(project: &Project) -> Result<()> {
    let wit = fs::read_to_string(project.root().join(WIT)).context(WIT)?;
    let version = env!("CARGO_PKG_VERSION");
    let package = format!("package witgate:plugin@{};", minor(version));
    ensure!(
        wit.lines().any(|line| line == package),
        "the workspace has the version {version}, so that {WIT} should say `{package}`"
    );
    step("Pack the crates that are published", || {
        let mut cargo = project.cargo("package");
        // What is being worked on is to be tried as well; nothing is downloaded that the
        // workspace does not have.
        cargo.args(["--allow-dirty", "--offline", "--target-dir"]);
        cargo.arg(project.target().join("package-check"));
        for name in PUBLISHED {
            cargo.args(["-p", name]);
        }
        command::run(&mut cargo)
    })
}

/// The interface of a version of the SDK: 0.1.0 of 0.1.7 and of 0.1.0-rc.1, as patches leave it alone.
fn minor(version: &str) -> String {
    let version = version.split(['-', '+']).next().unwrap_or_default();
    let end = version.rfind('.').unwrap_or(version.len());
    format!("{}.0", version.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::minor;

    #[test]
    fn patches_and_candidates_have_the_interface_of_their_minor_version() {
        for (version, interface) in [
            ("0.1.0", "0.1.0"),
            ("0.1.7", "0.1.0"),
            ("0.2.0-rc.1", "0.2.0"),
            ("1.12.3+build.5", "1.12.0"),
        ] {
            assert_eq!(minor(version), interface, "{version}");
        }
    }
}
