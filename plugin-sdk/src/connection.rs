//! What is known of the connection that a request came on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::bindings::types::SocketAddress;

impl SocketAddress {
    /// The standard library's type. The gateway writes addresses, so that one always parses;
    /// the unspecified address stands for none.
    pub(crate) fn typed(&self) -> SocketAddr {
        let ip = self.ip.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        SocketAddr::new(ip, self.port)
    }
}

impl From<SocketAddr> for SocketAddress {
    fn from(address: SocketAddr) -> Self {
        Self {
            ip: address.ip().to_string(),
            port: address.port(),
        }
    }
}
