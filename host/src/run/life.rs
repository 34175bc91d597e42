//! A started gateway up to its end: it does what signals ask for, hands over or drains, and
//! stops.

use std::{sync::Arc, thread::JoinHandle, time::Duration};

use tokio::task::JoinHandle as Task;

use super::{
    Gateway,
    signals::{Signals, Wish},
};
use crate::{
    config::Timeouts,
    shutdown::Phase,
    sockets::HandOver,
    supervisor,
    upgrade::{Program, UpgradeError},
};

/// How long the access-log writer may take for its last lines.
const LAST_LINES: Duration = Duration::from_secs(2);

/// A new process that is starting.
type Upgrade = Option<Task<Result<u32, UpgradeError>>>;

/// Why serving ends.
enum Leave {
    /// A signal says so.
    Told,
    /// The process with this id serves instead.
    Replaced(u32),
}

impl Gateway {
    /// Serves; SIGHUP reloads, SIGUSR1 opens the access log again, SIGUSR2 replaces the process;
    /// the first SIGTERM or SIGINT drains, the second or the end of the grace period stops.
    pub(super) async fn until_the_end(mut self, signals: &mut Signals) {
        let leave = self.until_leave(signals).await;
        let is_told = matches!(leave, Leave::Told);
        let cut = match leave {
            Leave::Replaced(process) => {
                supervisor::handed_over(process);
                tracing::info!(process, "another process has taken over");
                if let Some(admin) = &mut self.admin {
                    admin.stop();
                }
                None
            }
            Leave::Told => {
                supervisor::stopping();
                if let Some(control) = self.control.take() {
                    control.remove();
                }
                self.announce(signals).await
            }
        };
        let workers = std::mem::take(&mut self.workers);
        self.drain(workers, cut, signals).await;
        // A process that has taken over writes for itself.
        if is_told {
            self.keeper.keep().await;
        }
        self.last_lines().await;
        tracing::info!("ended");
    }

    async fn until_leave(&mut self, signals: &mut Signals) -> Leave {
        let mut upgrade: Upgrade = None;
        loop {
            tokio::select! {
                wish = signals.next() => match wish {
                    Wish::Reload => self.reload(),
                    Wish::Reopen => self.access_log.reopen(),
                    Wish::Upgrade if upgrade.is_some() => {
                        tracing::warn!("an upgrade is under way already");
                    }
                    Wish::Upgrade => upgrade = self.begin_upgrade(),
                    Wish::End => {
                        // Dropped, it kills the process that it waits for.
                        if let Some(upgrade) = upgrade {
                            upgrade.abort();
                            drop(upgrade.await);
                        }
                        return Leave::Told;
                    }
                },
                Ok(()) = self.answered.changed() => self.reloaded(),
                outcome = ended(&mut upgrade) => {
                    upgrade = None;
                    match outcome {
                        Ok(process) => return Leave::Replaced(process),
                        Err(error) => {
                            self.status.hold(false);
                            tracing::error!(%error, "upgrade failed, this process goes on");
                        }
                    }
                }
            }
        }
    }

    fn reload(&self) {
        tracing::info!("reload asked for");
        supervisor::reloading();
        self.reloads.send_modify(|count| *count += 1);
    }

    /// Tells the supervisor when nothing more is asked for.
    fn reloaded(&mut self) {
        if *self.answered.borrow_and_update() == *self.reloads.borrow() {
            supervisor::reloaded(self.status.is_refused());
        }
    }

    fn begin_upgrade(&self) -> Upgrade {
        let sockets = match self.hand_over() {
            Ok(sockets) => sockets,
            Err(error) => {
                tracing::error!(%error, "upgrade failed: the sockets cannot be handed over");
                return None;
            }
        };
        let limit = self.timeouts().upgrade;
        let program = Program::clone(&self.program);
        tracing::info!(sockets = sockets.len(), "upgrade: a new process starts");
        self.status.hold(true);
        let keeper = self.keeper.clone();
        Some(tokio::spawn(async move {
            // The new process begins with what is on disk.
            keeper.keep().await;
            program.take_over(sockets, limit).await
        }))
    }

    fn hand_over(&self) -> std::io::Result<Vec<HandOver>> {
        let snapshot = Arc::clone(&self.snapshots.borrow());
        let mut sockets = Vec::new();
        for listener in &snapshot.listeners {
            sockets.extend(listener.socket.hand_over(&listener.name)?);
        }
        if let Some(admin) = &self.admin {
            sockets.extend(admin.hand_over()?);
        }
        Ok(sockets)
    }

    fn timeouts(&self) -> Timeouts {
        self.snapshots.borrow().config.timeouts.clone()
    }

    /// Serves on for a while and is not ready any more. Returns why there is to be no drain.
    async fn announce(&mut self, signals: &mut Signals) -> Option<&'static str> {
        let delay = self.timeouts().shutdown_delay;
        if delay.is_zero() {
            return None;
        }
        tracing::info!(?delay, "leaving: not ready any more, still accepting");
        self.phase.send_replace(Phase::Leave);
        tokio::select! {
            () = tokio::time::sleep(delay) => None,
            reason = self.told_to_stop(signals) => Some(reason),
        }
    }

    async fn drain(
        &mut self,
        workers: Vec<JoinHandle<()>>,
        mut cut: Option<&'static str>,
        signals: &mut Signals,
    ) {
        let grace = self.timeouts().shutdown_grace;
        let mut workers = tokio::task::spawn_blocking(move || join(workers));
        if cut.is_none() {
            tracing::info!(
                ?grace,
                "draining: no new connections, running requests finish"
            );
            self.status.hold(true);
            self.phase.send_replace(Phase::Drain);
            cut = tokio::select! {
                _ = &mut workers => return,
                () = tokio::time::sleep(grace) => Some("the grace period is over"),
                reason = self.told_to_stop(signals) => Some(reason),
            };
        }
        tracing::warn!(reason = cut, "running requests are cut");
        self.phase.send_replace(Phase::Stop);
        drop(workers.await);
    }

    /// Waits for a further signal to end, and does what may be asked for meanwhile.
    async fn told_to_stop(&self, signals: &mut Signals) -> &'static str {
        loop {
            match signals.next().await {
                Wish::End => return "told to end at once",
                Wish::Reopen => self.access_log.reopen(),
                Wish::Reload | Wish::Upgrade => tracing::warn!("this process is ending"),
            }
        }
    }

    async fn last_lines(self) {
        // The writer ends with the last that may write to it.
        drop(self.access_log);
        let Some(writer) = self.access_log_writer else {
            return;
        };
        let written = tokio::task::spawn_blocking(move || writer.join());
        if tokio::time::timeout(LAST_LINES, written).await.is_err() {
            tracing::warn!("the access log cannot be written; its last lines are lost");
        }
    }
}

/// Waits for the new process, if there is one.
async fn ended(upgrade: &mut Upgrade) -> Result<u32, Box<dyn std::error::Error + Send + Sync>> {
    match upgrade {
        Some(task) => Ok(task.await??),
        None => std::future::pending().await,
    }
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a worker has panicked");
        }
    }
}
