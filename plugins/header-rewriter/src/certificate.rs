//! Azure's server variables about the client's certificate.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use witgate_sdk::{ClientCertificate, Request};

/// A fact about the client's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CertificateFact {
    Pem,
    EndDate,
    Fingerprint,
    FingerprintSha256,
    Issuer,
    Serial,
    StartDate,
    Subject,
    Verification,
}

const NAMES: [(&str, CertificateFact); 9] = [
    ("", CertificateFact::Pem),
    ("_end_date", CertificateFact::EndDate),
    ("_fingerprint", CertificateFact::Fingerprint),
    ("_fingerprint_sha256", CertificateFact::FingerprintSha256),
    ("_issuer", CertificateFact::Issuer),
    ("_serial", CertificateFact::Serial),
    ("_start_date", CertificateFact::StartDate),
    ("_subject", CertificateFact::Subject),
    ("_verification", CertificateFact::Verification),
];

impl CertificateFact {
    /// The fact that a server variable of this name is.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let rest = name.strip_prefix("client_certificate")?;
        let known = NAMES.iter().find(|(known, _)| *known == rest);
        known.map(|(_, fact)| *fact)
    }

    /// Its value; empty without a certificate, but for the verification.
    pub(crate) fn value(self, request: &Request) -> String {
        match self {
            Self::Pem => own(request).map_or_else(String::new, |der| escaped(&pem(&der))),
            Self::Fingerprint => own(request).map_or_else(String::new, |der| sha1(&der)),
            Self::Verification => verification(request.client_certificate()),
            other => request
                .client_certificate()
                .map_or_else(String::new, |certificate| other.of(certificate)),
        }
    }

    fn of(self, certificate: ClientCertificate) -> String {
        match self {
            Self::EndDate => date(certificate.not_after),
            Self::StartDate => date(certificate.not_before),
            Self::FingerprintSha256 => certificate.fingerprint,
            Self::Issuer => certificate.issuer,
            Self::Serial => certificate.serial.to_ascii_uppercase(),
            Self::Subject => certificate.subject,
            Self::Pem | Self::Fingerprint | Self::Verification => String::new(),
        }
    }
}

/// The DER of the client's own certificate.
fn own(request: &Request) -> Option<Vec<u8>> {
    request.client_certificate_chain().into_iter().next()
}

fn verification(certificate: Option<ClientCertificate>) -> String {
    match certificate.map(|certificate| certificate.verification) {
        None => "NONE".to_owned(),
        Some(Ok(())) => "SUCCESS".to_owned(),
        Some(Err(reason)) => format!("FAILED:{reason}"),
    }
}

/// RFC 7468 §3.
fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for (place, letter) in text.chars().enumerate() {
        if place > 0 && place % 64 == 0 {
            pem.push('\n');
        }
        pem.push(letter);
    }
    pem + "\n-----END CERTIFICATE-----\n"
}

/// What is not unreserved (RFC 3986 §2.3) percent-encoded.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 5 / 4);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

fn sha1(der: &[u8]) -> String {
    sha1_smol::Sha1::from(der).digest().to_string()
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// As OpenSSL writes times, and with it nginx and Azure: `Jan  1 00:00:00 2030 GMT`.
fn date(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let month = MONTHS.get(month).copied().unwrap_or_default();
    format!("{month} {day:2} {hour:02}:{minute:02}:{second:02} {year} GMT")
}

/// Year, month from 0 and day of a day counted from 1970, in the Gregorian calendar. Counts
/// in years that begin in March, so that the leap day is the last, and in eras of 400 years,
/// which all have the same number of days.
fn civil(days: i64) -> (i64, usize, i64) {
    const ERA: i64 = 146_097;
    // Days from 1 March 0000 to 1 January 1970.
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let (month, next) = if from_march < 10 {
        (from_march + 2, 0)
    } else {
        (from_march - 10, 1)
    };
    let month = usize::try_from(month).unwrap_or_default();
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_openssl_does() {
        for (seconds, text) in [
            (0, "Jan  1 00:00:00 1970 GMT"),
            (-1, "Dec 31 23:59:59 1969 GMT"),
            (951_782_400, "Feb 29 00:00:00 2000 GMT"),
            (1_669_912_756, "Dec  1 16:39:16 2022 GMT"),
            (2_147_483_648, "Jan 19 03:14:08 2038 GMT"),
            (4_107_542_400, "Mar  1 00:00:00 2100 GMT"),
            (253_402_300_799, "Dec 31 23:59:59 9999 GMT"),
        ] {
            assert_eq!(date(seconds), text);
        }
    }

    #[test]
    fn pem_has_lines_of_64_letters() {
        let pem = pem(&[0; 60]);
        let lengths: Vec<_> = pem.lines().map(str::len).collect();
        assert_eq!(lengths, [27, 64, 16, 25]);
        assert_eq!(escaped("-----\n+/="), "-----%0A%2B%2F%3D");
    }

    #[test]
    fn sha1_is_that_of_the_standard() {
        assert_eq!(sha1(b"abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }
}
