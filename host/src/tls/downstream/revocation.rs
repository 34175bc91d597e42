//! Lists of revoked certificates (CRLs, RFC 5280 §5), asked about every certificate of a client's
//! chain. They are verified once, when they are read.

mod read;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
    time::SystemTime,
};

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor};
use webpki::{Cert, VerifiedPath};
use x509_parser::{
    extensions::{DistributionPointName, GeneralName, ParsedExtension},
    prelude::X509Extension,
};

use self::read::{Ca, read};
use super::{
    super::{FileProblem, files},
    TlsFileError,
    clients::strip_zero,
};
use crate::config::UnknownStatus;

type Algorithms = [&'static dyn SignatureVerificationAlgorithm];

/// What is revoked, by CA.
#[derive(Debug)]
pub(super) struct Revocations {
    lists: HashMap<Issuer, Vec<List>>,
    unknown: UnknownStatus,
}

/// A CA: its name, and its key in DER. One that was issued anew with the same key is the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Issuer {
    name: Vec<u8>,
    key: Vec<u8>,
}

impl Issuer {
    fn of(certificate: &Cert<'_>) -> Self {
        Self {
            name: certificate.subject().to_vec(),
            key: certificate.subject_public_key_info().to_vec(),
        }
    }

    fn anchor(anchor: &TrustAnchor<'_>) -> Self {
        Self {
            name: anchor.subject.to_vec(),
            key: webpki::spki_for_anchor(anchor).to_vec(),
        }
    }
}

/// One CRL.
#[derive(Debug)]
struct List {
    /// Without leading zeros.
    serials: HashSet<Box<[u8]>>,
    scope: Scope,
    /// When it was made, seconds since 1970.
    made: i64,
    file: PathBuf,
    /// When the next one is due.
    until: Option<SystemTime>,
}

/// Which certificates of its CA a list speaks of (RFC 5280 §5.2.5).
#[derive(Debug, Default, PartialEq, Eq)]
struct Scope {
    only: Option<Role>,
    /// Of those, the ones that name one of these places or none at all; empty for all.
    places: Vec<String>,
}

/// Where a certificate stands in its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Client,
    Ca,
}

impl Revocations {
    /// Reads the files. `anchors` were made from the certificates `ca`, in the same order.
    ///
    /// # Errors
    /// The first file with a CRL that cannot be read, has a kind that is not understood, or is
    /// of none of the CAs.
    pub(super) fn load(
        files: &[PathBuf],
        unknown: UnknownStatus,
        ca: &[CertificateDer<'_>],
        anchors: &[TrustAnchor<'_>],
        algorithms: &Algorithms,
    ) -> Result<Self, TlsFileError> {
        let known = ca.iter().zip(anchors);
        let known: Vec<_> = known.map(|(der, anchor)| Ca::new(der, anchor)).collect();
        let mut all = Self {
            lists: HashMap::new(),
            unknown,
        };
        for (index, path) in files.iter().enumerate() {
            let key = format!("client_certificates.crl[{index}]");
            let refuse = |problem| TlsFileError::at(key.clone(), path)(problem);
            let crls = files::crls(path).map_err(refuse)?;
            for (position, der) in crls.iter().enumerate() {
                let (issuer, list) = read(path, der, &known, algorithms)
                    .map_err(|reason| refuse(FileProblem::UnusableCrl { position, reason }))?;
                all.add(issuer, list);
            }
        }
        Ok(all)
    }

    /// Of two lists of one CA about the same certificates the newer one counts.
    fn add(&mut self, issuer: &Issuer, list: List) {
        let lists = self.lists.entry(issuer.clone()).or_default();
        match lists.iter_mut().find(|known| known.scope == list.scope) {
            Some(known) if known.made < list.made => *known = list,
            Some(_) => {}
            None => lists.push(list),
        }
    }

    /// When the first list of each file is due to be replaced.
    pub(super) fn deadlines(&self) -> Vec<(PathBuf, SystemTime)> {
        let mut first = BTreeMap::new();
        for list in self.lists.values().flatten() {
            if let Some(until) = list.until {
                let known = first.entry(list.file.clone()).or_insert(until);
                *known = until.min(*known);
            }
        }
        first.into_iter().collect()
    }

    /// Whether no certificate of a chain has been revoked and, where that is asked for, each is
    /// known not to be. The CA at its end is on the list of CAs, or not.
    pub(super) fn check(&self, path: &VerifiedPath<'_>) -> Result<(), webpki::Error> {
        let mut certificate: &Cert<'_> = path.end_entity();
        let mut role = Role::Client;
        for issuer in path.intermediate_certificates() {
            self.check_one(certificate, role, &Issuer::of(issuer))?;
            (certificate, role) = (issuer, Role::Ca);
        }
        self.check_one(certificate, role, &Issuer::anchor(path.anchor()))
    }

    fn check_one(
        &self,
        certificate: &Cert<'_>,
        role: Role,
        issuer: &Issuer,
    ) -> Result<(), webpki::Error> {
        let lists = self.lists.get(issuer).map_or(&[][..], Vec::as_slice);
        let serial = strip_zero(certificate.serial());
        if lists.iter().any(|list| list.serials.contains(serial)) {
            return Err(webpki::Error::CertRevoked);
        }
        let is_covered = || {
            let mut scopes = lists.iter().map(|list| &list.scope);
            scopes.any(|scope| scope.covers(certificate, role))
        };
        match self.unknown {
            UnknownStatus::Refuse if !is_covered() => Err(webpki::Error::UnknownRevocationStatus),
            UnknownStatus::Refuse | UnknownStatus::Allow => Ok(()),
        }
    }
}

impl Scope {
    fn covers(&self, certificate: &Cert<'_>, role: Role) -> bool {
        if self.only.is_some_and(|only| only != role) {
            return false;
        }
        if self.places.is_empty() {
            return true;
        }
        let der = certificate.der();
        match x509_parser::parse_x509_certificate(&der) {
            Ok((_, parsed)) => match places_of(parsed.extensions()) {
                Some(named) => named.iter().any(|place| self.places.contains(place)),
                None => true,
            },
            Err(_) => false,
        }
    }
}

/// Where a certificate says that its CRL is; none when it does not.
fn places_of(extensions: &[X509Extension<'_>]) -> Option<Vec<String>> {
    extensions.iter().find_map(|extension| {
        let ParsedExtension::CRLDistributionPoints(points) = extension.parsed_extension() else {
            return None;
        };
        let whole = points.iter().filter(|point| point.reasons.is_none());
        let names = whole.filter_map(|point| point.distribution_point.as_ref());
        Some(names.flat_map(places).collect())
    })
}

fn places(name: &DistributionPointName<'_>) -> Vec<String> {
    let DistributionPointName::FullName(names) = name else {
        return Vec::new();
    };
    let uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    });
    uris.collect()
}
