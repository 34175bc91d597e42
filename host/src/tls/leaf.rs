//! What a certificate says about itself: its names, its key and its time of validity. It
//! reads, and verifies nothing.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};

use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::{extensions::GeneralName, prelude::X509Certificate};

use super::{Fingerprint, failure::TrustFailure, plain_name};

/// The parts of a certificate that the gateway looks at.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    /// Lower case, without a final dot; DNS names and IP addresses. The common name when the
    /// certificate has no subject alternative names.
    pub(super) names: Vec<Box<str>>,
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub(super) key: Fingerprint,
    pub(super) validity: Validity,
}

impl Leaf {
    /// Reads a certificate, or says why that is impossible.
    pub(super) fn read(certificate: &CertificateDer<'_>) -> Result<Self, String> {
        // webpki first: what it cannot read, rustls cannot use in a handshake either.
        let key = key(certificate)?;
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
            .map_err(|error| format!("it is not an X.509 certificate ({error})"))?;
        Ok(Self {
            names: names(&parsed),
            key,
            validity: Validity {
                not_before: parsed.validity().not_before.timestamp(),
                not_after: parsed.validity().not_after.timestamp(),
            },
        })
    }

    /// Its names for people.
    pub(super) fn subject(&self) -> String {
        if self.names.is_empty() {
            return "which names nobody".to_owned();
        }
        format!("which is for {}", self.names.join(", "))
    }
}

/// The last second of a certificate, of a CA or not; none when it cannot be read.
pub(super) fn end(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(time(parsed.validity().not_after.timestamp()))
}

/// SHA-256 of a certificate's SubjectPublicKeyInfo.
pub(super) fn key(certificate: &CertificateDer<'_>) -> Result<Fingerprint, String> {
    let parsed = webpki::EndEntityCert::try_from(certificate).map_err(|error| match error {
        webpki::Error::UnsupportedCertVersion => {
            "it is not of X.509 version 3, and older ones are not supported".to_owned()
        }
        webpki::Error::UnsupportedCriticalExtension => {
            "it has a critical extension that is not supported".to_owned()
        }
        other => format!("it is not a well-formed X.509 certificate ({other})"),
    })?;
    Ok(Fingerprint::of(&parsed.subject_public_key_info()))
}

/// From when to when a certificate is valid, in seconds since 1970, both inclusive
/// (RFC 5280 §4.1.2.5).
#[derive(Debug, Clone, Copy)]
pub(super) struct Validity {
    not_before: i64,
    not_after: i64,
}

impl Validity {
    pub(super) fn check(self, now: UnixTime) -> Result<(), TrustFailure> {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if now < self.not_before {
            Err(TrustFailure::NotYetValid {
                not_before: time(self.not_before),
            })
        } else if now > self.not_after {
            Err(TrustFailure::Expired {
                not_after: self.end(),
            })
        } else {
            Ok(())
        }
    }

    /// The last second of validity.
    pub(super) fn end(self) -> SystemTime {
        time(self.not_after)
    }
}

/// Times before 1970 are of no use to anyone and become 1970.
pub(super) fn time(seconds: i64) -> SystemTime {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn names(certificate: &X509Certificate<'_>) -> Vec<Box<str>> {
    match certificate.subject_alternative_name() {
        Ok(Some(extension)) => {
            let names = extension.value.general_names.iter();
            names.filter_map(name).collect()
        }
        _ => {
            let names = certificate.subject().iter_common_name();
            let names = names.filter_map(|name| name.as_str().ok());
            names.map(plain_name).collect()
        }
    }
}

fn name(name: &GeneralName<'_>) -> Option<Box<str>> {
    match name {
        GeneralName::DNSName(name) => Some(plain_name(name)),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            address.ok().map(|address| address.to_string().into())
        }
        _ => None,
    }
}
