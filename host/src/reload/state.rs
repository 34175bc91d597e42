//! What outlives the process of plugins' versions: a private folder with the files of those that
//! are or were in service, named by their digest, and a record for each plugin of which is which
//! and what was rolled back or is on trial. Files are written whole or not at all. What cannot be read or written
//! is told of and stops nothing.

mod files;
mod record;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use witgate_compiled_code::{FolderError, open_private};

use self::{files::FileError, record::Record};
use super::rolled_back::RolledBack;
use crate::{
    config::{PluginLimits, PrivateFolder},
    plugin::{Digest, Progress, Source, Stage},
};

/// What is known of one plugin's versions.
#[derive(Debug)]
pub struct Memory {
    /// The plugin's name.
    pub name: Arc<str>,
    /// The version in service.
    pub live: Option<Source>,
    /// Those that were before, the last one at the end.
    pub kept: Vec<Source>,
    /// Those that were rolled back.
    pub rolled_back: RolledBack,
    /// What is being tried.
    pub trial: Option<Unfinished>,
}

/// A trial that is not over.
#[derive(Debug, Clone)]
pub struct Unfinished {
    /// The version. Recalled without its bytes: what is tried is what the plugin's file holds.
    pub version: Source,
    /// Its stage.
    pub stage: Stage,
    /// How far it is.
    pub progress: Progress,
}

/// The folder, as far as this process has written it.
#[derive(Debug)]
pub struct StateFolder {
    folder: PrivateFolder,
    /// The records as they are on disk, by plugin.
    written: BTreeMap<Arc<str>, String>,
    /// Why the last records are not on disk.
    behind: Option<String>,
    /// Versions that there was no room for.
    without_room: BTreeSet<String>,
}

impl StateFolder {
    /// Opens a folder, which is made when it is not there. Blocks.
    ///
    /// # Errors
    /// Somebody else can have put things into it, so that what is in it may not be run. One that
    /// the system refuses for now is told of and tried again.
    pub fn open(folder: &PrivateFolder) -> Result<Self, FolderError> {
        let mut opened = Self {
            folder: folder.clone(),
            written: BTreeMap::new(),
            behind: None,
            without_room: BTreeSet::new(),
        };
        match open_private(&folder.dir) {
            Err(error @ FolderError::System { .. }) => opened.fall_behind(&error),
            other => other?,
        }
        Ok(opened)
    }

    /// What it was opened for.
    pub fn folder(&self) -> &PrivateFolder {
        &self.folder
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.folder.dir
    }

    /// Whether what was last to be kept could not be written.
    pub fn is_behind(&self) -> bool {
        self.behind.is_some()
    }

    /// Writes down what has changed since the last time. Blocks.
    pub fn keep(&mut self, memories: &[Memory]) {
        let kept = self.choose(memories);
        let records: BTreeMap<Arc<str>, String> = memories
            .iter()
            .map(|memory| {
                let record = Record::of(memory, |source| kept.contains_key(&source.digest));
                (Arc::clone(&memory.name), record.to_text())
            })
            .collect();
        if records == self.written && self.behind.is_none() {
            return;
        }
        match self.write(&kept, &records) {
            Ok(()) => {
                if self.behind.take().is_some() {
                    tracing::info!(folder = %self.dir().display(), "versions of plugins are kept again");
                }
                self.written = records;
            }
            Err(error) => self.fall_behind(&error),
        }
    }

    fn write(
        &self,
        kept: &BTreeMap<Digest, &Source>,
        records: &BTreeMap<Arc<str>, String>,
    ) -> Result<(), FileError> {
        let dir = self.dir();
        open_private(dir).map_err(FileError::of(dir))?;
        let mut names = BTreeSet::new();
        // A record must not speak of a file before that is there.
        for (digest, source) in kept {
            let name = files::version(*digest);
            if !files::has(dir, &name, source.bytes.len()) {
                files::write(dir, &name, &source.bytes)?;
            }
            names.insert(name);
        }
        for (plugin, record) in records {
            let name = files::record(plugin);
            if self.written.get(plugin) != Some(record) {
                files::write(dir, &name, record.as_bytes())?;
            }
            names.insert(name);
        }
        files::sync(dir)?;
        files::keep_only(dir, &names)
    }

