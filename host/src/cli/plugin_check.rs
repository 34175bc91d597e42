//! `witgate plugin check`: the loader's own checks on files, with what it found.

use std::path::{Path, PathBuf};

use super::say;
use crate::{
    config::PluginLimits,
    plugin::{
        CheckedComponent, Digest, PluginEngine, Proof, SignatureFile, Trust, TrustedKey, folder,
        folder::RejectReason, grants_line,
    },
};

/// Checks each file and prints what it is; the error is the list of those that the gateway
/// would refuse. With keys, each file needs a signature by one of them.
pub(super) fn run(files: &[PathBuf], keys: &[PathBuf]) -> Result<(), String> {
    let keys: Vec<_> = keys
        .iter()
        .map(|path| TrustedKey::load(path))
        .collect::<Result<_, _>>()
        .map_err(|error| format!("error: {error}"))?;
    let trust = (!keys.is_empty()).then(|| Trust::in_keys(keys));
    let engine = PluginEngine::new()
        .map_err(|error| format!("error: the Wasm engine cannot start: {error:#}"))?;
    let refused: Vec<String> = files
        .iter()
        .filter_map(|file| {
            check(&engine, trust.as_ref(), file)
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

fn check(engine: &PluginEngine, trust: Option<&Trust>, file: &Path) -> Result<(), RejectReason> {
    let bytes = folder::read_bounded(file, PluginLimits::DEFAULT.file_size)?;
    let digest = Digest::of(&bytes);
    let prove = |trust: &Trust| trust.prove(digest, &bytes, &SignatureFile::beside(file), file);
    let signed = match trust.map(prove).transpose()? {
        Some(Proof::Signature(key, comment)) => format!("  signed   by the key {key}: {comment}\n"),
        Some(Proof::Digest) | None => String::new(),
    };
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
        "{}: ok\n  size     {} bytes\n  version  {digest}\n  digest   sha256:{digest:x}\n{signed}  roles    {}\n  imports  {imports}\n  grants   {grants}\n",
        file.display(),
        bytes.len(),
        names(&component.roles()),
    ));
    Ok(())
}

fn names(of: &[impl ToString]) -> String {
    let names: Vec<_> = of.iter().map(ToString::to_string).collect();
    names.join(", ")
}

fn refusal(file: &Path, error: &RejectReason) -> String {
    use std::error::Error as _;
    match error.source() {
        Some(cause) => format!("error: {}: {error}: {cause}", file.display()),
        None => format!("error: {}: {error}", file.display()),
    }
}
