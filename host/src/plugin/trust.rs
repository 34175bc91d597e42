//! Which plugin files may be compiled: those with a digest on the list or a minisign signature by
//! a key on the list. Bytes that were read once come in; what is compiled is the same bytes.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use minisign_verify::{Error, PublicKey, Signature};

use super::{
    folder::read_bounded,
    version::{Digest, Source},
};
use crate::config::{PluginTrust, SignerKey};

/// A signature has four lines, of which one may be a long comment; a key has two.
const MAX_FILE: u64 = 16 << 10;

/// `[plugins.trust]`, with the keys that its files hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    digests: Vec<Digest>,
    keys: Vec<TrustedKey>,
    sidecars: bool,
}

/// A public key and what people call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    key: PublicKey,
    id: KeyId,
    /// Its file's name; none when the configuration holds the key itself.
    file: Option<String>,
}

/// The number by which minisign tells keys apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyId(u64);

/// As minisign prints it.
impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

/// Why a file of a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It cannot be read.
    #[error("{}: {error}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It holds something else.
    #[error(
        "{0} is no minisign public key; expected the two lines of a `minisign.pub`, or its second line alone"
    )]
    Other(String),
}

/// The signatures that lie beside a plugin's files.
#[derive(Debug, Clone, Default)]
pub struct Signatures {
    /// `NN-name.wasm.minisig`.
    pub plugin: SignatureFile,
    /// `NN-name.toml.minisig`.
    pub sidecar: SignatureFile,
}

/// What was found where a signature should be.
#[derive(Debug, Clone, Default)]
pub enum SignatureFile {
    /// Nothing.
    #[default]
    Absent,
    /// A file that cannot be read, and why.
    Unreadable(Arc<str>),
    /// Its contents.
    Text(Arc<str>),
}

/// A file that may not be taken into service, and what would make it so.
#[derive(Debug, thiserror::Error)]
#[error("{what} not trusted: it is sha256:{digest:x} and {fault}; expected {expected}")]
pub struct Untrusted {
    what: String,
    digest: Digest,
    fault: String,
    expected: String,
}

/// A sidecar that has to be signed is not there.
#[derive(Debug, thiserror::Error)]
#[error(
    "has no sidecar, but `plugins.trust.sidecars` asks for one that is trusted; an empty one will do"
)]
pub struct NoSidecar;

/// What made a file trusted.
#[derive(Debug, PartialEq, Eq)]
pub enum Proof {
    /// Its digest is on the list.
    Digest,
    /// It is signed, by this key and with this comment.
    Signature(KeyId, String),
}

impl TrustedKey {
    /// The key in this file: both lines of it, or the second alone. Blocks.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let bytes = read_bounded(path, MAX_FILE).map_err(|error| KeyError::Read {
            path: path.to_owned(),
            error: io::Error::other(in_one_line(&error)),
        })?;
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let line = match (lines.next(), lines.next(), lines.next()) {
            (Some(line), None, None) => line,
            (Some(comment), Some(line), None) if comment.starts_with("untrusted comment:") => line,
            _ => return Err(KeyError::Other(path.display().to_string())),
        };
        let file = path.file_name().map(|name| name.display().to_string());
        Self::parse(line.trim(), file).ok_or_else(|| KeyError::Other(path.display().to_string()))
    }

    fn parse(line: &str, file: Option<String>) -> Option<Self> {
        Some(Self {
            key: PublicKey::from_base64(line).ok()?,
            id: key_id(line)?,
            file,
        })
    }
}

impl fmt::Display for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{} ({file})", self.id),
            None => write!(f, "{}", self.id),
        }
    }
}

impl Trust {
    /// Reads the files of keys; on failure the index of the key. Blocks.
    pub fn load(config: &PluginTrust) -> Result<Self, (usize, KeyError)> {
        let keys = config.keys.iter().enumerate().map(|(index, key)| {
            let key = match key {
                SignerKey::File(path) => TrustedKey::load(path),
                SignerKey::Line(line) => {
                    TrustedKey::parse(line, None).ok_or_else(|| KeyError::Other(line.clone()))
                }
            };
            key.map_err(|error| (index, error))
        });
        Ok(Self {
            keys: keys.collect::<Result<_, _>>()?,
            digests: config.digests.iter().copied().map(Digest::from).collect(),
            sidecars: config.sidecars,
        })
    }

    /// These keys and no digests.
    pub fn in_keys(keys: Vec<TrustedKey>) -> Self {
        Self {
            digests: Vec::new(),
            keys,
            sidecars: false,
        }
    }

