//! Which peers are proxies.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Addresses and networks of proxies, none by default. Read from a text in which commas separate them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Proxies(Vec<IpNet>);

/// A text that does not name proxies; says what would.
#[derive(Debug, Error)]
#[error("addresses or networks such as \"10.0.0.7, 10.0.0.0/8, fd00::/8\" (\"{found}\" is none)")]
pub struct NoNetwork {
    found: String,
}

impl Proxies {
    /// Whether this address is one of them. An IPv4 address also counts when it is written as one of
    /// IPv6, as sockets do that listen for both.
    pub(crate) fn contains(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.0.iter().any(|network| network.contains(&peer))
    }
}

impl FromStr for Proxies {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(network).collect::<Result<_, _>>().map(Self)
    }
}

fn network(item: &str) -> Result<IpNet, NoNetwork> {
    let alone = item.parse::<IpAddr>().map(IpNet::from);
    alone.or_else(|_| item.parse()).map_err(|_| NoNetwork { found: item.into() })
}

impl TryFrom<String> for Proxies {
    type Error = NoNetwork;

    fn try_from(text: String) -> Result<Self, NoNetwork> {
        text.parse()
    }
}

impl From<Proxies> for String {
    fn from(proxies: Proxies) -> Self {
        proxies.to_string()
    }
}

impl fmt::Display for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, network) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{network}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(proxies: &str, peer: &str) -> bool {
        let proxies: Proxies = proxies.parse().expect("proxies");
        proxies.contains(peer.parse().expect("an address"))
    }

    #[test]
    fn an_address_is_itself_and_a_network_all_within_it() {
        assert!(contains("10.0.0.7", "10.0.0.7"));
        assert!(!contains("10.0.0.7", "10.0.0.8"));
        assert!(contains("192.0.2.1, 10.0.0.0/8", "10.255.0.1"));
        assert!(!contains("192.0.2.1, 10.0.0.0/8", "11.0.0.1"));
        assert!(contains("fd00::/8,::1", "fd12::3"));
        assert!(contains("fd00::/8,::1", "::1"));
        assert!(!contains("fd00::/8,::1", "fe80::1"));
    }

    #[test]
    fn an_ipv4_address_counts_as_one_of_ipv6_too() {
        assert!(contains("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(!contains("10.0.0.0/8", "::ffff:11.1.2.3"));
    }

    #[test]
    fn nothing_named_is_nobody() {
        assert_eq!("".parse::<Proxies>().expect("nothing"), Proxies::default());
        assert!(!contains("", "127.0.0.1"));
        assert!(!contains(" , ", "::1"));
    }

    #[test]
    fn what_is_written_reads_the_same() {
        let proxies: Proxies = "10.0.0.7,fd00::/8".parse().expect("proxies");
        assert_eq!(proxies.to_string(), "10.0.0.7/32, fd00::/8");
        assert_eq!(proxies.to_string().parse::<Proxies>().expect("its own words"), proxies);
    }
}
