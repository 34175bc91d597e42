//! `[plugins.trust]`: which plugin files may be taken into service. Only the values are checked
//! here; files of keys are read with the plugins, and again when they change.

use std::path::PathBuf;

use minisign_verify::PublicKey;

use super::{check::Check, pins, raw};

/// The base64 of two bytes that name the algorithm, the key's id and the key.
const KEY_LINE: usize = 56;
/// What every such line begins with: the base64 of the algorithm `Ed`, near enough.
const KEY_START: &str = "RW";

/// Whose plugin files, or which, may be taken into service: a file needs one of the digests or a
/// signature by one of the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginTrust {
    /// SHA-256 of files.
    pub digests: Vec<[u8; 32]>,
    /// Public keys of minisign.
    pub keys: Vec<SignerKey>,
    /// Whether sidecars need the same. Default no.
    pub sidecars: bool,
}

/// Where a public key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignerKey {
    /// In the configuration itself: the base64 line of a `minisign.pub`.
    Line(String),
    /// In a file.
    File(PathBuf),
}

impl PluginTrust {
    /// The files of keys.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.keys.iter().filter_map(|key| match key {
            SignerKey::Line(_) => None,
            SignerKey::File(path) => Some(path),
        })
    }
}

impl Check<'_> {
    pub(super) fn plugin_trust(&mut self, raw: raw::PluginTrust) -> PluginTrust {
        if raw.digests.is_none() && raw.keys.is_none() {
            let message =
                "the table names neither `digests` nor `keys`: no plugin would be accepted";
            self.problems.add("plugins.trust", message);
        }
        let digests = raw
            .digests
            .map(|raw| self.list("plugins.trust.digests", raw, Self::digest));
        let keys = raw
            .keys
            .map(|raw| self.list("plugins.trust.keys", raw, Self::signer_key));
        PluginTrust {
            digests: digests.unwrap_or_default(),
            keys: keys.unwrap_or_default(),
            sidecars: raw.sidecars.unwrap_or(false),
        }
    }

    fn digest(&mut self, key: &str, text: String) -> Option<[u8; 32]> {
        let digest = pins::fingerprint(&text).unwrap_or_else(|| {
            Err(format!(
                "found {text:?}, expected \"sha256:\" and 64 hexadecimal digits, as `witgate plugin check` shows them"
            ))
        });
        self.problems.take(key, digest)
    }

    fn signer_key(&mut self, key: &str, text: String) -> Option<SignerKey> {
        if text.starts_with("untrusted comment") || text.contains('\n') {
            let message = "found a whole key file, expected its path, or its second line alone";
            self.problems.add(key, message);
            return None;
        }
        if text.len() != KEY_LINE || !text.starts_with(KEY_START) {
            return Some(SignerKey::File(self.file(key, &text)));
        }
        let line = PublicKey::from_base64(&text).map_err(|_| {
            format!("found {text:?}, expected the second line of a minisign public key file")
        });
        self.problems.take(key, line)?;
        Some(SignerKey::Line(text))
    }
}
