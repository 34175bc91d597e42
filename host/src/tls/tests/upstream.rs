//! What a pool's trust accepts and refuses, and what is told about it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use rustls::{
    CertificateError, Error, SupportedProtocolVersion,
    sign::{CertifiedKey, SingleCertAndKey},
    time_provider::TimeProvider,
    version::{TLS12, TLS13},
};
use rustls_pki_types::{PrivateKeyDer, UnixTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::{
    config::{PinnedCertificate, PoolTls, Trust},
    tls::{
        Alpn, FileProblem, provider,
        upstream::{TrustError, TrustFailure, connect, failure},
    },
};

fn client_config(trust: &Trust) -> Result<Arc<ClientConfig>, TrustError> {
    let context = crate::tls::upstream::Context::load(trust, &PoolTls::default())?;
    let mut config = ClientConfig::clone(context.config());
    // What the tests' handshakes offer.
    config.alpn_protocols = vec![Alpn::H1.as_str().into()];
    Ok(Arc::new(config))
}

const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// An endpoint that presents `identity` and signs with `key`, which may be another's.
fn endpoint_signing_with(
    identity: &Identity,
    key: &KeyPair,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let key = provider().key_provider.load_private_key(key).unwrap();
    let chain = vec![identity.certificate.der().clone()];
    let certified = CertifiedKey::new(chain, key);
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    Arc::new(config)
}

fn endpoint(identity: &Identity) -> Arc<ServerConfig> {
    endpoint_signing_with(identity, &identity.key, BOTH)
}

/// The failure of a handshake; the endpoint must not have taken it for a success.
async fn refused(trust: &Trust, asked: &str, server: &Arc<ServerConfig>) -> HandshakeFailure {
    let client = client_config(trust).unwrap();
    let (client, server) = handshake(&client, asked, server).await;
    // With TLS 1.3 the server may finish first; then it reads the refusal instead of a request.
    if let Ok(mut server) = server {
        assert!(server.read_u8().await.is_err());
    }
    client.map(drop).unwrap_err()
}

async fn untrusted(trust: &Trust, asked: &str, server: &Arc<ServerConfig>) -> TrustFailure {
    match refused(trust, asked, server).await {
        HandshakeFailure::Untrusted(failure) => failure,
        other => panic!("{other:?}"),
    }
}

async fn reached(trust: &Trust, asked: &str, server: &Arc<ServerConfig>) {
    let client = client_config(trust).unwrap();
    let (client, server) = handshake(&client, asked, server).await;
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    client.write_all(b"ping").await.unwrap();
    client.flush().await.unwrap();
    let mut heard = [0; 4];
    server.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"ping");
}

fn pinned(fingerprint: Fingerprint) -> Trust {
    Trust::Certificates(vec![PinnedCertificate::Fingerprint(fingerprint.0)])
}

fn pinned_files(files: &[PathBuf]) -> Trust {
    let files = files.iter().cloned();
    Trust::Certificates(files.map(PinnedCertificate::File).collect())
}

fn roots(files: &Files, ca: &Identity) -> Trust {
    Trust::Roots(vec![files.identity("ca", ca).chain])
}

#[tokio::test]
async fn a_pinned_self_signed_certificate_is_reached_by_any_name() {
    let files = Files::new();
    let web = Identity::self_signed(&["web.internal"]);
    let file = pinned_files(&[files.identity("web", &web).chain]);
    reached(&file, "other.internal", &endpoint(&web)).await;
    reached(&file, "127.0.0.1", &endpoint(&web)).await;
    reached(&pinned(web.fingerprint()), "web.internal", &endpoint(&web)).await;
}

#[tokio::test]
async fn all_certificates_of_a_pinned_file_are_listed() {
    let files = Files::new();
    let (old, new) = (Identity::self_signed(&["w"]), Identity::self_signed(&["w"]));
    let both = format!("{}\n{}", old.certificate.pem(), new.certificate.pem());
    let trust = pinned_files(&[files.write("both.pem", &both)]);
    reached(&trust, "web", &endpoint(&old)).await;
    reached(&trust, "web", &endpoint(&new)).await;
}

