//! What operators may want of a plugin's versions, from where they say it to where versions are
//! followed, and the answer back.

use tokio::sync::{mpsc, oneshot};

use super::plugins::CommandError;

/// Commands that wait at a time; one more is told to come again.
const WAITING: usize = 16;

type Answer = oneshot::Sender<Result<(), CommandError>>;

/// What an operator wants.
#[derive(Debug)]
pub enum Command {
    /// The version on trial, or one that was rolled back, is to be in service now.
    Promote {
        /// Of this plugin.
        plugin: String,
        /// The first digits of that version; the one on trial without them.
        version: Option<String>,
        /// Who asked.
        answer: Answer,
    },
    /// The version on trial is to be given up; without one, a version that was in service before
    /// is to be so again.
    RollBack {
        /// Of this plugin.
        plugin: String,
        /// The first digits of that version; the last one without them.
        to: Option<String>,
        /// Who asked.
        answer: Answer,
    },
}

impl Command {
    /// Tells whoever asked what came of it; one who has left does not want to know.
    pub(super) fn answer(self, done: Result<(), CommandError>) {
        let (Self::Promote { answer, .. } | Self::RollBack { answer, .. }) = self;
        drop(answer.send(done));
    }
}

/// The end at which commands come out.
#[derive(Debug)]
pub struct Commands(mpsc::Receiver<Command>);

/// The end at which they go in.
pub type CommandSender = mpsc::Sender<Command>;

impl Commands {
    /// Both ends.
    pub fn channel() -> (CommandSender, Self) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (sender, Self(receiver))
    }

    /// The next one; never, when no one can ask any more.
    pub(super) async fn next(&mut self) -> Command {
        match self.0.recv().await {
            Some(command) => command,
            None => std::future::pending().await,
        }
    }
}
