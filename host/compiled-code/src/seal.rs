//! Keys, that of a folder and those of single jobs, and what is sealed with them.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use aws_lc_rs::{hmac, rand};

use crate::folder::{FolderError, check, system};

/// The name of the key's file.
const FILE: &str = "key";
/// Whatever is not for the owner.
const OTHERS: u32 = 0o077;
/// Changes when the layout of entries does.
const MAGIC: &[u8; 8] = b"witgate1";
/// HMAC-SHA-256.
const TAG: usize = 32;
/// Random bytes.
pub(crate) const KEY: usize = 32;

/// Seals code. That of a folder lives in memory from the start on, whatever becomes of its file.
pub(crate) struct Key(hmac::Key);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

/// Bytes whose seal was right. Nothing else makes one.
pub(crate) struct Opened<'a>(&'a [u8]);

impl Opened<'_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0
    }
}

impl Key {
    /// The bytes have to be random, and nobody else's.
    pub(crate) fn of(bytes: &[u8; KEY]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// An entry: what it is, its seal, the code.
    pub(crate) fn sealed(&self, name: &str, code: &[u8]) -> Vec<u8> {
        let tag = hmac::sign(&self.0, &message(name, code));
        [MAGIC, tag.as_ref(), code].concat()
    }

    /// The code of an entry, when it was sealed under this name with this key.
    pub(crate) fn opened<'a>(&self, name: &str, entry: &'a [u8]) -> Option<Opened<'a>> {
        let rest = entry.strip_prefix(MAGIC)?;
        let (tag, code) = rest.split_at_checked(TAG)?;
        hmac::verify(&self.0, &message(name, code), tag).ok()?;
        Some(Opened(code))
    }
}

/// Names have no NUL in them, so that no two pairs have the same message.
fn message(name: &str, code: &[u8]) -> Vec<u8> {
    [name.as_bytes(), &[0], code].concat()
}

/// The folder's key, which is made when there is none. One that is not whole is made anew: what
/// was sealed with it is lost, and will be compiled again.
pub(crate) fn key_of(dir: &Path) -> Result<Key, FolderError> {
    let path = dir.join(FILE);
    for _ in 0..2 {
        let made = make(dir, &path);
        made.map_err(system("its key cannot be made"))?;
        let metadata = fs::symlink_metadata(&path).map_err(system("its key cannot be read"))?;
        check("its key", &metadata, OTHERS, 0o600)?;
        if metadata.is_file() {
            let bytes = fs::read(&path).map_err(system("its key cannot be read"))?;
            if let Ok(bytes) = bytes.as_slice().try_into() {
                return Ok(Key::of(bytes));
            }
        }
        fs::remove_file(&path).map_err(system("its damaged key cannot be removed"))?;
    }
    Err(FolderError::System {
        what: "its key cannot be made",
        source: io::Error::other("another process makes it as well"),
    })
}

/// Makes the key unless it is there: whole or not at all, so that of two gateways that begin at
/// the same time both have the same.
fn make(dir: &Path, path: &Path) -> io::Result<()> {
    if path.symlink_metadata().is_ok() {
        return Ok(());
    }
    let mut bytes = [0; KEY];
    rand::fill(&mut bytes).map_err(|_| io::Error::other("no random numbers"))?;
    let beside = dir.join(format!("{FILE}.{}.new", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&beside)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    let linked = fs::hard_link(&beside, path);
    fs::remove_file(&beside)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
