//! What a listener's TLS and a pool's TLS may be told: named policies, versions, suites,
//! groups, tickets, client certificates. The names are the registry's (IANA).

mod parse;

use std::{path::PathBuf, time::Duration};

use rustls::{CipherSuite, NamedGroup};

/// `listeners[].tls`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTls {
    /// At least one; the first serves clients whose server name fits none.
    pub certificates: Vec<CertificateFiles>,
    /// Which versions, suites and groups are offered.
    pub policy: TlsPolicy,
    /// What clients get that ask for a name of no certificate, or for none.
    pub unknown_names: UnknownNames,
    /// Which hosts may be asked for on a connection.
    pub hosts: Hosts,
    /// How sessions are resumed.
    pub tickets: Tickets,
    /// Whether clients are asked for certificates; none when not.
    pub client_certificates: Option<ClientCertificates>,
}

/// A certificate chain and its private key, PEM; absolute paths.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CertificateFiles {
    /// Leaf first.
    pub chain: PathBuf,
    /// PKCS#8, SEC1 or PKCS#1.
    pub key: PathBuf,
    /// An OCSP response for the leaf, DER (RFC 6960), stapled to handshakes.
    pub ocsp: Option<PathBuf>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// 1.2 (RFC 5246).
    V12,
    /// 1.3 (RFC 8446).
    V13,
}

/// What is offered in handshakes. Each version in the range has a suite and a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsPolicy {
    /// The name it began with.
    pub name: &'static str,
    /// What that name means elsewhere and cannot mean here; told at start.
    pub lacks: Option<&'static str>,
    /// Lowest version.
    pub min: TlsVersion,
    /// Highest version.
    pub max: TlsVersion,
    /// In order of preference, which is the gateway's.
    pub suites: Vec<CipherSuite>,
    /// Key exchange groups; of those that both sides have, the client's first is taken.
    pub groups: Vec<NamedGroup>,
}

/// Clients that ask for a name of no certificate, or for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownNames {
    /// Get the first certificate.
    Default,
    /// Get an alert.
    Refuse,
}

/// Which hosts may be asked for on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosts {
    /// All: whatever the server name was, `Host` decides.
    Any,
    /// Those that the certificate of the connection names; others get 421.
    Certificate,
}

/// How sessions are resumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tickets {
    /// Not at all: every handshake is whole.
    Off,
    /// By tickets.
    On {
        /// The file of keys; without one they are random and change by themselves.
        keys: Option<PathBuf>,
        /// How long a ticket is accepted. 1 minute to 7 days (RFC 8446 §4.6.1).
        lifetime: Duration,
    },
}

/// `listeners[].tls.client_certificates`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificates {
    /// What happens to clients without a good one.
    pub mode: ClientMode,
    /// Files of the CAs whose certificates are good; never empty unless only requested.
    pub ca: Vec<PathBuf>,
    /// Files of their lists of revoked certificates; none when revocation is not looked at.
    pub crl: Vec<PathBuf>,
    /// What a certificate counts as that no list speaks of.
    pub crl_unknown: UnknownStatus,
    /// Certificates between the client's and the CA, at most. 0 to 6.
    pub depth: usize,
    /// Whether the issuer of the client's own certificate must be one of `ca`.
    pub direct_issuer: bool,
    /// Whether upstreams get `Client-Cert` and `Client-Cert-Chain` (RFC 9440).
    pub headers: bool,
}

/// A certificate that no CRL speaks of, where there are CRLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownStatus {
    /// It is not good.
    Refuse,
    /// It counts as not revoked.
    Allow,
}

/// `pools.NAME.tls`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PoolTls {
    /// Lowest version. Default 1.2.
    pub min_version: TlsVersion,
    /// What endpoints get that ask for a certificate.
    pub client_certificate: Option<ClientIdentity>,
}

impl Default for PoolTls {
    fn default() -> Self {
        Self {
            min_version: TlsVersion::V12,
            client_certificate: None,
        }
    }
}

/// The gateway's own certificate towards endpoints, and its key, PEM; absolute paths.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientIdentity {
    /// Leaf first.
    pub chain: PathBuf,
    /// PKCS#8, SEC1 or PKCS#1.
    pub key: PathBuf,
}

/// Which name is sent to endpoints (SNI) and, where the trust wants that, verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServerNameFrom {
    /// `server_name`, else the endpoint's host.
    Configuration,
    /// The host that the endpoint is asked for.
    Request,
}

/// What happens to clients without a good certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientMode {
    /// The handshake fails.
    Require,
    /// The handshake ends well, and each request is answered with 400, as Azure has it.
    RequireOr400,
    /// Nothing; plugins and upstreams decide.
    Request,
}

