//! One probe: a connection of its own, TLS under the pool's trust, `GET`, and whether the
//! answer is as it must be.

use std::{future::poll_fn, io, net::SocketAddr, pin::Pin, time::Duration};

use http::{HeaderValue, Method, Request, Response, Uri, Version, header};
use http_body::Body as _;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

use crate::{
    config::{self, PoolHttp},
    error::UpstreamError,
    pool::{Endpoint, Pool},
    tls::{self, Alpn},
    upstream::{self, Transport},
};

/// How much of a body is searched, bytes.
const BODY_SEARCHED: usize = 64 << 10;

/// Where a probe goes and what it asks.
#[derive(Clone, PartialEq)]
pub(super) struct Question {
    pub(super) address: SocketAddr,
    transport: Transport,
    authority: HeaderValue,
}

impl Question {
    pub(super) fn new(
        pool: &Pool,
        endpoint: &Endpoint,
        transport: &Transport,
        rules: &config::Probe,
    ) -> Self {
        let mut address = endpoint.key.address;
        address.set_port(rules.port.unwrap_or(address.port()));
        let named = rules.host.clone().or_else(|| {
            let authority = pool.authority.as_ref()?;
            HeaderValue::from_str(authority.as_str()).ok()
        });
        let own = || {
            let key = &endpoint.key;
            let own = match key.host.contains(':') {
                true => format!("[{}]:{}", key.host, address.port()),
                false => format!("{}:{}", key.host, address.port()),
            };
            HeaderValue::try_from(own).ok()
        };
        let pool_is_tls = transport.tls.is_some();
        Self {
            address,
            transport: match rules.encrypted {
                true => transport.clone(),
                false => Transport {
                    tls: None,
                    http: plain_http(pool_is_tls, transport.http),
                    own_end: None,
                },
            },
            authority: named
                .or_else(own)
                .unwrap_or(HeaderValue::from_static("localhost")),
        }
    }
}

/// A pool without TLS is probed as it is spoken to; the port beside one with TLS is mostly
/// there for probes alone, which speak HTTP/1.1.
fn plain_http(pool_is_tls: bool, http: PoolHttp) -> PoolHttp {
    match pool_is_tls {
        true => PoolHttp::H1,
        false => http,
    }
}

/// Why a probe is no good.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    #[error("no whole answer within {0:?}")]
    Timeout(Duration),
    #[error("{0}")]
    Upstream(UpstreamError),
    #[error("status {found}, expected {expected}")]
    Status {
        found: u16,
        expected: config::Statuses,
    },
    #[error("the body does not contain {0:?}")]
    Body(String),
}

impl ProbeError {
    pub(super) fn cause(&self) -> &'static str {
        match self {
            Self::Timeout(_) => "probe-timeout",
            Self::Upstream(error) => error.cause().token(),
            Self::Status { .. } => "probe-status",
            Self::Body(_) => "probe-body",
        }
    }
}

/// Probes once; leaves nothing behind.
pub(super) async fn probe(question: &Question, rules: &config::Probe) -> Result<(), ProbeError> {
    timeout(rules.timeout, ask(question, rules))
        .await
        .unwrap_or(Err(ProbeError::Timeout(rules.timeout)))
}

async fn ask(question: &Question, rules: &config::Probe) -> Result<(), ProbeError> {
    let stream = TcpStream::connect(question.address)
        .await
        .map_err(|error| ProbeError::Upstream(connect_error(&error)))?;
    // Dropped with this future, and its task with it: a probe that is too late ends whole.
    let mut connection = JoinSet::new();
    let http = question.transport.http;
    let response = match &question.transport.tls {
        None => {
            let alpn = match http {
                PoolHttp::H2 => Alpn::H2,
                PoolHttp::H1 | PoolHttp::Auto => Alpn::H1,
            };
            send(stream, alpn, question, rules, &mut connection).await?
        }
        Some((trust, name)) => {
            let offers = upstream::offers(http);
            let (stream, alpn) = tls::upstream::connect(trust, name.clone(), offers, stream)
                .await
                .map_err(|failure| ProbeError::Upstream(UpstreamError::Handshake(failure)))?;
            send(stream, alpn, question, rules, &mut connection).await?
        }
    };
    judge(response, rules).await
}

async fn send<S>(
    stream: S,
    alpn: Alpn,
    question: &Question,
    rules: &config::Probe,
    connection: &mut JoinSet<()>,
) -> Result<Response<Incoming>, ProbeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = TokioIo::new(stream);
    let answer = match alpn {
        Alpn::H1 => {
            let (mut sender, driver) = http1::handshake(stream).await.map_err(no_answer)?;
            connection.spawn(async { drop(driver.await) });
            sender.send_request(request(question, rules, alpn)).await
        }
        Alpn::H2 => {
            let (mut sender, driver) = http2::handshake(TokioExecutor::new(), stream)
                .await
                .map_err(no_answer)?;
            connection.spawn(async { drop(driver.await) });
            sender.send_request(request(question, rules, alpn)).await
        }
    };
    answer.map_err(no_answer)
}

fn request(question: &Question, rules: &config::Probe, alpn: Alpn) -> Request<String> {
    let mut request = Request::new(String::new());
    *request.method_mut() = Method::GET;
    let agent = HeaderValue::from_static(concat!("witgate-probe/", env!("CARGO_PKG_VERSION")));
    request.headers_mut().insert(header::USER_AGENT, agent);
    *request.uri_mut() = rules.path.clone().into();
    match alpn {
        Alpn::H1 => {
            let close = HeaderValue::from_static("close");
            let headers = request.headers_mut();
            headers.insert(header::HOST, question.authority.clone());
            headers.insert(header::CONNECTION, close);
        }
        Alpn::H2 => {
            *request.version_mut() = Version::HTTP_2;
            let whole = Uri::builder()
                .scheme(match question.transport.tls {
                    Some(_) => "https",
                    None => "http",
                })
                .authority(question.authority.as_bytes())
                .path_and_query(rules.path.clone())
                .build();
            if let Ok(whole) = whole {
                *request.uri_mut() = whole;
            }
        }
    }
    request
}

async fn judge(response: Response<Incoming>, rules: &config::Probe) -> Result<(), ProbeError> {
    let found = response.status().as_u16();
    if !rules.statuses.contains(found) {
        return Err(ProbeError::Status {
            found,
            expected: rules.statuses.clone(),
        });
    }
    let Some(wanted) = &rules.body else {
        return Ok(());
    };
    let mut body = response.into_body();
    let mut start = Vec::new();
    while start.len() < BODY_SEARCHED {
        let frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        match frame {
            Some(Ok(frame)) => start.extend(frame.into_data().unwrap_or_default()),
            Some(Err(error)) => return Err(no_answer(error)),
            None => break,
        }
    }
    start.truncate(BODY_SEARCHED);
    let found = start
        .windows(wanted.len())
        .any(|part| part == wanted.as_bytes());
    match found {
        true => Ok(()),
        false => Err(ProbeError::Body(wanted.clone())),
    }
}

fn connect_error(error: &io::Error) -> UpstreamError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => UpstreamError::Refused,
        _ => UpstreamError::Connect(error.to_string()),
    }
}

fn no_answer(error: hyper::Error) -> ProbeError {
    ProbeError::Upstream(if error.is_parse() {
        UpstreamError::Invalid(error.to_string())
    } else {
        UpstreamError::Closed
    })
}
