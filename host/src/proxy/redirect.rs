//! Sending the clients of a plain listener to HTTPS.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use super::body::Content;
use crate::{
    config::{HttpsRedirect, RedirectPart, RedirectTo},
    error::GatewayError,
    plugin::Request,
};

/// Sends the client to HTTPS, as the listener says.
pub(super) fn to_https(
    redirect: &HttpsRedirect,
    request: &Request,
) -> Result<hyper::Response<Content>, GatewayError> {
    let location = HeaderValue::try_from(location(redirect, request))
        .map_err(|_| GatewayError::Path("the target is no URL of HTTPS"))?;
    let mut response = hyper::Response::new(Content::Whole(Bytes::new()));
    *response.status_mut() =
        StatusCode::from_u16(redirect.status).unwrap_or(StatusCode::PERMANENT_REDIRECT);
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

fn location(redirect: &HttpsRedirect, request: &Request) -> String {
    let uri = &request.head.uri;
    let mut location = match &redirect.to {
        RedirectTo::SameHost { port: 443 } => format!("https://{}", request.authority.host()),
        RedirectTo::SameHost { port } => format!("https://{}:{port}", request.authority.host()),
        RedirectTo::Url(url) => url.clone(),
    };
    match (redirect.path, &redirect.to, uri.path()) {
        (RedirectPart::Keep, _, path) if path.starts_with('/') => location.push_str(path),
        (RedirectPart::Keep, ..) | (RedirectPart::Drop, RedirectTo::SameHost { .. }, _) => {
            location.push('/');
        }
        (RedirectPart::Drop, RedirectTo::Url(_), _) => {}
    }
    if let (RedirectPart::Keep, Some(query)) = (redirect.query, uri.query()) {
        location.push('?');
        location.push_str(query);
    }
    location
}
