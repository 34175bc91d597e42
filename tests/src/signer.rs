//! Signs files as minisign does, in its older form: over the file itself, without a hash of it.

use std::{fs, path::Path};

use aws_lc_rs::{
    rand,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::prelude::{BASE64_STANDARD, Engine as _};

/// A key pair and its number.
#[derive(Debug)]
pub struct Signer {
    pair: Ed25519KeyPair,
    id: [u8; 8],
}

impl Default for Signer {
    fn default() -> Self {
        Self::new()
    }
}

impl Signer {
    /// Makes a new pair.
    pub fn new() -> Self {
        let mut id = [0; 8];
        rand::fill(&mut id).unwrap();
        let pair = Ed25519KeyPair::generate().unwrap();
        Self { pair, id }
    }

    /// The number as minisign prints it.
    pub fn id(&self) -> String {
        format!("{:016X}", u64::from_le_bytes(self.id))
    }

    /// The second line of its public key file.
    pub fn public(&self) -> String {
        self.line(self.pair.public_key().as_ref())
    }

    /// Writes its public key file.
    pub fn write(&self, path: &Path) {
        let text = format!(
            "untrusted comment: minisign public key {}\n{}\n",
            self.id(),
            self.public()
        );
        let beside = path.with_extension("new");
        fs::write(&beside, text).unwrap();
        fs::rename(&beside, path).unwrap();
    }

    /// The signature file of these bytes.
    pub fn sign(&self, bytes: &[u8]) -> String {
        let comment = "timestamp:1\tfile:test";
        let signature = self.pair.sign(bytes);
        let all = [signature.as_ref(), comment.as_bytes()].concat();
        format!(
            "untrusted comment: signature of a test\n{}\ntrusted comment: {comment}\n{}\n",
            self.line(signature.as_ref()),
            BASE64_STANDARD.encode(self.pair.sign(&all))
        )
    }

    fn line(&self, bytes: &[u8]) -> String {
        BASE64_STANDARD.encode([b"Ed", &self.id[..], bytes].concat())
    }
}
