//! The gateway itself: the real binary, started on a configuration of a test's own.

mod launch;
mod lines;
mod setup;

use std::{
    env, fs, io,
    net::SocketAddr,
    path::PathBuf,
    process::{ExitStatus, Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::{Child, Command},
};

use crate::{
    Http,
    client::{Answer, Client},
    curl::{CurlAnswer, curl},
    eventually,
    raw::RawSocket,
    wait,
};

use lines::Lines;
pub use setup::{Pool, Setup};

/// How long a start may take: compiling plugins, on a loaded machine, with a debug build.
const START: Duration = Duration::from_secs(60);

/// A running gateway; killed when dropped.
#[derive(Debug)]
pub struct Gateway {
    setup: Setup,
    process: Child,
    /// Process ids: of the group, and of who serves now.
    group: u32,
    serving: u32,
    log: Lines,
    access: Lines,
    address: SocketAddr,
    admin: Option<SocketAddr>,
}

impl Gateway {
    /// Starts the binary on what was set up, and waits until it is ready.
    async fn start(setup: Setup) -> Self {
        setup.write();
        let mut process = setup.launch().spawn(&setup.file());
        let log = Lines::read(process.stderr.take().unwrap());
        let access = Lines::read(process.stdout.take().unwrap());
        eventually!(within START, "ready", ready(&mut process, &log));
        let address = log
            .address("listening", "listener=public")
            .or_else(|| log.address("listening", "listener="))
            .expect("the listener's address");
        let admin = log.address("admin listening", "");
        let group = process.id().expect("a running process");
        Self {
            setup,
            process,
            group,
            serving: group,
            log,
            access,
            address,
            admin,
        }
    }

    /// Where its listener `public` listens, or the first whose name begins so.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the listener of this name listens.
    pub fn address_of(&self, listener: &str) -> SocketAddr {
        let field = format!("listener={listener}");
        self.log
            .address("listening", &field)
            .expect("a listener of this name")
    }

    /// A client for `shop.example`.
    pub fn client(&self, http: Http) -> Client {
        self.client_of("shop.example", http)
    }

    /// A client that asks for another server name.
    pub fn client_of(&self, name: &str, http: Http) -> Client {
        Client::new(
            self.address,
            name,
            self.setup.authority().certificate(),
            http,
        )
    }

    /// A client of another listener, for `name`.
    pub fn client_at(&self, listener: &str, name: &str, http: Http) -> Client {
        let root = self.setup.authority().certificate();
        Client::new(self.address_of(listener), name, root, http)
    }

    /// Runs `witgate plugin` with these arguments, and the configuration of this gateway.
    pub async fn plugin_command(&self, arguments: &[&str]) -> (bool, String) {
        let file = self.setup.file().display().to_string();
        let all = [&["plugin"], arguments, &["--config", &file]].concat();
        let output = output(&all).await;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        (output.status.success(), text)
    }

    /// Runs curl; the URL's host may be any that the gateway's certificate names.
    pub async fn curl(&self, http: Http, url: &str, arguments: &[&str]) -> CurlAnswer {
        curl(self.address, &self.setup.root_file(), http, url, arguments).await
    }

    /// A raw TLS socket that speaks HTTP/1.1.
    pub async fn raw(&self) -> RawSocket {
        let root = self.setup.authority().certificate();
        RawSocket::connect(self.address, "shop.example", root, &["http/1.1"])
            .await
            .unwrap()
    }

    /// A raw TLS socket that offers these protocols.
    pub async fn raw_with(&self, alpn: &[&str]) -> RawSocket {
        let root = self.setup.authority().certificate();
        RawSocket::connect(self.address, "shop.example", root, alpn)
            .await
            .unwrap()
    }

    /// Waits until a series has at least this value.
    pub async fn counted(&self, series: &str, least: f64) {
        eventually!(
            format!("{series} of {least}"),
            (self.metric(series).await >= least).then_some(())
        );
    }

    /// Descriptors that the process has open.
    pub fn descriptors(&self) -> usize {
        let pid = self.serving;
        fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
    }

    /// Time on the processor so far, as the kernel counts it: hundredths of a second.
    pub fn ticks(&self) -> u64 {
        let pid = self.serving;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<_> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        let number = |at: usize| fields[at].parse::<u64>().unwrap();
        number(11) + number(12)
    }

    /// What it was set up with; changes on disk are made through this.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Changes the configuration file; the gateway sees it by itself.
    pub fn configure(&mut self, change: impl FnOnce(Setup) -> Setup) {
        self.setup.change(change);
        self.setup.write();
    }

    /// The log's entries so far; an entry may have several lines.
    pub fn log(&self) -> Vec<String> {
        self.log.entries()
    }

    /// Waits for a log entry that contains all of these, and returns it.
    pub async fn logged(&self, parts: &[&str]) -> String {
        self.logged_after(0, parts).await
    }

    /// As [`logged`](Self::logged), passing over this many entries.
    pub async fn logged_after(&self, entries: usize, parts: &[&str]) -> String {
        let has = |entry: &String| parts.iter().all(|part| entry.contains(part));
        let found = || self.log().into_iter().skip(entries).find(has);
        eventually!(format!("a log entry with {parts:?}"), found())
    }

    /// Waits for the access-log line of an answer.
    pub async fn access_line(&self, answer: &Answer) -> Value {
        let id = answer.header("x-request-id");
        assert!(!id.is_empty(), "an answer without x-request-id: {answer:?}");
        self.access_line_where(|line| line["id"] == id).await
    }

    /// Waits for the first access-log line that fits.
    pub async fn access_line_where(&self, fits: impl Fn(&Value) -> bool) -> Value {
        eventually!(
            "an access-log line",
            self.access_lines().into_iter().find(&fits)
        )
    }

    /// The access-log lines so far.
    pub fn access_lines(&self) -> Vec<Value> {
        let parse = |line: String| {
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
        };
        self.access.all().into_iter().map(parse).collect()
    }

    /// `GET` of a path of the admin listener: status and body.
    pub async fn admin(&self, path: &str) -> (u16, String) {
        let address = self.admin.expect("a gateway with an admin listener");
        ask_admin(address, path).await.unwrap()
    }

    /// Where the admin listener listens.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.expect("a gateway with an admin listener")
    }

    /// What the admin listener tells of one endpoint; null when it is not there.
    pub async fn endpoint(&self, pool: &str, id: &str) -> Value {
        let (status, text) = self.admin("/pools").await;
        assert_eq!(status, 200, "{text}");
        let pools: Value = serde_json::from_str(&text).unwrap();
        let endpoints = pools[pool]["endpoints"].as_array().cloned();
        let found = endpoints.unwrap_or_default();
        let found = found.into_iter().find(|endpoint| endpoint["id"] == id);
        found.unwrap_or_default()
    }

    /// Waits until an endpoint is in this state, and returns what the admin listener tells.
    pub async fn endpoint_is(&self, pool: &str, id: &str, state: &str) -> Value {
        eventually!(
            format!("{id} is {state}"),
            Some(self.endpoint(pool, id).await).filter(|endpoint| endpoint["state"] == state)
        )
    }

    /// The metrics page.
    pub async fn metrics(&self) -> String {
        let (status, text) = self.admin("/metrics").await;
        assert_eq!(status, 200, "{text}");
        text
    }

    /// The value of a series, such as `witgate_reloads_total{result="applied"}`; the sum of those
    /// with these labels and others.
    pub async fn metric(&self, series: &str) -> f64 {
        let page = self.metrics().await;
        let values = page.lines().filter_map(|line| line.rsplit_once(' '));
        let found = values.filter(|(name, _)| is_among(series, name));
        let found: Vec<f64> = found.map(|(_, value)| value.parse().unwrap()).collect();
        assert!(!found.is_empty(), "no {series} in\n{page}");
        found.into_iter().sum()
    }

    /// Resident memory, bytes.
    pub fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most memory that was ever resident, bytes.
    pub fn peak(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, key: &str) -> u64 {
        let pid = self.serving;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024
    }

    /// Sends SIGHUP.
    pub async fn hang_up(&self) {
        self.signal("-HUP").await;
    }

    /// Has all that is on disk now read, and waits until it is live. Asks twice: what is told of
    /// first may be a reload that had begun before.
    pub async fn reload(&self) {
        for _ in 0..2 {
            let entries = self.log().len();
            self.hang_up().await;
            self.logged_after(entries, &["everything on disk is live"])
                .await;
        }
    }

    /// Sends SIGTERM and returns at once.
    pub async fn terminate(&self) {
        self.signal("-TERM").await;
    }

    /// Waits for the process to end.
    pub async fn exit(&mut self) -> ExitStatus {
        eventually!("the end of the process", self.process.try_wait().unwrap())
    }

    /// Starts another on the same files, once this one has ended.
    pub async fn restart(mut self) -> Self {
        self.exit().await;
        let setup = std::mem::take(&mut self.setup);
        Self::start(setup).await
    }

    /// SIGTERM and the end.
    pub async fn stop(mut self) -> ExitStatus {
        self.terminate().await;
        self.exit().await
    }

    /// Processes that it has started and that have not been seen to end.
    pub fn children(&self) -> Vec<u32> {
        let pid = self.serving;
        let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let lists = threads
            .filter_map(|thread| fs::read_to_string(thread.unwrap().path().join("children")).ok());
        let all: Vec<_> = lists.collect();
        let ids = all.iter().flat_map(|list| list.split_whitespace());
        ids.map(|id| id.parse().unwrap()).collect()
    }

    /// The id of the process that serves.
    pub fn process(&self) -> u32 {
        self.serving
    }

    /// Sends SIGUSR2 and waits until another process has taken over and this one has ended.
    /// From then on everything here is about the other one, but [`exit`](Self::exit).
    pub async fn upgrade(&mut self) {
        let (before, old) = (self.log().len(), self.serving);
        self.signal("-USR2").await;
        self.taken_over(before).await;
        eventually!(
            "the end of the process before",
            has_ended(old).then_some(())
        );
    }

    /// Waits until another process has taken over, told after so many log entries.
    pub async fn taken_over(&mut self, entries: usize) {
        let entry = self
            .logged_after(entries, &["another process has taken over"])
            .await;
        let id = entry.split("process=").nth(1).unwrap();
        self.serving = id.trim().parse().unwrap();
    }

    /// Sends a signal: `-USR1`.
    pub async fn signal(&self, signal: &str) {
        let pid = self.serving.to_string();
        let sent = Command::new("kill")
            .args([signal, &pid])
            .status()
            .await
            .unwrap();
        assert!(sent.success());
    }
}

