//! From a configured listener to sockets, one for each worker, and a TLS context.

use std::{
    collections::HashMap,
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, PoisonError},
};

use socket2::{Domain, Protocol, Socket as RawSocket, Type};

use super::Snapshot;
use crate::{
    config::{self, Config, ConfigError, HttpsRedirect, ListenerTls, ProxyProtocol, Requests},
    error::ErrorPages,
    metrics::{ListenerCounters, PerWorker},
    plugin::Digest,
    tls::{self, downstream::Context},
};

/// Connections that the kernel holds until a worker accepts them.
const BACKLOG: i32 = 4096;

/// A listener of a running configuration.
pub struct Listener {
    /// Unique.
    pub name: Arc<str>,
    /// Where it listens.
    pub socket: Arc<Socket>,
    /// What its handshakes need; none where HTTP is spoken as it is.
    pub tls: Option<Arc<Context>>,
    /// Where all requests are sent instead.
    pub https_redirect: Option<HttpsRedirect>,
    /// Whether connections start with a header of the PROXY protocol.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Serves what no routing plugin claims; a place in the snapshot's pools.
    pub default_pool: Option<usize>,
    /// Which requests it takes, and in which form they are passed on.
    pub requests: Requests,
    /// What clients read of errors.
    pub error_pages: Arc<ErrorPages>,
    /// What its clients did.
    pub counters: Arc<PerWorker<ListenerCounters>>,
    material: Option<Material>,
}

/// What a listener's TLS context was made from.
#[derive(PartialEq)]
struct Material {
    rules: ListenerTls,
    files: Vec<Option<Digest>>,
}

/// Whether to open the sockets of new listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sockets {
    /// To serve.
    Open,
    /// To check a configuration, perhaps that of a gateway which runs and has the addresses.
    Leave,
}

/// One address, with a listening socket for each worker (`SO_REUSEPORT`), which takes its own
/// when it first serves the listener.
pub struct Socket {
    configured: SocketAddr,
    /// With the port that the system chose, where the configuration says 0.
    pub address: SocketAddr,
    waiting: Vec<Mutex<Option<TcpListener>>>,
}

impl Socket {
    /// Fails when anyone else listens there, `SO_REUSEPORT` or not: two gateways that share a
    /// port by accident would each get half of the connections.
    fn bind(address: SocketAddr, workers: usize) -> io::Result<Self> {
        raw(address)?.bind(&address.into())?;
        let first = listen(address)?;
        let bound = first.local_addr()?;
        let rest = (1..workers)
            .map(|_| listen(bound))
            .collect::<io::Result<Vec<_>>>()?;
        let waiting = std::iter::once(first)
            .chain(rest)
            .map(|listener| Mutex::new(Some(listener)));
        Ok(Self {
            configured: address,
            address: bound,
            waiting: waiting.collect(),
        })
    }

    /// A socket that nobody will accept from.
    fn unopened(address: SocketAddr) -> Self {
        Self {
            configured: address,
            address,
            waiting: Vec::new(),
        }
    }

    /// A worker's own listening socket; none the second time.
    pub fn take(&self, worker: usize) -> Option<TcpListener> {
        self.waiting
            .get(worker)?
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

fn raw(address: SocketAddr) -> io::Result<RawSocket> {
    let socket = RawSocket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    Ok(socket)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = raw(address)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

pub(super) fn build(
    config: &Config,
    listener: &config::Listener,
    pools: &HashMap<String, usize>,
    pages: Arc<ErrorPages>,
    previous: Option<&Snapshot>,
    sockets: Sockets,
) -> Result<Listener, ConfigError> {
    let before = previous.and_then(|snapshot| snapshot.listener(&listener.name));
    let default_pool = default_pool(config, listener, pools)?;
    let material = listener.tls.as_ref().map(Material::read);
    let (tls, material) = match (&listener.tls, before) {
        (None, _) => (None, None),
        (Some(_), Some(before)) if before.material == material => (before.tls.clone(), material),
        (Some(rules), _) => {
            let before = before.and_then(|before| before.tls.as_deref());
            (
                Some(tls_context(config, listener, rules, before)?),
                material,
            )
        }
    };
    let counters = before.map_or_else(
        || Arc::new(PerWorker::new(config.workers.get())),
        |before| Arc::clone(&before.counters),
    );
    let name = before.map_or_else(
        || listener.name.as_str().into(),
        |before| Arc::clone(&before.name),
    );
    let error_pages = match &listener.error_pages {
        Some(own) => error_pages(config, own)?,
        None => pages,
    };
    let socket = socket(config, listener, previous, sockets)?;
    Ok(Listener {
        name,
        socket,
        tls,
        default_pool,
        https_redirect: listener.https_redirect.clone(),
        proxy_protocol: listener.proxy_protocol.clone(),
        requests: listener.requests.clone(),
        error_pages,
        counters,
        material,
    })
}

/// Reads the files of a set of pages.
pub(super) fn error_pages(
    config: &Config,
    pages: &config::ErrorPages,
) -> Result<Arc<ErrorPages>, ConfigError> {
    ErrorPages::load(pages)
        .map(Arc::new)
        .map_err(|error| config.error(&error.key, &error))
}

impl Material {
    fn read(rules: &ListenerTls) -> Self {
        let files = tls::downstream::files(rules)
            .into_iter()
            .map(|path| std::fs::read(path).ok().map(|bytes| Digest::of(&bytes)))
            .collect();
        Self {
            rules: rules.clone(),
            files,
        }
    }
}

fn default_pool(
    config: &Config,
    listener: &config::Listener,
    pools: &HashMap<String, usize>,
) -> Result<Option<usize>, ConfigError> {
    let Some(name) = &listener.default_pool else {
        return Ok(None);
    };
    match pools.get(name) {
        Some(index) => Ok(Some(*index)),
        None => Err(config.error(
            &format!("{}.default_pool", listener.key),
            format!("there is no pool {name:?}"),
        )),
    }
}

fn tls_context(
    config: &Config,
    listener: &config::Listener,
    rules: &ListenerTls,
    before: Option<&Context>,
) -> Result<Arc<Context>, ConfigError> {
    let policy = &rules.policy;
    if let Some(lacks) = policy.lacks {
        tracing::warn!(listener = listener.name, policy = policy.name, "{lacks}");
    }
    Context::load(rules, before)
        .map(Arc::new)
        .map_err(|error| config.error(&format!("{}.tls.{}", listener.key, error.key), &error))
}

/// The socket of any listener that has this address now, else a new one.
fn socket(
    config: &Config,
    listener: &config::Listener,
    previous: Option<&Snapshot>,
    sockets: Sockets,
) -> Result<Arc<Socket>, ConfigError> {
    if sockets == Sockets::Leave {
        return Ok(Arc::new(Socket::unopened(listener.address)));
    }
    let known = previous
        .into_iter()
        .flat_map(|snapshot| &snapshot.listeners)
        .find(|before| before.socket.configured == listener.address);
    match known {
        Some(before) => Ok(Arc::clone(&before.socket)),
        None => Socket::bind(listener.address, config.workers.get())
            .map(Arc::new)
            .map_err(|error| {
                config.error(
                    &format!("{}.address", listener.key),
                    format!("cannot listen on {}: {error}", listener.address),
                )
            }),
    }
}
