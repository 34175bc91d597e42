//! One lookup: the hosts file, then the name servers; at most so many addresses, in at most
//! so much time.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use hickory_resolver::{
    Hosts, TokioResolver,
    config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::Query,
        rr::{Name, RecordType},
    },
};
use tokio::time::timeout;

use crate::config::{Dns, Family};

/// How long an answer of the hosts file counts.
const HOSTS_TIME: Duration = Duration::from_secs(30);

/// A good answer; at least one address.
pub(super) struct Answer {
    /// Sorted, so that servers that rotate their answers change nothing.
    pub(super) addresses: Vec<IpAddr>,
    /// How many there were besides.
    pub(super) left_out: usize,
    /// How long it counts.
    pub(super) time: Duration,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum LookupError {
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("the name does not exist")]
    NoName,
    #[error("the name has no address")]
    NoAddress,
    #[error("all its addresses are of the loopback, which `dns.allow_loopback` would allow")]
    Loopback,
    #[error("{0}")]
    Failed(NetError),
    #[error("no name servers: {0}")]
    NoServers(String),
}

pub(super) struct Resolver {
    /// What is asked, or why nobody can be.
    servers: Result<TokioResolver, String>,
    rules: Dns,
}

impl Resolver {
    pub(super) fn new(rules: &Dns) -> Arc<Self> {
        Arc::new(Self {
            servers: servers(rules).map_err(|error| error.to_string()),
            rules: rules.clone(),
        })
    }

    pub(super) fn min_ttl(&self) -> Duration {
        self.rules.min_ttl
    }

    pub(super) async fn lookup(&self, name: &str) -> Result<Answer, LookupError> {
        if let Some(addresses) = self.in_hosts_file(name) {
            return Ok(self.answer(addresses, HOSTS_TIME));
        }
        let servers = self.servers.as_ref();
        let servers = servers.map_err(|error| LookupError::NoServers(error.clone()))?;
        // Each attempt may go to a second server, and from UDP on to TCP.
        let limit = self.rules.timeout * (self.rules.attempts + 1);
        let found = timeout(limit, servers.lookup_ip(name))
            .await
            .map_err(|_| LookupError::Timeout(limit))?
            .map_err(failure)?;
        let time = found
            .valid_until()
            .saturating_duration_since(Instant::now());
        let all: Vec<_> = found.iter().collect();
        let usable = |ip: &IpAddr| self.rules.allow_loopback || !is_loopback(*ip);
        let addresses: Vec<_> = all.iter().copied().filter(usable).collect();
        match (all.is_empty(), addresses.is_empty()) {
            (true, _) => Err(LookupError::NoAddress),
            (_, true) => Err(LookupError::Loopback),
            _ => Ok(self.answer(addresses, time)),
        }
    }

    fn answer(&self, mut addresses: Vec<IpAddr>, time: Duration) -> Answer {
        addresses.sort_unstable();
        addresses.dedup();
        let left_out = addresses.len().saturating_sub(self.rules.max_addresses);
        addresses.truncate(self.rules.max_addresses);
        Answer {
            addresses,
            left_out,
            time: time.clamp(self.rules.min_ttl, self.rules.max_ttl),
        }
    }

    /// What the machine itself says; read anew each time, a small file.
    fn in_hosts_file(&self, name: &str) -> Option<Vec<IpAddr>> {
        let plain = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let full = Name::from_utf8(format!("{plain}.")).ok()?;
        let hosts = Hosts::from_system().unwrap_or_default();
        let kinds: &[_] = match self.rules.family {
            Family::Both => &[RecordType::A, RecordType::AAAA],
            Family::Ipv4 => &[RecordType::A],
            Family::Ipv6 => &[RecordType::AAAA],
        };
        let found = kinds
            .iter()
            .filter_map(|kind| hosts.lookup_static_host(&Query::query(full.clone(), *kind)));
        let found: Vec<IpAddr> = found
            .flat_map(|lookup| lookup.answers().to_vec())
            .filter_map(|record| record.data.ip_addr())
            .collect();
        match found.is_empty() {
            false => Some(found),
            // RFC 6761 §6.3: never asked for.
            true if plain == "localhost" || plain.ends_with(".localhost") => {
                Some(vec![Ipv4Addr::LOCALHOST.into()])
            }
            true => None,
        }
    }
}

/// Addresses that a name server has no business to name: a name that comes to point at this
/// machine would reach what listens here for itself alone.
fn is_loopback(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    ip.is_loopback() || ip.is_unspecified()
}

fn servers(rules: &Dns) -> Result<TokioResolver, NetError> {
    let mut builder = if rules.servers.is_empty() {
        TokioResolver::builder_tokio()?
    } else {
        let servers = rules.servers.iter().map(|address| {
            let at = |mut connection: ConnectionConfig| {
                connection.port = address.port();
                connection
            };
            let connections = vec![at(ConnectionConfig::udp()), at(ConnectionConfig::tcp())];
            NameServerConfig::new(address.ip(), true, connections)
        });
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let options = builder.options_mut();
    options.timeout = rules.timeout;
    options.attempts = rules.attempts as usize;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.ip_strategy = match rules.family {
        Family::Both => LookupIpStrategy::Ipv4AndIpv6,
        Family::Ipv4 => LookupIpStrategy::Ipv4Only,
        Family::Ipv6 => LookupIpStrategy::Ipv6Only,
    };
    builder.build()
}

fn failure(error: NetError) -> LookupError {
    if error.is_nx_domain() {
        return LookupError::NoName;
    }
    if error.is_no_records_found() {
        return LookupError::NoAddress;
    }
    LookupError::Failed(error)
}