    /// The files that there is room for: first those in service, then of each plugin the one
    /// before, and so on.
    fn choose<'a>(&mut self, memories: &'a [Memory]) -> BTreeMap<Digest, &'a Source> {
        let live = memories.iter().filter_map(|memory| memory.live.as_ref());
        let most = memories.iter().map(|memory| memory.kept.len()).max();
        let ranks = (0..most.unwrap_or(0)).flat_map(|rank| {
            let of_rank = move |memory: &'a Memory| memory.kept.iter().rev().nth(rank);
            memories.iter().filter_map(of_rank)
        });
        let mut room = self.folder.size;
        let mut chosen = BTreeMap::new();
        let mut without_room = BTreeSet::new();
        for source in live.chain(ranks) {
            if chosen.contains_key(&source.digest) {
                continue;
            }
            let size = u64::try_from(source.bytes.len()).unwrap_or(u64::MAX);
            match room.checked_sub(size) {
                Some(left) => {
                    room = left;
                    chosen.insert(source.digest, source);
                }
                None => {
                    without_room.insert(format!("{} {}", source.name, source.digest));
                }
            }
        }
        if without_room != self.without_room && !without_room.is_empty() {
            let list: Vec<_> = without_room.iter().map(String::as_str).collect();
            tracing::warn!(
                state_size = self.folder.size,
                "`plugins.state_size` has no room for versions that would be gone back to after a restart: {}",
                list.join(", ")
            );
        }
        self.without_room = without_room;
        chosen
    }

    fn fall_behind(&mut self, error: &dyn std::error::Error) {
        let error = error.to_string();
        if self.behind.as_ref() != Some(&error) {
            tracing::warn!(folder = %self.dir().display(), "versions of plugins cannot be kept for the next start: {error}; it is tried again");
        }
        self.behind = Some(error);
    }
}

/// What the process before knew of a plugin whose file is in the folder `plugins`; none when it
/// knew nothing, or what it has left cannot be read, which is told of.
pub async fn recall(
    dir: &Path,
    plugins: &Path,
    name: &Arc<str>,
    defaults: &PluginLimits,
) -> Option<Memory> {
    let (dir, plugins) = (dir.to_owned(), plugins.to_owned());
    let (name, defaults) = (Arc::clone(name), defaults.clone());
    let reading = move || read(&dir, &plugins, name, &defaults);
    tokio::task::spawn_blocking(reading).await.ok()?
}

fn read(dir: &Path, plugins: &Path, name: Arc<str>, defaults: &PluginLimits) -> Option<Memory> {
    let path: PathBuf = dir.join(files::record(&name));
    let read = files::read(&path).and_then(|bytes| {
        let Some(bytes) = bytes else {
            return Ok(None);
        };
        let record = Record::parse(&bytes).map_err(FileError::of(&path));
        record.map(Some)
    });
    let record = read.unwrap_or_else(|error| {
        tracing::warn!(plugin = %name, "{error}; the plugin starts from its file, without the versions before, even if that was rolled back");
        None
    })?;
    let file = |digest: Digest| {
        let path = dir.join(files::version(digest));
        match files::read(&path) {
            Ok(Some(bytes)) if Digest::of(&bytes) == digest => Some(bytes),
            Ok(Some(_)) => {
                let path = path.display();
                tracing::warn!(plugin = %name, "{path} is damaged: it does not hold what its name says; it is thrown away");
                files::remove(dir, &files::version(digest));
                None
            }
            Ok(None) => {
                tracing::warn!(plugin = %name, "{} is missing, a version that was kept", path.display());
                None
            }
            Err(error) => {
                tracing::warn!(plugin = %name, "{error}");
                None
            }
        }
    };
    Some(record.recall(&name, plugins, defaults, file))
}
