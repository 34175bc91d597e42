//! Pools: endpoints, protocol and trust, from raw to typed.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Endpoint, PinnedCertificate, Pool, PoolTimeouts, Protocol, Trust,
    check::{Check, TIMEOUTS, Unique},
    health::RawFitness,
    hosts,
    keys::quoted,
    pins, raw,
};

impl Check<'_> {
    pub(super) fn pools(
        &mut self,
        raw: BTreeMap<String, raw::Pool>,
        has_plugins: bool,
    ) -> Vec<Pool> {
        if raw.is_empty() {
            self.problems.add_with_help(
                "pools",
                "there is no pool, expected at least one",
                "add a `[pools.NAME]` table with `endpoints` and `trust`",
            );
        }
        let pools = raw
            .into_iter()
            .filter_map(|(name, raw)| self.pool(name, raw, has_plugins));
        pools.collect()
    }

    fn pool(&mut self, name: String, raw: raw::Pool, has_plugins: bool) -> Option<Pool> {
        let key = format!("pools.{}", quoted(&name));
        self.problems.take(&key, hosts::name(&name));
        let at = |field: &str| format!("{key}.{field}");
        let endpoints = self.endpoints(&at("endpoints"), raw.endpoints);
        let server_name = raw.server_name.map(hosts::server_name);
        let authority = raw.authority.map(hosts::authority);
        let affinity = self.affinity(&at("affinity"), raw.affinity, has_plugins);
        let https = self.choice(
            &at("protocol"),
            raw.protocol.as_deref(),
            &[("https", true), ("http", false)],
            true,
        );
        let has_server_name = server_name.is_some();
        let only_https = [
            ("trust", raw.trust.is_some()),
            ("server_name", has_server_name),
            ("server_name_from", raw.server_name_from.is_some()),
            ("tls", raw.tls.is_some()),
        ];
        let from = raw.server_name_from.as_deref();
        let fitness = RawFitness {
            health: raw.health,
            ejection: raw.ejection,
            panic_threshold: raw.panic_threshold,
            slow_start: raw.slow_start,
            drain_for: raw.drain_for,
        };
        let pool = Pool {
            endpoints,
            server_name_from: self.server_name_from(&key, from, has_server_name),
            http: self.pool_http(&key, raw.http.as_deref(), https),
            h2: self.pool_h2(&key, &raw.h2),
            tls: self.pool_tls(&key, raw.tls.unwrap_or_default()),
            server_name: server_name.and_then(|name| self.problems.take(&at("server_name"), name)),
            authority: authority.and_then(|name| self.problems.take(&at("authority"), name)),
            affinity,
            balance: self.balance(&key, raw.balance.as_deref(), raw.hash_on.as_deref()),
            timeouts: self.pool_timeouts(&at("timeouts"), &raw.timeouts),
            max_idle: self.count(&at("max_idle"), raw.max_idle, 0..=10_000, 64),
            fitness: self.fitness(&key, https, fitness),
            limits: self.endpoint_limits(&at("limits"), raw.limits),
            retries: self.retries(&at("retries"), raw.retries),
            protocol: if https {
                Protocol::Https(self.trust(&key, raw.trust)?)
            } else {
                self.plain(&key, &only_https);
                Protocol::Http
            },
            key,
            name,
        };
        Some(pool)
    }

    /// Refuses what has no meaning without TLS: it would look like protection.
    fn plain(&mut self, key: &str, only_https: &[(&str, bool)]) {
        for (name, there) in only_https {
            if *there {
                self.problems.add_unwanted(
                    &format!("{key}.{name}"),
                    format!("found `{name}`, expected none with protocol = \"http\": it has no certificates"),
                );
            }
        }
    }

    fn endpoints(&mut self, key: &str, raw: Vec<raw::Endpoint>) -> Vec<Endpoint> {
        if raw.is_empty() {
            self.problems.add(
                key,
                "the list is empty, expected at least one endpoint such as \"10.0.0.4:443\"",
            );
        }
        let mut ids = Unique::default();
        let mut addresses = Unique::default();
        let raw = raw.into_iter().enumerate();
        let endpoints = raw.filter_map(|(index, raw)| {
            let key = format!("{key}[{index}]");
            let endpoint = self.endpoint(&key, raw)?;
            ids.claim(self, endpoint.id.clone(), &key);
            addresses.claim(
                self,
                (endpoint.host.to_ascii_lowercase(), endpoint.port),
                &key,
            );
            Some(endpoint)
        });
        endpoints.collect()
    }

    fn endpoint(&mut self, key: &str, raw: raw::Endpoint) -> Option<Endpoint> {
        let (raw, address_key) = match raw {
            raw::Endpoint::Address(address) => {
                let raw = raw::EndpointTable {
                    address,
                    ..Default::default()
                };
                (raw, key.to_owned())
            }
            raw::Endpoint::Table(raw) => (raw, format!("{key}.address")),
        };
        let weight = self.count(&format!("{key}.weight"), raw.weight, 0..=1000, 1);
        let id = raw.id.map(hosts::id);
        let id = id.map(|id| self.problems.take(&format!("{key}.id"), id));
        let (host, port) = self
            .problems
            .take(&address_key, hosts::endpoint(&raw.address))?;
        Some(Endpoint {
            id: id.unwrap_or(Some(raw.address))?,
            host,
            port,
            weight,
            drain: raw.drain.unwrap_or(false),
        })
    }

    fn affinity(&mut self, key: &str, raw: Option<String>, has_plugins: bool) -> Option<String> {
        let name = self.problems.take(key, hosts::plugin(raw?))?;
        if !has_plugins {
            self.problems.add(
                key,
                format!("found the plugin {name:?}, expected a `[plugins]` table that says where plugins are"),
            );
        }
        Some(name)
    }

    fn pool_timeouts(&mut self, key: &str, raw: &raw::PoolTimeouts) -> PoolTimeouts {
        let mut timeout = |name: &str, raw: &Option<raw::Duration>, seconds| {
            let default = Duration::from_secs(seconds);
            self.duration(&format!("{key}.{name}"), raw.as_ref(), TIMEOUTS, default)
        };
        PoolTimeouts {
            connect: timeout("connect", &raw.connect, 5),
            tls_handshake: timeout("tls_handshake", &raw.tls_handshake, 5),
            first_byte: timeout("first_byte", &raw.first_byte, 30),
            idle: timeout("idle", &raw.idle, 60),
            request: (raw.request.as_ref()).map(|_| timeout("request", &raw.request, 60)),
        }
    }

    /// Exactly one kind of trust.
    fn trust(&mut self, pool: &str, raw: Option<raw::Trust>) -> Option<Trust> {
        let raw = raw.unwrap_or_default();
        let key = format!("{pool}.trust");
        let given = raw.kinds();
        match (raw.certificates, raw.spki, raw.roots, raw.public) {
            (Some(list), None, None, None) => {
                let pinned = self.list(&format!("{key}.certificates"), list, Self::pinned);
                return Some(Trust::Certificates(pinned));
            }
            (None, Some(list), None, None) => {
                let keys = self.list(&format!("{key}.spki"), list, |check, key, text| {
                    check.problems.take(key, pins::spki(&text))
                });
                return Some(Trust::Spki(keys));
            }
            (None, None, Some(list), None) => {
                let roots = self.list(&format!("{key}.roots"), list, |check, key, path| {
                    Some(check.file(key, &path))
                });
                return Some(Trust::Roots(roots));
            }
            (None, None, None, Some(true)) => return Some(Trust::Public),
            _ => {}
        }
        self.not_one_trust(&key, &given);
        None
    }

    fn not_one_trust(&mut self, key: &str, given: &[&str]) {
        let expected = "expected exactly one of `trust.certificates`, `trust.spki`, \
                        `trust.roots` and `trust.public = true`";
        match given {
            [] => {
                let found = "nothing says which certificates to accept";
                self.problems.add(key, format!("{found}, {expected}"));
            }
            [only] => {
                let key = format!("{key}.{only}");
                self.problems
                    .add(&key, format!("found `false`, {expected}"));
            }
            [first, second, ..] => {
                let message = format!("found `{second}` beside `{first}`, {expected}");
                self.problems
                    .add_unwanted(&format!("{key}.{second}"), message);
            }
        }
    }

    fn pinned(&mut self, key: &str, text: String) -> Option<PinnedCertificate> {
        match pins::fingerprint(&text) {
            Some(hash) => {
                let hash = self.problems.take(key, hash)?;
                Some(PinnedCertificate::Fingerprint(hash))
            }
            None => Some(PinnedCertificate::File(self.file(key, &text))),
        }
    }
}
