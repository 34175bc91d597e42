//! The servers: an nginx behind all as the upstream, an nginx as the peer, and gateways on
//! configurations of their own. All in one temporary folder, on free ports of the loopback.

pub(crate) mod envoy;
mod nginx;
mod witgate;

use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Resource, getrlimit, setrlimit};
use tempfile::TempDir;

use super::{load, process};
use crate::{children::Children, command, project::Project};

pub(crate) const GATEWAY: &str = "witgate";
pub(crate) const BARE: &str = "bench-bare";

/// How long a client waits for a first answer: a hundred plugins may have to be compiled.
const START: Duration = Duration::from_secs(120);

/// A server that can be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    /// The peer, with two processes.
    Nginx,
    /// Another peer, with two threads and one Wasm filter.
    Envoy,
    /// The libraries that the gateway stands on, with two threads; HTTP/1.1 to the upstream.
    Bare,
    /// The gateway.
    Witgate(Setup),
}

/// What a gateway is started with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setup {
    pub(crate) plugins: Plugins,
    pub(crate) workers: u32,
    pub(crate) upstream: Upstream,
    /// Of the pool; all but one stand idle.
    pub(crate) endpoints: u32,
    /// Connections of clients that idle all the time.
    pub(crate) held: u32,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            plugins: Plugins::None,
            workers: 2,
            upstream: Upstream::H1,
            endpoints: 1,
            held: 0,
        }
    }
}

/// What is in the plugin folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plugins {
    /// There is no such folder.
    None,
    /// path-router, cookie-affinity and forwarded-headers, each with something to do.
    Roles,
    /// So many path-routers that pass.
    Chain(u32),
    /// A path-router with so many rules.
    Routes(u32),
    /// A site-router with so many sites.
    Sites(u32),
    /// Six of the reference plugins.
    Six,
    /// One of the tests' plugins, which answers with its version.
    Version,
}

/// What is spoken with the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upstream {
    H1,
    H2,
}

/// Programs that are measured, of builds alike.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) gateway: PathBuf,
    /// The libraries alone.
    pub(crate) bare: PathBuf,
}

impl Measured {
    /// As cargo builds them for developers.
    pub(crate) fn debug(project: &Project) -> Self {
        Self {
            gateway: project.binary(GATEWAY),
            bare: project.binary(BARE),
        }
    }

    /// As cargo builds them for release.
    pub(crate) fn release(project: &Project) -> Self {
        Self {
            gateway: project.release_binary(GATEWAY),
            bare: project.release_binary(BARE),
        }
    }
}

/// The folder, the programs, and the upstream that serves all.
#[derive(Debug)]
pub(crate) struct Stage {
    dir: TempDir,
    gateway: PathBuf,
    bare: PathBuf,
    client: PathBuf,
    nginx: PathBuf,
    /// Cargo's target folder.
    target: PathBuf,
    upstream: Option<Running>,
    cookie: String,
}

