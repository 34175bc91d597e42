//! TLS towards clients: certificate files become a server configuration that picks the
//! certificate by the name the client asks for.

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs::Ticketer,
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::{CertifiedKey, SigningKey},
    version::{TLS12, TLS13},
};
use rustls_pki_types::CertificateDer;

use super::{
    Alpn, FileProblem, files,
    leaf::{self, Leaf},
    plain_name, provider,
};
use crate::config::CertificateFiles;

/// A certificate's two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateFile {
    /// `chain`.
    Chain,
    /// `key`.
    Key,
}

impl fmt::Display for CertificateFile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Chain => "chain",
            Self::Key => "key",
        })
    }
}

/// A listener's certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", .path.display())]
pub struct CertificateError {
    /// Which of the listener's certificates, counted from 0.
    pub index: usize,
    /// Which of its files.
    pub file: CertificateFile,
    /// That file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: FileProblem,
}

impl CertificateError {
    /// Where it stands below `tls`: `certificates[1].key`.
    pub fn key(&self) -> String {
        format!("certificates[{}].{}", self.index, self.file)
    }
}

/// Reads the files and builds a listener's configuration: TLS 1.2 and 1.3, ALPN `h2` then
/// `http/1.1`, resumption by tickets under rotating keys, no early data. Blocks on files.
///
/// A client gets the first certificate that has the name it asks for, else the first with a
/// wildcard for it, else the first of all. Of several with the same name it gets one whose kind
/// of key it supports.
///
/// # Errors
/// The first file that cannot be used; a key that does not fit its chain.
pub fn server_config(
    certificates: &[CertificateFiles],
) -> Result<Arc<ServerConfig>, CertificateError> {
    let resolver = Resolver::load(certificates)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .expect("the provider supports TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = [Alpn::H2, Alpn::H1].map(|alpn| alpn.as_str().into()).into();
    config.ticketer = Ticketer::new().expect("the system gives random bytes");
    // Tickets carry the sessions; a store would be a lock that all workers share.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

/// Something about a certificate that works, but not for everybody or not for long.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateWarning {
    /// Clients will refuse it.
    #[error("{}: expired at {}", .path.display(), humantime::format_rfc3339_seconds(*.not_after))]
    Expired {
        /// Which of the listener's certificates, counted from 0.
        index: usize,
        /// Its chain.
        path: PathBuf,
        /// The last second of its validity.
        not_after: SystemTime,
    },
    /// Clients will refuse it soon.
    #[error("{}: expires at {}", .path.display(), humantime::format_rfc3339_seconds(*.not_after))]
    ExpiresSoon {
        /// Which of the listener's certificates, counted from 0.
        index: usize,
        /// Its chain.
        path: PathBuf,
        /// The last second of its validity.
        not_after: SystemTime,
    },
}

impl CertificateWarning {
    /// Which of the listener's certificates, counted from 0.
    pub fn index(&self) -> usize {
        match self {
            Self::Expired { index, .. } | Self::ExpiresSoon { index, .. } => *index,
        }
    }
}

/// Time enough for people to renew a certificate, and past the usual automatic renewal at a
/// third of 90 days' life.
const EXPIRES_SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Looks for certificates that have expired at `now` or will within 14 days. Files that cannot
/// be used are passed over: [`server_config`] reports them. Blocks on files.
pub fn warnings(certificates: &[CertificateFiles], now: SystemTime) -> Vec<CertificateWarning> {
    let certificates = certificates.iter().enumerate();
    let warnings = certificates.filter_map(|(index, files)| {
        let chain = files::certificates(&files.chain).ok()?;
        let not_after = Leaf::read(chain.first()?).ok()?.validity.end();
        let path = files.chain.clone();
        if not_after < now {
            Some(CertificateWarning::Expired {
                index,
                path,
                not_after,
            })
        } else if not_after < now + EXPIRES_SOON {
            Some(CertificateWarning::ExpiresSoon {
                index,
                path,
                not_after,
            })
        } else {
            None
        }
    });
    warnings.collect()
}

/// Picks the certificate for a client. Names are lower case and without a final dot.
#[derive(Debug)]
pub(super) struct Resolver {
    exact: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    /// `*.example.com` under `example.com`.
    wildcard: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    default: Option<Arc<CertifiedKey>>,
}

impl Resolver {
    pub(super) fn load(certificates: &[CertificateFiles]) -> Result<Self, CertificateError> {
        let mut resolver = Self {
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            default: None,
        };
        for (index, files) in certificates.iter().enumerate() {
            let (names, certificate) = load(index, files)?;
            resolver.add(names, Arc::new(certificate));
        }
        Ok(resolver)
    }

    fn add(&mut self, names: Vec<Box<str>>, certificate: Arc<CertifiedKey>) {
        for name in names {
            let list = match name.strip_prefix("*.") {
                Some(parent) => self.wildcard.entry(parent.into()),
                None => self.exact.entry(name),
            };
            list.or_default().push(Arc::clone(&certificate));
        }
        self.default.get_or_insert(certificate);
    }

    pub(super) fn named(&self, name: &str) -> Option<&[Arc<CertifiedKey>]> {
        let name = plain_name(name);
        let exact = self.exact.get(&name);
        let found = exact.or_else(|| {
            let (label, parent) = name.split_once('.')?;
            let list = self.wildcard.get(parent);
            list.filter(|_| !label.is_empty())
        });
        found.map(Vec::as_slice)
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.named(name));
        let named = named.unwrap_or_default();
        let usable = |certificate: &&Arc<CertifiedKey>| {
            let schemes = hello.signature_schemes();
            certificate.key.choose_scheme(schemes).is_some()
        };
        let chosen = named.iter().find(usable).or_else(|| named.first());
        chosen.or(self.default.as_ref()).cloned()
    }
}

