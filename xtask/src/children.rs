//! Servers as processes that do not outlive it.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::command;

/// Above the gateway's `shutdown_grace` in the demo's configuration.
const GRACE: Duration = Duration::from_secs(10);

/// Running servers; ended in reverse order when dropped.
#[derive(Debug, Default)]
pub(crate) struct Children {
    running: Vec<(String, Child)>,
}

impl Children {
    /// Starts a server. It gets a process group of its own, so that Ctrl-C reaches it only
    /// through us, in order.
    pub(crate) fn start(&mut self, name: &str, command: &mut Command) -> Result<&mut Child> {
        let child = command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        self.running.push((name.to_owned(), child));
        let (_, child) = self.running.last_mut().context("just pushed")?;
        Ok(child)
    }

    /// As [`start`](Self::start), and waits until the server prints a line `ready`.
    pub(crate) fn start_until_ready(&mut self, name: &str, command: &mut Command) -> Result<()> {
        let child = self.start(name, command.stdout(Stdio::piped()))?;
        let stdout = child.stdout.take().context("a pipe")?;
        // The end of the pipe is the end of the process: no wait without an end.
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        if !lines.any(|line| line == "ready") {
            bail!("{name} ended before it was ready");
        }
        Ok(())
    }

    /// Fails when one has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        for (name, child) in &mut self.running {
            if let Some(status) = child.try_wait()? {
                bail!("{name} has ended ({status})");
            }
        }
        Ok(())
    }

    /// Ends them all, the last one first; fails if one had to be killed or reports an error.
    pub(crate) fn end(&mut self) -> Result<()> {
        let mut result = Ok(());
        while let Some((name, child)) = self.running.pop() {
            let ended = end(&name, child);
            result = result.and(ended);
        }
        result
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        // What matters was reported before; here they only must not stay behind.
        let _ = self.end();
    }
}

fn end(name: &str, mut child: Child) -> Result<()> {
    if let Ok(raw) = i32::try_from(child.id())
        && let Some(pid) = Pid::from_raw(raw)
        && child.try_wait()?.is_none()
    {
        kill_process(pid, Signal::TERM)?;
    }
    let status = command::wait(&mut child, GRACE)?;
    match status {
        // 15 is SIGTERM: a server without a handler for it.
        Some(status) if status.success() || is_term(status) => Ok(()),
        Some(status) => bail!("{name} ended with {status}"),
        None => {
            child.kill()?;
            child.wait()?;
            bail!("{name} did not end within {} s", GRACE.as_secs())
        }
    }
}

fn is_term(status: std::process::ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt as _;
    status.signal() == Some(Signal::TERM.as_raw())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    #[test]
    fn servers_end_when_they_are_told_to() {
        let mut children = Children::default();
        children
            .start("sleep", Command::new("sleep").arg("100"))
            .unwrap();
        children.check().unwrap();
        children.end().unwrap();
    }

    #[test]
    fn a_server_that_ends_by_itself_is_told() {
        let mut children = Children::default();
        let error = children
            .start_until_ready("true", &mut Command::new("true"))
            .unwrap_err();
        assert_eq!(error.to_string(), "true ended before it was ready");
    }
}
