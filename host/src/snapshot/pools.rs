//! From a configured pool to a running one.

mod members;

use std::{path::Path, sync::Arc};

use rustls_pki_types::ServerName;

use super::{RunningPool, Snapshot};
use crate::{
    config::{self, Config, ConfigError, PinnedCertificate, PoolTls, Protocol, Role, Trust},
    metrics::PerWorker,
    names::Addresses,
    plugin::{Digest, InService, PoolFacts},
    pool::{Endpoint, Pool},
    tls,
    upstream::Transport,
};

/// What a pool's TLS context was made from; equal material means that the context, and with it
/// every connection and session that it made, can be taken over.
#[derive(Clone, PartialEq)]
pub(super) struct TrustMaterial {
    rules: Option<(Trust, PoolTls)>,
    files: Vec<Option<Digest>>,
}

impl TrustMaterial {
    fn read(pool: &config::Pool) -> Self {
        let rules = match &pool.protocol {
            Protocol::Https(trust) => Some((trust.clone(), pool.tls.clone())),
            Protocol::Http => None,
        };
        let files = files(pool)
            .into_iter()
            .map(|path| std::fs::read(path).ok().map(|b| Digest::of(&b)))
            .collect();
        Self { rules, files }
    }
}

/// The files that a pool's TLS is made from.
pub(crate) fn files(pool: &config::Pool) -> Vec<&Path> {
    let Protocol::Https(trust) = &pool.protocol else {
        return Vec::new();
    };
    let own = pool.tls.client_certificate.iter();
    let own = own.flat_map(|files| [files.chain.as_path(), files.key.as_path()]);
    trusted(trust).into_iter().chain(own).collect()
}

fn trusted(trust: &Trust) -> Vec<&Path> {
    match trust {
        Trust::Certificates(listed) => listed
            .iter()
            .filter_map(|listed| match listed {
                PinnedCertificate::File(path) => Some(path.as_path()),
                PinnedCertificate::Fingerprint(_) => None,
            })
            .collect(),
        Trust::Roots(paths) => paths.iter().map(AsRef::as_ref).collect(),
        Trust::Spki(_) | Trust::Public => Vec::new(),
    }
}

pub(super) fn build(
    config: &Config,
    pool: &config::Pool,
    plugins: &[InService],
    addresses: &Addresses,
    previous: Option<&Snapshot>,
) -> Result<RunningPool, ConfigError> {
    let before = previous
        .and_then(|snapshot| snapshot.pools.get(snapshot.pool(&pool.name)?))
        .map(Arc::as_ref);
    let trust = TrustMaterial::read(pool);
    let parts = Parts {
        context: context(config, pool, &trust, before)?,
        affinity: affinity(config, pool, plugins)?,
        trust,
    };
    assemble(config, pool, parts, addresses, before)
}

/// The pool of before with other addresses.
pub(super) fn readdressed(
    config: &Config,
    pool: &config::Pool,
    addresses: &Addresses,
    before: &RunningPool,
) -> Result<RunningPool, ConfigError> {
    let parts = Parts {
        context: before.context.clone(),
        affinity: before.affinity,
        trust: before.trust.clone(),
    };
    assemble(config, pool, parts, addresses, Some(before))
}

/// What a pool has besides its endpoints.
struct Parts {
    context: Option<Arc<tls::upstream::Context>>,
    affinity: Option<usize>,
    trust: TrustMaterial,
}

fn assemble(
    config: &Config,
    pool: &config::Pool,
    parts: Parts,
    addresses: &Addresses,
    before: Option<&RunningPool>,
) -> Result<RunningPool, ConfigError> {
    let (members, unresolved) = members::of(config, pool, addresses, before);
    let transports = members
        .iter()
        .enumerate()
        .map(|(index, member)| {
            let host = &member.endpoint.key.host;
            transport(config, pool, index, host, parts.context.as_ref())
        })
        .collect::<Result<Vec<_>, _>>()?;
    let retried = before.map_or_else(
        || Arc::new(PerWorker::new(config.workers.get())),
        |before| Arc::clone(&before.pool.retried),
    );
    let authority = authority(config, pool)?;
    let running = Pool::new(pool, authority, members, unresolved, retried);
    Ok(RunningPool {
        facts: PoolFacts {
            name: pool.name.clone(),
            generation: running.generation,
            endpoints: running
                .endpoints
                .iter()
                .map(|endpoint| endpoint.key.id.clone())
                .collect(),
        },
        affinity: parts.affinity,
        server_name_from: pool.server_name_from,
        transports: own_sessions(transports, &running, &parts.trust, before),
        pool: Arc::new(running),
        context: parts.context,
        trust: parts.trust,
    })
}