/// The names and the signing key of one certificate.
fn load(
    index: usize,
    files: &CertificateFiles,
) -> Result<(Vec<Box<str>>, CertifiedKey), CertificateError> {
    let refuse = |file, path: &Path| {
        let path = path.to_owned();
        move |problem| CertificateError {
            index,
            file,
            path,
            problem,
        }
    };
    let (chain, leaf) =
        chain(&files.chain).map_err(refuse(CertificateFile::Chain, &files.chain))?;
    let key = signing_key(&files.key).map_err(refuse(CertificateFile::Key, &files.key))?;
    fits(&chain, &leaf, &*key).map_err(|problem| match problem {
        FileProblem::LeafNotFirst { .. } => refuse(CertificateFile::Chain, &files.chain)(problem),
        other => refuse(CertificateFile::Key, &files.key)(other),
    })?;
    Ok((leaf.names, CertifiedKey::new(chain, key)))
}

/// The chain and what its first certificate says. The others are only passed on: clients judge
/// them.
fn chain(path: &Path) -> Result<(Vec<CertificateDer<'static>>, Leaf), FileProblem> {
    let chain = files::certificates(path)?;
    let leaf = chain.first().ok_or_else(|| "there is none".to_owned());
    let leaf = leaf.and_then(Leaf::read).map_err(|reason| {
        let position = 0;
        FileProblem::UnusableCertificate { position, reason }
    })?;
    Ok((chain, leaf))
}

fn signing_key(path: &Path) -> Result<Arc<dyn SigningKey>, FileProblem> {
    let key = files::private_key(path)?;
    provider()
        .key_provider
        .load_private_key(key)
        .map_err(|error| FileProblem::UnusableKey(error.to_string()))
}

fn fits(
    chain: &[CertificateDer<'_>],
    leaf: &Leaf,
    key: &dyn SigningKey,
) -> Result<(), FileProblem> {
    let Some(spki) = key.public_key() else {
        return Err(FileProblem::UnusableKey("its public key is unknown".into()));
    };
    let wanted = super::Fingerprint::of(&spki);
    let is_wanted = |der: &CertificateDer<'_>| leaf::key(der).is_ok_and(|found| found == wanted);
    match chain.iter().position(is_wanted) {
        Some(0) => Ok(()),
        Some(position) => Err(FileProblem::LeafNotFirst { position }),
        None => Err(FileProblem::KeyMismatch {
            subject: leaf.subject(),
        }),
    }
}
