//! What the rest of the process knows of reloads, and can ask of them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::watch as channel;

use super::Board;

/// What the outside may know about reloads.
#[derive(Debug, Default)]
pub struct ReloadStatus {
    /// Changes that were swapped in.
    pub applied: AtomicU64,
    /// Changes that were refused, in whole or for some plugin.
    pub refused: AtomicU64,
    /// Plugin files that were rejected.
    pub plugins_rejected: AtomicU64,
    /// Whether the last change was refused.
    pub last_refused: AtomicBool,
    /// What is known of each plugin.
    pub plugins: Board,
    /// Whether changes are left alone.
    held: channel::Sender<bool>,
}

impl ReloadStatus {
    /// Leaves changes alone, until told otherwise: what is handed over must not change.
    pub fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    pub(super) async fn released(&self) {
        // It fails when the sender is gone, which is here.
        drop(self.held.subscribe().wait_for(|held| !held).await);
    }

    /// Whether the last change was refused.
    pub fn is_refused(&self) -> bool {
        self.last_refused.load(Ordering::Relaxed)
    }
}
