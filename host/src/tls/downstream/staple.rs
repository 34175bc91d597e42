//! OCSP responses (RFC 6960) that are stapled to handshakes (RFC 6066 §8): whether one is about
//! the certificate beside it, and when it is valid. Its signature is left to clients, who
//! have to verify it anyway.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest;
use der::Decode;
use rustls_pki_types::CertificateDer;
use x509_ocsp::{
    BasicOcspResponse, CertId, CertStatus, OcspResponse, OcspResponseStatus, SingleResponse,
};
use x509_parser::prelude::X509Certificate;

use super::{
    super::{FileProblem, files},
    clients::strip_zero,
};

/// When a response may be stapled; both ends inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    from: SystemTime,
    until: SystemTime,
}

impl Validity {
    pub(super) fn holds(self, now: SystemTime) -> bool {
        (self.from..=self.until).contains(&now)
    }

    pub(super) fn end(self) -> SystemTime {
        self.until
    }
}

/// Reads the response for the first certificate of `chain`.
pub(super) fn read(
    path: &Path,
    chain: &[CertificateDer<'_>],
) -> Result<(Vec<u8>, Validity), FileProblem> {
    let bytes = files::read(path)?;
    let validity = check(&bytes, chain).map_err(FileProblem::UnusableStaple)?;
    Ok((bytes, validity))
}

fn check(bytes: &[u8], chain: &[CertificateDer<'_>]) -> Result<Validity, String> {
    let malformed = |error: der::Error| format!("it is not an OCSP response in DER ({error})");
    let response = OcspResponse::from_der(bytes).map_err(malformed)?;
    if response.response_status != OcspResponseStatus::Successful {
        let status = response.response_status;
        return Err(format!("it is an error of the responder: {status:?}"));
    }
    let basic = response.response_bytes.ok_or("it is empty")?;
    let basic = BasicOcspResponse::from_der(basic.response.as_bytes()).map_err(malformed)?;
    let leaf = chain.first().ok_or("there is no certificate")?;
    let (_, leaf) = x509_parser::parse_x509_certificate(leaf).map_err(|error| error.to_string())?;
    let mut all = basic.tbs_response_data.responses.iter();
    let single = all
        .find(|single| is_about(&single.cert_id, &leaf))
        .ok_or("it is about another certificate than the chain's first")?;
    match single.cert_status {
        CertStatus::Good(_) => Ok(validity(single)),
        CertStatus::Revoked(_) => Err("it says that the certificate is revoked".to_owned()),
        CertStatus::Unknown(_) => Err("its responder does not know the certificate".to_owned()),
    }
}

/// By serial number and issuer (RFC 6960 §4.1.1).
fn is_about(id: &CertId, leaf: &X509Certificate<'_>) -> bool {
    const SHA_1: &str = "1.3.14.3.2.26";
    const SHA_256: &str = "2.16.840.1.101.3.4.2.1";
    let algorithm = match id.hash_algorithm.oid.to_string().as_str() {
        SHA_1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        SHA_256 => &digest::SHA256,
        _ => return false,
    };
    let issuer = digest::digest(algorithm, leaf.issuer().as_raw());
    issuer.as_ref() == id.issuer_name_hash.as_bytes()
        && strip_zero(id.serial_number.as_bytes()) == strip_zero(leaf.raw_serial())
}

/// A response without `nextUpdate` says that newer ones are always there (RFC 6960 §2.4); it
/// is stapled for a week.
fn validity(single: &SingleResponse) -> Validity {
    const WEEK: Duration = Duration::from_hours(7 * 24);
    let time =
        |time: &x509_ocsp::OcspGeneralizedTime| SystemTime::UNIX_EPOCH + time.0.to_unix_duration();
    let from = time(&single.this_update);
    let until = single.next_update.as_ref().map_or(from + WEEK, time);
    Validity { from, until }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_holds_from_its_first_second_to_its_last() {
        let second = Duration::from_secs(1);
        let (from, until) = (
            SystemTime::UNIX_EPOCH + 10 * second,
            SystemTime::UNIX_EPOCH + 20 * second,
        );
        let validity = Validity { from, until };
        assert!(validity.holds(from) && validity.holds(until));
        assert!(!validity.holds(from - second) && !validity.holds(until + second));
    }
}
