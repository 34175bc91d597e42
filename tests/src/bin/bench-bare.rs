//! The libraries that the gateway stands on and nothing of the gateway: hyper and rustls pass
//! requests on to one upstream. `cargo xtask bench` measures it beside the gateway, to tell what
//! they cost from what the gateway adds. It has no deadlines, no limits, no logs, no header rules,
//! no retries, and stops at any surprise: nothing to be used for anything else.
#![allow(clippy::unwrap_used, reason = "see above")]

use std::{
    cell::RefCell,
    convert::Infallible,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    thread,
};

use bytes::Bytes;
use clap::Parser;
use http::{
    HeaderValue, Request, Response, Uri, Version,
    header::{CONNECTION, HOST},
};
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    client::conn::http1::SendRequest,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::aws_lc_rs::{self, Ticketer},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tokio::{
    net::{TcpSocket, TcpStream},
    task::{LocalSet, spawn_local},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 4096;

/// Passes requests on over HTTP/1.1.
#[derive(Debug, Clone, Parser)]
struct Arguments {
    /// Where to listen, for HTTP/1.1 and HTTP/2
    #[arg(long)]
    listen: SocketAddr,
    #[arg(long)]
    upstream: SocketAddr,
    /// A folder with front.pem, front.key and ca.pem; the upstream is backend.test
    #[arg(long)]
    certs: PathBuf,
    #[arg(long, default_value_t = 2)]
    workers: usize,
}

fn main() {
    let arguments = Arguments::parse();
    let acceptor = acceptor(&arguments.certs);
    let connector = connector(&arguments.certs);
    let workers = (0..arguments.workers).map(|_| {
        let upstream = Upstream {
            address: arguments.upstream,
            connector: connector.clone(),
            idle: RefCell::default(),
        };
        let (listen, acceptor) = (arguments.listen, acceptor.clone());
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .build()
                .unwrap();
            LocalSet::new().block_on(&runtime, accept(listen, acceptor, upstream.into()));
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.join().unwrap();
    }
}

fn acceptor(certs: &Path) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(certs.join("front.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(certs.join("front.key")).unwrap();
    let mut config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.map(Result::unwrap).collect(), key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".into(), b"http/1.1".into()];
    config.ticketer = Ticketer::new().unwrap();
    Arc::new(config).into()
}

fn connector(certs: &Path) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let ca = fs::read(certs.join("ca.pem")).unwrap();
    roots
        .add(CertificateDer::from_pem_slice(&ca).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config).into()
}

async fn accept(listen: SocketAddr, acceptor: TlsAcceptor, upstream: Rc<Upstream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.set_reuseport(true).unwrap();
    socket.bind(listen).unwrap();
    let listener = socket.listen(BACKLOG).unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        spawn_local(serve(stream, acceptor.clone(), Rc::clone(&upstream)));
    }
}

/// Clients break connections off when a load ends: the rest is not looked at.
async fn serve(stream: TcpStream, acceptor: TlsAcceptor, upstream: Rc<Upstream>) {
    let _ = stream.set_nodelay(true);
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(move |request| {
        let upstream = Rc::clone(&upstream);
        async move { Ok::<_, Infallible>(upstream.answer(request).await) }
    });
    let stream = TokioIo::new(stream);
    let _ = match is_h2 {
        true => {
            http2::Builder::new(Local)
                .serve_connection(stream, service)
                .await
        }
        false => {
            http1::Builder::new()
                .serve_connection(stream, service)
                .await
        }
    };
}

#[derive(Clone)]
struct Local;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}

/// The upstream, and the connections to it that nobody uses.
struct Upstream {
    address: SocketAddr,
    connector: TlsConnector,
    idle: RefCell<Vec<SendRequest<Incoming>>>,
}

impl Upstream {
    async fn answer(self: Rc<Self>, mut request: Request<Incoming>) -> Response<Returning> {
        if let Some(authority) = request.uri().authority() {
            let host = HeaderValue::from_str(authority.as_str()).unwrap();
            request.headers_mut().insert(HOST, host);
        }
        let target = request.uri().path_and_query().unwrap().as_str();
        *request.uri_mut() = target.parse::<Uri>().unwrap();
        *request.version_mut() = Version::HTTP_11;
        let mut sender = self.connection().await;
        let mut response = sender.send_request(request).await.unwrap();
        response.headers_mut().remove(CONNECTION);
        response.map(|body| Returning {
            body,
            to: self,
            sender: Some(sender),
        })
    }

    async fn connection(&self) -> SendRequest<Incoming> {
        loop {
            let idle = self.idle.borrow_mut().pop();
            let Some(mut sender) = idle else { break };
            if sender.ready().await.is_ok() {
                return sender;
            }
        }
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let name = ServerName::try_from("backend.test").unwrap();
        let stream = self.connector.connect(name, stream).await.unwrap();
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await.unwrap();
        spawn_local(connection);
        sender
    }
}

/// An answer's body; its connection is idle again when it is over.
struct Returning {
    body: Incoming,
    to: Rc<Upstream>,
    sender: Option<SendRequest<Incoming>>,
}

impl Body for Returning {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        self.to.idle.borrow_mut().extend(self.sender.take());
    }
}
