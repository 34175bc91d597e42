//! What is known of the connection that a request came on.

use std::net::{IpAddr, SocketAddr};

use crate::bindings::types::{IpAddress, SocketAddress};

impl From<&SocketAddress> for SocketAddr {
    fn from(SocketAddress { ip, port }: &SocketAddress) -> Self {
        let ip: IpAddr = match *ip {
            IpAddress::Ipv4((a, b, c, d)) => [a, b, c, d].into(),
            IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => [a, b, c, d, e, f, g, h].into(),
        };
        Self::new(ip, *port)
    }
}

impl From<SocketAddr> for SocketAddress {
    fn from(address: SocketAddr) -> Self {
        let ip = match address.ip().to_canonical() {
            IpAddr::V4(ip) => IpAddress::Ipv4(ip.octets().into()),
            IpAddr::V6(ip) => IpAddress::Ipv6(ip.segments().into()),
        };
        Self {
            ip,
            port: address.port(),
        }
    }
}
