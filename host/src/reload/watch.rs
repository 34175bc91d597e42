//! Events of the file system: something in one of these folders has changed.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// Watches the folders of files, not the files: editors and deployments replace files by
/// renaming others over them, and links by renaming links.
pub(super) struct FolderWatch {
    watcher: Option<RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
    changed: Arc<Notify>,
}

impl FolderWatch {
    /// Watches nothing yet. When the system offers no events, polling has to do.
    pub(super) fn new() -> Self {
        let changed = Arc::new(Notify::new());
        let notify = Arc::clone(&changed);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if !matches!(
                event,
                Ok(notify::Event {
                    kind: EventKind::Access(_),
                    ..
                })
            ) {
                notify.notify_one();
            }
        });
        let watcher = watcher
            .inspect_err(
                |error| tracing::warn!(%error, "no events from the file system; files are polled"),
            )
            .ok();
        Self {
            watcher,
            folders: BTreeSet::new(),
            changed,
        }
    }

    /// Watches the folders of these files, and those that are files' folders themselves.
    pub(super) fn watch(&mut self, files: Vec<PathBuf>) {
        let wanted: BTreeSet<_> = files
            .iter()
            .flat_map(|file| {
                [
                    file.parent(),
                    Some(file.as_path()).filter(|path| path.is_dir()),
                ]
            })
            .flatten()
            .map(Path::to_owned)
            .collect();
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        for gone in self.folders.difference(&wanted) {
            let _ = watcher.unwatch(gone);
        }
        for new in wanted.difference(&self.folders) {
            if let Err(error) = watcher.watch(new, RecursiveMode::NonRecursive) {
                tracing::warn!(folder = %new.display(), %error, "no events from this folder; it is polled");
            }
        }
        self.folders = wanted;
    }

    /// Completes when something has changed since the last call. Cancel safe.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}
