//! TLS towards endpoints: a pool's trust becomes a client configuration, a failed handshake
//! becomes a cause that people can act on.

use std::sync::Arc;

use rustls::{
    ClientConfig, ClientConnection, HandshakeKind,
    version::{TLS12, TLS13},
};
use rustls_pki_types::{ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};

pub use super::failure::{HandshakeFailure, TrustError, TrustFailure, failure};
use super::{
    Alpn, provider,
    trust::{Verifier, in_time},
};

/// Reads the files of `trust` and builds the configuration for connections to one pool:
/// TLS 1.2 and 1.3, ALPN `http/1.1`, sessions resumed. Blocks on files.
///
/// # Errors
/// The first file that cannot be used.
pub fn client_config(trust: &crate::config::Trust) -> Result<Arc<ClientConfig>, TrustError> {
    let verifier = Verifier::new(trust)?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .expect("the provider supports TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![Alpn::H1.as_str().into()];
    Ok(Arc::new(config))
}

/// Does the handshake. `name` is verified where the trust asks for it, and sent as SNI unless
/// it is an IP address. A resumed session does not show its certificate again, so the one it
/// started with is checked for expiry.
///
/// # Errors
/// See [`HandshakeFailure`]; `stream` is closed then.
pub async fn connect<S>(
    config: &Arc<ClientConfig>,
    name: ServerName<'static>,
    stream: S,
) -> Result<TlsStream<S>, HandshakeFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let connector = TlsConnector::from(Arc::clone(config));
    let stream = connector.connect(name, stream).await;
    let stream = stream.map_err(|error| failure(&error))?;
    still_valid(stream.get_ref().1, config.time_provider.current_time())
        .map_err(HandshakeFailure::Untrusted)?;
    Ok(stream)
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
