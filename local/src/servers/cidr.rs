//! Blocks of addresses, which is what a security group comes to. It decides nothing about what those who are let in may do.

use std::net::IpAddr;
use std::str::FromStr;

/// A block of addresses, such as `127.0.0.0/8`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no address block such as 127.0.0.0/8");
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        if prefix > longest { Err(wrong()) } else { Ok(Self { address, prefix }) }
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Cidr {
    /// Whether it holds an address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let (block, address, width) = match (self.address, address) {
            (IpAddr::V4(block), IpAddr::V4(address)) => {
                (u128::from(block.to_bits()), u128::from(address.to_bits()), 32)
            }
            (IpAddr::V6(block), IpAddr::V6(address)) => (block.to_bits(), address.to_bits(), 128),
            _ => return false,
        };
        // A shift by the whole width is none at all: an empty prefix holds every address.
        let host = u32::from(width - self.prefix);
        block.checked_shr(host).unwrap_or(0) == address.checked_shr(host).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_read_and_nonsense_is_refused() {
        assert_eq!("127.33.7.9/32".parse::<Cidr>().unwrap().to_string(), "127.33.7.9/32");
        assert_eq!("::/0".parse::<Cidr>().unwrap().to_string(), "::/0");
        for wrong in ["", "127.0.0.1", "127.0.0.0/33", "all", "127.0.0.0/8 trust\nhost all all 0.0.0.0/0"] {
            assert!(wrong.parse::<Cidr>().is_err(), "{wrong:?} was admitted");
        }
    }

    #[test]
    fn a_block_holds_its_own_addresses_and_no_others() {
        let holds = |block: &str, address: &str| block.parse::<Cidr>().unwrap().contains(address.parse().unwrap());
        assert!(holds("127.33.7.9/32", "127.33.7.9") && !holds("127.33.7.9/32", "127.33.7.8"));
        assert!(holds("127.33.0.0/16", "127.33.255.255") && !holds("127.33.0.0/16", "127.34.0.0"));
        assert!(holds("0.0.0.0/0", "10.1.2.3") && holds("::/0", "fe80::1"));
        assert!(!holds("::/0", "10.1.2.3") && !holds("0.0.0.0/0", "::1"));
    }
}
