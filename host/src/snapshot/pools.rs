//! From a configured pool to a running one.

use std::{path::Path, sync::Arc};

use rustls_pki_types::ServerName;

use super::{RunningPool, Snapshot};
use crate::{
    config::{self, Config, ConfigError, PinnedCertificate, Protocol, Role, Trust},
    plugin::{Digest, PoolFacts, Version},
    pool::{Endpoint, EndpointKey, Member, Pool},
    tls,
    upstream::Transport,
};

/// What a pool's TLS context was made from; equal material means that the context, and with it
/// every connection and session that it made, can be taken over.
#[derive(Clone, PartialEq)]
pub(super) struct TrustMaterial {
    rules: Option<Trust>,
    files: Vec<Option<Digest>>,
}

impl TrustMaterial {
    fn read(protocol: &Protocol) -> Self {
        let rules = match protocol {
            Protocol::Https(trust) => Some(trust.clone()),
            Protocol::Http => None,
        };
        let files = rules
            .iter()
            .flat_map(files)
            .map(|path| std::fs::read(path).ok().map(|b| Digest::of(&b)))
            .collect();
        Self { rules, files }
    }
}

/// The files that these rules name.
pub(crate) fn files(trust: &Trust) -> Vec<&Path> {
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
    plugins: &[Arc<Version>],
    previous: Option<&Snapshot>,
) -> Result<RunningPool, ConfigError> {
    let before = previous
        .and_then(|snapshot| snapshot.pools.get(snapshot.pool(&pool.name)?))
        .map(Arc::as_ref);
    let trust = TrustMaterial::read(&pool.protocol);
    let context = context(config, pool, &trust, before)?;
    let members = pool.endpoints.iter().map(|endpoint| Member {
        endpoint: endpoint_of(config, pool, endpoint, before),
        weight: endpoint.weight,
    });
    let transports = pool
        .endpoints
        .iter()
        .enumerate()
        .map(|(index, endpoint)| transport(config, pool, index, endpoint, context.as_ref()))
        .collect::<Result<_, _>>()?;
    let running = Pool::new(pool, authority(config, pool)?, members);
    Ok(RunningPool {
        facts: PoolFacts {
            name: pool.name.clone(),
            generation: running.generation,
            endpoints: pool
                .endpoints
                .iter()
                .map(|endpoint| endpoint.id.clone())
                .collect(),
        },
        affinity: affinity(config, pool, plugins)?,
        pool: Arc::new(running),
        transports,
        trust,
    })
}

fn context(
    config: &Config,
    pool: &config::Pool,
    trust: &TrustMaterial,
    before: Option<&RunningPool>,
) -> Result<Option<Arc<rustls::ClientConfig>>, ConfigError> {
    let Some(rules) = &trust.rules else {
        return Ok(None);
    };
    let kept = before
        .filter(|before| before.trust == *trust)
        .and_then(|before| match before.transports.first() {
            Some(Transport::Tls(context, _)) => Some(Arc::clone(context)),
            _ => None,
        });
    match kept {
        Some(context) => Ok(Some(context)),
        None => tls::upstream::client_config(rules)
            .map(Some)
            .map_err(|error| config.error(&format!("{}.trust.{}", pool.key, error.key), &error)),
    }
}

fn transport(
    config: &Config,
    pool: &config::Pool,
    index: usize,
    endpoint: &config::Endpoint,
    context: Option<&Arc<rustls::ClientConfig>>,
) -> Result<Transport, ConfigError> {
    let Some(context) = context else {
        return Ok(Transport::Plain);
    };
    let (name, key) = match &pool.server_name {
        Some(name) => (name, format!("{}.server_name", pool.key)),
        None => (&endpoint.host, format!("{}.endpoints[{index}]", pool.key)),
    };
    match ServerName::try_from(name.clone()) {
        Ok(name) => Ok(Transport::Tls(Arc::clone(context), name)),
        Err(_) => Err(config.error(
            &key,
            format!("{name:?} is neither a DNS name nor an IP address"),
        )),
    }
}

fn endpoint_of(
    config: &Config,
    pool: &config::Pool,
    endpoint: &config::Endpoint,
    before: Option<&RunningPool>,
) -> Arc<Endpoint> {
    let key = EndpointKey {
        pool: pool.name.clone(),
        id: endpoint.id.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
    };
    before
        .and_then(|before| before.pool.endpoints.get(before.pool.position(&key.id)?))
        .filter(|known| known.key == key)
        .map_or_else(
            || Arc::new(Endpoint::new(key.clone(), config.workers.get())),
            Arc::clone,
        )
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
    plugins: &[Arc<Version>],
) -> Result<Option<usize>, ConfigError> {
    let Some(name) = &pool.affinity else {
        return Ok(None);
    };
    let refuse = |problem: String| Err(config.error(&format!("{}.affinity", pool.key), problem));
    match plugins.iter().position(|plugin| *plugin.name == **name) {
        Some(index)
            if plugins
                .get(index)
                .is_some_and(|plugin| plugin.has(Role::Affinity)) =>
        {
            Ok(Some(index))
        }
        Some(_) => refuse(format!("plugin {name:?} does not have the role affinity")),
        None => {
            let known: Vec<_> = plugins
                .iter()
                .map(|plugin| format!("{:?}", plugin.name))
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
