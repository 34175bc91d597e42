//! The endpoints of a pool: those that the configuration names, by all addresses that their
//! names have, then those of before that sessions may still stick to. What is known of an
//! endpoint is taken over.

use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use crate::{
    config::{self, Config},
    names::Addresses,
    pool::{Drain, Endpoint, EndpointKey, Member},
    snapshot::RunningPool,
};

/// The members, and the names that have no address yet.
pub(super) fn of(
    config: &Config,
    pool: &config::Pool,
    addresses: &Addresses,
    before: Option<&RunningPool>,
) -> (Vec<Member>, Vec<String>) {
    let mut unresolved = Vec::new();
    let mut members = Vec::new();
    let mut taken = HashSet::new();
    for endpoint in &pool.endpoints {
        let keys = keys(pool, endpoint, addresses);
        if keys.is_empty() {
            unresolved.push(endpoint.host.clone());
        }
        // Two names may have the same address; it is one server all the same.
        let keys = keys.into_iter().filter(|key| taken.insert(key.address));
        members.extend(keys.map(|key| member(config, endpoint, key, before)));
    }
    let leaving = leaving(pool, &members, before, Instant::now());
    members.extend(leaving);
    (members, unresolved)
}

fn keys(
    pool: &config::Pool,
    endpoint: &config::Endpoint,
    addresses: &Addresses,
) -> Vec<EndpointKey> {
    let key = |id: String, ip: IpAddr| EndpointKey {
        pool: pool.name.clone(),
        id,
        host: endpoint.host.clone(),
        address: SocketAddr::new(ip, endpoint.port),
    };
    if let Ok(ip) = endpoint.host.parse() {
        return vec![key(endpoint.id.clone(), ip)];
    }
    let of_name = addresses.get(&endpoint.host).map(AsRef::as_ref);
    let of_name: &[IpAddr] = of_name.unwrap_or_default();
    let of_name = of_name.iter();
    of_name
        .map(|ip| key(format!("{}/{ip}", endpoint.id), *ip))
        .collect()
}

fn member(
    config: &Config,
    endpoint: &config::Endpoint,
    key: EndpointKey,
    before: Option<&RunningPool>,
) -> Member {
    let known = before
        .and_then(|before| before.pool.endpoints.get(before.pool.position(&key.id)?))
        .filter(|known| known.key == key);
    // A pool that had no endpoint has nobody who could take the load meanwhile.
    let joined = before
        .filter(|before| !before.pool.endpoints.is_empty())
        .map(|_| Instant::now());
    Member {
        endpoint: match known {
            Some(known) => Arc::clone(known),
            None => Arc::new(Endpoint::new(key, config.workers.get(), joined)),
        },
        weight: endpoint.weight,
        drain: match endpoint.drain {
            true => Drain::Marked,
            false => Drain::No,
        },
    }
}

/// The endpoints of before that are none any more and that sessions may still stick to.
fn leaving(
    pool: &config::Pool,
    members: &[Member],
    before: Option<&RunningPool>,
    now: Instant,
) -> Vec<Member> {
    let known = before.into_iter().flat_map(|before| {
        let pool = &before.pool;
        pool.endpoints.iter().zip(&pool.drains)
    });
    let stays = |id: &str| members.iter().any(|member| member.endpoint.key.id == id);
    let leaving = known.filter_map(|(endpoint, drain)| {
        let until = match drain {
            Drain::Leaves(until) => *until,
            Drain::No | Drain::Marked => now + pool.fitness.drain_for,
        };
        (until > now && !stays(&endpoint.key.id)).then(|| Member {
            endpoint: Arc::clone(endpoint),
            weight: 0,
            drain: Drain::Leaves(until),
        })
    });
    leaving.collect()
}
