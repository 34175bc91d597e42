//! The files of the state folder: their names, read when nobody else can have written them, and
//! written beside their place and moved there once they are on disk.

use std::{
    collections::BTreeSet,
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::fs::OFlags;
use witgate_compiled_code::is_own;

use crate::plugin::Digest;

const VERSION_ENDING: &str = "wasm";
const RECORD_ENDING: &str = "json";
const UNFINISHED: &str = "new";
/// What is older was left by a process that has ended.
const LEFT_BEHIND: Duration = Duration::from_secs(600);
/// Plugins have at most 256 MiB, and so has a record, with the sidecars and cases of twenty versions.
const MAX_FILE: u64 = 256 << 20;

/// What is wrong with a file of the folder, or with the folder.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", .path.display())]
pub struct FileError {
    path: PathBuf,
    problem: String,
}

impl FileError {
    /// A problem with this file.
    pub fn of<E: fmt::Display>(path: &Path) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |problem| Self {
            path,
            problem: problem.to_string(),
        }
    }
}

/// Where the file of a version is.
pub fn version(digest: Digest) -> String {
    format!("{digest:x}.{VERSION_ENDING}")
}

/// Where the record of a plugin is.
pub fn record(plugin: &str) -> String {
    format!("{plugin}.{RECORD_ENDING}")
}

/// The bytes of a file; none when it is not there.
///
/// # Errors
/// It cannot be read, is no regular file, or somebody else can have written it.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    let mut options = OpenOptions::new();
    // Neither follows links nor waits for the other end of a pipe.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.read(true).custom_flags(flags.bits().cast_signed());
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::of(path)(error)),
    };
    let metadata = file.metadata().map_err(FileError::of(path))?;
    if !is_own(&metadata) {
        let problem = "is not a file of this user that nobody else may write to";
        return Err(FileError::of(path)(problem));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE)
        .read_to_end(&mut bytes)
        .map_err(FileError::of(path))?;
    Ok(Some(bytes))
}

/// Whether there is a file of this name and length.
pub fn has(dir: &Path, name: &str, length: usize) -> bool {
    let metadata = fs::symlink_metadata(dir.join(name));
    metadata.is_ok_and(|metadata| {
        is_own(&metadata) && u64::try_from(length).is_ok_and(|length| metadata.len() == length)
    })
}

/// Writes a file beside its place and moves it there.
pub fn write(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), FileError> {
    let beside = dir.join(format!("{}.{UNFINISHED}", std::process::id()));
    drop(fs::remove_file(&beside));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let path = dir.join(name);
    let written = options
        .open(&beside)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        drop(fs::remove_file(&beside));
    }
    written.map_err(FileError::of(&path))
}

/// Has the folder's entries on disk.
pub fn sync(dir: &Path) -> Result<(), FileError> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(FileError::of(dir))
}

/// Takes a file away; one that stays is found damaged again.
pub fn remove(dir: &Path, name: &str) {
    drop(fs::remove_file(dir.join(name)));
}

/// Takes versions and records away that are none of these, and what was left behind.
pub fn keep_only(dir: &Path, names: &BTreeSet<String>) -> Result<(), FileError> {
    let now = SystemTime::now();
    for file in fs::read_dir(dir).map_err(FileError::of(dir))? {
        let file = file.map_err(FileError::of(dir))?;
        let path = file.path();
        let is_kept = file
            .file_name()
            .to_str()
            .is_some_and(|name| names.contains(name));
        let is_old = || {
            let written = file.metadata().and_then(|metadata| metadata.modified());
            written
                .is_ok_and(|written| now.duration_since(written).unwrap_or_default() > LEFT_BEHIND)
        };
        let goes = match path.extension().and_then(|ending| ending.to_str()) {
            Some(VERSION_ENDING | RECORD_ENDING) => !is_kept,
            Some(UNFINISHED) => is_old(),
            _ => false,
        };
        if goes {
            fs::remove_file(&path).map_err(FileError::of(&path))?;
        }
    }
    Ok(())
}
