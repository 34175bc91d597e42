//! The upgrade of the binary: SIGUSR2 makes the gateway start its own program again and hand all
//! its listening sockets over. The new process says on its standard input that it serves; the
//! old one then drains and exits. If the new one ends or stays silent, the old one goes on, and
//! its sockets are as they were.

use std::{
    env,
    ffi::OsString,
    fmt,
    io::{self, Write as _},
    os::{
        fd::{AsFd as _, AsRawFd, OwnedFd, RawFd},
        unix::net::UnixStream as StdUnixStream,
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use tokio::{io::AsyncReadExt as _, net::UnixStream};

use crate::sockets::{HANDED_OVER, HandOver};

/// The lowest descriptor that may be passed: the first behind the standard ones.
const FIRST: RawFd = 3;
/// How often a row of free descriptors is looked for.
const ATTEMPTS: usize = 1000;
/// What the new process says.
const READY: &[u8] = b"ready";

/// How this process was started.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

/// Why the new process does not take over.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// It cannot be started.
    #[error("{} cannot be started: {source}", path.display())]
    Start {
        /// The program.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It has ended; its own messages say why.
    #[error("the new process has ended: {0}")]
    Ended(Ended),
    /// It is not ready in time, and was killed.
    #[error("the new process was not ready within {0:?}")]
    Late(Duration),
}

/// How a process ended, if that is known.
#[derive(Debug)]
pub struct Ended(Option<ExitStatus>);

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(status) => status.fmt(f),
            None => f.write_str("its status is not known"),
        }
    }
}

impl Program {
    /// The path that this process was started by, so that a file which has replaced it since is
    /// used, and its arguments. Relative paths are those of the folder at the start.
    pub fn of_this_process() -> Self {
        let mut arguments = env::args_os();
        let path = PathBuf::from(arguments.next().unwrap_or_else(|| "witgate".into()));
        // A bare name is looked for in PATH, as it was for this process.
        let is_bare = path.parent().is_none_or(|parent| parent == Path::new(""));
        let path = match is_bare {
            true => path,
            false => std::path::absolute(&path).unwrap_or(path),
        };
        Self {
            path,
            arguments: arguments.collect(),
        }
    }

    /// Starts it with these sockets, and returns its process id once it is ready. It is killed
    /// when it is not ready within `deadline`, and when this future is dropped.
    pub async fn take_over(
        self,
        sockets: Vec<HandOver>,
        deadline: Duration,
    ) -> Result<u32, UpgradeError> {
        let path = self.path.clone();
        let start = |source| UpgradeError::Start { path, source };
        let (ours, child) = match self.start(sockets) {
            Ok(started) => started,
            Err(error) => return Err(start(error)),
        };
        let mut child = Successor(Some(child));
        let mut word = [0; READY.len()];
        let ready = async {
            let mut ours = UnixStream::from_std(ours)?;
            ours.read_exact(&mut word).await
        };
        match tokio::time::timeout(deadline, ready).await {
            Err(_) => Err(UpgradeError::Late(deadline)),
            Ok(read) if read.is_ok() && word == *READY => child.keep(),
            Ok(_) => Err(UpgradeError::Ended(child.end())),
        }
    }

    fn start(self, sockets: Vec<HandOver>) -> io::Result<(StdUnixStream, Child)> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let places: Vec<_> = sockets
            .iter()
            .map(|socket| format!("{}={}", socket.name, socket.configured))
            .collect();
        let row = Row::of(&sockets)?;
        let mut command = Command::new(&self.path);
        command
            .args(&self.arguments)
            .env("LISTEN_FDS", sockets.len().to_string())
            .env("LISTEN_FDS_FIRST_FD", row.first.to_string())
            .env(HANDED_OVER, places.join(" "))
            .env_remove("LISTEN_PID")
            .env_remove("LISTEN_FDNAMES")
            .stdin(Stdio::from(OwnedFd::from(theirs)));
        row.inherit()?;
        let child = command.spawn()?;
        Ok((ours, child))
    }
}

/// Sockets under descriptors in a row, as they are passed. No other thread starts processes, which
/// would inherit them too.
struct Row {
    first: RawFd,
    sockets: Vec<OwnedFd>,
}

impl Row {
    /// Other threads take descriptors meanwhile: looks further on when one has come between.
    fn of(sockets: &[HandOver]) -> io::Result<Self> {
        let mut first = FIRST;
        for _ in 0..ATTEMPTS {
            let row = Self::from(first, sockets)?;
            if row.is_complete() {
                return Ok(row);
            }
            let last = row.sockets.last().map_or(first, AsRawFd::as_raw_fd);
            first = last + 1;
        }
        Err(io::Error::other(
            "there are not enough descriptors in a row",
        ))
    }

    /// From this descriptor on, or the first free one behind it.
    fn from(lowest: RawFd, sockets: &[HandOver]) -> io::Result<Self> {
        let mut row = Self {
            first: lowest,
            sockets: Vec::new(),
        };
        let mut next = lowest;
        for handed in sockets {
            let copy = fcntl_dupfd_cloexec(&handed.socket, next)?;
            if row.sockets.is_empty() {
                row.first = copy.as_raw_fd();
            }
            next = copy.as_raw_fd() + 1;
            row.sockets.push(copy);
        }
        Ok(row)
    }

    fn is_complete(&self) -> bool {
        let wanted = self.first..;
        wanted
            .zip(&self.sockets)
            .all(|(wanted, socket)| socket.as_raw_fd() == wanted)
    }

    /// Lets the next process have them.
    fn inherit(&self) -> io::Result<()> {
        for socket in &self.sockets {
            fcntl_setfd(socket, FdFlags::empty())?;
        }
        Ok(())
    }
}

/// Tells the gateway that has started this one that it may go.
pub fn tell_ready() -> io::Result<()> {
    let standard_input = io::stdin().as_fd().try_clone_to_owned()?;
    StdUnixStream::from(standard_input).write_all(READY)
}

/// The new process, killed when dropped before it is kept.
struct Successor(Option<Child>);

impl Successor {
    fn keep(&mut self) -> Result<u32, UpgradeError> {
        match self.0.take() {
            Some(child) => Ok(child.id()),
            None => Err(UpgradeError::Ended(Ended(None))),
        }
    }

    /// Kills it if need be, and says how it has ended.
    fn end(&mut self) -> Ended {
        let Some(mut child) = self.0.take() else {
            return Ended(None);
        };
        // Its end of the channel is closed: it has ended, or is about to.
        let ended = (0..20).find_map(|_| {
            std::thread::sleep(Duration::from_millis(5));
            child.try_wait().ok().flatten()
        });
        Ended(ended.or_else(|| {
            drop(child.kill());
            child.wait().ok()
        }))
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            drop(child.kill());
            drop(child.wait());
        }
    }
}
