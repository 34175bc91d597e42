//! What the TLS session of a connection means for each of its requests: which hosts it may ask
//! for, whether its client's certificate is good enough, and what upstreams are told of that.

use crate::{
    error::GatewayError,
    headers::{CLIENT_CERT, CLIENT_CERT_CHAIN},
    local::OpenConnection,
    plugin::Request,
    tls::downstream::Verdict,
};

/// Refuses what the session does not allow, and adds `Client-Cert` and `Client-Cert-Chain`
/// (RFC 9440) where they are configured; what the client sent by these names has been removed.
pub(super) fn admit(open: &OpenConnection, mut request: Request) -> Result<Request, GatewayError> {
    let (Some(session), Some(tls)) = (&open.session, &open.listener.tls) else {
        return Ok(request);
    };
    match tls.refuses(session) {
        Some(Verdict::Absent) => return Err(GatewayError::NoClientCertificate),
        Some(verdict) => return Err(GatewayError::ClientCertificate(verdict)),
        None => {}
    }
    if !tls.serves(session, request.host()) {
        return Err(GatewayError::Misdirected);
    }
    let headers = session
        .client
        .as_deref()
        .and_then(|client| client.headers.as_ref());
    if let Some((leaf, chain)) = headers {
        let fields = &mut request.head.headers;
        fields.insert(CLIENT_CERT, leaf.clone());
        if let Some(chain) = chain {
            fields.insert(CLIENT_CERT_CHAIN, chain.clone());
        }
    }
    Ok(request)
}
