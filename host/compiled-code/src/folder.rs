//! The folder: made private, and refused when somebody else can have put things into it.

use std::{
    fs::{self, DirBuilder, Metadata},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::Path,
};

use rustix::process::geteuid;

/// Write permission of the group and of all others.
const OTHERS_WRITE: u32 = 0o022;

/// Why a folder cannot be used for what is run.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The system refuses something.
    #[error("{what}: {source}")]
    System {
        /// What was wanted of it.
        what: &'static str,
        /// What it says.
        source: io::Error,
    },
    /// A file, or something else.
    #[error("is not a folder")]
    NotAFolder,
    /// Somebody else's.
    #[error(
        "{what} belongs to user {found}, expected the user that the gateway runs as, {expected}: code in it would be run"
    )]
    OtherOwner {
        /// The folder or its key.
        what: &'static str,
        /// Whose it is.
        found: u32,
        /// Who runs the gateway.
        expected: u32,
    },
    /// Others may write.
    #[error(
        "{what} has mode {mode:04o}, so that others may write to it, expected {expected:04o}: code in it would be run"
    )]
    Open {
        /// The folder or its key.
        what: &'static str,
        /// Its permissions.
        mode: u32,
        /// What would do.
        expected: u32,
    },
}

pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> FolderError {
    move |source| FolderError::System { what, source }
}

/// Makes the folder where there is none, and checks whose it is. Blocks.
///
/// # Errors
/// It cannot be made or looked at, or somebody else can have put things into it.
pub fn open(dir: &Path) -> Result<(), FolderError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .or_else(|error| match dir.exists() {
            true => Ok(()),
            false => Err(error),
        })
        .map_err(system("the folder cannot be made"))?;
    let metadata = fs::metadata(dir).map_err(system("the folder cannot be looked at"))?;
    if !metadata.is_dir() {
        return Err(FolderError::NotAFolder);
    }
    check("the folder", &metadata, OTHERS_WRITE, 0o700)
}

/// Refuses what is another user's, and what has one of the `forbidden` permissions.
pub(crate) fn check(
    what: &'static str,
    metadata: &Metadata,
    forbidden: u32,
    expected: u32,
) -> Result<(), FolderError> {
    let (found, own) = (metadata.uid(), geteuid().as_raw());
    if found != own {
        return Err(FolderError::OtherOwner {
            what,
            found,
            expected: own,
        });
    }
    let mode = metadata.mode() & 0o7777;
    match mode & forbidden {
        0 => Ok(()),
        _ => Err(FolderError::Open {
            what,
            mode,
            expected,
        }),
    }
}

/// Whether only this user can have written a file.
pub fn is_own(metadata: &Metadata) -> bool {
    metadata.is_file() && check("", metadata, OTHERS_WRITE, 0o600).is_ok()
}