    /// Whether a plugin may be compiled and used as its sidecar says.
    pub fn vet(&self, source: &Source) -> Result<(), super::folder::RejectReason> {
        if self.sidecars {
            let text = source.sidecar.text().ok_or(NoSidecar)?.as_bytes();
            let path = source.path.with_extension("toml");
            let signature = &source.signatures.sidecar;
            self.prove(Digest::of(text), text, signature, &path)
                .map_err(|untrusted| untrusted.of("its sidecar is"))?;
        }
        let signature = &source.signatures.plugin;
        self.prove(source.digest, &source.bytes, signature, &source.path)?;
        Ok(())
    }

    /// What makes the file of these bytes, at this path, trusted.
    pub fn prove(
        &self,
        digest: Digest,
        bytes: &[u8],
        signature: &SignatureFile,
        path: &Path,
    ) -> Result<Proof, Untrusted> {
        if self.digests.contains(&digest) {
            return Ok(Proof::Digest);
        }
        self.proof_of_signature(bytes, signature, &signature_of(path))
            .map_err(|fault| Untrusted {
                what: "is".to_owned(),
                digest,
                fault,
                expected: self.expected(),
            })
    }

    fn proof_of_signature(
        &self,
        bytes: &[u8],
        signature: &SignatureFile,
        path: &Path,
    ) -> Result<Proof, String> {
        if self.keys.is_empty() {
            return Err("not on the list".to_owned());
        }
        let file = path.file_name().unwrap_or_default().display();
        let text = match signature {
            SignatureFile::Absent => return Err(format!("has no signature {file}")),
            SignatureFile::Unreadable(why) => return Err(format!("its signature {file} {why}")),
            SignatureFile::Text(text) => text,
        };
        let no_signature = || format!("{file} is no signature of minisign");
        let decoded = Signature::decode(text).map_err(|_| no_signature())?;
        let line = text.lines().nth(1).unwrap_or_default();
        let id = key_id(line).ok_or_else(no_signature)?;
        let mut fault = format!("{file} is by another key: id {id}");
        for key in &self.keys {
            match key.key.verify(bytes, &decoded, true) {
                Ok(()) => {
                    let comment = decoded.trusted_comment().to_owned();
                    return Ok(Proof::Signature(id, comment));
                }
                Err(Error::UnexpectedKeyId) => {}
                Err(_) => {
                    fault = format!(
                        "the signature {file}, by the key {key}, does not fit it: one of the two files has changed"
                    );
                }
            }
        }
        Err(fault)
    }

    fn expected(&self) -> String {
        let digests = match self.digests.as_slice() {
            [] => None,
            _ => Some("a digest that `trust.digests` lists".to_owned()),
        };
        let keys: Vec<_> = self.keys.iter().map(TrustedKey::to_string).collect();
        let keys = match keys.as_slice() {
            [] => None,
            [key] => Some(format!("a signature by the key {key}")),
            keys => Some(format!(
                "a signature by one of the keys {}",
                keys.join(", ")
            )),
        };
        let ways: Vec<_> = digests.into_iter().chain(keys).collect();
        ways.join(" or ")
    }
}

impl Untrusted {
    fn of(self, what: &str) -> Self {
        let what = what.to_owned();
        Self { what, ..self }
    }
}

impl SignatureFile {
    /// Reads the signature of the file at `path`. Blocks, but for no other file than a regular one.
    pub fn beside(path: &Path) -> Self {
        let path = signature_of(path);
        if path.symlink_metadata().is_err() {
            return Self::Absent;
        }
        match read_bounded(&path, MAX_FILE) {
            Ok(bytes) => Self::Text(String::from_utf8_lossy(&bytes).into()),
            Err(error) => Self::Unreadable(in_one_line(&error).into()),
        }
    }
}

/// Where the signature of a file is: `NAME.minisig`.
pub fn signature_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}

/// The id in the base64 line of a key or a signature, behind two bytes for the algorithm.
fn key_id(line: &str) -> Option<KeyId> {
    let bytes = STANDARD.decode(line).ok()?;
    let id = bytes.get(2..10)?.try_into().ok()?;
    Some(KeyId(u64::from_le_bytes(id)))
}

