//! TLS towards endpoints: a pool's trust becomes a client configuration, a failed handshake
//! becomes a cause that people can act on.

use std::{sync::Arc, time::SystemTime};

use rustls::{
    ClientConfig, ClientConnection, HandshakeKind,
    client::Resumption,
    sign::{CertifiedKey, SingleCertAndKey},
};
use rustls_pki_types::{ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};

pub use super::failure::{HandshakeFailure, TrustError, TrustFailure, failure};
use super::{
    Alpn, PoolDeadline, Use,
    identity::{self, IdentityFile},
    leaf, provider,
    trust::{Verifier, in_time},
    versions,
};
use crate::config::{ClientIdentity, PoolTls, TlsVersion, Trust};

/// What connections to one pool's endpoints need.
#[derive(Debug)]
pub struct Context {
    config: Arc<ClientConfig>,
    deadlines: Vec<PoolDeadline>,
}

impl Context {
    /// Reads the files of `trust` and `tls`: sessions are resumed, ALPN is as each connection
    /// says. Blocks on files.
    ///
    /// # Errors
    /// The first file that cannot be used; a key that does not fit its chain.
    pub fn load(trust: &Trust, tls: &PoolTls) -> Result<Self, TrustError> {
        let verifier = Verifier::new(trust)?;
        let mut deadlines = verifier.deadlines().to_vec();
        let own = tls.client_certificate.as_ref();
        let own = own.map(client_certificate).transpose()?;
        let own = own.map(|(certificate, deadline)| {
            deadlines.push(deadline);
            certificate
        });
        let config = client_config(verifier, own, tls.min_version);
        Ok(Self {
            config: Arc::new(config),
            deadlines,
        })
    }

    /// For the handshakes themselves.
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// The last second of the certificate that is presented, where there is one.
    pub fn own_end(&self) -> Option<SystemTime> {
        let mut deadlines = self.deadlines.iter();
        let own = deadlines.find(|deadline| deadline.purpose == Use::Own)?;
        Some(own.not_after)
    }

    /// Until when the certificates of its files are valid.
    pub fn deadlines(&self) -> &[PoolDeadline] {
        &self.deadlines
    }
}

fn client_config(verifier: Verifier, own: Option<CertifiedKey>, min: TlsVersion) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions(min, TlsVersion::V13))
        .expect("the provider supports TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match own {
        Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own))),
        None => builder.with_no_client_auth(),
    };
    config.resumption = sessions();
    config
}

fn client_certificate(files: &ClientIdentity) -> Result<(CertifiedKey, PoolDeadline), TrustError> {
    let ClientIdentity { chain, key } = files;
    let (own, leaf) = identity::read(chain, key).map_err(|(file, problem)| TrustError {
        key: format!("tls.client_certificate.{}", file.name()),
        file: Some(match file {
            IdentityFile::Chain => chain.clone(),
            IdentityFile::Key => key.clone(),
        }),
        problem,
    })?;
    let deadline = PoolDeadline {
        purpose: Use::Own,
        file: chain.clone(),
        not_after: leaf.validity.end(),
    };
    Ok((own, deadline))
}

/// The same rules with sessions of its own, for another endpoint: one endpoint's session is
/// never offered to another.
pub fn with_own_sessions(config: &ClientConfig) -> Arc<ClientConfig> {
    let mut own = config.clone();
    own.resumption = sessions();
    Arc::new(own)
}

/// Names of one endpoint whose sessions are kept, the last used; all but pools that take the
/// name from the request have one.
const SESSION_NAMES: usize = 64;

fn sessions() -> Resumption {
    Resumption::in_memory_sessions(SESSION_NAMES)
}

/// Does the handshake. `name` is verified where the trust asks for it, and sent as SNI unless
/// it is an IP address. A resumed session does not show its certificate again, so the one it
/// started with is checked for expiry. Says which of the protocols in `offers` the endpoint
/// has chosen; HTTP/1.1, unless only others are offered, when it does not know of ALPN.
///
/// # Errors
/// See [`HandshakeFailure`]; `stream` is closed then.
pub async fn connect<S>(
    config: &Arc<ClientConfig>,
    name: ServerName<'static>,
    offers: &[Alpn],
    stream: S,
) -> Result<(TlsStream<S>, Alpn), HandshakeFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let connector = TlsConnector::from(Arc::clone(config));
    let protocols = offers.iter().map(|alpn| alpn.as_str().into()).collect();
    let stream = connector.with_alpn(protocols).connect(name, stream).await;
    let stream = stream.map_err(|error| failure(&error))?;
    still_valid(stream.get_ref().1, config.time_provider.current_time())
        .map_err(HandshakeFailure::Untrusted)?;
    let chosen = match stream.get_ref().1.alpn_protocol() {
        Some(name) => Alpn::from_wire(name),
        None => Some(Alpn::H1).filter(|alpn| offers.is_empty() || offers.contains(alpn)),
    };
    let chosen = chosen.ok_or(HandshakeFailure::Protocol)?;
    Ok((stream, chosen))
}

/// The last second of the certificate that a connection was opened under, or its session.
pub fn end(connection: &ClientConnection) -> Option<SystemTime> {
    connection.peer_certificates()?.first().and_then(leaf::end)
}

fn still_valid(connection: &ClientConnection, now: Option<UnixTime>) -> Result<(), TrustFailure> {
    if connection.handshake_kind() != Some(HandshakeKind::Resumed) {
        return Ok(());
    }
    match connection.peer_certificates().and_then(<[_]>::first) {
        Some(leaf) => in_time(leaf, now.unwrap_or_else(UnixTime::now)),
        None => Ok(()),
    }
}
