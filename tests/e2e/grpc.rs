//! gRPC as its own client and server speak it, with the gateway between them.

use std::{process::Stdio, sync::Arc};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};
use witgate_tests::{
    TempDir,
    certs::Identity,
    gateway::{Pool, Setup},
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
}

#[tokio::test]
async fn fault_35_grpc_passes_through_unchanged() {
    let server = Server::start().await;
    let pool = Pool::of(&format!(
        "endpoints = [\"127.0.0.1:{}\"]\nhttp = \"h2\"\ntrust.certificates = [\"{}\"]",
        server.port, server.fingerprint
    ));
    let gateway = Setup::new().default_pool("web", pool).start().await;
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