impl Stage {
    /// Makes certificates and starts the upstream; these are the binaries to measure.
    pub(crate) fn new(project: &Project, measured: Measured) -> Result<Self> {
        raise_descriptors()?;
        let dir = TempDir::with_prefix("witgate-bench-")?;
        let mut stage = Self {
            dir,
            bare: measured.bare,
            gateway: measured.gateway,
            client: project.binary("bench-client"),
            nginx: nginx::program(project)?,
            target: project.target().to_owned(),
            upstream: None,
            cookie: "none=yet".into(),
        };
        let mut certificates = Command::new(&stage.client);
        command::run(certificates.arg("certs").arg(stage.dir()))?;
        let port = free_port()?;
        let server = stage.folder("upstream")?;
        let mut upstream = nginx::upstream(&stage, &server, port)?;
        stage.upstream = Some(stage.run("the upstream", &mut upstream, server, port)?);
        stage.cookie = stage.learn_cookie()?;
        Ok(stage)
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A session cookie that cookie-affinity has set. Every request has it.
    pub(crate) fn cookie(&self) -> &str {
        &self.cookie
    }

    /// The upstream's processes.
    pub(crate) fn upstream(&self) -> &[u32] {
        self.upstream.as_ref().map_or(&[], Running::processes)
    }

    fn upstream_port(&self) -> u16 {
        self.upstream.as_ref().map_or(0, |upstream| upstream.port)
    }

    /// Starts a server and waits for its first answer.
    pub(crate) fn start(&self, name: &str, server: Server) -> Result<Running> {
        let (mut command, dir, port) = self.prepare(name, server)?;
        let mut running = self.run(name, &mut command, dir, port)?;
        if let Server::Witgate(setup) = server
            && setup.held > 0
        {
            running.held = Some(Held::open(self, &running, setup.held)?);
        }
        Ok(running)
    }

    /// The command that starts a server, its folder and its port.
    pub(crate) fn prepare(&self, name: &str, server: Server) -> Result<(Command, PathBuf, u16)> {
        let port = free_port()?;
        let dir = self.folder(name)?;
        let command = match server {
            Server::Nginx => nginx::peer(self, &dir, port)?,
            Server::Envoy => envoy::peer(self, &dir, port)?,
            Server::Bare => self.bare(port),
            Server::Witgate(setup) => witgate::command(self, &dir, port, setup)?,
        };
        Ok((command, dir, port))
    }

    fn bare(&self, port: u16) -> Command {
        let mut command = Command::new(&self.bare);
        command
            .args(["--listen", &format!("127.0.0.1:{port}"), "--upstream"])
            .arg(format!("127.0.0.1:{}", self.upstream_port()))
            .arg("--certs")
            .arg(self.dir());
        command
    }

    fn run(&self, name: &str, command: &mut Command, dir: PathBuf, port: u16) -> Result<Running> {
        let running = Running::spawn(name, command, dir, port)?;
        let mut until = self.client("until", &running);
        until.args(["--seconds", &START.as_secs().to_string()]);
        load::output(&mut until, START * 2).with_context(|| running.log())?;
        Ok(running.settled())
    }

    /// The tests' client with a server as its target.
    pub(crate) fn client(&self, task: &str, server: &Running) -> Command {
        let mut client = Command::new(&self.client);
        client
            .args([
                task,
                "--address",
                &format!("127.0.0.1:{}", server.port),
                "--ca",
            ])
            .arg(self.dir().join("ca.pem"));
        client
    }

    /// What a gateway with three roles sets; other gateways' sessions have the same cookie, since
    /// it is made from names.
    fn learn_cookie(&self) -> Result<String> {
        let roles = Server::Witgate(Setup {
            plugins: Plugins::Roles,
            ..Setup::default()
        });
        let server = self.start("cookie", roles)?;
        let head = load::output(&mut self.client("until", &server), START)?;
        let cookies = head
            .lines()
            .filter_map(|line| line.strip_prefix("set-cookie: "));
        let mut values = cookies.filter_map(|cookie| cookie.split(';').next());
        let value = values
            .next()
            .with_context(|| format!("no cookie in {head}"))?;
        // The client prints heads in lower case.
        let (_, value) = value.split_once('=').context("a cookie without a value")?;
        Ok(format!("{}={value}", witgate::COOKIE))
    }

    /// A plugin of the tests.
    pub(crate) fn guest(&self, name: &str) -> PathBuf {
        self.target.join("guests").join(name).with_extension("wasm")
    }

    /// A folder for one server, empty.
    fn folder(&self, name: &str) -> Result<PathBuf> {
        let count = fs::read_dir(self.dir())?.count();
        let dir = self
            .dir()
            .join(format!("{count}-{}", name.replace(' ', "-")));
        fs::create_dir(&dir)?;
        Ok(dir)
    }
}

/// A server that runs; ended when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    children: Children,
    process: u32,
    processes: Vec<u32>,
    port: u16,
    dir: PathBuf,
    held: Option<Held>,
}

impl Running {
    /// Starts it and does not wait.
    pub(crate) fn spawn(
        name: &str,
        command: &mut Command,
        dir: PathBuf,
        port: u16,
    ) -> Result<Self> {
        let log = File::create(dir.join("log"))?;
        let mut children = Children::default();
        let process = children
            .start(name, command.stdout(log.try_clone()?).stderr(log))?
            .id();
        Ok(Self {
            children,
            process,
            processes: vec![process],
            port,
            dir,
            held: None,
        })
    }

    /// Once all of its processes are there.
    fn settled(mut self) -> Self {
        self.processes = process::family(self.process);
        self
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn processes(&self) -> &[u32] {
        &self.processes
    }

    /// What it has written so far, for whoever must find out why.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Ends it; fails when it has ended before.
    pub(crate) fn end(mut self) -> Result<()> {
        drop(self.held.take());
        self.children.check().with_context(|| self.log())?;
        self.children.end()
    }
}

/// A client that holds connections open; closes them when dropped.
#[derive(Debug)]
pub(crate) struct Held(Child);

impl Held {
    pub(crate) fn open(stage: &Stage, server: &Running, connections: u32) -> Result<Self> {
        let mut command = stage.client("hold", server);
        command
            .args(["--connections", &connections.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let child = command.spawn().context("cannot run bench-client")?;
        let mut held = Self(child);
        let stdout = held.0.stdout.take().context("a pipe")?;
        // The end of the pipe is the end of the process: no wait without an end.
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line)?;
        if line.trim() != "ready" {
            bail!("bench-client could not open {connections} connections");
        }
        Ok(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Servers and clients inherit as many descriptors as this user may have at all.
fn raise_descriptors() -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("cannot raise the limit of descriptors")
}

/// A port that nobody uses now. Another program could take it before we do; then the start
/// fails and says so.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// How long something took, ms.
pub(crate) fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
