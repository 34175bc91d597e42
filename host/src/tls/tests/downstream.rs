//! Which certificate a client gets, and which files are refused.

use std::time::{Duration, SystemTime};

use rustls::HandshakeKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::{
    config::{
        Hosts, ListenerTls, PinnedCertificate, PoolTls, Tickets, TlsPolicy, Trust, UnknownNames,
    },
    tls::{
        Alpn, CertificateWarning, FileProblem,
        downstream::{Context, TlsFileError},
    },
};

/// These certificates, and the defaults.
fn listener(certificates: &[CertificateFiles]) -> ListenerTls {
    ListenerTls {
        certificates: certificates.to_vec(),
        policy: TlsPolicy::default(),
        unknown_names: UnknownNames::Default,
        hosts: Hosts::Any,
        tickets: Tickets::On {
            keys: None,
            lifetime: Duration::from_hours(12),
        },
        client_certificates: None,
    }
}

fn load(certificates: &[CertificateFiles]) -> Result<Context, TlsFileError> {
    Context::load(&listener(certificates), None)
}

fn server_config(certificates: &[CertificateFiles]) -> Result<Arc<ServerConfig>, TlsFileError> {
    load(certificates).map(|context| Arc::clone(context.config()))
}

/// A client that accepts exactly these.
fn client(accepted: &[&Identity], alpn: &[Alpn]) -> Arc<ClientConfig> {
    let pins = accepted.iter().map(|identity| identity.fingerprint().0);
    let trust = Trust::Certificates(pins.map(PinnedCertificate::Fingerprint).collect());
    let mut config = (**crate::tls::upstream::Context::load(&trust, &PoolTls::default())
        .unwrap()
        .config())
    .clone();
    config.alpn_protocols = alpn.iter().map(|alpn| alpn.as_str().into()).collect();
    Arc::new(config)
}

#[tokio::test]
async fn a_client_gets_the_certificate_of_the_name_it_asks_for() {
    let files = Files::new();
    let first = Identity::self_signed(&["default.example"]);
    let wildcard = Identity::self_signed(&["*.shop.example"]);
    let exact = Identity::self_signed(&["www.shop.example", "SHOP.example"]);
    let server = server_config(&[
        files.identity("first", &first),
        files.identity("wildcard", &wildcard),
        files.identity("exact", &exact),
    ])
    .unwrap();
    let client = client(&[&first, &wildcard, &exact], &[]);
    for (asked, expected) in [
        ("default.example", &first),
        ("www.shop.example", &exact),
        ("WWW.Shop.Example", &exact),
        ("shop.example", &exact),
        ("api.shop.example", &wildcard),
        ("a.b.shop.example", &first),
        ("unknown.example", &first),
        ("127.0.0.1", &first),
    ] {
        let (client, _) = handshake(&client, asked, &server).await;
        let client = client.unwrap();
        let leaf = &client.get_ref().1.peer_certificates().unwrap()[0];
        assert_eq!(leaf, expected.certificate.der(), "{asked}");
    }
}

#[tokio::test]
async fn the_session_tells_what_was_agreed_on() {
    let files = Files::new();
    let own = Identity::self_signed(&["shop.example"]);
    let server = server_config(&[files.identity("own", &own)]).unwrap();
    for (offered, agreed) in [
        (&[Alpn::H1, Alpn::H2][..], Some(Alpn::H2)),
        (&[Alpn::H1], Some(Alpn::H1)),
        (&[], None),
    ] {
        let client = client(&[&own], offered);
        let (_client, accepted) = handshake(&client, "Shop.Example", &server).await;
        let session = crate::tls::Session::of(accepted.unwrap().get_ref().1);
        assert_eq!(session.version, "TLSv1.3");
        assert!(session.cipher.starts_with("TLS_AES_"), "{}", session.cipher);
        assert_eq!(session.server_name.as_deref(), Some("shop.example"));
        assert_eq!(session.alpn, agreed);
    }
}

