//! Clients' certificates: whether one is good, and what is told about it to logs, plugins and
//! upstreams.

use std::{fmt, path::PathBuf, sync::Arc, time::SystemTime};

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::{
    super::{FileProblem, Fingerprint, files, name, provider},
    TlsFileError,
    revocation::Revocations,
};
use crate::config::{self, ClientMode};

/// A longer chain, bytes of DER, is not looked at: what upstreams get of it has to fit into
/// their limits on header fields.
const MOST_CHAIN_BYTES: usize = 12 << 10;

const REVOKED: &str = "the certificate has been revoked";

/// The rule for clients' certificates.
#[derive(Debug)]
pub(super) struct Clients {
    rule: config::ClientCertificates,
    roots: RootCertStore,
    /// None where revocation is not looked at.
    revocations: Option<Revocations>,
    hints: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
    identity: [u8; 32],
}

/// Whether a client's certificate is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It has none.
    Absent,
    /// It chains to a CA of the list, in time and for clients.
    Verified,
    /// A CRL has it, or a CA between it and the list.
    Revoked,
    /// It does not: why.
    Failed(String),
}

impl Verdict {
    /// Whether it is good; else why not.
    pub fn verified(&self) -> Result<(), String> {
        match self {
            Self::Verified => Ok(()),
            Self::Absent => Err("there is none".to_owned()),
            Self::Revoked => Err(REVOKED.to_owned()),
            Self::Failed(reason) => Err(reason.clone()),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => out.write_str("none"),
            Self::Verified => out.write_str("success"),
            Self::Revoked => write!(out, "failed: {REVOKED}"),
            Self::Failed(reason) => write!(out, "failed: {reason}"),
        }
    }
}

/// What is known of a client's certificate. The client has proved that it has the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Whether it is good.
    pub verdict: Verdict,
    /// Its particulars; none when there is no certificate, or one that cannot be read.
    pub leaf: Option<ClientLeaf>,
    /// `Client-Cert` and `Client-Cert-Chain` (RFC 9440), where upstreams get them.
    pub headers: Option<(HeaderValue, Option<HeaderValue>)>,
}

/// A client's own certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientLeaf {
    /// `CN=ada,O=Example` (RFC 4514).
    pub subject: String,
    /// As the subject.
    pub issuer: String,
    /// Hexadecimal, lower case.
    pub serial: String,
    /// Of its DER.
    pub fingerprint: Fingerprint,
    /// The first and the last second of its validity, since 1970.
    pub validity: (i64, i64),
}

impl Clients {
    pub(super) fn load(rule: &config::ClientCertificates) -> Result<Self, TlsFileError> {
        let mut roots = RootCertStore::empty();
        let mut hints = Vec::new();
        let mut hash = digest::Context::new(&digest::SHA256);
        let config::ClientCertificates {
            mode,
            depth,
            direct_issuer,
            crl,
            crl_unknown,
            ..
        } = rule;
        // What the CRLs say is asked anew for a resumed session, as the clock is.
        let revocation = (!crl.is_empty()).then_some(crl_unknown);
        let rules = format!("{mode:?} {depth} {direct_issuer} {revocation:?} ");
        hash.update(rules.as_bytes());
        let mut ca = Vec::new();
        for (index, path) in rule.ca.iter().enumerate() {
            let key = format!("client_certificates.ca[{index}]");
            let refuse = |problem| TlsFileError::at(key.clone(), path)(problem);
            for (position, der) in files::certificates(path)
                .map_err(refuse)?
                .into_iter()
                .enumerate()
            {
                hash.update(Fingerprint::of(&der).0.as_ref());
                ca.push(der.clone());
                roots.add(der).map_err(|error| {
                    let reason = error.to_string();
                    refuse(FileProblem::UnusableCertificate { position, reason })
                })?;
            }
        }
        hints.extend(roots.subjects());
        let algorithms = provider().signature_verification_algorithms;
        let revocations = match crl.as_slice() {
            [] => None,
            crl => Some(Revocations::load(
                crl,
                *crl_unknown,
                &ca,
                &roots.roots,
                algorithms.all,
            )?),
        };
        let mut identity = [0; 32];
        identity.copy_from_slice(hash.finish().as_ref());
        Ok(Self {
            rule: rule.clone(),
            roots,
            revocations,
            hints,
            algorithms,
            identity,
        })
    }

    pub(super) fn mode(&self) -> ClientMode {
        self.rule.mode
    }

    /// Equal for rules that come to the same, whatever their files are called.
    pub(super) fn identity(&self) -> &[u8; 32] {
        &self.identity
    }

    /// When the CRLs of each file are due to be replaced.
    pub(super) fn crl_deadlines(&self) -> Vec<(PathBuf, SystemTime)> {
        let revocations = self.revocations.as_ref();
        revocations.map_or_else(Vec::new, Revocations::deadlines)
    }