/// Whether a series has the same name as the wanted one, and all of its labels.
fn is_among(wanted: &str, series: &str) -> bool {
    let parts = |series: &str| {
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.trim_end_matches('}').split("\",");
        let labels = labels.map(|label| label.trim_end_matches('"').to_owned());
        (name.to_owned(), labels.collect::<Vec<_>>())
    };
    let ((wanted, labels), (name, all)) = (parts(wanted), parts(series));
    wanted == name
        && labels
            .iter()
            .all(|label| label.is_empty() || all.contains(label))
}

/// Whether a process is gone, or waits for its parent to see it.
fn has_ended(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"));
    stat.map_or(true, |stat| stat.contains(") Z "))
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Processes that have taken over are no children of this one.
        let group = format!("-{}", self.group);
        let mut kill = std::process::Command::new("kill");
        drop(
            kill.args(["-KILL", "--", &group])
                .stderr(Stdio::null())
                .status(),
        );
        if std::thread::panicking() {
            eprintln!("the gateway's log:\n{}", self.log.all().join("\n"));
        }
    }
}

/// `GET` of a path of an admin listener: status and body.
pub async fn ask_admin(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let head = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
    let (_, body) = text
        .split_once("\r\n\r\n")
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok((status.ok_or(io::ErrorKind::InvalidData)?, body.to_owned()))
}

/// Whether it is ready; panics with its log when it has ended instead.
fn ready(process: &mut Child, log: &Lines) -> Option<()> {
    if let Some(status) = process.try_wait().unwrap() {
        panic!("the gateway ended with {status}:\n{}", log.all().join("\n"));
    }
    let is_ready = |line: &String| line.split_whitespace().any(|word| word == "ready");
    log.all().iter().any(is_ready).then_some(())
}

/// The gateway's binary with these arguments; killed when its process is dropped.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command
        .args(arguments)
        .env("NO_COLOR", "1")
        .kill_on_drop(true);
    command
}

/// Runs the binary to its end.
pub async fn output(arguments: &[&str]) -> Output {
    let run = command(arguments).output();
    tokio::time::timeout(wait::DEADLINE, run)
        .await
        .expect("it ends")
        .unwrap()
}

/// `WITGATE_BIN`, or the binary beside the test executable's folder.
pub fn binary() -> PathBuf {
    let path = env::var_os("WITGATE_BIN").map(PathBuf::from);
    let path = path.unwrap_or_else(|| crate::wasm::target_dir().join("debug/witgate"));
    assert!(
        path.exists(),
        "no gateway at {}: run `cargo xtask test`",
        path.display()
    );
    path
}
