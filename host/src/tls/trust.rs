//! Decides whether an endpoint's certificate is one that its pool accepts.
//!
//! The certificate is judged by the pool's trust; the handshake's signature, which proves that
//! the endpoint has the certificate's key, is verified by the provider under every trust.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    },
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::{
    FileProblem, Fingerprint, PoolDeadline, Use,
    failure::{TrustError, TrustFailure},
    files,
    leaf::{self, Leaf},
    provider,
};
use crate::config::{PinnedCertificate, Trust};

/// Verifies the endpoints of one pool.
#[derive(Debug)]
pub(super) struct Verifier {
    accepted: Accepted,
    /// Of the certificates in its files.
    deadlines: Vec<PoolDeadline>,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
enum Accepted {
    Certificates {
        listed: HashSet<Fingerprint>,
        /// Key of a listed certificate → its file's name, for [`TrustFailure::KeyListedOnly`].
        keys: HashMap<Fingerprint, String>,
    },
    Spki(HashSet<Fingerprint>),
    Chain {
        verifier: Arc<dyn ServerCertVerifier>,
        roots: HashSet<Fingerprint>,
    },
}

impl Verifier {
    pub(super) fn new(trust: &Trust) -> Result<Self, TrustError> {
        let provider = provider();
        let mut deadlines = Vec::new();
        Ok(Self {
            algorithms: provider.signature_verification_algorithms,
            accepted: match trust {
                Trust::Certificates(pinned) => certificates(pinned, &mut deadlines)?,
                Trust::Spki(keys) => {
                    Accepted::Spki(keys.iter().copied().map(Fingerprint).collect())
                }
                Trust::Roots(files) => roots(files, provider, &mut deadlines)?,
                Trust::Public => public(provider)?,
            },
            deadlines,
        })
    }

