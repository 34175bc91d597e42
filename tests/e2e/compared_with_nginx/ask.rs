//! One request of the comparison: a message that HTTP/1.1 and HTTP/2 can both say, or bytes
//! that only HTTP/1.1 can; and how it is put to a proxy.

use std::{net::SocketAddr, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use hyper::body::Frame;
use rustls_pki_types::CertificateDer;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};
use witgate_tests::{
    Http,
    body::{self, Body},
    client::{Answer, Client},
    raw::RawSocket,
};

use super::outcome::Outcome;

/// For one answer; above the two seconds that both proxies wait for an upstream.
const LIMIT: Duration = Duration::from_secs(15);

/// What is asked.
#[derive(Debug, Clone)]
pub(super) enum Ask {
    Message(Message),
    Bytes(Vec<u8>),
}

/// A request that both versions have a form for.
#[derive(Debug, Clone)]
pub(super) struct Message {
    method: &'static str,
    target: String,
    host: &'static str,
    fields: Vec<(&'static str, Vec<u8>)>,
    content: Content,
    trailer: Option<&'static str>,
}

#[derive(Debug, Clone, Copy)]
enum Content {
    None,
    Sized(usize),
    Pieces(usize, usize),
}

/// A message for `shop.example` without a body.
pub(super) fn message(method: &'static str, target: impl Into<String>) -> Message {
    Message {
        method,
        target: target.into(),
        host: "shop.example",
        fields: Vec::new(),
        content: Content::None,
        trailer: None,
    }
}

impl Message {
    pub(super) fn host(mut self, host: &'static str) -> Self {
        self.host = host;
        self
    }

    pub(super) fn field(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// A body of so many bytes, its length declared.
    pub(super) fn body(mut self, length: usize) -> Self {
        self.content = Content::Sized(length);
        self
    }

    /// A body of so many pieces of so many bytes, its length not declared.
    pub(super) fn pieces(mut self, count: usize, length: usize) -> Self {
        self.content = Content::Pieces(count, length);
        self
    }

    /// `x-checksum` behind the pieces of the body.
    pub(super) fn trailer(mut self, value: &'static str) -> Self {
        self.trailer = Some(value);
        self
    }

    fn as_bytes(&self) -> Vec<u8> {
        let (method, target, host) = (self.method, &self.target, self.host);
        let head = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
        let mut bytes = head.into_bytes();
        for (name, value) in &self.fields {
            bytes.extend(name.bytes());
            bytes.extend(b": ");
            bytes.extend(value);
            bytes.extend(b"\r\n");
        }
        match self.content {
            Content::None => bytes.extend(b"\r\n"),
            Content::Sized(length) => {
                bytes.extend(format!("content-length: {length}\r\n\r\n").bytes());
                bytes.resize(bytes.len() + length, b'x');
            }
            Content::Pieces(count, length) => {
                bytes.extend(b"transfer-encoding: chunked\r\n\r\n");
                let piece = format!("{length:x}\r\n{}\r\n", "x".repeat(length));
                bytes.extend(piece.repeat(count).bytes());
                let trailer = self.trailer.map(|value| format!("x-checksum: {value}\r\n"));
                bytes.extend(format!("0\r\n{}\r\n", trailer.unwrap_or_default()).bytes());
            }
        }
        bytes
    }

    fn as_request(&self) -> Request<Body> {
        let (host, target) = (self.host, &self.target);
        let uri = format!("https://{host}{target}");
        let mut request = Request::builder().method(self.method).uri(uri);
        for (name, value) in &self.fields {
            let name: HeaderName = name.parse().unwrap();
            request = request.header(name, HeaderValue::from_bytes(value).unwrap());
        }
        let body = match self.content {
            Content::None => body::empty(),
            Content::Sized(length) => body::full("x".repeat(length)),
            Content::Pieces(count, length) => {
                let piece = || Ok(Frame::data("x".repeat(length).into()));
                let trailer = self.trailer.map(|value| {
                    let mut fields = HeaderMap::new();
                    fields.insert("x-checksum", HeaderValue::from_static(value));
                    Ok(Frame::trailers(fields))
                });
                body::frames((0..count).map(|_| piece()).chain(trailer).collect())
            }
        };
        request.body(body).unwrap()
    }
}

/// A proxy, and the root that vouches for it.
#[derive(Debug, Clone)]
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    pub(super) root: CertificateDer<'static>,
}

impl Proxy {
    /// Asks on a connection of its own; none where this version has no form for it.
    pub(super) async fn ask(&self, ask: &Ask, http: Http) -> Option<Outcome> {
        match (ask, http) {
            (Ask::Message(message), Http::One) => Some(self.bytes(&message.as_bytes()).await),
            (Ask::Bytes(bytes), Http::One) => Some(self.bytes(bytes).await),
            (Ask::Message(message), Http::Two) => Some(self.request(message.as_request()).await),
            (Ask::Bytes(_), Http::Two) => None,
        }
    }

    async fn bytes(&self, bytes: &[u8]) -> Outcome {
        let root = self.root.clone();
        let socket = RawSocket::connect(self.address, "shop.example", root, &["http/1.1"]);
        let (mut reader, mut writer) = tokio::io::split(socket.await.unwrap().into_inner());
        let sent = bytes.to_vec();
        let writing = tokio::spawn(async move {
            let _ = writer.write_all(&sent).await;
            let _ = writer.flush().await;
            writer
        });
        let mut read = Vec::new();
        let ended = timeout(LIMIT, reader.read_to_end(&mut read)).await.is_ok();
        writing.abort();
        Outcome::of_bytes(&read, bytes.starts_with(b"HEAD"), ended)
    }

    async fn request(&self, request: Request<Body>) -> Outcome {
        let client = Client::new(self.address, "shop.example", self.root.clone(), Http::Two);
        let Ok(Ok(response)) = timeout(LIMIT, client.send(request)).await else {
            return Outcome::no_whole_answer();
        };
        match timeout(LIMIT, Answer::read(response)).await {
            Ok(Ok(answer)) => Outcome::of_answer(&answer),
            _ => Outcome::no_whole_answer(),
        }
    }
}
