//! Certificate files of a listener, and which of them a client gets: by the name that it asks
//! for, exact before wildcard.

use std::{collections::HashMap, path::Path, sync::Arc, time::SystemTime};

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::{CertifiedKey, SigningKey},
};
use rustls_pki_types::CertificateDer;

use super::{
    super::{
        FileProblem, Fingerprint, files,
        leaf::{self, Leaf},
        plain_name, provider,
    },
    Deadlines, TlsFileError, staple,
};
use crate::config::{CertificateFiles, UnknownNames};

/// Picks the certificate for a client. Names are lower case and without a final dot.
#[derive(Debug)]
pub(in super::super) struct Resolver {
    exact: HashMap<Box<str>, Vec<Arc<Own>>>,
    /// `*.example.com` under `example.com`.
    wildcard: HashMap<Box<str>, Vec<Arc<Own>>>,
    /// For clients that ask for a name of no certificate, or for none.
    default: Option<Arc<Own>>,
    deadlines: Vec<Deadlines>,
}

/// A certificate with its key, its names and, while that is valid, its OCSP response.
#[derive(Debug)]
struct Own {
    plain: Arc<CertifiedKey>,
    stapled: Option<(Arc<CertifiedKey>, staple::Validity)>,
    names: Vec<Box<str>>,
}

impl Own {
    /// With its staple at the times when that is valid.
    fn at(&self, now: SystemTime) -> &Arc<CertifiedKey> {
        match &self.stapled {
            Some((stapled, validity)) if validity.holds(now) => stapled,
            _ => &self.plain,
        }
    }

    fn can_sign_for(&self, hello: &ClientHello<'_>) -> bool {
        let schemes = hello.signature_schemes();
        self.plain.key.choose_scheme(schemes).is_some()
    }

    fn names(&self, host: &str) -> bool {
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(parent) => below(host) == Some(parent),
            None => **name == *host,
        })
    }
}

/// What a wildcard for `name` stands under: all but its first label.
fn below(name: &str) -> Option<&str> {
    let (label, parent) = name.split_once('.')?;
    (!label.is_empty()).then_some(parent)
}

impl Resolver {
    pub(in super::super) fn load(
        certificates: &[CertificateFiles],
        unknown: UnknownNames,
    ) -> Result<Self, TlsFileError> {
        let mut resolver = Self {
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            default: None,
            deadlines: Vec::new(),
        };
        for (index, files) in certificates.iter().enumerate() {
            let (own, deadlines) = load(index, files)?;
            resolver.add(Arc::new(own));
            resolver.deadlines.push(deadlines);
        }
        if unknown == UnknownNames::Refuse {
            resolver.default = None;
        }
        Ok(resolver)
    }

    fn add(&mut self, own: Arc<Own>) {
        for name in &own.names {
            let list = match name.strip_prefix("*.") {
                Some(parent) => self.wildcard.entry(parent.into()),
                None => self.exact.entry(name.clone()),
            };
            list.or_default().push(Arc::clone(&own));
        }
        self.default.get_or_insert(own);
    }

    fn named(&self, name: &str) -> &[Arc<Own>] {
        let name = plain_name(name);
        let exact = self.exact.get(&name);
        let found = exact.or_else(|| self.wildcard.get(below(&name)?));
        found.map_or(&[], Vec::as_slice)
    }

    /// Whether some certificate is for this name.
    #[cfg(test)]
    pub(in super::super) fn has(&self, name: &str) -> bool {
        !self.named(name).is_empty()
    }

    /// Whether a client that asked for `server_name` got a certificate that names `host` too.
    pub(super) fn share_certificate(&self, server_name: Option<&str>, host: &str) -> bool {
        let named = server_name.map_or(&[][..], |name| self.named(name));
        match (named, &self.default) {
            ([], Some(default)) => default.names(host),
            (named, _) => named.iter().any(|own| own.names(host)),
        }
    }

    pub(super) fn deadlines(&self) -> &[Deadlines] {
        &self.deadlines
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().map_or(&[][..], |name| self.named(name));
        let usable = named.iter().find(|own| own.can_sign_for(&hello));
        let chosen = usable.or(named.first()).or(self.default.as_ref())?;
        Some(Arc::clone(chosen.at(SystemTime::now())))
    }
}

fn load(index: usize, files: &CertificateFiles) -> Result<(Own, Deadlines), TlsFileError> {
    let at = |file: &str| format!("certificates[{index}].{file}");
    let (chain, leaf) = chain(&files.chain).map_err(TlsFileError::at(at("chain"), &files.chain))?;
    let key = signing_key(&files.key).map_err(TlsFileError::at(at("key"), &files.key))?;
    fits(&chain, &leaf, &*key).map_err(|problem| match problem {
        FileProblem::LeafNotFirst { .. } => TlsFileError::at(at("chain"), &files.chain)(problem),
        other => TlsFileError::at(at("key"), &files.key)(other),
    })?;
    let mut deadlines = Deadlines {
        chain: files.chain.clone(),
        not_after: leaf.validity.end(),
        staple: None,
    };
    let plain = CertifiedKey::new(chain, key);
    let mut stapled = None;
    if let Some(path) = &files.ocsp {
        let refuse = TlsFileError::at(at("ocsp"), path);
        let (bytes, validity) = staple::read(path, &plain.cert).map_err(refuse)?;
        deadlines.staple = Some((path.clone(), validity.end()));
        let with = CertifiedKey {
            ocsp: Some(bytes),
            ..plain.clone()
        };
        stapled = Some((Arc::new(with), validity));
    }
    let own = Own {
        plain: Arc::new(plain),
        stapled,
        names: leaf.names,
    };
    Ok((own, deadlines))
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
    let wanted = Fingerprint::of(&spki);
    let is_wanted = |der: &CertificateDer<'_>| leaf::key(der).is_ok_and(|found| found == wanted);
    match chain.iter().position(is_wanted) {
        Some(0) => Ok(()),
        Some(position) => Err(FileProblem::LeafNotFirst { position }),
        None => Err(FileProblem::KeyMismatch {
            subject: leaf.subject(),
        }),
    }
}