    /// Until when the certificates in its files are valid.
    pub(super) fn deadlines(&self) -> &[PoolDeadline] {
        &self.deadlines
    }
}

fn certificates(
    pinned: &[PinnedCertificate],
    deadlines: &mut Vec<PoolDeadline>,
) -> Result<Accepted, TrustError> {
    let mut listed = HashSet::new();
    let mut keys = HashMap::new();
    for (index, entry) in pinned.iter().enumerate() {
        match entry {
            PinnedCertificate::Fingerprint(hash) => {
                listed.insert(Fingerprint(*hash));
            }
            PinnedCertificate::File(path) => {
                let refuse = |problem| TrustError::at("certificates", index, path, problem);
                for (fingerprint, leaf) in pinned_file(path).map_err(refuse)? {
                    listed.insert(fingerprint);
                    keys.entry(leaf.key).or_insert_with(|| file_name(path));
                    deadlines.push(PoolDeadline {
                        purpose: Use::Pinned,
                        file: path.clone(),
                        not_after: leaf.validity.end(),
                    });
                }
            }
        }
    }
    Ok(Accepted::Certificates { listed, keys })
}

/// The certificates in a file, with their fingerprints.
fn pinned_file(path: &Path) -> Result<Vec<(Fingerprint, Leaf)>, FileProblem> {
    let certificates = files::certificates(path)?;
    let read = certificates.iter().enumerate().map(|(position, der)| {
        let leaf = Leaf::read(der)
            .map_err(|reason| FileProblem::UnusableCertificate { position, reason })?;
        Ok((Fingerprint::of(der), leaf))
    });
    read.collect()
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

fn roots(
    files: &[PathBuf],
    provider: Arc<CryptoProvider>,
    deadlines: &mut Vec<PoolDeadline>,
) -> Result<Accepted, TrustError> {
    let mut store = RootCertStore::empty();
    let mut roots = HashSet::new();
    for (index, path) in files.iter().enumerate() {
        let refuse = |problem| TrustError::at("roots", index, path, problem);
        let certificates = files::certificates(path).map_err(refuse)?;
        for (position, der) in certificates.into_iter().enumerate() {
            roots.insert(Fingerprint::of(&der));
            deadlines.extend(leaf::end(&der).map(|not_after| PoolDeadline {
                purpose: Use::Root,
                file: path.clone(),
                not_after,
            }));
            store.add(der).map_err(|error| {
                let reason = error.to_string();
                refuse(FileProblem::UnusableCertificate { position, reason })
            })?;
        }
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider)
        .build()
        .map_err(|error| TrustError::platform(error.to_string()))?;
    Ok(Accepted::Chain { verifier, roots })
}

fn public(provider: Arc<CryptoProvider>) -> Result<Accepted, TrustError> {
    let verifier = rustls_platform_verifier::Verifier::new(provider)
        .map_err(|error| TrustError::platform(error.to_string()))?;
    Ok(Accepted::Chain {
        verifier: Arc::new(verifier),
        roots: HashSet::new(),
    })
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.accepted {
            Accepted::Certificates { listed, keys } => {
                on_list(end_entity, listed, keys)?;
                in_time(end_entity, now)?;
            }
            Accepted::Spki(keys) => {
                key_on_list(end_entity, keys)?;
                in_time(end_entity, now)?;
            }
            Accepted::Chain { verifier, roots } => {
                verifier
                    .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                    .map_err(|error| chain_failure(error, end_entity, server_name, roots))?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
            .map_err(signature_failure)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
            .map_err(signature_failure)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn on_list(
    certificate: &CertificateDer<'_>,
    listed: &HashSet<Fingerprint>,
    keys: &HashMap<Fingerprint, String>,
) -> Result<(), TrustFailure> {
    let fingerprint = Fingerprint::of(certificate);
    if listed.contains(&fingerprint) {
        return Ok(());
    }
    let key = leaf::key(certificate).ok();
    Err(match key.and_then(|key| keys.get(&key)) {
        Some(listed) => TrustFailure::KeyListedOnly {
            fingerprint,
            listed: listed.clone(),
        },
        None => TrustFailure::NotAllowListed { fingerprint },
    })
}

fn key_on_list(
    certificate: &CertificateDer<'_>,
    keys: &HashSet<Fingerprint>,
) -> Result<(), TrustFailure> {
    let fingerprint = leaf::key(certificate).map_err(TrustFailure::Invalid)?;
    if keys.contains(&fingerprint) {
        return Ok(());
    }
    Err(TrustFailure::NotAllowListed { fingerprint })
}

/// Whether the certificate is valid at `now`; also for pinned certificates, whose owners
/// expect that an expired one stops working.
pub(super) fn in_time(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), TrustFailure> {
    let leaf = Leaf::read(certificate).map_err(TrustFailure::Invalid)?;
    leaf.validity.check(now)
}

fn chain_failure(
    error: Error,
    certificate: &CertificateDer<'_>,
    expected: &ServerName<'_>,
    roots: &HashSet<Fingerprint>,
) -> Error {
    let Error::InvalidCertificate(problem) = error else {
        return error;
    };
    let fingerprint = Fingerprint::of(certificate);
    match problem {
        // A wrong signature means a CA of the same name with another key: made anew, often.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            TrustFailure::UnknownIssuer { fingerprint }
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TrustFailure::NameMismatch {
                expected: expected.to_str().into_owned(),
                presented: presented_names(certificate),
            }
        }
        CertificateError::ExpiredContext { not_after, .. } => TrustFailure::Expired {
            not_after: system_time(not_after),
        },
        CertificateError::NotValidYetContext { not_before, .. } => TrustFailure::NotYetValid {
            not_before: system_time(not_before),
        },
        problem if is_ca(&problem) && !roots.contains(&fingerprint) => {
            TrustFailure::UnknownIssuer { fingerprint }
        }
        problem if is_ca(&problem) => TrustFailure::Invalid(
            "the endpoint presents the CA itself as its certificate; to accept exactly that, \
             name it in trust.certificates"
                .to_owned(),
        ),
        other => TrustFailure::Invalid(in_words(&other)),
    }
    .into()
}

/// Whether the endpoint's certificate was refused for being a CA's: self-signed ones usually
/// are, as `openssl req -x509` makes them so.
fn is_ca(problem: &CertificateError) -> bool {
    let CertificateError::Other(OtherError(cause)) = problem else {
        return false;
    };
    matches!(cause.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

fn presented_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let names = Leaf::read(certificate).map(|leaf| leaf.names);
    let names = names.unwrap_or_default();
    names.into_iter().map(String::from).collect()
}

fn system_time(time: UnixTime) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs())
}

fn signature_failure(error: Error) -> Error {
    match error {
        Error::InvalidCertificate(CertificateError::BadSignature) => {
            TrustFailure::Invalid("the endpoint does not have the certificate's private key".into())
                .into()
        }
        Error::InvalidCertificate(problem) => TrustFailure::Invalid(in_words(&problem)).into(),
        other => other,
    }
}

/// What rustls calls `BadEncoding` and the like.
fn in_words(problem: &CertificateError) -> String {
    match problem {
        CertificateError::BadEncoding => "the certificate is malformed".to_owned(),
        CertificateError::Revoked => "the certificate has been revoked".to_owned(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the certificate is not meant for TLS servers".to_owned()
        }
        CertificateError::UnhandledCriticalExtension => {
            "the certificate has a critical extension that is not supported".to_owned()
        }
        CertificateError::Other(OtherError(cause)) => cause.to_string(),
        other => other.to_string(),
    }
}
