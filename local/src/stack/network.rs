//! The loopback addresses and ports of a stack, chosen so that several stacks run side by side. It opens no connection.

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::path::Path;

/// The port of ministack: everything of AWS but RDS.
const GATEWAY_PORT: u16 = 4566;
/// The port of the RDS API.
const RDS_PORT: u16 = 4567;
/// The port that takes chat's messages in Slack's place.
const CHAT_PORT: u16 = 4568;
/// The name server's port: an ordinary user may not listen on 53, and 5353 belongs to mDNS.
const DNS_PORT: u16 = 10053;
/// The port of PostgreSQL, on an address for each instance.
const POSTGRES_PORT: u16 = 5432;
/// Number of networks that are tried before giving up.
const ATTEMPTS: u32 = 32;

/// A /24 in 127.0.0.0/8: `.1` for the stack's own services, `.9` for the functions' connections to databases,
/// `.10` and up for the databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The second byte.
    x: u8,
    /// The third byte.
    y: u8,
}

impl Network {
    fn address(self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.x, self.y, last)
    }

    /// The network itself, as `127.x.y.0/24`.
    pub fn cidr(self) -> String {
        format!("{}/24", self.address(0))
    }

    /// The address of ministack.
    pub fn gateway(self) -> SocketAddrV4 {
        SocketAddrV4::new(self.address(1), GATEWAY_PORT)
    }

    /// The address of the RDS API.
    pub fn rds(self) -> SocketAddrV4 {
        SocketAddrV4::new(self.address(1), RDS_PORT)
    }

    /// The address that takes chat's messages.
    pub fn chat(self) -> SocketAddrV4 {
        SocketAddrV4::new(self.address(1), CHAT_PORT)
    }

    /// The address of the name server.
    pub fn dns(self) -> SocketAddrV4 {
        SocketAddrV4::new(self.address(1), DNS_PORT)
    }

    /// The address that functions connect to databases from: the one that the fence's security group admits.
    pub fn functions(self) -> Ipv4Addr {
        self.address(9)
    }

    /// True when everything that a stack listens on is free, TCP and UDP.
    fn is_free(self) -> bool {
        // Something that listens on 0.0.0.0 takes a port on every loopback address, those of the databases included.
        let database = SocketAddrV4::new(self.address(10), POSTGRES_PORT);
        [self.gateway(), self.rds(), self.chat(), self.dns(), database]
            .into_iter()
            .all(|at| TcpListener::bind(at).is_ok())
            && UdpSocket::bind(self.dns()).is_ok()
    }

    /// Chooses the network of the stack in `dir`, which must not run: the one remembered in `file` while it is free, otherwise
    /// another one, which is then remembered.
    ///
    /// # Errors
    ///
    /// When none is free, or the choice can't be remembered.
    pub fn choose(dir: &Path, file: &Path) -> Result<Self> {
        // A file that can't be read counts as none: the choice is made anew rather than the start refused.
        let remembered = fs::read(file).ok().and_then(|json| serde_json::from_slice::<Self>(&json).ok());
        let candidates = remembered.into_iter().chain((0..ATTEMPTS).map(|attempt| Self::candidate(dir, attempt)));
        let chosen = candidates.into_iter().find(|network| network.is_free());
        let Some(chosen) = chosen else {
            bail!(
                "something listens on every address at one of the ports {GATEWAY_PORT}, {RDS_PORT}, {CHAT_PORT}, {DNS_PORT} \
                 and {POSTGRES_PORT}; nothing was started; next step: see who with `ss -lntup` and bind it to one address, \
                 or stop it"
            );
        };
        let failed = "the choice of network could not be written; nothing was started";
        fs::write(file, serde_json::to_vec(&chosen).context(failed)?).context(failed)?;
        Ok(chosen)
    }

    // From the directory, not at random: a stack that starts again has the addresses that people's shells and notes hold.
    fn candidate(dir: &Path, attempt: u32) -> Self {
        let digest = Sha256::new().chain_update(dir.as_os_str().as_encoded_bytes()).chain_update(attempt.to_be_bytes());
        let digest = digest.finalize();
        let byte = |index| digest.get(index).copied().unwrap_or_default();
        // 127.0.0.0/16 has localhost, resolvers and what else people put there.
        Self { x: 32 + byte(0) % 192, y: byte(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_keeps_its_network_and_another_gets_another() {
        let a = Network::candidate(Path::new("/a/.local"), 0);
        assert_eq!(a, Network::candidate(Path::new("/a/.local"), 0));
        assert_ne!(a, Network::candidate(Path::new("/b/.local"), 0));
        assert_ne!(a, Network::candidate(Path::new("/a/.local"), 1));
    }

    #[test]
    fn candidates_keep_away_from_localhost() {
        for attempt in 0..500 {
            assert!(Network::candidate(Path::new("/a"), attempt).x >= 32);
        }
    }

    #[test]
    fn a_network_that_is_taken_is_passed_over() {
        let dir = Path::new("/network-test/one");
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("network.json");
        let first = Network::choose(dir, &file).unwrap();
        let _taken = TcpListener::bind(first.rds()).unwrap();
        let second = Network::choose(dir, &file).unwrap();
        assert_ne!(first, second);
        assert_eq!(Network::choose(dir, &file).unwrap(), second, "the new choice is remembered");
    }
}
