//! How connections of a listener open: with TLS or without, and with the PROXY protocol or not.

use std::{net::IpAddr, ops::RangeInclusive, time::Duration};

use ipnet::IpNet;

use super::{ListenerTls, check::Check, raw};

/// The default of the PROXY protocol's deadline; its header comes with the first packet.
const PROXY_TIMEOUT: Duration = Duration::from_secs(5);
const PROXY_TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60);

/// What clients of a listener speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListenerProtocol {
    /// HTTP over TLS. Default.
    Https,
    /// HTTP as it is.
    Http,
}

/// `listeners.proxy_protocol`: each connection starts with a header of PROXY protocol v1 or v2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// Whose headers are believed; connections of others are closed. At least one.
    pub trusted: Vec<IpNet>,
    /// How long the header may take. 1 ms to 60 s, default 5 s.
    pub timeout: Duration,
}

impl ProxyProtocol {
    /// Whether headers of this peer are believed.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted.iter().any(|network| network.contains(&peer))
    }
}

impl Check<'_> {
    pub(super) fn protocol(&mut self, key: &str, raw: Option<&str>) -> ListenerProtocol {
        let choices = [
            ("https", ListenerProtocol::Https),
            ("http", ListenerProtocol::Http),
        ];
        let key = format!("{key}.protocol");
        self.choice(&key, raw, &choices, ListenerProtocol::Https)
    }

    /// TLS is there by default, and its absence is never an oversight.
    pub(super) fn tls_by_protocol(
        &mut self,
        key: &str,
        protocol: ListenerProtocol,
        raw: Option<raw::Tls>,
    ) -> Option<ListenerTls> {
        match (protocol, raw) {
            (ListenerProtocol::Https, Some(tls)) => {
                return Some(self.listener_tls(&format!("{key}.tls"), tls));
            }
            (ListenerProtocol::Https, None) => self.problems.add_with_help(
                key,
                "the key `tls` is missing",
                "add `tls.certificates`, or `protocol = \"http\"` for a listener without TLS",
            ),
            (ListenerProtocol::Http, Some(_)) => self.problems.add(
                &format!("{key}.tls"),
                "found `tls`, expected none with protocol = \"http\"",
            ),
            (ListenerProtocol::Http, None) => {}
        }
        None
    }

    pub(super) fn proxy_protocol(
        &mut self,
        key: &str,
        raw: Option<raw::ProxyProtocol>,
    ) -> Option<ProxyProtocol> {
        let raw = raw?;
        let key = format!("{key}.proxy_protocol");
        let trusted = self.list(
            &format!("{key}.trusted"),
            raw.trusted,
            |check, key, text| check.problems.take(key, network(&text)),
        );
        Some(ProxyProtocol {
            trusted,
            timeout: self.duration(
                &format!("{key}.timeout"),
                raw.timeout.as_ref(),
                PROXY_TIMEOUTS,
                PROXY_TIMEOUT,
            ),
        })
    }
}

/// `10.0.0.0/8`, or a single address.
fn network(text: &str) -> Result<IpNet, String> {
    let single = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>().or_else(|_| single()).map_err(|_| {
        format!(
            "found {text:?}, expected an IP address or a network such as \"10.0.0.0/8\" or \
             \"2001:db8::/32\""
        )
    })
}
