//! Why an upstream handshake failed, and why the files of a pool's trust cannot be used: each
//! cause told apart, in words that an operator can act on.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, OtherError};

use super::{FileProblem, Fingerprint};

/// A file of a pool's TLS cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}{problem}", .file.as_ref().map(|file| format!("{}: ", file.display())).unwrap_or_default())]
pub struct TrustError {
    /// Where it stands below the pool: `trust.certificates[1]`, `trust.public`,
    /// `tls.client_certificate.key`.
    pub key: String,
    /// Absent for `trust.public`.
    pub file: Option<PathBuf>,
    /// What is wrong with it.
    pub problem: FileProblem,
}

impl TrustError {
    pub(super) fn at(list: &str, index: usize, file: &Path, problem: FileProblem) -> Self {
        Self {
            key: format!("trust.{list}[{index}]"),
            file: Some(file.to_owned()),
            problem,
        }
    }

    pub(super) fn platform(problem: String) -> Self {
        Self {
            key: "trust.public".to_owned(),
            file: None,
            problem: FileProblem::Platform(problem),
        }
    }
}

/// Why an endpoint's certificate was refused. The endpoint saw no byte of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustFailure {
    /// `trust.certificates` or `trust.spki`, and this certificate is not on the list.
    #[error("{fingerprint} is not on the allow-list")]
    NotAllowListed {
        /// What `trust.certificates` must hold to accept it, or for `trust.spki`, its key's.
        fingerprint: Fingerprint,
    },
    /// `trust.certificates`: not on the list, but a certificate with the same key is: it has
    /// probably been renewed.
    #[error(
        "{fingerprint} is not on the allow-list, only another certificate with its key: {listed}"
    )]
    KeyListedOnly {
        /// What `trust.certificates` must hold to accept it.
        fingerprint: Fingerprint,
        /// File name, without its folder, of the certificate that is on the list.
        listed: String,
    },
    /// The certificate, or one that it depends on, is no longer valid.
    #[error("expired at {}", humantime::format_rfc3339_seconds(*.not_after))]
    Expired {
        /// The last second of its validity.
        not_after: SystemTime,
    },
    /// The certificate, or one that it depends on, is not valid yet.
    #[error("not valid before {}", humantime::format_rfc3339_seconds(*.not_before))]
    NotYetValid {
        /// The first second of its validity.
        not_before: SystemTime,
    },
    /// `trust.roots` or `trust.public`: no chain to a listed CA.
    #[error("{fingerprint} is not issued by a trusted CA")]
    UnknownIssuer {
        /// The endpoint's certificate.
        fingerprint: Fingerprint,
    },
    /// `trust.roots` or `trust.public`: a good certificate of somebody else.
    #[error("not valid for {expected}, but for {}", names(.presented))]
    NameMismatch {
        /// The name that was asked for.
        expected: String,
        /// The names in the certificate.
        presented: Vec<String>,
    },
    /// Anything else, in words: malformed, wrong purpose, signature wrong or by another key.
    #[error("{0}")]
    Invalid(String),
}

impl TrustFailure {
    /// The fingerprint of what the endpoint presented, where it is the mend.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        match self {
            Self::NotAllowListed { fingerprint }
            | Self::KeyListedOnly { fingerprint, .. }
            | Self::UnknownIssuer { fingerprint } => Some(*fingerprint),
            Self::Expired { .. }
            | Self::NotYetValid { .. }
            | Self::NameMismatch { .. }
            | Self::Invalid(_) => None,
        }
    }
}

/// A certificate of a public service can hold hundreds of names.
const NAMES_SHOWN: usize = 8;

fn names(names: &[String]) -> String {
    match names.len() {
        0 => "no name at all".to_owned(),
        shown if shown <= NAMES_SHOWN => names.join(", "),
        all => {
            let shown: Vec<_> = names.iter().take(NAMES_SHOWN).map(String::as_str).collect();
            format!("{} and {} more", shown.join(", "), all - NAMES_SHOWN)
        }
    }
}

impl From<TrustFailure> for Error {
    fn from(failure: TrustFailure) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(failure))))
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
    /// ALPN has come to nothing.
    #[error("the endpoint speaks none of the versions of HTTP that it was offered")]
    Protocol,
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
        Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            return HandshakeFailure::Protocol;
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

fn trust_failure(problem: &CertificateError) -> TrustFailure {
    let found = match problem {
        CertificateError::Other(OtherError(cause)) => cause.downcast_ref(),
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