impl TlsVersion {
    const NAMES: [(&'static str, Self); 2] = [("1.2", Self::V12), ("1.3", Self::V13)];
}

/// A policy that has a name.
struct Named {
    name: &'static str,
    lacks: Option<&'static str>,
    min: TlsVersion,
    max: TlsVersion,
    suites: &'static [CipherSuite],
}

const AES_128: CipherSuite = CipherSuite::TLS13_AES_128_GCM_SHA256;
const AES_256: CipherSuite = CipherSuite::TLS13_AES_256_GCM_SHA384;
const CHACHA: CipherSuite = CipherSuite::TLS13_CHACHA20_POLY1305_SHA256;
const ECDSA_128: CipherSuite = CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
const ECDSA_256: CipherSuite = CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384;
const ECDSA_CHACHA: CipherSuite = CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256;
const RSA_128: CipherSuite = CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256;
const RSA_256: CipherSuite = CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384;
const RSA_CHACHA: CipherSuite = CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256;

/// Every suite that there is here, by IANA's name, with its version.
const SUITES: [(&str, (CipherSuite, TlsVersion)); 9] = [
    ("TLS_AES_128_GCM_SHA256", (AES_128, TlsVersion::V13)),
    ("TLS_AES_256_GCM_SHA384", (AES_256, TlsVersion::V13)),
    ("TLS_CHACHA20_POLY1305_SHA256", (CHACHA, TlsVersion::V13)),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        (ECDSA_128, TlsVersion::V12),
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        (ECDSA_256, TlsVersion::V12),
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        (ECDSA_CHACHA, TlsVersion::V12),
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        (RSA_128, TlsVersion::V12),
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        (RSA_256, TlsVersion::V12),
    ),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        (RSA_CHACHA, TlsVersion::V12),
    ),
];

/// Every group that there is here, by IANA's name, with the lowest version that can use it.
const GROUPS: [(&str, (NamedGroup, TlsVersion)); 5] = [
    (
        "X25519MLKEM768",
        (NamedGroup::X25519MLKEM768, TlsVersion::V13),
    ),
    (
        "SecP256r1MLKEM768",
        (NamedGroup::secp256r1MLKEM768, TlsVersion::V13),
    ),
    ("x25519", (NamedGroup::X25519, TlsVersion::V12)),
    ("secp256r1", (NamedGroup::secp256r1, TlsVersion::V12)),
    ("secp384r1", (NamedGroup::secp384r1, TlsVersion::V12)),
];

/// The post-quantum one first.
const DEFAULT_GROUPS: [NamedGroup; 4] = [
    NamedGroup::X25519MLKEM768,
    NamedGroup::X25519,
    NamedGroup::secp256r1,
    NamedGroup::secp384r1,
];

const OLD_VERSIONS_AND_SUITES: Option<&str> = Some(
    "TLS 1.0 and 1.1 and the suites with CBC, 3DES, DHE or RSA key exchange are not spoken here",
);
const OLD_SUITES: Option<&str> =
    Some("the suites with CBC, 3DES, DHE or RSA key exchange are not spoken here");

/// The policies that have names; the first is the default. Those of Azure keep what rustls can
/// do of them.
const POLICIES: [Named; 7] = [
    Named {
        name: "modern",
        lacks: None,
        min: TlsVersion::V12,
        max: TlsVersion::V13,
        suites: &[
            AES_128,
            AES_256,
            CHACHA,
            ECDSA_128,
            ECDSA_256,
            ECDSA_CHACHA,
            RSA_128,
            RSA_256,
            RSA_CHACHA,
        ],
    },
    Named {
        name: "tls13",
        lacks: None,
        min: TlsVersion::V13,
        max: TlsVersion::V13,
        suites: &[AES_128, AES_256, CHACHA],
    },
    Named {
        name: "AppGwSslPolicy20220101S",
        lacks: None,
        min: TlsVersion::V12,
        max: TlsVersion::V13,
        suites: &[AES_128, AES_256, RSA_256, RSA_128, ECDSA_256, ECDSA_128],
    },
    Named {
        name: "AppGwSslPolicy20220101",
        lacks: Some("the suites with CBC are not spoken here, as in AppGwSslPolicy20220101S"),
        min: TlsVersion::V12,
        max: TlsVersion::V13,
        suites: &[AES_128, AES_256, RSA_256, RSA_128, ECDSA_256, ECDSA_128],
    },
    Named {
        name: "AppGwSslPolicy20170401S",
        lacks: OLD_SUITES,
        min: TlsVersion::V12,
        max: TlsVersion::V12,
        suites: &[RSA_256, RSA_128, ECDSA_256, ECDSA_128],
    },
    Named {
        name: "AppGwSslPolicy20170401",
        lacks: OLD_VERSIONS_AND_SUITES,
        min: TlsVersion::V12,
        max: TlsVersion::V12,
        suites: &[RSA_256, RSA_128, ECDSA_256, ECDSA_128],
    },
    Named {
        name: "AppGwSslPolicy20150501",
        lacks: OLD_VERSIONS_AND_SUITES,
        min: TlsVersion::V12,
        max: TlsVersion::V12,
        suites: &[RSA_256, RSA_128, ECDSA_256, ECDSA_128],
    },
];

impl Default for TlsPolicy {
    /// `modern`.
    fn default() -> Self {
        Self::of(&POLICIES[0])
    }
}

impl TlsPolicy {
    fn of(named: &Named) -> Self {
        Self {
            name: named.name,
            lacks: named.lacks,
            min: named.min,
            max: named.max,
            suites: named.suites.to_vec(),
            groups: DEFAULT_GROUPS.to_vec(),
        }
    }
}