fn in_one_line(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The vectors of minisign-verify: the file is `test`.
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    const OTHER: &str = "RWRTvzoZLPvhJTgAcLW8TSbWJ5HpJhSdpbfd8eYAVzEnHIyG1pcCVnXy";
    const LEGACY: &str = "untrusted comment: signature from minisign secret key
RWQf6LRCGA9i59SLOFxz6NxvASXDJeRtuZykwQepbDEGt87ig1BNpWaVWuNrm73YiIiJbq71Wi+dP9eKL8OC351vwIasSSbXxwA=
trusted comment: timestamp:1555779966\tfile:test
QtKMXWyYcwdpZAlPF7tE2ENJkRd1ujvKjlj1m9RtHTBnZPa5WKU5uWRs5GoP5M/VqE81QFuMKI5k/SfNQUaOAA==";
    const PREHASHED: &str = "untrusted comment: signature from minisign secret key
RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=
trusted comment: timestamp:1556193335\tfile:test
y/rUw2y8/hOUYjZU71eHp/Wo1KZ40fGy2VJEDl34XMJM+TX48Ss/17u3IvIfbVR1FkZZSNCisQbuQY+bHwhEBg==";

    fn trust(digests: &[&[u8]], keys: &[&str]) -> Trust {
        let digests = digests.iter().map(|bytes| Digest::of(bytes)).collect();
        let keys = keys
            .iter()
            .map(|line| TrustedKey::parse(line, Some("signer.pub".into())));
        Trust {
            digests,
            keys: keys.map(|key| key.expect("a key")).collect(),
            sidecars: false,
        }
    }

    fn prove(trust: &Trust, bytes: &[u8], signature: &str) -> Result<Proof, String> {
        let signature = match signature {
            "" => SignatureFile::Absent,
            text => SignatureFile::Text(text.into()),
        };
        let path = Path::new("plugins/10-a.wasm");
        trust
            .prove(Digest::of(bytes), bytes, &signature, path)
            .map_err(|untrusted| untrusted.to_string())
    }

    #[test]
    fn both_forms_of_signatures_are_good() {
        let trust = trust(&[], &[OTHER, KEY]);
        for (signature, comment) in [
            (LEGACY, "timestamp:1555779966\tfile:test"),
            (PREHASHED, "timestamp:1556193335\tfile:test"),
        ] {
            let id = KeyId(0xE762_0F18_42B4_E81F);
            let proof = Proof::Signature(id, comment.to_owned());
            assert_eq!(prove(&trust, b"test", signature), Ok(proof));
        }
    }

    #[test]
    fn a_digest_on_the_list_needs_no_signature() {
        let trust = trust(&[b"other", b"test"], &[]);
        assert_eq!(prove(&trust, b"test", ""), Ok(Proof::Digest));
    }

    #[test]
    fn what_is_found_and_what_is_expected_is_told() {
        let signed = trust(&[], &[KEY]);
        let both = trust(&[b"other"], &[KEY]);
        let listed = trust(&[b"other"], &[]);
        let other = trust(&[], &[OTHER]);
        let cut = PREHASHED.get(..150).expect("a start");
        let comment = PREHASHED.replace("file:test", "file:evil");
        for (trust, bytes, signature, parts) in [
            (
                &signed,
                "test",
                "",
                [
                    "has no signature 10-a.wasm.minisig",
                    "by the key E7620F1842B4E81F (signer.pub)",
                ],
            ),
            (
                &signed,
                "Test",
                PREHASHED,
                ["does not fit", "E7620F1842B4E81F"],
            ),
            (
                &signed,
                "Test",
                LEGACY,
                ["does not fit", "E7620F1842B4E81F"],
            ),
            (
                &signed,
                "test",
                &comment,
                ["does not fit", "E7620F1842B4E81F"],
            ),
            (
                &signed,
                "test",
                cut,
                ["10-a.wasm.minisig is no signature", "E7620F1842B4E81F"],
            ),
            (
                &signed,
                "test",
                "RW",
                ["10-a.wasm.minisig is no signature", "E7620F1842B4E81F"],
            ),
            (
                &other,
                "test",
                PREHASHED,
                [
                    "is by another key: id E7620F1842B4E81F",
                    "by the key 25E1FB2C193ABF53",
                ],
            ),
            (
                &listed,
                "test",
                "",
                [
                    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 and not on the list",
                    "expected a digest that `trust.digests` lists",
                ],
            ),
            (
                &both,
                "test",
                "",
                [
                    "sha256:9f86d081884c7d659a2feaa0c55ad015",
                    "`trust.digests` lists or a signature by",
                ],
            ),
        ] {
            let told = prove(trust, bytes.as_bytes(), signature).expect_err("no proof");
            for part in parts {
                assert!(told.contains(part), "{part:?} in {told}");
            }
        }
    }

    #[test]
    fn a_key_file_has_two_lines_or_one() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("signer.pub");
        for (text, good) in [
            (format!("untrusted comment: mine\n{KEY}\n"), true),
            (format!("untrusted comment: mine\r\n{KEY}\r\n"), true),
            (format!("{KEY}\n"), true),
            (format!("mine\n{KEY}\n"), false),
            (format!("untrusted comment: mine\n{KEY}\n{OTHER}\n"), false),
            (String::new(), false),
            ("RW".to_owned(), false),
        ] {
            std::fs::write(&path, &text).expect("a file");
            assert_eq!(TrustedKey::load(&path).is_ok(), good, "{text:?}");
        }
    }
}
