//! What `cargo xtask bench` needs of a TLS client that tools of others do not do: certificates to
//! start with, a new connection for each request, connections that idle, and a first answer to
//! wait for. Blocking, a thread for each client; it speaks HTTP/1.1 and TLS 1.3 alone.
#![allow(
    clippy::unwrap_used,
    reason = "a tool for one machine: it may stop at any surprise"
)]

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use clap::{Args, Parser};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned, client::Resumption,
    crypto::aws_lc_rs, version::TLS13,
};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use witgate_tests::certs::Authority;

/// Longest wait for one piece of an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries of `until`.
const PAUSE: Duration = Duration::from_millis(1);
/// More than the head of any answer here.
const BUFFER: usize = 16 * 1024;

/// The client of `cargo xtask bench`.
#[derive(Debug, Parser)]
enum Task {
    /// Writes `ca`, `front` (for localhost) and `back` (for backend.test), each as .pem and .key
    Certs {
        /// Where to
        dir: PathBuf,
    },
    /// Opens a connection for each request; prints requests, resumed handshakes and failures
    Connect {
        #[command(flatten)]
        target: Target,
        /// For so many seconds
        #[arg(long)]
        seconds: u64,
        /// Clients at a time
        #[arg(long, default_value_t = 2)]
        clients: usize,
        /// Resumes the session of the connection before
        #[arg(long)]
        resume: bool,
    },
    /// Opens connections, makes a request on each, prints `ready` and holds them until stdin ends
    Hold {
        #[command(flatten)]
        target: Target,
        /// How many
        #[arg(long)]
        connections: usize,
    },
    /// Asks again and again until an answer is 200 and has all of the text; prints its head
    Until(Until),
}

#[derive(Debug, Args)]
struct Target {
    /// The gateway
    #[arg(long)]
    address: SocketAddr,
    /// What it must be certified by
    #[arg(long)]
    ca: PathBuf,
    /// What is asked for
    #[arg(long, default_value = "/128")]
    path: String,
}

#[derive(Debug, Args)]
struct Until {
    #[command(flatten)]
    target: Target,
    /// A part of the head, in lower case
    #[arg(long, default_value = "")]
    has: String,
    /// Gives up after so many seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

fn main() {
    match Task::parse() {
        Task::Certs { dir } => certificates(&dir),
        Task::Connect {
            target,
            seconds,
            clients,
            resume,
        } => connect(&target, Duration::from_secs(seconds), clients, resume),
        Task::Hold {
            target,
            connections,
        } => hold(&target, connections),
        Task::Until(task) => until(&task),
    }
}

fn certificates(dir: &Path) {
    let authority = Authority::new("Witgate bench");
    authority.write(dir, "ca");
    authority.issue(&["localhost"]).write(dir, "front");
    authority
        .issue(&["backend.test", "localhost"])
        .write(dir, "back");
}

/// X25519 and AES-128-GCM alone, as the other load generators are told: the same cryptography
/// for all.
fn config(ca: &Path, resumption: Resumption) -> Arc<ClientConfig> {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
    provider.cipher_suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256];
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(ca).unwrap())
        .unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = resumption;
    Arc::new(config)
}

/// One connection to the gateway.
struct Connection(StreamOwned<ClientConnection, TcpStream>);

impl Connection {
    fn open(target: &Target, config: &Arc<ClientConfig>) -> io::Result<Self> {
        let tcp = TcpStream::connect(target.address)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from("localhost").unwrap();
        let tls = ClientConnection::new(Arc::clone(config), name).unwrap();
        Ok(Self(StreamOwned::new(tls, tcp)))
    }

    /// Sends a request and reads the whole answer; returns its head.
    fn get(&mut self, target: &Target, fields: &str) -> io::Result<String> {
        let path = &target.path;
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n");
        self.0.write_all(request.as_bytes())?;
        let mut answer = Vec::with_capacity(BUFFER);
        let (head, mut missing) = loop {
            self.read(&mut answer)?;
            if let Some(end) = answer.windows(4).position(|part| part == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
                let body = length(&head);
                break (head, (end + 4 + body).saturating_sub(answer.len()));
            }
        };
        while missing > 0 {
            answer.clear();
            missing = missing.saturating_sub(self.read(&mut answer)?);
        }
        Ok(head)
    }

    fn read(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        let mut buffer = [0; BUFFER];
        let read = self.0.read(&mut buffer)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        into.extend_from_slice(&buffer[..read]);
        Ok(read)
    }

    /// Reads what the server still sends, tickets among it, to the end.
    fn close(mut self) {
        self.0.conn.send_close_notify();
        let _ = self.0.flush();
        let _ = self.0.read_to_end(&mut Vec::new());
    }

    fn is_resumed(&self) -> bool {
        self.0.conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }
}

/// The body's length, by the head in lower case; nothing here is sent in chunks.
fn length(head: &str) -> usize {
    let line = |line: &str| line.strip_prefix("content-length:")?.trim().parse().ok();
    head.lines().find_map(line).unwrap_or(0)
}

fn is_200(head: &str) -> bool {
    head.starts_with("http/1.1 200")
}

fn connect(target: &Target, time: Duration, clients: usize, resume: bool) {
    let count = || {
        let resumption = match resume {
            true => Resumption::in_memory_sessions(8),
            false => Resumption::disabled(),
        };
        let config = config(&target.ca, resumption);
        let (mut requests, mut resumed, mut failed) = (0_u64, 0_u64, 0_u64);
        let begin = Instant::now();
        while begin.elapsed() < time {
            let answered = Connection::open(target, &config).and_then(|mut connection| {
                let head = connection.get(target, "connection: close\r\n")?;
                resumed += u64::from(connection.is_resumed());
                connection.close();
                Ok(is_200(&head))
            });
            requests += 1;
            failed += u64::from(!answered.unwrap_or(false));
        }
        [requests, resumed, failed]
    };
    let all = thread::scope(|scope| {
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(count)).collect();
        clients.into_iter().fold([0; 3], |sum, client| {
            let one = client.join().unwrap();
            [0, 1, 2].map(|at| sum[at] + one[at])
        })
    });
    println!("{} {} {}", all[0], all[1], all[2]);
}

fn hold(target: &Target, connections: usize) {
    let config = config(&target.ca, Resumption::disabled());
    let held: Vec<_> = (0..connections)
        .map(|_| {
            let mut connection = Connection::open(target, &config).unwrap();
            let head = connection.get(target, "").unwrap();
            assert!(is_200(&head), "{head}");
            connection
        })
        .collect();
    println!("ready");
    let _ = io::stdin().read_to_end(&mut Vec::new());
    drop(held);
}

/// Keeps its connection while that lasts, so that a change is seen by one that was there before.
fn until(task: &Until) {
    let config = config(&task.target.ca, Resumption::disabled());
    let begin = Instant::now();
    let mut connection: Option<Connection> = None;
    let mut last = String::new();
    while begin.elapsed() < Duration::from_secs(task.seconds) {
        let mut ask = || -> io::Result<String> {
            let mut open = match connection.take() {
                Some(open) => open,
                None => Connection::open(&task.target, &config)?,
            };
            let head = open.get(&task.target, "")?;
            connection = Some(open);
            Ok(head)
        };
        match ask() {
            Ok(head) if is_200(&head) && head.contains(&task.has) => {
                println!("{head}");
                return;
            }
            Ok(head) => last = head,
            Err(error) => last = error.to_string(),
        }
        thread::sleep(PAUSE);
    }
    eprintln!("not within {} s; the last was: {last}", task.seconds);
    std::process::exit(1);
}
