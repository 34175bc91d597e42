//! Compiling in a process of its own. A compiler can be made to take very long, very much memory
//! or to crash, and none of this can be taken back inside a process that has other things to do.
//! A child can be killed.
//!
//! The child is this very program, and is handed a key that was made for this one job; the code
//! that it hands back is sealed with it (`job`), as entries of the folder are with theirs.

use std::{
    ffi::OsString,
    io,
    os::{
        fd::OwnedFd,
        unix::process::{CommandExt as _, ExitStatusExt as _},
    },
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use aws_lc_rs::rand;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::unix::pipe::{Receiver, Sender},
};
use wasmtime::{Engine, component::Component};

use crate::{
    code,
    job::{self, Header, JobLimits},
    seal::{KEY, Key},
};

/// The program that runs, also when another file is in its place by now.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// What is kept of what a child says.
const MAX_SAID: usize = 4 << 10;
/// How often it is looked whether a child that has said all has ended.
const REAPING: Duration = Duration::from_millis(1);
/// SIGABRT, which is how the standard library ends a process for want of memory.
const ABORTED: i32 = 6;
/// What it says then.
const NO_MEMORY: &str = "memory allocation of ";
/// What the system says when it refuses memory.
const REFUSED_MEMORY: &str = "Cannot allocate memory";
/// The allocator, where it is mimalloc, takes memory as it is used, so that no more counts than
/// that: by itself it begins with 1 GiB.
const ALLOCATOR: [(&str, &str); 2] = [
    ("MIMALLOC_ARENA_EAGER_COMMIT", "0"),
    ("MIMALLOC_PAGE_COMMIT_ON_DEMAND", "1"),
];
/// How many threads a child has at most, for each of which some 7 MiB count; and which variable
/// says so.
const MAX_THREADS: usize = 4;
const THREADS: &str = "RAYON_NUM_THREADS";

/// Starts this program again to have things compiled.
#[derive(Debug, Clone)]
pub struct Compiler {
    program: PathBuf,
    arguments: Vec<OsString>,
}

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// No process can be started.
    #[error("no process for the compiler can be started: {0}")]
    Start(io::Error),
    /// The process cannot be spoken with, or hands back too much.
    #[error("cannot be compiled: {0}")]
    Lost(io::Error),
    /// The compiler does not take it, and says why.
    #[error("{0}")]
    Refused(String),
    /// It was not done in time, and was killed.
    #[error("was not compiled within {0:?}")]
    Late(Duration),
    /// It needs more memory.
    #[error("needs more memory to be compiled than the {0} bytes that the compiler may have")]
    Memory(u64),
    /// The compiler crashed.
    #[error("cannot be compiled: the compiler ended with {status}: {said}")]
    Crashed {
        /// How.
        status: ExitStatus,
        /// What it had to say, cut short.
        said: String,
    },
    /// What it has made is not what it says, or of another engine.
    #[error("cannot be compiled: what the compiler handed back is not what it has made")]
    Seal,
}

/// What a child has handed back.
pub struct Made {
    key: Key,
    name: String,
    sealed: Vec<u8>,
}

impl Made {
    /// The component, for the engine that it was asked for. Blocks for milliseconds.
    ///
    /// # Errors
    /// The seal does not fit, or the engine does not take it.
    pub fn load(&self, engine: &Engine) -> Result<Component, CompileError> {
        let code = self.key.opened(&self.name, &self.sealed);
        let code = code.ok_or(CompileError::Seal)?;
        code::load(engine, &code).map_err(|error| CompileError::Refused(format!("{error:#}")))
    }
}

impl Compiler {
    /// The program that runs; with these arguments it has to come to [`serve`](crate::serve), with
    /// an engine of the same settings as the one that [`compile`](Self::compile) is asked for.
    pub fn of_this_program(arguments: impl IntoIterator<Item = OsString>) -> Self {
        Self {
            program: THIS_PROGRAM.into(),
            arguments: arguments.into_iter().collect(),
        }
    }

