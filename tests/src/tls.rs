//! Clients that say exactly what they offer in a TLS handshake, and tell what came of it.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Output, Stdio},
    sync::Arc,
    time::Duration,
};

use rustls::{
    CipherSuite, ClientConfig, HandshakeKind, NamedGroup, ProtocolVersion, RootCertStore,
    SupportedCipherSuite, SupportedProtocolVersion,
    crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs},
    version::{TLS12, TLS13},
};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{certs::Identity, client::Error};

/// What a client offers; everything that rustls has, unless told.
#[derive(Debug, Clone)]
pub struct Offer {
    root: CertificateDer<'static>,
    provider: CryptoProvider,
    versions: Vec<&'static SupportedProtocolVersion>,
    identity: Option<(Vec<CertificateDer<'static>>, Arc<Identity>)>,
}

impl Offer {
    /// Trusts this root alone.
    pub fn trusting(root: CertificateDer<'static>) -> Self {
        Self {
            root,
            provider: aws_lc_rs::default_provider(),
            versions: vec![&TLS13, &TLS12],
            identity: None,
        }
    }

    /// TLS 1.2 alone.
    pub fn tls12(mut self) -> Self {
        self.versions = vec![&TLS12];
        self
    }

    /// TLS 1.3 alone.
    pub fn tls13(mut self) -> Self {
        self.versions = vec![&TLS13];
        self
    }

    /// These groups alone, in this order.
    pub fn groups(mut self, groups: &[&'static dyn SupportedKxGroup]) -> Self {
        self.provider.kx_groups = groups.to_vec();
        self
    }

    /// These suites alone, in this order.
    pub fn suites(mut self, suites: &[SupportedCipherSuite]) -> Self {
        self.provider.cipher_suites = suites.to_vec();
        self
    }

    /// This certificate, where the server asks for one; its issuers behind it.
    pub fn identity(
        mut self,
        identity: Arc<Identity>,
        issuers: &[CertificateDer<'static>],
    ) -> Self {
        let chain = [&[identity.certificate()], issuers].concat();
        self.identity = Some((chain, identity));
        self
    }

    /// A client that keeps sessions from one handshake to the next.
    pub fn client(self) -> TlsClient {
        let mut roots = RootCertStore::empty();
        roots.add(self.root).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(self.provider))
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match self.identity {
            Some((chain, identity)) => builder
                .with_client_auth_cert(chain, identity.key())
                .unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        TlsClient(Arc::new(config))
    }
}

/// A client of the gateway's TLS.
#[derive(Debug, Clone)]
pub struct TlsClient(Arc<ClientConfig>);

/// What a handshake came to, and the answer to a `GET` behind it.
#[derive(Debug)]
pub struct Outcome {
    /// Agreed on.
    pub version: ProtocolVersion,
    /// Agreed on.
    pub suite: CipherSuite,
    /// Agreed on; none in a resumed TLS 1.2 session.
    pub group: Option<NamedGroup>,
    /// Whole or resumed.
    pub kind: HandshakeKind,
    /// The gateway's own.
    pub certificate: CertificateDer<'static>,
    /// Head and body as text.
    pub answer: String,
}

impl TlsClient {
    /// For a connection that a test moves the bytes of.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }

    /// A handshake under this name.
    pub async fn connect(
        &self,
        address: SocketAddr,
        name: &str,
    ) -> Result<TlsStream<TcpStream>, Error> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(name.to_owned())?;
        Ok(TlsConnector::from(Arc::clone(&self.0))
            .connect(name, tcp)
            .await?)
    }

    /// A handshake under this name and a `GET /` for this host, both to their ends.
    pub async fn get(&self, address: SocketAddr, name: &str, host: &str) -> Result<Outcome, Error> {
        let mut stream = self.connect(address, name).await?;
        let head = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let (_, session) = stream.get_ref();
        Ok(Outcome {
            version: session.protocol_version().ok_or("no version")?,
            suite: session.negotiated_cipher_suite().ok_or("no suite")?.suite(),
            group: session
                .negotiated_key_exchange_group()
                .map(|group| group.name()),
            kind: session.handshake_kind().ok_or("no handshake")?,
            certificate: session.peer_certificates().ok_or("no certificate")?[0].clone(),
            answer: String::from_utf8(answer)?,
        })
    }
}

impl Outcome {
    /// The status of the answer.
    pub fn status(&self) -> u16 {
        let status = self.answer.split(' ').nth(1).unwrap_or("");
        status
            .parse()
            .unwrap_or_else(|_| panic!("{:?}", self.answer))
    }
}

/// How long one run of openssl may take.
const LIMIT: Duration = Duration::from_secs(20);

/// Runs openssl with these arguments, its files in `dir`, `input` on its standard input.
pub async fn openssl(dir: &Path, arguments: &[&str], input: &str) -> Output {
    let mut process = Command::new("openssl")
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("openssl is installed");
    let mut pipe = process.stdin.take().unwrap();
    let _ = pipe.write_all(input.as_bytes()).await;
    drop(pipe);
    let ended = tokio::time::timeout(LIMIT, process.wait_with_output()).await;
    ended.expect("openssl ends").unwrap()
}

/// Runs `openssl s_client` against the gateway, under `shop.example`, with these arguments
/// besides; returns all that it prints.
pub async fn s_client(dir: &Path, address: SocketAddr, arguments: &[&str]) -> String {
    let address = address.to_string();
    let mut all = vec!["s_client", "-connect", &address, "-CAfile", "root.pem"];
    if !arguments.contains(&"-servername") && !arguments.contains(&"-noservername") {
        all.extend(["-servername", "shop.example"]);
    }
    all.extend(arguments);
    let output = openssl(dir, &all, "").await;
    let printed = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&printed).into_owned()
}