    /// What to make of the chain that a client has presented, now.
    pub(super) fn judge(&self, chain: &[CertificateDer<'_>]) -> ClientCertificate {
        let Some((leaf, issuers)) = chain.split_first() else {
            return ClientCertificate {
                verdict: Verdict::Absent,
                leaf: None,
                headers: None,
            };
        };
        let verdict = match self.verify(leaf, issuers, UnixTime::now()) {
            Ok(()) => Verdict::Verified,
            Err(webpki::Error::CertRevoked) => Verdict::Revoked,
            Err(error) => Verdict::Failed(reason(&error)),
        };
        // Without a CA to tell good from bad, upstreams do that.
        let passed_on = verdict == Verdict::Verified || self.rule.ca.is_empty();
        ClientCertificate {
            leaf: ClientLeaf::read(leaf),
            headers: (self.rule.headers && passed_on && is_short(chain))
                .then(|| headers(leaf, issuers))
                .flatten(),
            verdict,
        }
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), webpki::Error> {
        if self.rule.ca.is_empty() {
            return Err(webpki::Error::UnknownIssuer);
        }
        let leaf = webpki::EndEntityCert::try_from(leaf)?;
        let fits = |path: &webpki::VerifiedPath<'_>| {
            let between = path.intermediate_certificates().count();
            if between > self.rule.depth {
                return Err(webpki::Error::MaximumPathDepthExceeded);
            }
            if between > 0 && self.rule.direct_issuer {
                return Err(webpki::Error::UnknownIssuer);
            }
            match &self.revocations {
                Some(revocations) => revocations.check(path),
                None => Ok(()),
            }
        };
        leaf.verify_for_usage(
            self.algorithms.all,
            &self.roots.roots,
            issuers,
            now,
            webpki::KeyUsage::client_auth(),
            None,
            Some(&fits),
        )
        .map(drop)
    }
}

fn is_short(chain: &[CertificateDer<'_>]) -> bool {
    chain.iter().map(|der| der.len()).sum::<usize>() <= MOST_CHAIN_BYTES
}

/// In words, where those of webpki are its own.
fn reason(error: &webpki::Error) -> String {
    match error {
        webpki::Error::CertExpired { .. } => "the certificate has expired".to_owned(),
        webpki::Error::CertNotValidYet { .. } => "the certificate is not valid yet".to_owned(),
        // A wrong signature means a CA of the same name with another key.
        webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey => {
            "no CA of the list has issued it".to_owned()
        }
        webpki::Error::MaximumPathDepthExceeded => "the chain is too long".to_owned(),
        webpki::Error::RequiredEkuNotFoundContext(_) => "it is not for TLS clients".to_owned(),
        webpki::Error::UnknownRevocationStatus => {
            "no CRL says whether it has been revoked".to_owned()
        }
        webpki::Error::CaUsedAsEndEntity => "it is the certificate of a CA".to_owned(),
        other => other.to_string(),
    }
}

impl ClientLeaf {
    fn read(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = x509_parser::parse_x509_certificate(der).ok()?;
        Some(Self {
            subject: name::distinguished(parsed.subject()),
            issuer: name::distinguished(parsed.issuer()),
            // A serial number whose first bit is set has a zero byte before it.
            serial: strip_zero(parsed.raw_serial())
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            fingerprint: Fingerprint::of(der),
            validity: (
                parsed.validity().not_before.timestamp(),
                parsed.validity().not_after.timestamp(),
            ),
        })
    }
}

pub(super) fn strip_zero(serial: &[u8]) -> &[u8] {
    match serial {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    }
}

/// A byte sequence, and a list of them (RFC 9440 §2.1, RFC 9651 §3.3.5).
fn headers(
    leaf: &CertificateDer<'_>,
    issuers: &[CertificateDer<'_>],
) -> Option<(HeaderValue, Option<HeaderValue>)> {
    let item = |der: &CertificateDer<'_>| format!(":{}:", STANDARD.encode(der));
    let chain: Vec<_> = issuers.iter().map(item).collect();
    let chain = match chain.len() {
        0 => None,
        _ => Some(HeaderValue::try_from(chain.join(", ")).ok()?),
    };
    Some((HeaderValue::try_from(item(leaf)).ok()?, chain))
}

impl ClientCertVerifier for Clients {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        self.rule.mode == ClientMode::Require
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.rule.mode == ClientMode::Require {
            self.verify(leaf, issuers, now).map_err(alert)?;
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The error whose alert says it best: `certificate_expired`, `unknown_ca` and so on.
fn alert(error: webpki::Error) -> Error {
    Error::InvalidCertificate(match error {
        webpki::Error::CertExpired { .. } => CertificateError::Expired,
        webpki::Error::CertNotValidYet { .. } => CertificateError::NotValidYet,
        webpki::Error::UnknownIssuer
        | webpki::Error::InvalidSignatureForPublicKey
        | webpki::Error::MaximumPathDepthExceeded => CertificateError::UnknownIssuer,
        webpki::Error::CertRevoked => CertificateError::Revoked,
        webpki::Error::UnknownRevocationStatus => CertificateError::UnknownRevocationStatus,
        webpki::Error::BadDer => CertificateError::BadEncoding,
        webpki::Error::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    })
}
