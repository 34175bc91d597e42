//! Telling changed files from unchanged ones without reading them.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// What changes when a file does: of the file that a link leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The file's stamp; none when there is no file.
    pub fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// The stamps of many files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signature(Vec<(PathBuf, Option<Stamp>)>);

impl Signature {
    /// Whether all files that both name are as they were.
    pub fn agrees_with(&self, earlier: &Self) -> bool {
        self.0.iter().all(|(path, stamp)| {
            earlier
                .0
                .iter()
                .find(|(known, _)| known == path)
                .is_none_or(|(_, before)| before == stamp)
        })
    }

    /// Of these files, whether they exist or not.
    pub fn of(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(
            paths
                .into_iter()
                .map(|path| (Stamp::of(&path), path))
                .map(|(stamp, path)| (path, stamp))
                .collect(),
        )
    }
}
