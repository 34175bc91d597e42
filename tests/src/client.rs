//! An HTTP client that keeps its one connection to the gateway, over HTTP/1.1 or HTTP/2.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use http_body_util::BodyExt as _;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::Mutex,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    Http,
    body::{self, Body},
    upstream::Echo,
};

/// A client of one address, under one server name.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
    http: Http,
    from: Option<IpAddr>,
    sender: Mutex<Option<Sender>>,
}

#[derive(Debug)]
enum Sender {
    One(http1::SendRequest<Body>),
    Two(http2::SendRequest<Body>),
}

/// Why there is no answer, or not a whole one.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

impl Client {
    /// A client that asks for `name` and trusts this root alone. Connects with its first request.
    pub fn new(address: SocketAddr, name: &str, root: CertificateDer<'static>, http: Http) -> Self {
        let alpn = match http {
            Http::One => "http/1.1",
            Http::Two => "h2",
        };
        Self {
            address,
            name: ServerName::try_from(name.to_owned()).unwrap(),
            config: trusting(root, &[alpn]),
            http,
            from: None,
            sender: Mutex::new(None),
        }
    }

    /// The same from another address of this machine, such as 127.0.0.7.
    #[must_use]
    pub fn from(mut self, address: [u8; 4]) -> Self {
        self.from = Some(address.into());
        self
    }

    /// Sends a request and returns the head of the answer, its body still to come. Connects
    /// again when the gateway has closed the connection since; never sends a request twice.
    ///
    /// The URI is absolute; over HTTP/1.1 it is sent in origin form, with its authority as
    /// `Host` unless the request has one.
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, Error> {
        let mut sender = self.sender.lock().await;
        if let Some(open) = sender.as_mut()
            && open.ready().await.is_err()
        {
            *sender = None;
        }
        if sender.is_none() {
            *sender = Some(self.connect().await?);
        }
        let answer = match sender.as_mut().expect("connected above") {
            Sender::One(sender) => Either::One(sender.send_request(in_origin_form(request))),
            Sender::Two(sender) => Either::Two(sender.send_request(as_http2(request))),
        };
        drop(sender);
        match answer {
            Either::One(answer) => Ok(answer.await?),
            Either::Two(answer) => Ok(answer.await?),
        }
    }

    /// Sends a request and reads the whole answer.
    pub async fn fetch(&self, request: Request<Body>) -> Result<Answer, Error> {
        Answer::read(self.send(request).await?).await
    }

    /// `GET` of an absolute URL, with the whole answer.
    pub async fn try_get(&self, url: &str) -> Result<Answer, Error> {
        self.fetch(get(url)).await
    }

    /// As [`try_get`](Self::try_get); panics without a whole answer.
    pub async fn get(&self, url: &str) -> Answer {
        match self.try_get(url).await {
            Ok(answer) => answer,
            Err(error) => panic!("GET {url}: {error} ({error:?})"),
        }
    }

    /// `GET` with these fields besides; panics without a whole answer.
    pub async fn get_with(&self, url: &str, fields: &[(&str, &str)]) -> Answer {
        let mut request = get(url);
        for (name, value) in fields {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        self.fetch(request).await.unwrap()
    }

    async fn connect(&self) -> Result<Sender, Error> {
        let stream = TokioIo::new(self.handshake().await?);
        match self.http {
            Http::One => {
                let (sender, connection) = http1::handshake(stream).await?;
                tokio::spawn(connection);
                Ok(Sender::One(sender))
            }
            Http::Two => {
                let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                    .timer(TokioTimer::new())
                    .adaptive_window(true)
                    .handshake(stream)
                    .await?;
                tokio::spawn(connection);
                Ok(Sender::Two(sender))
            }
        }
    }

    async fn handshake(&self) -> Result<TlsStream<TcpStream>, Error> {
        let stream = match self.from {
            None => TcpStream::connect(self.address).await?,
            Some(from) => {
                let socket = TcpSocket::new_v4()?;
                socket.bind((from, 0).into())?;
                socket.connect(self.address).await?
            }
        };
        stream.set_nodelay(true)?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        Ok(connector.connect(self.name.clone(), stream).await?)
    }
}

impl Sender {
    async fn ready(&mut self) -> hyper::Result<()> {
        match self {
            Self::One(sender) => sender.ready().await,
            Self::Two(sender) => sender.ready().await,
        }
    }
}

enum Either<A, B> {
    One(A),
    Two(B),
}

/// A TLS client configuration that trusts one root and offers these protocols.
pub fn trusting(root: CertificateDer<'static>, alpn: &[&str]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// A `GET` of an absolute URL.
pub fn get(url: &str) -> Request<Body> {
    Request::get(url).body(body::empty()).unwrap()
}

fn in_origin_form(mut request: Request<Body>) -> Request<Body> {
    let uri = request.uri().clone();
    if let (Some(authority), false) = (uri.authority(), request.headers().contains_key("host")) {
        let host = HeaderValue::from_str(authority.as_str()).unwrap();
        request.headers_mut().insert(header::HOST, host);
    }
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    *request.uri_mut() = target.parse::<Uri>().unwrap();
    request
}

fn as_http2(mut request: Request<Body>) -> Request<Body> {
    *request.version_mut() = Version::HTTP_2;
    request
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: StatusCode,
    /// The fields of the head.
    pub headers: HeaderMap,
    /// The fields behind the body; empty when there are none.
    pub trailers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// Reads the rest of an answer; fails when it ends short.
    pub async fn read(response: Response<Incoming>) -> Result<Self, Error> {
        let (head, body) = response.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        Ok(Self {
            status: head.status,
            headers: head.headers,
            trailers,
            body: body.to_bytes(),
        })
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// What the upstream saw; panics when this is not its echo.
    pub fn echo(&self) -> Echo {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("not an echo: {} {}", self.status, self.text()))
    }

    /// The value of the first field of this name; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The values of all fields of this name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let values = self.headers.get_all(name).into_iter();
        values.map(|value| value.to_str().unwrap()).collect()
    }

    /// The gateway's cause of an error: the first word of the details in `Proxy-Status`; empty
    /// when there is none.
    pub fn cause(&self) -> &str {
        let details = self
            .header("proxy-status")
            .split("details=\"")
            .nth(1)
            .unwrap_or("");
        details
            .split(|end: char| !end.is_ascii_alphanumeric() && end != '-')
            .next()
            .unwrap_or("")
    }

    /// The error type of `Proxy-Status` (RFC 9209 §2.3); empty when there is none.
    pub fn error_type(&self) -> &str {
        let error = self
            .header("proxy-status")
            .split("error=")
            .nth(1)
            .unwrap_or("");
        error.split(';').next().unwrap_or("").trim()
    }
}
