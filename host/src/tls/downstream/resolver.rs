//! Certificate files of a listener, and which of them a client gets: by the name that it asks
//! for, exact before wildcard.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{
    super::{
        Deadlines,
        identity::{self, IdentityFile},
        plain_name,
    },
    TlsFileError, staple,
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
    let (plain, leaf) = identity::read(&files.chain, &files.key).map_err(|(file, problem)| {
        let path = match file {
            IdentityFile::Chain => &files.chain,
            IdentityFile::Key => &files.key,
        };
        TlsFileError::at(at(file.name()), path)(problem)
    })?;
    let mut deadlines = Deadlines {
        chain: files.chain.clone(),
        not_after: leaf.validity.end(),
        staple: None,
    };
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
