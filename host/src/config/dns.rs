//! `[dns]`: how names of endpoints are looked up.

use std::{net::SocketAddr, ops::RangeInclusive, time::Duration};

use super::{check::Check, hosts, raw};

/// How names of endpoints are looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// Name servers; those of `/etc/resolv.conf` when empty.
    pub servers: Vec<SocketAddr>,
    /// For each attempt. Default 2 s.
    pub timeout: Duration,
    /// Default 2.
    pub attempts: u32,
    /// An answer counts at least for this long. Default 5 s.
    pub min_ttl: Duration,
    /// And at most for this long. Default 1 h.
    pub max_ttl: Duration,
    /// Addresses of one name that are used. 1 to 1000, default 64.
    pub max_addresses: usize,
    /// Which kinds of addresses are asked for. Default both.
    pub family: Family,
    /// Whether name servers may name addresses of this machine. Default no.
    pub allow_loopback: bool,
}

/// Kinds of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// A and AAAA.
    Both,
    /// A.
    Ipv4,
    /// AAAA.
    Ipv6,
}

const TIMES: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_mins(1);
const TTLS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(24);

impl Check<'_> {
    pub(super) fn dns(&mut self, raw: raw::Dns) -> Dns {
        let servers = raw.servers.unwrap_or_default();
        let servers = servers.iter().enumerate().filter_map(|(index, text)| {
            let key = format!("dns.servers[{index}]");
            self.problems.take(&key, hosts::socket_address(text))
        });
        let servers = servers.collect();
        let families = [
            ("both", Family::Both),
            ("ipv4", Family::Ipv4),
            ("ipv6", Family::Ipv6),
        ];
        let (short, long) = (Duration::from_secs(5), Duration::from_hours(1));
        let min_ttl = self.duration("dns.min_ttl", raw.min_ttl.as_ref(), TTLS, short);
        let max_ttl = self.duration("dns.max_ttl", raw.max_ttl.as_ref(), TTLS, long.max(min_ttl));
        if min_ttl > max_ttl {
            self.problems.add(
                "dns.min_ttl",
                "found more than `dns.max_ttl`, expected at most that",
            );
        }
        Dns {
            servers,
            timeout: self.duration(
                "dns.timeout",
                raw.timeout.as_ref(),
                TIMES,
                Duration::from_secs(2),
            ),
            attempts: self.count("dns.attempts", raw.attempts, 1..=10, 2),
            min_ttl,
            max_ttl: max_ttl.max(min_ttl),
            max_addresses: self.count("dns.max_addresses", raw.max_addresses, 1..=1000, 64),
            family: self.choice("dns.family", raw.family.as_deref(), &families, Family::Both),
            allow_loopback: raw.allow_loopback.unwrap_or(false),
        }
    }
}
