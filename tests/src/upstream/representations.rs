//! Answers with a representation that a peer may ask for in part, as it has it, or elsewhere.
//!
//! `/mirror` streams the request's body back · `/gzip` is compressed whatever was asked for ·
//! `/redirect/N` leads to `/elsewhere` with this status · `/letters` is the alphabet with a
//! tag, which can be asked for by `Range` and `If-None-Match`.

use std::io;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::Echo;
use crate::body::{self, Body};

/// `gzip untouched` and a line feed.
pub const GZIP: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x4b, 0xaf, 0xca, 0x2c, 0x50, 0x28,
    0xcd, 0x2b, 0xc9, 0x2f, 0x4d, 0xce, 0x48, 0x4d, 0xe1, 0x02, 0x00, 0xac, 0x49, 0x96, 0x18, 0x0f,
    0x00, 0x00, 0x00,
];

const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz";
const TAG: &str = "\"letters\"";

pub(super) fn mirror(request: Request<Incoming>) -> Response<Body> {
    Response::new(request.into_body().map_err(io::Error::other).boxed_unsync())
}

pub(super) fn gzip() -> Response<Body> {
    let mut response = Response::new(body::full(GZIP));
    let coding = HeaderValue::from_static("gzip");
    response
        .headers_mut()
        .insert(header::CONTENT_ENCODING, coding);
    response
}

pub(super) fn redirect(status: u64) -> io::Result<Response<Body>> {
    let status = u16::try_from(status).map_err(io::Error::other)?;
    let mut response = Response::new(body::full("elsewhere\n"));
    *response.status_mut() = StatusCode::from_u16(status).map_err(io::Error::other)?;
    let location = HeaderValue::from_static("/elsewhere");
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

/// An echo for people: `web-1: GET /a`, and the fields, one a line, when the query is `fields`.
pub(super) fn words(echo: &Echo) -> Response<Body> {
    let mut text = format!("{}: {} {}\n", echo.upstream, echo.method, echo.target);
    if echo.target.ends_with("?fields") {
        let lines = echo
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\n"));
        text.extend(lines);
    }
    let mut response = Response::new(body::full(text));
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

pub(super) fn letters(request: &Request<Incoming>) -> Response<Body> {
    let field = |name| {
        let value = request.headers().get(name)?;
        value.to_str().ok()
    };
    let mut response = if field(header::IF_NONE_MATCH) == Some(TAG) {
        bare(StatusCode::NOT_MODIFIED)
    } else {
        match field(header::RANGE) {
            Some(range) => part(range),
            None => Response::new(body::full(LETTERS)),
        }
    };
    let tag = HeaderValue::from_static(TAG);
    response.headers_mut().insert(header::ETAG, tag);
    response
}

fn part(range: &str) -> Response<Body> {
    let found = range.strip_prefix("bytes=").and_then(|range| {
        let (from, to) = range.split_once('-')?;
        let (from, to) = (from.parse::<usize>().ok()?, to.parse::<usize>().ok()?);
        Some((from, to, LETTERS.get(from..=to)?))
    });
    let all = LETTERS.len();
    let (mut response, place) = match found {
        Some((from, to, letters)) => {
            let mut response = Response::new(body::full(Bytes::from(letters)));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            (response, format!("bytes {from}-{to}/{all}"))
        }
        None => (
            bare(StatusCode::RANGE_NOT_SATISFIABLE),
            format!("bytes */{all}"),
        ),
    };
    let place = HeaderValue::try_from(place).expect("digits");
    response.headers_mut().insert(header::CONTENT_RANGE, place);
    response
}

fn bare(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(body::empty());
    *response.status_mut() = status;
    response
}
