//! Networks in CIDR notation (RFC 4632 §3.1).

use std::{error::Error, fmt, net::IpAddr};

use serde::Deserialize;

use crate::Schema;

/// A network, `10.0.0.0/8` or `2001:db8::/32`, or a single address. In a configuration it is a
/// string.
///
/// ```
/// use witgate_sdk::Network;
///
/// let network: Network = "10.0.0.0/8".parse()?;
/// assert!(network.contains("10.1.2.3".parse().unwrap()));
/// assert!(!network.contains("11.1.2.3".parse().unwrap()));
///
/// let clients = Network::around("2001:db8::7".parse().unwrap(), 64);
/// assert_eq!(clients.to_string(), "2001:db8::/64");
/// # Ok::<(), witgate_sdk::NetworkError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Schema)]
#[serde(try_from = "String")]
#[schema(crate = witgate_schema, words = "a network such as \"10.0.0.0/8\", or an address")]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// A string that is no network.
///
/// ```
/// use witgate_sdk::Network;
///
/// let refusal = "10.0.0.1/8".parse::<Network>().unwrap_err();
/// assert_eq!(refusal.to_string(), "expected an address whose bits behind /8 are 0, found \"10.0.0.1/8\"");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkError {
    found: String,
    /// Where bits of the address are set that are not the network's: how many are.
    bits: Option<u8>,
}

impl Network {
    /// The network that an address is in, which has so many bits in common; at most all.
    ///
    /// ```
    /// use witgate_sdk::Network;
    ///
    /// let network = Network::around("192.0.2.7".parse().unwrap(), 24);
    /// assert_eq!(network.to_string(), "192.0.2.0/24");
    /// ```
    #[must_use]
    pub fn around(address: IpAddr, bits: u8) -> Self {
        let bits = bits.min(most_bits(address));
        let kept = prefix(address, bits)
            .checked_shl(128 - u32::from(bits))
            .unwrap_or(0);
        let address = match address {
            IpAddr::V4(_) => IpAddr::V4(u32::try_from(kept >> 96).unwrap_or(0).into()),
            IpAddr::V6(_) => IpAddr::V6(kept.into()),
        };
        Self { address, bits }
    }

    /// Whether an address is in it. The two families have no address in common.
    ///
    /// ```
    /// use witgate_sdk::Network;
    ///
    /// let everything: Network = "0.0.0.0/0".parse().unwrap();
    /// assert!(everything.contains("192.0.2.7".parse().unwrap()));
    /// assert!(!everything.contains("::1".parse().unwrap()));
    /// ```
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4()
            && prefix(address, self.bits) == prefix(self.address, self.bits)
    }
}

impl std::str::FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let wrong = |bits| NetworkError {
            found: text.to_owned(),
            bits,
        };
        let network = parse(text).ok_or_else(|| wrong(None))?;
        match Self::around(network.address, network.bits) == network {
            true => Ok(network),
            false => Err(wrong(Some(network.bits))),
        }
    }
}

impl TryFrom<String> for Network {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Self, NetworkError> {
        text.parse()
    }
}

/// A single address is written without its bits.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bits == most_bits(self.address) {
            true => write!(f, "{}", self.address),
            false => write!(f, "{}/{}", self.address, self.bits),
        }
    }
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bits {
            None => f.write_str("expected a network such as \"10.0.0.0/8\" or \"2001:db8::/32\""),
            Some(bits) => write!(f, "expected an address whose bits behind /{bits} are 0"),
        }?;
        write!(f, ", found {:?}", self.found)
    }
}

impl Error for NetworkError {}

fn parse(text: &str) -> Option<Network> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (
            address.parse::<IpAddr>().ok()?,
            Some(bits.parse::<u8>().ok()?),
        ),
        None => (text.parse::<IpAddr>().ok()?, None),
    };
    let most = most_bits(address);
    let bits = bits.unwrap_or(most);
    (bits <= most).then_some(Network { address, bits })
}

fn most_bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        let network: Network = network.parse().unwrap();
        network.contains(address.parse().unwrap())
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
    fn the_network_around_an_address_is_written_as_it_is_read() {
        for (address, bits, network) in [
            ("192.0.2.7", 24, "192.0.2.0/24"),
            ("192.0.2.7", 99, "192.0.2.7"),
            ("192.0.2.7", 0, "0.0.0.0/0"),
            ("2001:db8:1:2:3::7", 64, "2001:db8:1:2::/64"),
            ("::1", 128, "::1"),
            ("::1", 0, "::/0"),
        ] {
            let around = Network::around(address.parse().unwrap(), bits);
            assert_eq!(around.to_string(), network);
            assert_eq!(network.parse(), Ok(around));
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/"] {
            let refusal = text.parse::<Network>().unwrap_err().to_string();
            assert!(
                refusal.starts_with("expected a network such as"),
                "{refusal}"
            );
        }
        for text in ["10.0.0.1/8", "2001:db8::1/32"] {
            let refusal = text.parse::<Network>().unwrap_err().to_string();
            assert!(refusal.contains("are 0, found"), "{refusal}");
        }
    }
}