fn context(
    config: &Config,
    pool: &config::Pool,
    trust: &TrustMaterial,
    before: Option<&RunningPool>,
) -> Result<Option<Arc<tls::upstream::Context>>, ConfigError> {
    let Some((rules, tls)) = &trust.rules else {
        return Ok(None);
    };
    let kept = before
        .filter(|before| before.trust == *trust)
        .and_then(|before| before.context.clone());
    match kept {
        Some(context) => Ok(Some(context)),
        None => tls::upstream::Context::load(rules, tls)
            .map(|context| Some(Arc::new(context)))
            .map_err(|error| config.error(&format!("{}.{}", pool.key, error.key), &error)),
    }
}

fn transport(
    config: &Config,
    pool: &config::Pool,
    index: usize,
    host: &String,
    context: Option<&Arc<tls::upstream::Context>>,
) -> Result<Transport, ConfigError> {
    let http = pool.http;
    let Some(context) = context else {
        return Ok(Transport {
            tls: None,
            http,
            own_end: None,
        });
    };
    let (name, key) = match &pool.server_name {
        Some(name) => (name, format!("{}.server_name", pool.key)),
        None => (host, format!("{}.endpoints[{index}]", pool.key)),
    };
    match ServerName::try_from(name.clone()) {
        Ok(name) => Ok(Transport {
            tls: Some((Arc::clone(context.config()), name)),
            http,
            own_end: context.own_end(),
        }),
        Err(_) => Err(config.error(
            &key,
            format!("{name:?} is neither a DNS name nor an IP address"),
        )),
    }
}

/// Gives each endpoint sessions of its own; one that was there before under the same trust
/// keeps them, and with them its connections.
fn own_sessions(
    transports: Vec<Transport>,
    pool: &Pool,
    trust: &TrustMaterial,
    before: Option<&RunningPool>,
) -> Vec<Transport> {
    let before = before.filter(|before| before.trust == *trust);
    let known = |endpoint: &Arc<Endpoint>| {
        let before = before?;
        let place = before.pool.position(&endpoint.key.id)?;
        let same = Arc::ptr_eq(before.pool.endpoints.get(place)?, endpoint);
        before.transports.get(place).filter(|_| same)
    };
    let own = |(transport, endpoint): (Transport, _)| {
        let kept = known(endpoint).and_then(|known| known.tls.as_ref());
        let tls = transport.tls.map(|(shared, name)| match kept {
            Some((kept, _)) => (Arc::clone(kept), name),
            None => (tls::upstream::with_own_sessions(&shared), name),
        });
        Transport { tls, ..transport }
    };
    transports
        .into_iter()
        .zip(&pool.endpoints)
        .map(own)
        .collect()
}

fn authority(
    config: &Config,
    pool: &config::Pool,
) -> Result<Option<http::uri::Authority>, ConfigError> {
    pool.authority
        .as_ref()
        .map(|authority| {
            authority.parse().map_err(|_| {
                let problem = format!("{authority:?} is not a host with an optional port");
                config.error(&format!("{}.authority", pool.key), problem)
            })
        })
        .transpose()
}

fn affinity(
    config: &Config,
    pool: &config::Pool,
    plugins: &[InService],
) -> Result<Option<usize>, ConfigError> {
    let Some(name) = &pool.affinity else {
        return Ok(None);
    };
    let refuse = |problem: String| Err(config.error(&format!("{}.affinity", pool.key), problem));
    match plugins
        .iter()
        .position(|plugin| *plugin.live.name == **name)
    {
        Some(index)
            if plugins
                .get(index)
                .is_some_and(|plugin| plugin.live.has(Role::Affinity)) =>
        {
            Ok(Some(index))
        }
        Some(_) => refuse(format!("plugin {name:?} does not have the role affinity")),
        None => {
            let known: Vec<_> = plugins
                .iter()
                .map(|plugin| format!("{:?}", plugin.live.name))
                .collect();
            let known = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            refuse(format!(
                "there is no plugin {name:?}; the plugin folder has: {known}"
            ))
        }
    }
}
