//! Clients that ask again and again while a test changes something.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio::task::JoinHandle;

use crate::eventually;

/// Clients at work, until they are told to stop.
#[derive(Debug, Default)]
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Adds a client, which starts at once. `ask` has one request answered, and panics unless
    /// the answer is right.
    pub fn add<F>(&mut self, ask: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let (stop, answered) = (Arc::clone(&self.stop), Arc::clone(&self.answered));
        self.clients.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                ask().await;
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }

    /// Answers so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Whether a client has had no answer, or a wrong one.
    pub fn has_failed(&self) -> bool {
        self.clients.iter().any(JoinHandle::is_finished)
    }

    /// Waits for so many more answers, or for a client that has failed.
    pub async fn more(&self, answers: u64) {
        let goal = self.answered() + answers;
        let enough = || self.answered() >= goal || self.has_failed();
        eventually!("answers", enough().then_some(()));
    }

    /// Stops; panics if a client has failed. Returns how many answers there were.
    pub async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
        self.answered.load(Ordering::Relaxed)
    }
}
