//! Networks in CIDR notation (RFC 4632 §3.1).

use std::net::IpAddr;

use serde::Deserialize;

/// `10.0.0.0/8`, `2001:db8::/32`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether an address is in it. The two families have no address in common.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4()
            && prefix(address, self.bits) == prefix(self.address, self.bits)
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let network = parse(&text).ok_or_else(|| {
            format!(
                "expected a network such as \"10.0.0.0/8\" or \"2001:db8::/32\", found {text:?}"
            )
        })?;
        let rest = host_bits(network);
        if rest != 0 {
            return Err(format!(
                "expected an address whose bits behind /{} are 0, found {text:?}",
                network.bits
            ));
        }
        Ok(network)
    }
}

fn parse(text: &str) -> Option<Network> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (
            address.parse::<IpAddr>().ok()?,
            Some(bits.parse::<u8>().ok()?),
        ),
        None => (text.parse::<IpAddr>().ok()?, None),
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(most);
    (bits <= most).then_some(Network { address, bits })
}

/// The address as a number whose first bits are the network's; IPv4 is moved to the top.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn prefix(address: IpAddr, bits: u8) -> u128 {
    number(address)
        .checked_shr(128 - u32::from(bits))
        .unwrap_or(0)
}

fn host_bits(network: Network) -> u128 {
    number(network.address)
        .checked_shl(u32::from(network.bits))
        .unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        Network::try_from(network.to_owned())
            .unwrap()
            .contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_contains_its_addresses() {
        assert!(contains("10.0.0.0/8", "10.255.0.1"));
        assert!(!contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("192.0.2.7", "192.0.2.7"));
        assert!(!contains("192.0.2.7", "192.0.2.8"));
        assert!(contains("2001:db8::/32", "2001:db8:1::7"));
        assert!(!contains("2001:db8::/32", "2001:db9::"));
    }

    #[test]
    fn everything_is_of_one_family() {
        assert!(contains("0.0.0.0/0", "192.0.2.7"));
        assert!(!contains("0.0.0.0/0", "::1"));
        assert!(contains("::/0", "::1"));
        assert!(!contains("::/0", "192.0.2.7"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0/8",
            "::/129",
            "10.0.0.0/",
            "10.0.0.1/8",
            "2001:db8::1/32",
        ] {
            assert!(Network::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
