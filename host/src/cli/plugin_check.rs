//! `witgate plugin check`: the loader's own checks on files, with what it found.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{plugin_file::block_on, say};
use crate::{
    config::{PluginLimits, Sidecar},
    plugin::{
        CheckedComponent, Compiler, Digest, LoadError, PluginEngine, Proof, SignatureFile, Trust,
        TrustedKey, folder,
        folder::{Found, RejectReason},
        grants_line,
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
    let sidecar = sidecar(file)?;
    let limits = sidecar
        .as_ref()
        .map_or(PluginLimits::DEFAULT, |sidecar| sidecar.limits.clone());
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
    let config = match (&component.schema, &sidecar) {
        (None, _) => "no schema",
        (Some(_), None) => "has a schema",
        (Some(schema), Some(sidecar)) => {
            let compared = sidecar.check_config(schema);
            compared.map_err(LoadError::Configuration)?;
            "has a schema, which the sidecar fits"
        }
    };
    say(&format!(
        "{}: ok\n  size     {} bytes\n  version  {digest}\n  digest   sha256:{digest:x}\n{signed}  roles    {}\n  imports  {imports}\n  grants   {grants}\n  config   {config}\n",
        file.display(),
        bytes.len(),
        names(&component.roles()),
    ));
    Ok(())
}

/// The one beside a file, if there is one.
pub(super) fn sidecar(file: &Path) -> Result<Option<Sidecar>, RejectReason> {
    let found = Found::at(file.to_owned()).filter(|found| found.sidecar.exists());
    let sidecar = found.map(|found| Sidecar::load(&found.sidecar, &PluginLimits::DEFAULT));
    Ok(sidecar.transpose()?)
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
