//! An endpoint that tells each request what its TLS handshake was like, and can be strict.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};
use rustls_pki_types::CertificateDer;
use serde::Deserialize;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

use crate::certs::{Identity, hex, sha256};

/// What an endpoint says of the connection that a request came on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Handshake {
    /// The connection's number, from 1.
    pub connection: u64,
    /// As the gateway asked for it (SNI).
    pub server_name: Option<String>,
    /// Whether the session was resumed.
    pub resumed: bool,
    /// `TLSv1_3`.
    pub version: String,
    /// The gateway's own certificate.
    pub client: Option<String>,
}

/// How strict an endpoint is.
#[derive(Debug, Clone)]
pub struct TlsServer {
    identity: Arc<Identity>,
    versions: Vec<&'static SupportedProtocolVersion>,
    clients: Option<CertificateDer<'static>>,
    alpn: Vec<Vec<u8>>,
}

/// A running endpoint; stops when dropped.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    connections: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

impl TlsServer {
    /// One with this identity and no wishes.
    pub fn new(identity: &Arc<Identity>) -> Self {
        Self {
            identity: Arc::clone(identity),
            versions: vec![&TLS13, &TLS12],
            clients: None,
            alpn: Vec::new(),
        }
    }

    /// Speaks TLS 1.2 alone.
    pub fn tls12(mut self) -> Self {
        self.versions = vec![&TLS12];
        self
    }

    /// Wants certificates that this root has issued.
    pub fn clients_of(mut self, root: CertificateDer<'static>) -> Self {
        self.clients = Some(root);
        self
    }

    /// Speaks this protocol alone.
    pub fn alpn(mut self, protocol: &str) -> Self {
        self.alpn = vec![protocol.into()];
        self
    }

    /// Starts it on a free port of the loopback.
    pub async fn start(self) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(self.config()));
        let connections = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            let mut tasks = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let number = counter.fetch_add(1, Ordering::Relaxed) + 1;
                tasks.spawn(serve(stream, acceptor.clone(), number));
            }
        });
        Running {
            address,
            connections,
            accepting,
        }
    }

    fn config(&self) -> ServerConfig {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&self.versions)
            .unwrap();
        let builder = match &self.clients {
            Some(root) => {
                let mut roots = RootCertStore::empty();
                roots.add(root.clone()).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
            None => builder.with_no_client_auth(),
        };
        let chain = vec![self.identity.certificate()];
        let mut config = builder
            .with_single_cert(chain, self.identity.key())
            .unwrap();
        config.alpn_protocols = self.alpn.clone();
        config
    }
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// TCP connections so far.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Answers each head of a request, and reads no bodies.
async fn serve(stream: TcpStream, acceptor: TlsAcceptor, connection: u64) {
    let Ok(mut stream) = acceptor.accept(stream).await else {
        return;
    };
    let (_, session) = stream.get_ref();
    let resumed = session.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
    let client = session.peer_certificates().and_then(<[_]>::first);
    let body = json!({
        "connection": connection,
        "server_name": session.server_name(),
        "resumed": resumed,
        "version": format!("{:?}", session.protocol_version().unwrap()),
        "client": client.map(|der| format!("sha256:{}", hex(&sha256(der)))),
    })
    .to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut head = Vec::new();
    while matches!(stream.read_buf(&mut head).await, Ok(1..)) {
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            if stream.write_all(answer.as_bytes()).await.is_err() || stream.flush().await.is_err() {
                return;
            }
        }
    }
}
