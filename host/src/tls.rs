//! TLS on both sides: certificates for clients, trust in endpoints, and what went wrong.
//!
//! In come file names and a pool's trust, out go rustls configurations that are built once per
//! snapshot and shared by all workers. The crypto provider is always aws-lc-rs, named
//! explicitly. Sockets, timeouts and the pooling of connections are left to the callers.

pub mod downstream;
mod expiry;
mod failure;
mod files;
mod identity;
mod leaf;
mod name;
mod trust;
pub mod upstream;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use aws_lc_rs::digest;
use rustls::{
    CipherSuite, ProtocolVersion, ServerConnection, SupportedProtocolVersion,
    crypto::CryptoProvider,
    version::{TLS12, TLS13},
};

pub use expiry::{CertificateWarning, Deadlines, PoolDeadline, Use};
pub use files::{FileProblem, Found};

use crate::config::TlsVersion;

/// The one provider of cryptography, for both sides.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    Arc::clone(&PROVIDER)
}

/// The versions from `min` to `max`, highest first.
fn versions(min: TlsVersion, max: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
    let (newest, oldest) = BOTH.split_at(1);
    match (min, max) {
        (TlsVersion::V12, TlsVersion::V12) => oldest,
        (TlsVersion::V13, _) => newest,
        (TlsVersion::V12, TlsVersion::V13) => &BOTH,
    }
}

/// SHA-256 of a certificate's DER, or of a SubjectPublicKeyInfo. Displays as `sha256:` and 64
/// hexadecimal digits, the form that the configuration takes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Hashes `der`.
    pub fn of(der: &[u8]) -> Self {
        let mut hash = [0; 32];
        let digest = digest::digest(&digest::SHA256, der);
        hash.copy_from_slice(digest.as_ref());
        Self(hash)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// The application protocol that client and gateway agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Alpn {
    /// `http/1.1`.
    H1,
    /// `h2`.
    H2,
}

impl Alpn {
    /// The protocol's name on the wire (RFC 7301 §6).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::H1 => "http/1.1",
            Self::H2 => "h2",
        }
    }

    fn from_wire(name: &[u8]) -> Option<Self> {
        [Self::H2, Self::H1]
            .into_iter()
            .find(|alpn| alpn.as_str().as_bytes() == name)
    }
}

/// What was agreed on in a finished handshake with a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// IANA's name, as `TLS_AES_128_GCM_SHA256`.
    pub cipher: &'static str,
    /// What the client asked for (SNI), lower case, without a final dot; none when it sent none.
    pub server_name: Option<Box<str>>,
    /// None when the client offered no protocols: it speaks HTTP/1.1 then.
    pub alpn: Option<Alpn>,
    /// What became of the client's certificate; none when clients are not asked for any.
    pub client: Option<Arc<downstream::ClientCertificate>>,
}

impl Session {
    /// Reads the facts of a connection whose handshake has finished, but those of its client's
    /// certificate.
    fn of(connection: &ServerConnection) -> Self {
        let suite = connection.negotiated_cipher_suite();
        Self {
            version: connection.protocol_version().map_or("", version_name),
            cipher: suite.map_or("", |suite| cipher_name(suite.suite())),
            server_name: connection.server_name().map(plain_name),
            alpn: connection.alpn_protocol().and_then(Alpn::from_wire),
            client: None,
        }
    }
}

/// Lower case and without the final dot: the form in which names are compared.
fn plain_name(name: &str) -> Box<str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.to_ascii_lowercase().into()
}

fn version_name(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        other => other.as_str().unwrap_or(""),
    }
}

/// rustls writes `TLS13_AES_…` where IANA's registry has `TLS_AES_…`.
fn cipher_name(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        other => other.as_str().unwrap_or(""),
    }
}