#[tokio::test]
async fn a_certificate_on_no_list_is_refused_with_its_fingerprint() {
    let (web, impostor) = (Identity::self_signed(&["w"]), Identity::self_signed(&["w"]));
    let failure = untrusted(&pinned(web.fingerprint()), "w", &endpoint(&impostor)).await;
    let fingerprint = impostor.fingerprint();
    assert_eq!(failure, TrustFailure::NotAllowListed { fingerprint });
    let shown = failure.to_string();
    assert!(
        shown.starts_with("sha256:") && shown.contains("is not on the allow-list"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_listed_key_under_another_certificate_is_told_apart() {
    let files = Files::new();
    let old = Identity::self_signed(&["web.internal"]);
    let trust = pinned_files(&[files.identity("web-1", &old).chain]);
    let renewed = Identity::over(old.key, &["web.internal"], |_| {});
    let failure = untrusted(&trust, "web.internal", &endpoint(&renewed)).await;
    let fingerprint = renewed.fingerprint();
    let listed = "web-1.pem".to_owned();
    assert_eq!(
        failure,
        TrustFailure::KeyListedOnly {
            fingerprint,
            listed
        }
    );
}

#[tokio::test]
async fn a_pinned_certificate_must_be_in_its_time() {
    let old = Identity::with(&["w"], expired);
    let failure = untrusted(&pinned(old.fingerprint()), "w", &endpoint(&old)).await;
    assert_eq!(failure.to_string(), "expired at 2021-01-01T00:00:00Z");
    let early = Identity::with(&["w"], of_the_future);
    let failure = untrusted(&pinned(early.fingerprint()), "w", &endpoint(&early)).await;
    assert_eq!(failure.to_string(), "not valid before 4000-01-01T00:00:00Z");
}

#[tokio::test]
async fn a_pinned_key_is_reached_under_any_certificate_in_its_time() {
    let old = Identity::self_signed(&["w"]);
    let trust = Trust::Spki(vec![old.spki().0]);
    reached(&trust, "other", &endpoint(&old)).await;
    let renewed = Identity::over(old.key, &["x"], |_| {});
    reached(&trust, "other", &endpoint(&renewed)).await;
    let lapsed = Identity::over(renewed.key, &["x"], expired);
    let failure = untrusted(&trust, "other", &endpoint(&lapsed)).await;
    assert!(
        matches!(failure, TrustFailure::Expired { .. }),
        "{failure:?}"
    );
}

#[tokio::test]
async fn a_key_on_no_list_is_refused_with_its_hash() {
    let (web, impostor) = (Identity::self_signed(&["w"]), Identity::self_signed(&["w"]));
    let failure = untrusted(&Trust::Spki(vec![web.spki().0]), "w", &endpoint(&impostor)).await;
    let fingerprint = impostor.spki();
    assert_eq!(failure, TrustFailure::NotAllowListed { fingerprint });
}

#[tokio::test]
async fn a_listed_ca_vouches_for_the_right_name_only() {
    let (files, ca) = (Files::new(), Identity::ca());
    let web = ca.issue(&["web.internal", "*.web.internal", "10.0.0.4"], |_| {});
    let trust = roots(&files, &ca);
    reached(&trust, "web.internal", &endpoint(&web)).await;
    reached(&trust, "a.web.internal", &endpoint(&web)).await;
    reached(&trust, "10.0.0.4", &endpoint(&web)).await;
    let failure = untrusted(&trust, "shop.internal", &endpoint(&web)).await;
    assert_eq!(
        failure.to_string(),
        "not valid for shop.internal, but for web.internal, *.web.internal, 10.0.0.4"
    );
    let failure = untrusted(&trust, "10.0.0.5", &endpoint(&web)).await;
    assert!(
        matches!(failure, TrustFailure::NameMismatch { .. }),
        "{failure:?}"
    );
}

#[tokio::test]
async fn a_certificate_of_another_ca_is_refused() {
    let (files, ca) = (Files::new(), Identity::ca());
    // The second has the listed one's name, as a CA made anew by a script has.
    for other in [Identity::ca_named("Other CA"), Identity::ca()] {
        let web = other.issue(&["web.internal"], |_| {});
        let failure = untrusted(&roots(&files, &ca), "web.internal", &endpoint(&web)).await;
        let fingerprint = web.fingerprint();
        assert_eq!(failure, TrustFailure::UnknownIssuer { fingerprint });
    }
}

#[tokio::test]
async fn a_self_signed_certificate_has_an_unknown_issuer() {
    let (files, ca) = (Files::new(), Identity::ca());
    for own in [
        Identity::self_signed(&["web.internal"]),
        // As `openssl req -x509` makes them.
        Identity::with(&["web.internal"], |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }),
    ] {
        let failure = untrusted(&roots(&files, &ca), "web.internal", &endpoint(&own)).await;
        let fingerprint = own.fingerprint();
        assert_eq!(failure, TrustFailure::UnknownIssuer { fingerprint });
    }
}

#[tokio::test]
async fn an_endpoint_that_presents_a_listed_ca_itself_is_told_what_to_do() {
    let files = Files::new();
    let own = Identity::with(&["web.internal"], |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    let failure = untrusted(&roots(&files, &own), "web.internal", &endpoint(&own)).await;
    assert!(
        failure.to_string().contains("trust.certificates"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_chain_must_be_in_its_time() {
    let (files, ca) = (Files::new(), Identity::ca());
    let old = ca.issue(&["web.internal"], expired);
    let failure = untrusted(&roots(&files, &ca), "web.internal", &endpoint(&old)).await;
    assert_eq!(failure.to_string(), "expired at 2021-01-01T00:00:00Z");
    let early = ca.issue(&["web.internal"], of_the_future);
    let failure = untrusted(&roots(&files, &ca), "web.internal", &endpoint(&early)).await;
    assert!(
        matches!(failure, TrustFailure::NotYetValid { .. }),
        "{failure:?}"
    );
}

#[tokio::test]
async fn the_platform_does_not_know_a_private_ca() {
    // A machine without any CA refuses to build the configuration, which is right as well.
    let Ok(client) = client_config(&Trust::Public) else {
        return;
    };
    let web = Identity::ca().issue(&["web.internal"], |_| {});
    let (client, _) = handshake(&client, "web.internal", &endpoint(&web)).await;
    let failure = client.map(drop).unwrap_err();
    let fingerprint = web.fingerprint();
    let unknown = TrustFailure::UnknownIssuer { fingerprint };
    assert_eq!(failure, HandshakeFailure::Untrusted(unknown));
}

#[tokio::test]
async fn a_server_without_the_listed_certificates_key_is_refused() {
    let (files, ca) = (Files::new(), Identity::ca());
    let web = ca.issue(&["web.internal"], |_| {});
    let thief = KeyPair::generate().unwrap();
    let trusts = [
        pinned(web.fingerprint()),
        pinned_files(&[files.identity("web", &web).chain]),
        Trust::Spki(vec![web.spki().0]),
        roots(&files, &ca),
    ];
    for trust in &trusts {
        for version in BOTH {
            let forged = endpoint_signing_with(&web, &thief, &[version]);
            let failure = untrusted(trust, "web.internal", &forged).await;
            assert_eq!(
                failure.to_string(),
                "the endpoint does not have the certificate's private key",
                "{trust:?} {version:?}"
            );
            let honest = endpoint_signing_with(&web, &web.key, &[version]);
            reached(trust, "web.internal", &honest).await;
        }
    }
}

#[derive(Debug)]
struct Clock(AtomicU64);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = Duration::from_secs(self.0.load(Ordering::Relaxed));
        Some(UnixTime::since_unix_epoch(seconds))
    }
}

#[tokio::test]
async fn a_resumed_session_ends_with_its_certificate() {
    let web = Identity::with(&["w"], |params| {
        params.not_after = rcgen::date_time_ymd(2031, 1, 1);
    });
    let end = params(&["w"], |params| {
        params.not_after = rcgen::date_time_ymd(2031, 1, 1)
    });
    let end = u64::try_from(end.not_after.unix_timestamp()).unwrap();
    let clock = Arc::new(Clock(AtomicU64::new(end - 10)));
    let mut client = (*client_config(&pinned(web.fingerprint())).unwrap()).clone();
    client.time_provider = Arc::clone(&clock) as Arc<dyn TimeProvider>;
    let (client, server) = (Arc::new(client), endpoint(&web));

    let mut kinds = Vec::new();
    for _ in 0..2 {
        let (near, far) = handshake(&client, "w", &server).await;
        let (mut near, mut far) = (near.unwrap(), far.unwrap());
        // Tickets come behind the handshake.
        far.write_all(b"x").await.unwrap();
        far.flush().await.unwrap();
        near.read_u8().await.unwrap();
        kinds.push(near.get_ref().1.handshake_kind().unwrap());
    }
    use rustls::HandshakeKind::{Full, Resumed};
    assert_eq!(kinds, [Full, Resumed]);

    clock.0.store(end + 1, Ordering::Relaxed);
    let (near, _) = handshake(&client, "w", &server).await;
    let failure = near.map(drop).unwrap_err();
    let not_after = SystemTime::UNIX_EPOCH + Duration::from_secs(end);
    assert_eq!(
        failure,
        HandshakeFailure::Untrusted(TrustFailure::Expired { not_after })
    );
}

/// What connecting to something that answers `bytes` and closes gives.
async fn answered(bytes: &[u8]) -> HandshakeFailure {
    let client = client_config(&pinned(Fingerprint([0; 32]))).unwrap();
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    far.write_all(bytes).await.unwrap();
    far.shutdown().await.unwrap();
    let (client, ()) = tokio::join!(connect(&client, name("w"), &[Alpn::H1], near), async {
        let mut hello = Vec::new();
        far.read_to_end(&mut hello).await.unwrap();
    });
    client.map(drop).unwrap_err()
}

#[tokio::test]
async fn an_endpoint_that_does_not_speak_tls_is_said_to() {
    let failure = answered(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let words = "the endpoint does not speak TLS on this port".to_owned();
    assert_eq!(failure, HandshakeFailure::Tls(words));
}

#[tokio::test]
async fn an_endpoint_that_closes_is_said_to() {
    assert_eq!(answered(b"").await, HandshakeFailure::Closed);
    let reset = io::Error::from(io::ErrorKind::ConnectionReset);
    assert_eq!(failure(&reset), HandshakeFailure::Closed);
    let unreachable = io::Error::from(io::ErrorKind::HostUnreachable);
    let expected = HandshakeFailure::Io(io::ErrorKind::HostUnreachable);
    assert_eq!(failure(&unreachable), expected);
}

#[tokio::test]
async fn alerts_are_told_in_words() {
    // A TLS 1.2 record with a fatal alert.
    for (code, words) in [
        (40, "handshake_failure: no common cipher suite"),
        (70, "protocol_version: it supports neither TLS 1.2 nor 1.3"),
        (112, "unrecognised_name: it does not know the server name"),
        (45, "certificate_expired"),
        (251, "251"),
    ] {
        let HandshakeFailure::Tls(shown) = answered(&[21, 3, 3, 0, 2, 2, code]).await else {
            panic!("alert {code}");
        };
        let expected = format!("the endpoint refused with the TLS alert {words}");
        assert!(shown.starts_with(&expected), "{shown}");
    }
}

#[tokio::test]
async fn an_endpoint_that_speaks_only_http2_is_said_to() {
    let web = Identity::self_signed(&["w"]);
    let mut server = (*endpoint(&web)).clone();
    server.alpn_protocols = vec![Alpn::H2.as_str().into()];
    let failure = refused(&pinned(web.fingerprint()), "w", &Arc::new(server)).await;
    assert_eq!(failure, HandshakeFailure::Protocol);
}

#[test]
fn a_failure_of_rustls_itself_stays_a_trust_failure() {
    let error = Error::InvalidCertificate(CertificateError::Revoked);
    let error = io::Error::new(io::ErrorKind::InvalidData, error);
    let HandshakeFailure::Untrusted(TrustFailure::Invalid(_)) = failure(&error) else {
        panic!("{error}");
    };
}

#[test]
fn a_trust_error_names_entry_and_file() {
    let files = Files::new();
    let web = files.identity("web", &Identity::self_signed(&["w"])).chain;
    let missing = missing(files.0.path());
    let error = client_config(&pinned_files(&[web.clone(), missing.clone()])).unwrap_err();
    assert_eq!(error.key, "trust.certificates[1]");
    assert_eq!(error.file.as_ref(), Some(&missing));
    assert!(matches!(error.problem, FileProblem::Unreadable(_)));
    assert!(
        error
            .to_string()
            .contains("missing.pem: cannot read the file: "),
        "{error}"
    );

    let key = files.path("web.key");
    let error = client_config(&Trust::Roots(vec![web, key])).unwrap_err();
    assert_eq!(error.key, "trust.roots[1]");
    assert!(
        error
            .to_string()
            .ends_with("; the file holds a private key"),
        "{error}"
    );
}
