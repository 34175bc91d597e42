//! Why handshakes with clients fail, as operators tell them apart.

use std::io;

use rustls::{CertificateError, Error, InvalidMessage};

/// A kind of failed handshake; a metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeCause {
    /// It took longer than `timeouts.tls_handshake`.
    Timeout,
    /// The client went away in the middle.
    Closed,
    /// What came was no TLS.
    NotTls,
    /// No version, suite, group or signature in common.
    Incompatible,
    /// The client's certificate is missing or not good.
    ClientCertificate,
    /// It has been revoked.
    ClientCertificateRevoked,
    /// `unknown_names = "refuse"`, and it asked for none of the names.
    UnknownName,
    /// The client refused, with an alert: it does not trust the certificate, for one.
    RefusedByClient,
    /// Against the rules of TLS.
    Protocol,
}

impl HandshakeCause {
    /// All, in the order of their indexes.
    pub const ALL: [Self; 9] = [
        Self::Timeout,
        Self::Closed,
        Self::NotTls,
        Self::Incompatible,
        Self::ClientCertificate,
        Self::ClientCertificateRevoked,
        Self::UnknownName,
        Self::RefusedByClient,
        Self::Protocol,
    ];

    /// Its place in [`HandshakeCause::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// The label: `client-certificate`.
    pub fn token(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::NotTls => "not-tls",
            Self::Incompatible => "incompatible",
            Self::ClientCertificate => "client-certificate",
            Self::ClientCertificateRevoked => "client-certificate-revoked",
            Self::UnknownName => "unknown-name",
            Self::RefusedByClient => "refused-by-client",
            Self::Protocol => "protocol",
        }
    }

    /// Of the error that a handshake has ended with.
    pub fn of(error: &io::Error) -> Self {
        let cause = error.get_ref().and_then(|inner| inner.downcast_ref());
        match cause {
            Some(Error::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            )) => Self::NotTls,
            Some(Error::PeerIncompatible(_)) => Self::Incompatible,
            Some(Error::InvalidCertificate(CertificateError::Revoked)) => {
                Self::ClientCertificateRevoked
            }
            Some(Error::NoCertificatesPresented | Error::InvalidCertificate(_)) => {
                Self::ClientCertificate
            }
            Some(Error::AlertReceived(_)) => Self::RefusedByClient,
            // A server's only general error: the resolver has found no certificate.
            Some(Error::General(_)) => Self::UnknownName,
            Some(_) => Self::Protocol,
            None if error.kind() == io::ErrorKind::TimedOut => Self::Timeout,
            None => Self::Closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_stands_at_its_own_place() {
        for (index, cause) in HandshakeCause::ALL.into_iter().enumerate() {
            assert_eq!(cause.index(), index, "{cause:?}");
        }
    }
}
