//! TLS towards endpoints: a pool's trust becomes a client configuration, a failed handshake
//! becomes a cause that people can act on.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    AlertDescription, ClientConfig, ClientConnection, Error, HandshakeKind, InvalidMessage,
    OtherError,
    version::{TLS12, TLS13},
};
use rustls_pki_types::{ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};

pub use super::trust::TrustFailure;
use super::{
    Alpn, FileProblem, provider,
    trust::{Verifier, in_time},
};

/// A file of a pool's trust cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}{problem}", .file.as_ref().map(|file| format!("{}: ", file.display())).unwrap_or_default())]
pub struct TrustError {
    /// Where it stands below `trust`: `certificates[1]`, `roots[0]` or `public`.
    pub key: String,
    /// Counted from 0; none for `public`.
    pub index: Option<usize>,
    /// Absent for `public`.
    pub file: Option<PathBuf>,
    /// What is wrong with it.
    pub problem: FileProblem,
}

impl TrustError {
    pub(super) fn at(list: &str, index: usize, file: &Path, problem: FileProblem) -> Self {
        Self {
            key: format!("{list}[{index}]"),
            index: Some(index),
            file: Some(file.to_owned()),
            problem,
        }
    }

    pub(super) fn platform(problem: String) -> Self {
        Self {
            key: "public".to_owned(),
            index: None,
            file: None,
            problem: FileProblem::Platform(problem),
        }
    }
}

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

/// Why a handshake with an endpoint failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeFailure {
    /// The pool does not accept the endpoint's certificate.
    #[error(transparent)]
    Untrusted(TrustFailure),
    /// The two could not agree, or the endpoint does not speak TLS; in plain words.
    #[error("{0}")]
    Tls(String),
    /// The endpoint closed or reset the connection.
    #[error("the endpoint closed the connection during the TLS handshake")]
    Closed,
    /// The network failed in another way.
    #[error("the connection failed during the TLS handshake: {0}")]
    Io(ErrorKind),
}

/// Finds the cause of an error from a TLS stream, also after the handshake: an endpoint's
/// refusal can arrive with the first read.
pub fn failure(error: &io::Error) -> HandshakeFailure {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref());
    match cause {
        Some(cause) => tls_failure(cause),
        None => match error.kind() {
            ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::NotConnected => HandshakeFailure::Closed,
            kind => HandshakeFailure::Io(kind),
        },
    }
}

fn tls_failure(error: &Error) -> HandshakeFailure {
    HandshakeFailure::Tls(match error {
        Error::InvalidCertificate(problem) => {
            return HandshakeFailure::Untrusted(trust_failure(problem));
        }
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the endpoint does not speak TLS on this port".to_owned()
        }
        Error::InvalidMessage(InvalidMessage::UnknownProtocolVersion) => {
            "the endpoint speaks no TLS version that is known".to_owned()
        }
        Error::AlertReceived(alert) => alert_in_words(*alert),
        Error::PeerIncompatible(reason) => {
            format!("the endpoint supports no common TLS version or cipher suite: {reason:?}")
        }
        Error::NoCertificatesPresented => "the endpoint presented no certificate".to_owned(),
        Error::PeerMisbehaved(reason) => {
            format!("the endpoint broke the TLS protocol: {reason:?}")
        }
        Error::InvalidMessage(reason) => {
            format!("the endpoint sent a malformed TLS message: {reason:?}")
        }
        other => other.to_string(),
    })
}

fn trust_failure(problem: &rustls::CertificateError) -> TrustFailure {
    let found = match problem {
        rustls::CertificateError::Other(OtherError(cause)) => cause.downcast_ref(),
        _ => None,
    };
    found
        .cloned()
        .unwrap_or_else(|| TrustFailure::Invalid(problem.to_string()))
}

fn alert_in_words(alert: AlertDescription) -> String {
    let meaning = match alert {
        AlertDescription::HandshakeFailure => {
            "no common cipher suite, or it wants more than we offer"
        }
        AlertDescription::ProtocolVersion => "it supports neither TLS 1.2 nor 1.3",
        AlertDescription::UnrecognisedName => "it does not know the server name",
        AlertDescription::NoApplicationProtocol => "it does not speak http/1.1",
        AlertDescription::CertificateRequired => "it wants a client certificate",
        AlertDescription::InsufficientSecurity => "it wants stronger cipher suites",
        AlertDescription::InternalError => "it has an internal error",
        _ => {
            return format!(
                "the endpoint refused with the TLS alert {}",
                alert_name(alert)
            );
        }
    };
    format!(
        "the endpoint refused with the TLS alert {}: {meaning}",
        alert_name(alert)
    )
}

/// The alert's name as RFC 8446 §6 writes it: `handshake_failure`.
fn alert_name(alert: AlertDescription) -> String {
    let Some(name) = alert.as_str() else {
        return u8::from(alert).to_string();
    };
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() && !snake.ends_with(char::is_uppercase)
        {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
