//! How the gateway's process is started: by which path, with what around it.

use std::{
    net::TcpListener,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::process::{Child, Command};

/// All but the configuration.
#[derive(Debug, Default)]
pub(super) struct Launch {
    pub(super) program: Option<PathBuf>,
    pub(super) prelude: Vec<String>,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) socket: Option<(String, TcpListener)>,
}

impl Launch {
    /// Starts it in a process group of its own, which successors stay in.
    pub(super) fn spawn(&self, config: &Path) -> Child {
        let program = self.program.clone().unwrap_or_else(super::binary);
        let mut command = Command::new("sh");
        let mut commands = self.prelude.clone();
        if self.socket.is_some() {
            commands.push("export LISTEN_PID=$$; exec 3<&0 0</dev/null".into());
        }
        commands.push("exec \"$0\" \"$@\"".into());
        command
            .args(["-c", &commands.join("; ")])
            .arg(program)
            .args(["run", "--config"])
            .arg(config)
            .args(&self.arguments)
            .env("NO_COLOR", "1")
            .envs(self.environment.iter().cloned())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some((name, socket)) = &self.socket {
            let socket = OwnedFd::from(socket.try_clone().unwrap());
            command
                .env("LISTEN_FDS", "1")
                .env("LISTEN_FDNAMES", name)
                .stdin(socket);
        }
        command.spawn().unwrap()
    }
}
