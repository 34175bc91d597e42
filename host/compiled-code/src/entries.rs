//! The files of the folder: their names, written whole or not at all, and thrown out when they
//! are too many.

use std::{
    fs::{self, File, OpenOptions},
    hash::{Hash as _, Hasher},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest::{Context, SHA256};
use rustix::fs::OFlags;
use wasmtime::Engine;

use crate::{Unfit, WasmDigest, folder::is_own};

const EXTENSION: &str = "code";
const UNFINISHED: &str = "new";
/// What is older was left by a process that has ended.
const LEFT_BEHIND: Duration = Duration::from_secs(600);

/// Tells apart what this process writes at the same time.
static WRITES: AtomicU64 = AtomicU64::new(0);

/// What an entry is: of which WebAssembly, for which engine.
pub(crate) struct EntryName(String);

impl EntryName {
    pub(crate) fn of(engine: &Engine, wasm: &WasmDigest) -> Self {
        let mut hasher = Sha256(Context::new(&SHA256));
        // It covers wasmtime's version, its settings, and the processor.
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let engine = hasher.0.finish();
        Self(format!(
            "{}-{}.{EXTENSION}",
            hex(wasm),
            hex(engine.as_ref())
        ))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hashes what the engine feeds it; only `write` is ever asked of it.
struct Sha256(Context);

impl Hasher for Sha256 {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

/// All entries of a folder, and how many bytes they may have together.
#[derive(Debug)]
pub(crate) struct Entries {
    pub(crate) dir: PathBuf,
    limit: u64,
}

/// A file of the folder.
struct Entry {
    path: PathBuf,
    size: u64,
    used: SystemTime,
}

impl Entries {
    pub(crate) fn new(dir: &Path, limit: u64) -> Self {
        Self {
            dir: dir.to_owned(),
            limit,
        }
    }

    /// The bytes of an entry, when it is there and nobody else can have written them.
    pub(crate) fn read(&self, name: &EntryName) -> Result<Option<Vec<u8>>, Unfit> {
        let mut options = OpenOptions::new();
        // Neither follows links nor waits for the other end of a pipe.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        options.read(true).custom_flags(flags.bits().cast_signed());
        let file = match options.open(self.path(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Unfit::Read(error)),
        };
        if !is_own(&file.metadata().map_err(Unfit::Read)?) {
            return Err(Unfit::Owner);
        }
        let mut bytes = Vec::new();
        file.take(self.limit)
            .read_to_end(&mut bytes)
            .map_err(Unfit::Read)?;
        Ok(Some(bytes))
    }

    /// Notes that an entry is of use still. It may have gone meanwhile.
    pub(crate) fn used(&self, name: &EntryName) {
        let file = File::open(self.path(name));
        drop(file.and_then(|file| file.set_modified(SystemTime::now())));
    }

    /// Takes an entry away; if that fails, it is found unfit again.
    pub(crate) fn remove(&self, name: &EntryName) {
        drop(fs::remove_file(self.path(name)));
    }

    /// Writes an entry beside its place and moves it there, once there is room.
    pub(crate) fn write(&self, name: &EntryName, bytes: &[u8]) -> io::Result<()> {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let room = self.limit.checked_sub(size).ok_or_else(|| {
            io::Error::other(format!(
                "the code has {size} bytes, all of them may have {}",
                self.limit
            ))
        })?;
        self.shrink_to(room, name)?;
        let number = WRITES.fetch_add(1, Ordering::Relaxed);
        let beside = format!("{}.{number}.{UNFINISHED}", std::process::id());
        let beside = self.dir.join(beside);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let written = options
            .open(&beside)
            .and_then(|mut file| file.write_all(bytes))
            .and_then(|()| fs::rename(&beside, self.path(name)));
        if written.is_err() {
            drop(fs::remove_file(&beside));
        }
        written
    }

    /// Throws out what has not been used for longest, and what was left behind. The entry of this
    /// name is about to be replaced and does not count.
    fn shrink_to(&self, room: u64, name: &EntryName) -> io::Result<()> {
        let now = SystemTime::now();
        let mut entries = Vec::new();
        for file in fs::read_dir(&self.dir)? {
            let file = file?;
            let (path, metadata) = (file.path(), file.metadata()?);
            let extension = path.extension().and_then(|extension| extension.to_str());
            let used = metadata.modified()?;
            match extension {
                Some(EXTENSION) if file.file_name() != name.as_str() => entries.push(Entry {
                    path,
                    size: metadata.len(),
                    used,
                }),
                Some(UNFINISHED) if now.duration_since(used).unwrap_or_default() > LEFT_BEHIND => {
                    drop(fs::remove_file(path));
                }
                _ => {}
            }
        }
        entries.sort_by_key(|entry| entry.used);
        let mut all: u64 = entries.iter().map(|entry| entry.size).sum();
        for entry in entries {
            if all <= room {
                break;
            }
            fs::remove_file(&entry.path)?;
            all -= entry.size;
        }
        Ok(())
    }

    fn path(&self, name: &EntryName) -> PathBuf {
        self.dir.join(name.as_str())
    }
}
