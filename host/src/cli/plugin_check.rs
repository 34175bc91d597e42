//! `witgate plugin check`: the loader's own checks on files, with what it found.

use std::path::{Path, PathBuf};

use super::say;
use crate::{
    config::PluginLimits,
    plugin::{CheckedComponent, Digest, LoadError, PluginEngine, folder, grants_line},
};

/// Checks each file and prints what it is; the error is the list of those that the gateway
/// would refuse.
pub(super) fn run(files: &[PathBuf]) -> Result<(), String> {
    let engine = PluginEngine::new()
        .map_err(|error| format!("error: the Wasm engine cannot start: {error:#}"))?;
    let refused: Vec<String> = files
        .iter()
        .filter_map(|file| {
            check(&engine, file)
                .err()
                .map(|error| refusal(file, &error))
        })
        .collect();
    if refused.is_empty() {
        Ok(())
    } else {
        Err(refused.join("\n"))
    }
}

fn check(engine: &PluginEngine, file: &Path) -> Result<(), LoadError> {
    let bytes = folder::read_bounded(file, PluginLimits::DEFAULT.file_size)?;
    let component = CheckedComponent::compile(engine, &bytes)?;
    let imports = match component.imports.as_slice() {
        [] => "nothing".to_owned(),
        imports => imports.join(", "),
    };
    let grants = match component.needs().as_slice() {
        [] => "none".to_owned(),
        needs => format!(
            "{} (in the sidecar: {})",
            names(needs),
            grants_line(needs.iter().copied())
        ),
    };
    say(&format!(
        "{}: ok\n  size     {} bytes\n  version  {}\n  roles    {}\n  imports  {imports}\n  grants   {grants}\n",
        file.display(),
        bytes.len(),
        Digest::of(&bytes),
        names(&component.roles()),
    ));
    Ok(())
}

fn names(of: &[impl ToString]) -> String {
    let names: Vec<_> = of.iter().map(ToString::to_string).collect();
    names.join(", ")
}

fn refusal(file: &Path, error: &LoadError) -> String {
    use std::error::Error as _;
    match error.source() {
        Some(cause) => format!("error: {}: {error}: {cause}", file.display()),
        None => format!("error: {}: {error}", file.display()),
    }
}
