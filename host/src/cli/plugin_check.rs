//! `witgate plugin check`: the loader's own checks on files, with what it found.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{plugin_file::block_on, say};
use crate::{
    config::PluginLimits,
    plugin::{
        CheckedComponent, Compiler, Digest, PluginEngine, Proof, SignatureFile, Trust, TrustedKey,
        folder, folder::RejectReason, grants_line,
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
    let engine = PluginEngine::new(Compiler::apart())
        .map_err(|error| format!("error: the Wasm engine cannot start: {error:#}"))?;
    block_on(async {
        let mut refused = Vec::new();
        for file in files {
            if let Err(error) = check(&engine, trust.as_ref(), file).await {
                refused.push(refusal(file, &error));
            }
        }
        match refused.is_empty() {
            true => Ok(()),
            false => Err(refused.join("\n")),
        }
    })
}

async fn check(
    engine: &PluginEngine,
    trust: Option<&Trust>,
    file: &Path,
) -> Result<(), RejectReason> {
    let limits = PluginLimits::DEFAULT;
    let bytes: Arc<[u8]> = folder::read_bounded(file, limits.file_size)?.into();
    let digest = Digest::of(&bytes);
    let prove = |trust: &Trust| trust.prove(digest, &bytes, &SignatureFile::beside(file), file);
    let signed = match trust.map(prove).transpose()? {
        Some(Proof::Signature(key, comment)) => format!("  signed   by the key {key}: {comment}\n"),
        Some(Proof::Digest) | None => String::new(),
    };
    let component = CheckedComponent::compile(engine, &bytes, &limits).await?;
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
