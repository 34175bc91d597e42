//! One CRL from DER: what kind it is, which CA has signed it and what it has. Whatever is not
//! understood is refused, since a list that is half understood is none.

use std::path::Path;

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor};
use x509_parser::{
    asn1_rs::{Any, BitString},
    extensions::{IssuingDistributionPoint, ParsedExtension},
    oid_registry::{
        OID_X509_EXT_DELTA_CRL_INDICATOR, OID_X509_EXT_INVALIDITY_DATE, OID_X509_EXT_REASON_CODE,
    },
    prelude::{CertificateRevocationList, FromDer, X509Extension},
};

use super::{
    super::{
        super::{leaf::time, name},
        clients::strip_zero,
    },
    Algorithms, Issuer, List, Role, Scope, places,
};

/// A CA of the list, as CRLs are verified with it.
pub(super) struct Ca {
    issuer: Issuer,
    /// Whether its key may sign CRLs.
    signs_crls: bool,
}

impl Ca {
    pub(super) fn new(der: &CertificateDer<'_>, anchor: &TrustAnchor<'_>) -> Self {
        let parsed = x509_parser::parse_x509_certificate(der).ok();
        let usage = parsed.and_then(|(_, parsed)| {
            let usage = parsed.key_usage().ok()??;
            Some(usage.value.crl_sign())
        });
        Self {
            issuer: Issuer::anchor(anchor),
            // Without a word on its use a key is for all (RFC 5280 §4.2.1.3).
            signs_crls: usage.unwrap_or(true),
        }
    }
}

/// Reads one CRL and finds the CA that has signed it, or says why that is impossible.
pub(super) fn read<'a>(
    file: &Path,
    der: &[u8],
    known: &'a [Ca],
    algorithms: &Algorithms,
) -> Result<(&'a Issuer, List), String> {
    let (rest, crl) = CertificateRevocationList::from_der(der)
        .map_err(|error| format!("it is not a CRL ({error})"))?;
    if !rest.is_empty() {
        return Err(format!("{} bytes follow behind it", rest.len()));
    }
    let scope = scope(&crl)?;
    let issuer = signer(&crl, known, algorithms)?;
    let revoked = crl.iter_revoked_certificates();
    let list = List {
        serials: revoked
            .map(|revoked| strip_zero(revoked.raw_serial()).into())
            .collect(),
        scope,
        made: crl.last_update().timestamp(),
        file: file.to_owned(),
        until: crl.next_update().map(|next| time(next.timestamp())),
    };
    Ok((issuer, list))
}

/// What it speaks of. What is critical must be understood (RFC 5280 §5.2, §5.3).
fn scope(crl: &CertificateRevocationList<'_>) -> Result<Scope, String> {
    let mut scope = Scope::default();
    for extension in crl.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::IssuingDistributionPoint(point) => scope = part(point)?,
            _ if extension.oid == OID_X509_EXT_DELTA_CRL_INDICATOR => {
                return Err("it is a delta CRL, expected a complete one".to_owned());
            }
            _ if extension.critical => return Err(not_understood(extension)),
            _ => {}
        }
    }
    let entries = crl.iter_revoked_certificates();
    let unknown = entries
        .flat_map(|entry| entry.extensions())
        .find(|extension| {
            let known = [OID_X509_EXT_REASON_CODE, OID_X509_EXT_INVALIDITY_DATE];
            extension.critical && !known.contains(&extension.oid)
        });
    unknown.map_or(Ok(scope), |extension| Err(not_understood(extension)))
}

/// A list of part of the CA's certificates.
fn part(point: &IssuingDistributionPoint<'_>) -> Result<Scope, &'static str> {
    if point.indirect_crl {
        return Err("it is an indirect CRL, expected one of certificates of its own issuer");
    }
    if point.only_some_reasons.is_some() {
        return Err("it is about some reasons of revocation, expected one about all");
    }
    if point.only_contains_attribute_certs {
        return Err("it is about attribute certificates");
    }
    let only = match (point.only_contains_user_certs, point.only_contains_ca_certs) {
        (true, true) => return Err("it is about no certificates at all"),
        (true, false) => Some(Role::Client),
        (false, true) => Some(Role::Ca),
        (false, false) => None,
    };
    let places = match &point.distribution_point {
        None => Vec::new(),
        Some(name) => match places(name) {
            places if places.is_empty() => {
                return Err("its distribution point is no URI, expected one or none");
            }
            places => places,
        },
    };
    Ok(Scope { only, places })
}

fn not_understood(extension: &X509Extension<'_>) -> String {
    let oid = &extension.oid;
    format!("it has a critical extension that is not supported ({oid})")
}

/// The CA that has signed it.
fn signer<'a>(
    crl: &CertificateRevocationList<'_>,
    known: &'a [Ca],
    algorithms: &Algorithms,
) -> Result<&'a Issuer, String> {
    let name = Any::from_der(crl.issuer().as_raw()).map_err(|error| error.to_string())?;
    let named: Vec<_> = known
        .iter()
        .filter(|ca| ca.issuer.name == name.1.data)
        .collect();
    let issuer = name::distinguished(crl.issuer());
    if named.is_empty() {
        return Err(format!("it is of {issuer}, which is no CA of `ca`"));
    }
    let signers: Vec<_> = named
        .into_iter()
        .filter(|ca| is_signed(crl, &ca.issuer.key, algorithms) == Some(true))
        .collect();
    if signers.is_empty() {
        return Err(format!(
            "it is not signed by the CA of `ca` whose name it has, {issuer}"
        ));
    }
    match signers.iter().find(|ca| ca.signs_crls) {
        Some(ca) => Ok(&ca.issuer),
        None => Err(format!(
            "the certificate of its CA, {issuer}, does not allow that to sign CRLs"
        )),
    }
}

/// Whether its signature is that of a key; none when there is something wrong with either.
fn is_signed(
    crl: &CertificateRevocationList<'_>,
    key: &[u8],
    algorithms: &Algorithms,
) -> Option<bool> {
    let signed = crl.tbs_cert_list.as_ref();
    if crl.signature_algorithm != crl.tbs_cert_list.signature {
        return None;
    }
    let (_, whole) = Any::from_der(crl.as_raw()).ok()?;
    let (_, signature_id) = Any::from_der(whole.data.get(signed.len()..)?).ok()?;
    let (_, key) = Any::from_der(key).ok()?;
    let (bits, key_id) = Any::from_der(key.data).ok()?;
    let (_, bits) = BitString::from_der(bits).ok()?;
    let is_good = |algorithm: &&'static dyn SignatureVerificationAlgorithm| {
        algorithm.signature_alg_id().as_ref() == signature_id.data
            && algorithm.public_key_alg_id().as_ref() == key_id.data
            && algorithm
                .verify_signature(&bits.data, signed, &crl.signature_value.data)
                .is_ok()
    };
    Some(algorithms.iter().any(is_good))
}