#[tokio::test]
async fn tls_1_2_is_spoken_as_well() {
    let files = Files::new();
    let own = Identity::self_signed(&["shop.example"]);
    let server = server_config(&[files.identity("own", &own)]).unwrap();
    let trust = Trust::Certificates(vec![PinnedCertificate::Fingerprint(own.fingerprint().0)]);
    let verifier = crate::tls::trust::Verifier::new(&trust).unwrap();
    let client = ClientConfig::builder_with_provider(crate::tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    let (_client, accepted) = handshake(&Arc::new(client), "127.0.0.1", &server).await;
    let session = crate::tls::Session::of(accepted.unwrap().get_ref().1);
    assert_eq!(session.version, "TLSv1.2");
    assert!(
        session.cipher.starts_with("TLS_ECDHE_ECDSA_WITH_AES_"),
        "{}",
        session.cipher
    );
    assert_eq!((session.server_name, session.alpn), (None, None));
}

#[tokio::test]
async fn sessions_are_resumed_by_tickets_and_without_early_data() {
    let files = Files::new();
    let own = Identity::self_signed(&["shop.example"]);
    let server = server_config(&[files.identity("own", &own)]).unwrap();
    assert_eq!(server.max_early_data_size, 0);
    let client = client(&[&own], &[]);
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let (near, far) = handshake(&client, "shop.example", &server).await;
        let (mut near, mut far) = (near.unwrap(), far.unwrap());
        far.write_all(b"x").await.unwrap();
        far.flush().await.unwrap();
        near.read_u8().await.unwrap();
        kinds.push(near.get_ref().1.handshake_kind().unwrap());
    }
    assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed]);
}

#[tokio::test]
async fn of_two_certificates_for_a_name_the_client_gets_one_it_can_verify() {
    let files = Files::new();
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let ed25519 = Identity::over(ed25519, &["shop.example"], |_| {});
    let ecdsa = Identity::self_signed(&["shop.example"]);
    let server = server_config(&[
        files.identity("ed25519", &ed25519),
        files.identity("ecdsa", &ecdsa),
    ])
    .unwrap();
    let pins = [&ed25519, &ecdsa].map(|identity| identity.fingerprint().0);
    let trust = Trust::Certificates(pins.map(PinnedCertificate::Fingerprint).into());
    let verifier = OnlyEcdsa(crate::tls::trust::Verifier::new(&trust).unwrap());
    let mut config = (**crate::tls::upstream::Context::load(&trust, &PoolTls::default())
        .unwrap()
        .config())
    .clone();
    let (near, _) = handshake(&Arc::new(config.clone()), "shop.example", &server).await;
    let leaf = near.unwrap().get_ref().1.peer_certificates().unwrap()[0].clone();
    assert_eq!(&leaf, ed25519.certificate.der());
    config
        .dangerous()
        .set_certificate_verifier(Arc::new(verifier));
    let (near, _) = handshake(&Arc::new(config), "shop.example", &server).await;
    let leaf = near.unwrap().get_ref().1.peer_certificates().unwrap()[0].clone();
    assert_eq!(&leaf, ecdsa.certificate.der());
}

/// A client that knows ECDSA alone.
#[derive(Debug)]
struct OnlyEcdsa(crate::tls::trust::Verifier);

mod only_ecdsa {
    use rustls::{
        DigitallySignedStruct, Error, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    };
    use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

    impl ServerCertVerifier for super::OnlyEcdsa {
        fn verify_server_cert(
            &self,
            leaf: &CertificateDer<'_>,
            chain: &[CertificateDer<'_>],
            name: &ServerName<'_>,
            ocsp: &[u8],
            now: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            self.0.verify_server_cert(leaf, chain, name, ocsp, now)
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            leaf: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.0.verify_tls12_signature(message, leaf, signed)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            leaf: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.0.verify_tls13_signature(message, leaf, signed)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ECDSA_NISTP256_SHA256]
        }
    }
}

fn refused(certificates: &[CertificateFiles]) -> TlsFileError {
    server_config(certificates).map(drop).unwrap_err()
}

#[test]
fn a_key_that_does_not_fit_is_refused_and_named() {
    let files = Files::new();
    let good = files.identity("good", &Identity::self_signed(&["a.example"]));
    let mixed = CertificateFiles {
        chain: files
            .identity("b", &Identity::self_signed(&["b.example"]))
            .chain,
        key: good.key.clone(),
        ocsp: None,
    };
    let error = refused(&[good.clone(), mixed]);
    assert_eq!(error.key, "certificates[1].key");
    assert_eq!(error.path, good.key);
    assert!(
        error.to_string().ends_with(
            "good.key: the private key does not fit the chain's certificate, which is for b.example"
        ),
        "{error}"
    );
}

#[test]
fn a_chain_in_the_wrong_order_is_refused() {
    let (files, ca) = (Files::new(), Identity::ca());
    let leaf = ca.issue(&["a.example"], |_| {});
    let mut own = files.identity("own", &leaf);
    let reversed = ca.certificate.pem() + &leaf.certificate.pem();
    own.chain = files.write("reversed.pem", &reversed);
    let error = refused(&[own]);
    assert_eq!(error.key, "certificates[0].chain");
    assert!(
        matches!(error.problem, FileProblem::LeafNotFirst { position: 1 }),
        "{error}"
    );
}

