//! A certificate chain and its private key, read from two files that must fit each other; the
//! gateway's own, towards clients or endpoints.

use std::{path::Path, sync::Arc};

use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::CertificateDer;

use super::{
    FileProblem, Fingerprint, files,
    leaf::{self, Leaf},
    provider,
};

/// Which of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IdentityFile {
    Chain,
    Key,
}

impl IdentityFile {
    /// Its key in the configuration.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Chain => "chain",
            Self::Key => "key",
        }
    }
}

/// Reads both files, or says which is wrong and why.
pub(super) fn read(
    chain_file: &Path,
    key_file: &Path,
) -> Result<(CertifiedKey, Leaf), (IdentityFile, FileProblem)> {
    let (chain, leaf) = chain(chain_file).map_err(|problem| (IdentityFile::Chain, problem))?;
    let key = signing_key(key_file).map_err(|problem| (IdentityFile::Key, problem))?;
    fits(&chain, &leaf, &*key).map_err(|problem| match problem {
        FileProblem::LeafNotFirst { .. } => (IdentityFile::Chain, problem),
        other => (IdentityFile::Key, other),
    })?;
    Ok((CertifiedKey::new(chain, key), leaf))
}

/// The chain and what its first certificate says. The others are only passed on: clients judge
/// them.
fn chain(path: &Path) -> Result<(Vec<CertificateDer<'static>>, Leaf), FileProblem> {
    let chain = files::certificates(path)?;
    let leaf = chain.first().ok_or_else(|| "there is none".to_owned());
    let leaf = leaf.and_then(Leaf::read).map_err(|reason| {
        let position = 0;
        FileProblem::UnusableCertificate { position, reason }
    })?;
    Ok((chain, leaf))
}

fn signing_key(path: &Path) -> Result<Arc<dyn SigningKey>, FileProblem> {
    let key = files::private_key(path)?;
    provider()
        .key_provider
        .load_private_key(key)
        .map_err(|error| FileProblem::UnusableKey(error.to_string()))
}

fn fits(
    chain: &[CertificateDer<'_>],
    leaf: &Leaf,
    key: &dyn SigningKey,
) -> Result<(), FileProblem> {
    let Some(spki) = key.public_key() else {
        return Err(FileProblem::UnusableKey("its public key is unknown".into()));
    };
    let wanted = Fingerprint::of(&spki);
    let is_wanted = |der: &CertificateDer<'_>| leaf::key(der).is_ok_and(|found| found == wanted);
    match chain.iter().position(is_wanted) {
        Some(0) => Ok(()),
        Some(position) => Err(FileProblem::LeafNotFirst { position }),
        None => Err(FileProblem::KeyMismatch {
            subject: leaf.subject(),
        }),
    }
}