    /// Has it compiled. Within the limits the child has ended when this returns, and soon after
    /// when this is dropped.
    ///
    /// # Errors
    /// Nothing was made, whoever is to blame for it.
    pub async fn compile(
        &self,
        engine: &Engine,
        wasm: &[u8],
        limits: JobLimits,
    ) -> Result<Made, CompileError> {
        let mut key = [0; KEY];
        let made = rand::fill(&mut key).map_err(|_| io::Error::other("no random numbers"));
        made.map_err(CompileError::Start)?;
        let header = Header {
            key,
            memory: limits.memory,
            // It is killed before by the clock, unless its parent is stopped.
            cpu: (limits.time.as_secs() + 1).saturating_mul(threads() as u64),
        };
        let mut job = Job::start(self).map_err(CompileError::Start)?;
        let done = tokio::time::timeout(limits.time, job.run(&header, wasm, limits.memory)).await;
        let Ok(done) = done else {
            job.end().await;
            return Err(CompileError::Late(limits.time));
        };
        let (status, sealed, said) = done.map_err(CompileError::Lost)?;
        match status.success() {
            true => Ok(Made {
                key: Key::of(&key),
                name: job::name(engine, wasm).as_str().to_owned(),
                sealed,
            }),
            false => Err(reason(status, &said, limits.memory)),
        }
    }
}

/// How many threads a child has.
fn threads() -> usize {
    let cores = std::thread::available_parallelism();
    cores.map_or(1, usize::from).min(MAX_THREADS)
}

/// Why a child has ended as it has.
fn reason(status: ExitStatus, said: &[u8], memory: u64) -> CompileError {
    let said = String::from_utf8_lossy(said).trim().to_owned();
    if status.signal() == Some(ABORTED) && said.contains(NO_MEMORY) || said.contains(REFUSED_MEMORY)
    {
        return CompileError::Memory(memory);
    }
    match status.code() {
        Some(1) if !said.is_empty() => CompileError::Refused(said),
        _ => CompileError::Crashed { status, said },
    }
}

/// A child at work, killed and reaped when dropped.
struct Job {
    child: Child,
    pipes: Option<(Sender, Receiver, Receiver)>,
}

impl Job {
    fn start(compiler: &Compiler) -> io::Result<Self> {
        let mut child = Command::new(&compiler.program)
            .args(&compiler.arguments)
            .envs(ALLOCATOR)
            .env(THREADS, threads().to_string())
            // What a terminal or a supervisor tells the gateway's group is not for it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let mut job = Self { child, pipes: None };
        let (Some(stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            return Err(io::Error::other("the compiler has no pipes"));
        };
        job.pipes = Some((
            Sender::from_owned_fd(OwnedFd::from(stdin))?,
            Receiver::from_owned_fd(OwnedFd::from(stdout))?,
            Receiver::from_owned_fd(OwnedFd::from(stderr))?,
        ));
        Ok(job)
    }

    /// How it has ended, what it has made and what it has said.
    async fn run(
        &mut self,
        header: &Header,
        wasm: &[u8],
        most: u64,
    ) -> io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
        let Some((mut stdin, stdout, stderr)) = self.pipes.take() else {
            return Err(io::Error::other("the compiler has no pipes"));
        };
        let give = async {
            // One that does not read on has something to say about it.
            let given = stdin.write_all(&header.bytes()).await;
            if given.is_ok() {
                drop(stdin.write_all(wasm).await);
            }
            drop(stdin);
        };
        let ((), made, said) = tokio::join!(give, read(stdout, most), said(stderr));
        let (made, said) = (made?, said?);
        Ok((self.ended().await?, made, said))
    }

    async fn ended(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(REAPING).await;
        }
    }

    /// Kills it and waits until the system has taken it apart.
    async fn end(&mut self) {
        drop(self.child.kill());
        drop(self.ended().await);
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // Both do nothing where it has ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// All of it, as long as that is no more than it may be.
async fn read(from: Receiver, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut from = from.take(most.saturating_add(1));
    from.read_to_end(&mut bytes).await?;
    match bytes.len() as u64 > most {
        true => Err(io::Error::other(
            "the compiler hands back more than it may have",
        )),
        false => Ok(bytes),
    }
}

/// The start of it; the rest is read as well, so that nobody waits to get rid of it.
async fn said(mut from: Receiver) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    let mut more = [0; 1 << 10];
    loop {
        let read = from.read(&mut more).await?;
        if read == 0 {
            return Ok(start);
        }
        let room = MAX_SAID.saturating_sub(start.len());
        start.extend(more.iter().take(read.min(room)));
    }
}

#[cfg(test)]
mod tests;
