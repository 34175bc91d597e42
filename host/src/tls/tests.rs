//! Real handshakes over an in-memory pipe, with certificates made on the spot.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod downstream;
mod revocation;
mod upstream;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::ServerName;
use tempfile::TempDir;
use tokio_rustls::{TlsAcceptor, client, server};

use super::{Alpn, Fingerprint, upstream::HandshakeFailure};
use crate::config::CertificateFiles;

/// A certificate with its key, not yet in any file.
struct Identity {
    certificate: rcgen::Certificate,
    params: CertificateParams,
    key: KeyPair,
}

impl Identity {
    fn self_signed(names: &[&str]) -> Self {
        Self::with(names, |_| {})
    }

    fn with(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Self {
        Self::over(KeyPair::generate().unwrap(), names, change)
    }

    fn over(key: KeyPair, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Self {
        let params = params(names, change);
        let certificate = params.self_signed(&key).unwrap();
        Self {
            certificate,
            params,
            key,
        }
    }

    fn ca() -> Self {
        Self::ca_named("Test CA")
    }

    fn ca_named(name: &str) -> Self {
        Self::with(&[], |params| {
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        })
    }

    fn issue(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = params(names, change);
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(&key, &issuer).unwrap();
        Self {
            certificate,
            params,
            key,
        }
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.certificate.der())
    }

    fn spki(&self) -> Fingerprint {
        use rcgen::PublicKeyData;
        Fingerprint::of(&self.key.subject_public_key_info())
    }
}

fn params(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let names: Vec<String> = names.iter().copied().map(String::from).collect();
    let mut params = CertificateParams::new(names).unwrap();
    change(&mut params);
    params
}

fn expired(params: &mut CertificateParams) {
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
}

fn of_the_future(params: &mut CertificateParams) {
    params.not_before = rcgen::date_time_ymd(4000, 1, 1);
}

/// Files that go away with the test.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn identity(&self, name: &str, identity: &Identity) -> CertificateFiles {
        CertificateFiles {
            chain: self.write(&format!("{name}.pem"), &identity.certificate.pem()),
            key: self.write(&format!("{name}.key"), &identity.key.serialize_pem()),
            ocsp: None,
        }
    }
}

fn name(name: &str) -> ServerName<'static> {
    ServerName::try_from(name.to_owned()).unwrap()
}

type Pipe = tokio::io::DuplexStream;

/// Both ends of one handshake.
async fn handshake(
    client: &Arc<ClientConfig>,
    asked: &str,
    server: &Arc<ServerConfig>,
) -> (
    Result<client::TlsStream<Pipe>, HandshakeFailure>,
    io::Result<server::TlsStream<Pipe>>,
) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let offers = client.alpn_protocols.iter();
    let offers: Vec<_> = offers.filter_map(|name| Alpn::from_wire(name)).collect();
    let (near, far) = tokio::join!(
        super::upstream::connect(client, name(asked), &offers, near),
        TlsAcceptor::from(Arc::clone(server)).accept(far),
    );
    (near.map(|(stream, _)| stream), far)
}

fn missing(folder: &Path) -> PathBuf {
    folder.join("missing.pem")
}
