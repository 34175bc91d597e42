//! Certificates, made at the start of a test: self-signed or issued, valid or wrong in one way.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use aws_lc_rs::digest;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationList,
    CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod,
    KeyPair, PublicKeyData as _, RevokedCertParams, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

/// The names that the gateway's own certificate is for, unless a test says otherwise.
pub const GATEWAY_NAMES: [&str; 4] = ["shop.example", "*.shop.example", "api.example", "localhost"];

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Now, and long before and after.
    Now,
    /// Until 2001.
    Expired,
    /// From 2120 on.
    NotYet,
}

impl Validity {
    fn years(self) -> (i32, i32) {
        match self {
            Self::Now => (2020, 2119),
            Self::Expired => (2000, 2001),
            Self::NotYet => (2120, 2121),
        }
    }

    fn apply(self, params: &mut CertificateParams) {
        let (from, to) = self.years();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
    }
}

/// A certificate and its private key.
#[derive(Debug)]
pub struct Identity {
    certificate: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
    names: Vec<String>,
}

impl Identity {
    /// A self-signed leaf for these names, valid now.
    pub fn self_signed(names: &[&str]) -> Self {
        Self::self_signed_while(names, Validity::Now)
    }

    /// A self-signed leaf, valid at another time.
    pub fn self_signed_while(names: &[&str], validity: Validity) -> Self {
        Self::sign(names, validity, KeyPair::generate().unwrap())
    }

    /// Another self-signed certificate over the same key.
    pub fn same_key(&self) -> Self {
        let names: Vec<_> = self.names.iter().map(String::as_str).collect();
        let key = KeyPair::from_pem(&self.key_pem()).unwrap();
        Self::sign(&names, Validity::Now, key)
    }

    fn sign(names: &[&str], validity: Validity, key: KeyPair) -> Self {
        let certificate = leaf(names, validity).self_signed(&key).unwrap();
        Self::new(&certificate, key, names)
    }

    fn new(certificate: &Certificate, key: KeyPair, names: &[&str]) -> Self {
        let names = names.iter().map(ToString::to_string).collect();
        Self {
            certificate: certificate.der().clone(),
            pem: certificate.pem(),
            key,
            names,
        }
    }

    /// What [`write`](Self::write) has written, if it is there.
    pub fn read(dir: &Path, name: &str) -> Option<Self> {
        let pem = fs::read_to_string(dir.join(format!("{name}.pem"))).ok()?;
        let key = fs::read_to_string(dir.join(format!("{name}.key"))).ok()?;
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let key = KeyPair::from_pem(&key).ok()?;
        Some(Self {
            certificate,
            pem,
            key,
            names: Vec::new(),
        })
    }

    /// The certificate, DER.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// The private key, PKCS#8 DER.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.serialize_der().into())
    }

    /// The certificate, PEM.
    pub fn certificate_pem(&self) -> String {
        self.pem.clone()
    }

    /// The private key, PEM.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// `sha256:` and the hexadecimal digest of the certificate, as `trust.certificates` takes it.
    pub fn fingerprint(&self) -> String {
        format!("sha256:{}", hex(&sha256(&self.certificate)))
    }

    /// `sha256:` and the base64 digest of the public key, as `trust.spki` takes it.
    pub fn spki_pin(&self) -> String {
        let spki = self.key.subject_public_key_info();
        format!("sha256:{}", BASE64_STANDARD.encode(sha256(&spki)))
    }

    /// As [`spki_pin`](Self::spki_pin), in hexadecimal.
    pub fn spki_pin_hex(&self) -> String {
        let spki = self.key.subject_public_key_info();
        format!("sha256:{}", hex(&sha256(&spki)))
    }

    /// Writes `NAME.pem` and `NAME.key` into a folder and returns their paths.
    pub fn write(&self, dir: &Path, name: &str) -> (PathBuf, PathBuf) {
        let chain = dir.join(format!("{name}.pem"));
        let key = dir.join(format!("{name}.key"));
        fs::write(&chain, self.certificate_pem()).unwrap();
        fs::write(&key, self.key_pem()).unwrap();
        (chain, key)
    }
}

/// A certificate authority of a test's own.
#[derive(Debug)]
pub struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
    key: String,
}

impl Authority {
    /// A new root, by this common name.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Validity::Now.apply(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self::with(certificate, params, key)
    }

    fn with(certificate: Certificate, params: CertificateParams, key: KeyPair) -> Self {
        let pem = key.serialize_pem();
        Self {
            certificate,
            issuer: Issuer::new(params, key),
            key: pem,
        }
    }

    /// Another authority, whose certificate this one has issued.
    pub fn intermediate(&self, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Validity::Now.apply(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Self::with(certificate, params, key)
    }

    /// A certificate for a TLS client, by this common name.
    pub fn issue_client(&self, name: &str, validity: Validity) -> Identity {
        self.client(name, validity, 0x00c0_ffee)
    }

    /// A certificate for a TLS client, valid now, with this serial number.
    pub fn issue_client_numbered(&self, name: &str, serial: u64) -> Identity {
        self.client(name, Validity::Now, serial)
    }

    fn client(&self, name: &str, validity: Validity, serial: u64) -> Identity {
        let mut params = leaf(&[], validity);
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(serial.into());
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity::new(&certificate, key, &[])
    }

    /// A list of revoked certificates, by their serial numbers; valid as a certificate would be.
    pub fn crl(&self, revoked: &[u64], validity: Validity) -> CertificateRevocationList {
        let (from, to) = validity.years();
        let revoked = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: (*serial).into(),
            revocation_time: date_time_ymd(from, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(from, 1, 1),
            next_update: date_time_ymd(to, 1, 1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap()
    }

    /// A leaf for these names whose last second is this one.
    pub fn issue_until(&self, names: &[&str], end: SystemTime) -> Identity {
        let mut params = leaf(names, Validity::Now);
        params.not_after = end.into();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity::new(&certificate, key, names)
    }

    /// A leaf for these names, valid now.
    pub fn issue(&self, names: &[&str]) -> Identity {
        self.issue_while(names, Validity::Now)
    }

    /// A leaf for these names, valid at another time.
    pub fn issue_while(&self, names: &[&str], validity: Validity) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = leaf(names, validity);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity::new(&certificate, key, names)
    }

    /// The root, DER.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    /// The root, PEM.
    pub fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    /// Writes the root as `NAME.pem` and its key as `NAME.key` into a folder and returns its path.
    pub fn write(&self, dir: &Path, name: &str) -> PathBuf {
        let path = dir.join(format!("{name}.pem"));
        fs::write(&path, self.certificate.pem()).unwrap();
        fs::write(dir.join(format!("{name}.key")), &self.key).unwrap();
        path
    }
}

/// SHA-256 of some bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn leaf(names: &[&str], validity: Validity) -> CertificateParams {
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names.clone()).unwrap();
    let name = names.first().map_or("leaf", String::as_str);
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    validity.apply(&mut params);
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_reads_back_as_the_same_certificate() {
        let identity = Identity::self_signed(&["web.internal"]);
        let read = CertificateDer::from_pem_slice(identity.certificate_pem().as_bytes()).unwrap();
        assert_eq!(read, identity.certificate());
    }

    #[test]
    fn the_same_key_has_the_same_pin_and_another_fingerprint() {
        let first = Identity::self_signed(&["web.internal"]);
        let second = first.same_key();
        assert_eq!(first.spki_pin(), second.spki_pin());
        assert_ne!(first.fingerprint(), second.fingerprint());
    }
}
