//! Asking that what is known of versions is written down now: another process is about to read it,
//! or this one to end.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

/// How long it is waited for; what is not on disk by then is as it was last written.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who may ask.
#[derive(Debug, Clone)]
pub struct Keeper(mpsc::Sender<oneshot::Sender<()>>);

/// The end at which it is asked.
#[derive(Debug)]
pub struct Kept(mpsc::Receiver<oneshot::Sender<()>>);

impl Keeper {
    /// Both ends.
    pub fn channel() -> (Self, Kept) {
        let (sender, receiver) = mpsc::channel(1);
        (Self(sender), Kept(receiver))
    }

    /// Returns when it is done, or takes too long.
    pub async fn keep(&self) {
        let (answer, answered) = oneshot::channel();
        let asked = async {
            if self.0.send(answer).await.is_ok() {
                drop(answered.await);
            }
        };
        if tokio::time::timeout(PATIENCE, asked).await.is_err() {
            tracing::warn!("how far trials of plugins are may not be on disk: that takes too long");
        }
    }
}

impl Kept {
    /// Who asks next and waits for an answer; never, when no one can ask any more.
    pub(super) async fn wanted(&mut self) -> oneshot::Sender<()> {
        match self.0.recv().await {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}
