//! From a message on the wire to a request that plugins can look at: who it is for is settled,
//! and what belongs to the client's connection alone is gone.

use std::{borrow::Cow, sync::Arc};

use http::{
    Method, Uri,
    header::{CONTENT_LENGTH, HOST},
    request::Parts,
    uri::{Authority, PathAndQuery},
};

use h2::ext::Protocol;

use super::normal;
use crate::{
    config::{Limits, Requests, Trace, Underscores},
    error::GatewayError,
    headers,
    plugin::{Connection, Original, Request, RequestId},
};

/// What requests of a listener must keep to.
pub(super) struct Rules<'a> {
    pub(super) limits: &'a Limits,
    pub(super) requests: &'a Requests,
}

impl Rules<'_> {
    /// Takes a request in, or says what is wrong with it.
    pub(super) fn accept(
        &self,
        id: RequestId,
        mut head: Parts,
        connection: Arc<Connection>,
    ) -> Result<Request, GatewayError> {
        self.check_method(&head)?;
        self.check_fields(&head)?;
        self.check_length(&head)?;
        let sent = sent_authority(&head)?;
        let default_port = if connection.tls.is_some() { 443 } else { 80 };
        let authority = normal::authority(sent, default_port).map_err(GatewayError::Host)?;
        let original = self.target(&head)?.map(|target| {
            let target = std::mem::replace(&mut head.uri, target);
            let authority = authority.clone();
            Box::new(Original { authority, target })
        });
        self.clean(&mut head);
        Ok(Request {
            id,
            head,
            authority,
            connection,
            original,
            access_fields: Vec::new(),
            imports: None,
        })
    }

    /// A tunnel is no request that could be routed; an answer to TRACE holds the request.
    fn check_method(&self, head: &Parts) -> Result<(), GatewayError> {
        let method = &head.method;
        let refused = match *method {
            // That of a protocol which the listener lets through is a GET by now.
            Method::CONNECT => match head.extensions.get::<Protocol>() {
                Some(protocol) => return Err(GatewayError::Protocol(protocol.as_str().to_owned())),
                None => true,
            },
            Method::TRACE => self.requests.trace == Trace::Refuse,
            _ => false,
        };
        match refused {
            true => Err(GatewayError::Method(method.clone())),
            false => Ok(()),
        }
    }

    fn check_fields(&self, head: &Parts) -> Result<(), GatewayError> {
        let (found, limit) = (head.headers.len(), self.limits.head_fields);
        if found > limit {
            return Err(GatewayError::TooManyFields { found, limit });
        }
        match headers::is_chunked_alone(&head.headers) {
            Some(false) => Err(GatewayError::BadRequest(
                "a transfer coding that is not `chunked`",
            )),
            Some(true) | None => Ok(()),
        }
    }

    /// A body that says it is too large is refused before any of it is passed on.
    fn check_length(&self, head: &Parts) -> Result<(), GatewayError> {
        let length = head.headers.get(CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let limit = self.requests.body_bytes;
        match length {
            Some(length) if length > limit => Err(GatewayError::BodyTooLarge { limit }),
            _ => Ok(()),
        }
    }

    /// A path in its normal form, or `*` for OPTIONS (RFC 9112 §3.2); none when it was sent in
    /// that form.
    fn target(&self, head: &Parts) -> Result<Option<Uri>, GatewayError> {
        let uri = &head.uri;
        if !matches!(uri.scheme_str(), None | Some("http" | "https")) {
            return Err(GatewayError::BadRequest("the scheme is not http or https"));
        }
        let sent = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let (found, limit) = (sent.len(), self.limits.target_bytes);
        if found > limit {
            return Err(GatewayError::TargetTooLong { found, limit });
        }
        match uri.path() {
            "*" if head.method == Method::OPTIONS => return Ok(None),
            path if path.starts_with('/') => {}
            _ => return Err(GatewayError::BadRequest("the target is not a path")),
        }
        match normal::path(uri.path(), self.requests).map_err(GatewayError::Path)? {
            Cow::Borrowed(_) => Ok(None),
            Cow::Owned(path) => with_path(uri, &path).map(Some),
        }
    }

    /// Removes what ends here.
    fn clean(&self, head: &mut Parts) {
        headers::clean_request(&mut head.headers);
        if self.requests.underscores == Underscores::Drop {
            headers::remove_lookalikes(&mut head.headers);
        }
        headers::join_cookies(&mut head.headers);
        head.headers.remove(HOST);
    }
}

fn with_path(uri: &Uri, path: &str) -> Result<Uri, GatewayError> {
    let target = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    target
        .map(Uri::from)
        .map_err(|_| GatewayError::Path("the path is not one"))
}

/// The target's authority, else `Host` (RFC 9112 §3.2, RFC 9113 §8.3.1). A client that sends
/// both must mean the same host by both.
fn sent_authority(head: &Parts) -> Result<Authority, GatewayError> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(GatewayError::Host("more than one Host field"));
    }
    let parse = |value: &http::HeaderValue| {
        Authority::try_from(value.as_bytes()).map_err(|_| GatewayError::Host("Host is not a host"))
    };
    let host = host.map(parse).transpose()?;
    match (head.uri.authority(), host) {
        (Some(target), None) => Ok(target.clone()),
        // RFC 9112 §3.2.2: in absolute form the target counts and Host is ignored.
        (Some(target), Some(_)) if head.version < http::Version::HTTP_2 => Ok(target.clone()),
        (Some(target), Some(host)) if target.as_str().eq_ignore_ascii_case(host.as_str()) => {
            Ok(host)
        }
        (Some(_), Some(_)) => Err(GatewayError::Host(":authority and Host differ")),
        (None, Some(host)) => Ok(host),
        (None, None) => Err(GatewayError::Host("no Host field")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uri: &str, version: http::Version, hosts: &[&str]) -> Result<String, String> {
        let mut builder = http::Request::builder().uri(uri).version(version);
        for host in hosts {
            builder = builder.header(HOST, *host);
        }
        let (head, ()) = builder.body(()).expect("a legal request").into_parts();
        sent_authority(&head)
            .map(|found| found.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_absolute_target_counts_more_than_host() {
        assert_eq!(
            of("https://a.example/", http::Version::HTTP_11, &["b.example"]),
            Ok("a.example".into())
        );
    }

    #[test]
    fn on_http2_authority_and_host_must_agree() {
        assert_eq!(
            of("https://a.example/", http::Version::HTTP_2, &["A.example"]),
            Ok("A.example".into())
        );
        assert!(of("https://a.example/", http::Version::HTTP_2, &["b.example"]).is_err());
    }

    #[test]
    fn none_two_and_illegal_hosts_are_refused() {
        for hosts in [&[][..], &["a", "b"], &[""], &["a b"], &["a/b"]] {
            assert!(of("/", http::Version::HTTP_11, hosts).is_err(), "{hosts:?}");
        }
    }
}
