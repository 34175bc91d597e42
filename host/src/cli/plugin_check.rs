//! `witgate plugin check`: the loader's own checks on files, with what it found.

use std::path::{Path, PathBuf};

use crate::plugin::{CheckedComponent, Digest, LoadError, PluginEngine, folder};

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
    let bytes = folder::read_bounded(file)?;
    let component = CheckedComponent::compile(engine, &bytes)?;
    let roles: Vec<_> = component.roles().iter().map(ToString::to_string).collect();
    println!("{}: ok", file.display());
    println!("  size     {} bytes", bytes.len());
    println!("  version  {}", Digest::of(&bytes));
    println!("  roles    {}", roles.join(", "));
    println!(
        "  imports  {}",
        if component.imports.is_empty() {
            "nothing".to_owned()
        } else {
            component.imports.join(", ")
        }
    );
    Ok(())
}

fn refusal(file: &Path, error: &LoadError) -> String {
    use std::error::Error as _;
    match error.source() {
        Some(cause) => format!("error: {}: {error}: {cause}", file.display()),
        None => format!("error: {}: {error}", file.display()),
    }
}