#[test]
fn a_chain_may_hold_its_issuers() {
    let (files, ca) = (Files::new(), Identity::ca());
    let leaf = ca.issue(&["a.example"], |_| {});
    let mut own = files.identity("own", &leaf);
    let chain = leaf.certificate.pem() + &ca.certificate.pem();
    own.chain = files.write("chain.pem", &chain);
    server_config(&[own]).unwrap();
}

#[test]
fn each_wrong_file_has_its_own_reason() {
    let files = Files::new();
    let good = files.identity("good", &Identity::self_signed(&["a.example"]));
    let with_chain = |chain: PathBuf| CertificateFiles {
        chain,
        ..good.clone()
    };
    let with_key = |key: PathBuf| CertificateFiles {
        key,
        ..good.clone()
    };
    let broken = "-----BEGIN CERTIFICATE-----\nMIIB\n";
    let garbage = "-----BEGIN CERTIFICATE-----\nZ2FyYmFnZQ==\n-----END CERTIFICATE-----\n";
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nZ2FyYmFnZQ==\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let old_encrypted = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nZ2FyYmFnZQ==\n-----END RSA PRIVATE KEY-----\n";
    let unusable = "-----BEGIN PRIVATE KEY-----\nZ2FyYmFnZQ==\n-----END PRIVATE KEY-----\n";
    let cases = [
        (
            with_chain(missing(files.0.path())),
            "chain",
            "cannot read the file: No such file",
        ),
        (
            with_chain(files.0.path().to_owned()),
            "chain",
            "cannot read the file: it is a folder",
        ),
        (
            with_chain(files.write("empty", "")),
            "chain",
            "the file is empty",
        ),
        (
            with_chain(good.key.clone()),
            "chain",
            "the file holds a private key",
        ),
        (
            with_chain(files.write("broken", broken)),
            "chain",
            "has no end line",
        ),
        (
            with_chain(files.write("garbage", garbage)),
            "chain",
            "certificate 1 of the file cannot be used",
        ),
        (
            with_key(missing(files.0.path())),
            "key",
            "cannot read the file: No such file",
        ),
        (
            with_key(good.chain.clone()),
            "key",
            "no private key in the file",
        ),
        (
            with_key(good.chain.clone()),
            "key",
            "the file holds a certificate",
        ),
        (
            with_key(files.write("encrypted", encrypted)),
            "key",
            "the private key is encrypted",
        ),
        (
            with_key(files.write("old", old_encrypted)),
            "key",
            "the private key is encrypted",
        ),
        (
            with_key(files.write("unusable", unusable)),
            "key",
            "of no kind that can be used",
        ),
    ];
    for (certificate, file, words) in cases {
        let error = refused(&[certificate]);
        assert_eq!(error.key, format!("certificates[0].{file}"));
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
}

#[test]
fn expiry_is_a_warning() {
    let files = Files::new();
    let good = files.identity("good", &Identity::self_signed(&["a.example"]));
    let old = files.identity("old", &Identity::with(&["a.example"], expired));
    let certificates = [good, old.clone()];
    let now = SystemTime::now();
    let found = load(&certificates).unwrap().warnings(now);
    let [warning @ CertificateWarning::Expired { path, not_after }] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(path, &old.chain);
    let shown = warning.to_string();
    assert!(
        shown.ends_with("old.pem: expired at 2021-01-01T00:00:00Z"),
        "{shown}"
    );

    let day = Duration::from_hours(24);
    let at = |time| load(std::slice::from_ref(&old)).unwrap().warnings(time);
    assert!(matches!(
        at(*not_after - day)[..],
        [CertificateWarning::ExpiresSoon { .. }]
    ));
    assert!(at(*not_after - 15 * day).is_empty());
}

#[test]
fn a_final_dot_and_case_do_not_matter() {
    let files = Files::new();
    let own = Identity::self_signed(&["shop.example", "*.shop.example"]);
    let resolver = crate::tls::downstream::Resolver::load(
        &[files.identity("own", &own)],
        UnknownNames::Default,
    )
    .unwrap();
    for asked in ["shop.example.", "SHOP.example", "a.SHOP.example."] {
        assert!(resolver.has(asked), "{asked}");
    }
    for asked in [".shop.example", "a.b.shop.example", "example", "", "."] {
        assert!(!resolver.has(asked), "{asked}");
    }
}
