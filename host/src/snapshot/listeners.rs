//! From a configured listener to its sockets and a TLS context.

use std::{collections::HashMap, sync::Arc};

use super::Snapshot;
use crate::{
    config::{self, Config, ConfigError, HttpsRedirect, ListenerTls, ProxyProtocol, Requests},
    error::ErrorPages,
    metrics::{ListenerCounters, PerWorker},
    plugin::Digest,
    sockets::{Socket, Sockets},
    tls::{self, downstream::Context},
};

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

pub(super) fn build(
    config: &Config,
    listener: &config::Listener,
    pools: &HashMap<String, usize>,
    pages: Arc<ErrorPages>,
    previous: Option<&Snapshot>,
    sockets: &Sockets,
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
    sockets: &Sockets,
) -> Result<Arc<Socket>, ConfigError> {
    let Sockets::Open(origin) = sockets else {
        return Ok(Arc::new(Socket::unopened(listener.address)));
    };
    let known = previous
        .into_iter()
        .flat_map(|snapshot| &snapshot.listeners)
        .find(|before| before.socket.configured == listener.address);
    match known {
        Some(before) => Ok(Arc::clone(&before.socket)),
        None => Socket::open(
            &listener.name,
            listener.address,
            config.workers.get(),
            origin,
        )
        .map(Arc::new)
        .map_err(|error| {
            config.error(
                &format!("{}.address", listener.key),
                format!("cannot listen on {}: {error}", listener.address),
            )
        }),
    }
}
