//! What plugins may know of a client's TLS session.

use rustls_pki_types::CertificateDer;

use crate::{
    plugin::{ClientCertificate, TlsSession},
    tls::{Fingerprint, Session, downstream},
};

/// The facts of a session whose client has presented these certificates.
pub(super) fn of(session: &Session, chain: Option<&[CertificateDer<'static>]>) -> TlsSession {
    let client = session.client.as_deref();
    TlsSession {
        version: session.version.into(),
        cipher: session.cipher.into(),
        server_name: session.server_name.clone(),
        alpn: session.alpn.map(|alpn| alpn.as_str().into()),
        client: client.and_then(|client| certificate(client, chain?)),
    }
}

fn certificate(
    client: &downstream::ClientCertificate,
    chain: &[CertificateDer<'static>],
) -> Option<ClientCertificate> {
    let fingerprint = Fingerprint::of(chain.first()?).to_string();
    let leaf = client.leaf.as_ref();
    let text = |part: fn(&downstream::ClientLeaf) -> &String| leaf.map(part).cloned();
    Some(ClientCertificate {
        verification: client.verdict.verified(),
        subject: text(|leaf| &leaf.subject).unwrap_or_default(),
        issuer: text(|leaf| &leaf.issuer).unwrap_or_default(),
        serial: text(|leaf| &leaf.serial).unwrap_or_default(),
        fingerprint,
        validity: leaf.map_or((0, 0), |leaf| leaf.validity),
        chain: chain.iter().map(|der| der.to_vec()).collect(),
    })
}
