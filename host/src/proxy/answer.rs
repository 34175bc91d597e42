//! Answers: an upstream's, passed on, and the gateway's own for what went wrong.

use http::{HeaderName, HeaderValue, header, response};

use super::body::Content;
use crate::{
    config::Trace,
    error::{ErrorBody, GatewayError},
    plugin::RequestId,
};

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// An upstream's answer.
pub(super) fn upstream(head: response::Parts, content: Content) -> hyper::Response<Content> {
    hyper::Response::from_parts(head, content)
}

/// Takes the gateway's or a plugin's own bytes from an answer that has no body; what an upstream
/// answers has none already. An answer to HEAD says how long the body would be.
pub(super) fn drop_body(response: &mut hyper::Response<Content>, to_head: bool) {
    let Some(length) = response.body().own_length() else {
        return;
    };
    *response.body_mut() = Content::empty();
    if to_head {
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, length.into());
    }
}

/// Has an HTTP/1.1 connection end with this answer.
pub(super) fn close<B>(response: &mut hyper::Response<B>) {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
}

/// Names the methods that a listener takes (RFC 9110 §15.5.6): those of RFC 9110 and PATCH, since
/// all that exist are passed on but CONNECT and, mostly, TRACE.
pub(super) fn allow(response: &mut hyper::Response<Content>, trace: Trace) {
    let methods = match trace {
        Trace::Refuse => "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
        Trace::Forward => "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE",
    };
    let methods = HeaderValue::from_static(methods);
    response.headers_mut().insert(header::ALLOW, methods);
}

/// The gateway's own answer: status, cause and request id, and no more than that about what
/// lies behind it.
pub(super) fn error(
    error: &GatewayError,
    id: RequestId,
    body: ErrorBody,
) -> hyper::Response<Content> {
    let ErrorBody {
        content_type,
        pieces,
    } = body;
    let mut response = hyper::Response::new(Content::Pieces(pieces.into_iter()));
    *response.status_mut() = error.cause().status();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PROXY_STATUS, error.proxy_status());
    if let Ok(id) = HeaderValue::try_from(id.to_string()) {
        headers.insert(REQUEST_ID, id);
    }
    response
}
