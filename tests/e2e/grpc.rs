//! gRPC as its own client and server speak it, with the gateway between them.

use std::{process::Stdio, sync::Arc};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};
use witgate_tests::{
    TempDir,
    certs::Identity,
    gateway::{Gateway, Pool, Setup},
    peers::{python, script},
    wait,
};

/// The server in Python; ends with the test.
struct Server {
    _process: Child,
    port: u16,
    fingerprint: String,
    _dir: TempDir,
}

impl Server {
    async fn start() -> Self {
        let identity = Arc::new(Identity::self_signed(&["web.internal"]));
        let dir = TempDir::new().unwrap();
        identity.write(dir.path(), "web");
        let mut process = Command::new(python())
            .arg(script("grpc_server.py"))
            .args([dir.path().join("web.pem"), dir.path().join("web.key")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = timeout(wait::DEADLINE, lines.next_line()).await;
        let line = line.expect("a port in time").unwrap();
        Self {
            _process: process,
            port: line.expect("a port").parse().unwrap(),
            fingerprint: identity.fingerprint(),
            _dir: dir,
        }
    }

    fn pool(&self) -> Pool {
        Pool::of(&format!(
            "endpoints = [\"127.0.0.1:{}\"]\nhttp = \"h2\"\ntrust.certificates = [\"{}\"]",
            self.port, self.fingerprint
        ))
    }
}

#[tokio::test]
async fn fault_35_grpc_passes_through_unchanged() {
    let server = Server::start().await;
    let setup = Setup::new().default_pool("web", server.pool());
    let gateway = setup.start().await;
    let checks = Command::new(python())
        .arg(script("grpc_client.py"))
        .arg(gateway.address().port().to_string())
        .arg(gateway.setup().root_file())
        .kill_on_drop(true)
        .output();
    let checks = timeout(4 * wait::DEADLINE, checks)
        .await
        .expect("an end")
        .unwrap();
    let (held, problems) = (
        String::from_utf8_lossy(&checks.stdout),
        String::from_utf8_lossy(&checks.stderr),
    );
    assert!(checks.status.success(), "{held}\n{problems}");
    assert_eq!(held.lines().count(), 12, "{held}");
    let line = gateway
        .access_line_where(|line| line["path"] == "/test.Test/Echo")
        .await;
    assert_eq!(line["upstream_version"], "HTTP/2", "{line}");
}

/// A stream both ways of gRPC's own client, whose server gives back what comes.
struct Stream {
    _process: Child,
    messages: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Stream {
    fn through(gateway: &Gateway) -> Self {
        let mut process = Command::new(python())
            .arg(script("grpc_stream.py"))
            .arg(gateway.address().port().to_string())
            .arg(gateway.setup().root_file())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap()).lines();
        Self {
            messages: process.stdin.take(),
            answers,
            _process: process,
        }
    }

    async fn answer(&mut self) -> String {
        let line = timeout(wait::DEADLINE, self.answers.next_line()).await;
        line.expect("an answer in time").unwrap().expect("a line")
    }

    async fn works(&mut self, message: &str) {
        let messages = self.messages.as_mut().unwrap();
        let line = format!("{message}\n");
        messages.write_all(line.as_bytes()).await.unwrap();
        assert_eq!(self.answer().await, message);
    }

    async fn ends_well(mut self) {
        self.messages = None;
        assert_eq!(self.answer().await, "StatusCode.OK");
    }
}

#[tokio::test]
async fn fault_55_a_grpc_stream_lives_through_a_reload_and_an_upgrade() {
    let (server, other) = (Server::start().await, Server::start().await);
    let setup = Setup::new().default_pool("web", server.pool());
    let mut gateway = setup.start().await;
    let mut stream = Stream::through(&gateway);
    stream.works("at the start").await;
    // Its endpoint goes, and its listener serves another pool.
    gateway.configure(|setup| setup.pool("web", other.pool().with("drain_for = \"0s\"")));
    gateway.reload().await;
    stream.works("after a reload").await;
    let before = gateway.log().len();
    gateway.signal("-USR2").await;
    gateway.taken_over(before).await;
    stream.works("after an upgrade").await;
    let mut next = Stream::through(&gateway);
    next.works("on the next process").await;
    stream.works("beside it").await;
    stream.ends_well().await;
    assert_eq!(gateway.exit().await.code(), Some(0));
    next.ends_well().await;
}

#[tokio::test]
async fn fault_53_a_grpc_stream_has_the_grace_period() {
    let server = Server::start().await;
    let setup = Setup::new().default_pool("web", server.pool());
    let mut gateway = setup.start().await;
    let mut stream = Stream::through(&gateway);
    stream.works("at the start").await;
    gateway.terminate().await;
    gateway.logged(&["draining"]).await;
    stream.works("in the drain").await;
    stream.ends_well().await;
    assert_eq!(gateway.exit().await.code(), Some(0));
}
