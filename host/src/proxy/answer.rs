//! Answers: an upstream's, passed on, and the gateway's own for what went wrong.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header, response};

use super::body::Content;
use crate::{error::GatewayError, plugin::RequestId, upstream::ResponseBody};

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// An upstream's answer.
pub(super) fn upstream(head: response::Parts, body: ResponseBody) -> hyper::Response<Content> {
    hyper::Response::from_parts(head, Content::Upstream(body))
}

/// Takes the gateway's or a plugin's own bytes from an answer that has no body; what an upstream
/// answers has none already. An answer to HEAD says how long the body would be.
pub(super) fn drop_body(response: &mut hyper::Response<Content>, to_head: bool) {
    let Content::Whole(bytes) = response.body_mut() else {
        return;
    };
    let length = std::mem::take(bytes).len();
    if to_head {
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, length.into());
    }
}

/// Has an HTTP/1.1 connection end with this answer.
pub(super) fn close(response: &mut hyper::Response<Content>) {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
}

/// The gateway's own answer: status, cause and request id, and no more than that about what
/// lies behind it.
pub(super) fn error(error: &GatewayError, id: RequestId) -> hyper::Response<Content> {
    let cause = error.cause();
    let status = cause.status();
    let reason = status.canonical_reason().unwrap_or("Error");
    let text = format!(
        "{} {reason}: {} (request {id})\n",
        status.as_u16(),
        cause.token()
    );
    let mut response = hyper::Response::new(Content::Whole(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PROXY_STATUS, error.proxy_status());
    if let Ok(id) = HeaderValue::try_from(id.to_string()) {
        headers.insert(REQUEST_ID, id);
    }
    response
}
