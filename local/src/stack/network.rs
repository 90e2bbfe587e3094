//! Which loopback addresses and ports a stack takes, so that stacks do not meet. It opens no connection.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::path::Path;

/// Everything of ministack.
const GATEWAY_PORT: u16 = 4566;
/// The RDS API.
const RDS_PORT: u16 = 4567;
/// What takes chat's answers in Slack's place.
const CHAT_PORT: u16 = 4568;
/// An ordinary user may not listen on 53, and 5353 belongs to mDNS.
const DNS_PORT: u16 = 10053;
/// The databases' port, on an address each.
const POSTGRES_PORT: u16 = 5432;
/// How many networks are tried before giving up.
const ATTEMPTS: u32 = 32;

/// A /24 in 127.0.0.0/8: `.1` for the stack's own services, `.9` for the functions' connections to databases,
/// `.10` and up for the databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The second number.
    x: u8,
    /// The third.
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

    /// Where ministack listens.
    pub fn gateway(self) -> SocketAddrV4 {
        SocketAddrV4::new(self.address(1), GATEWAY_PORT)
    }

    /// Where the RDS API listens.
    pub fn rds(self) -> SocketAddrV4 {
        SocketAddrV4::new(self.address(1), RDS_PORT)
    }

    /// Where chat's answers are taken.
    pub fn chat(self) -> SocketAddrV4 {
        SocketAddrV4::new(self.address(1), CHAT_PORT)
    }

    /// Where the name server listens.
    pub fn dns(self) -> SocketAddrV4 {
        SocketAddrV4::new(self.address(1), DNS_PORT)
    }

    /// From where functions connect to databases: what the fence's security group admits.
    pub fn functions(self) -> Ipv4Addr {
        self.address(9)
    }

    /// Whether everything a stack listens on is free, TCP and UDP.
    fn is_free(self) -> bool {
        let database = SocketAddrV4::new(self.address(10), POSTGRES_PORT);
        [self.gateway(), self.rds(), self.chat(), self.dns(), database]
            .into_iter()
            .all(|at| TcpListener::bind(at).is_ok())
            && UdpSocket::bind(self.dns()).is_ok()
    }

    /// The network of the stack in `dir`: the one remembered in `file` if it is still free, otherwise another one,
    /// which is then remembered. Meant for a stack that does not run.
    ///
    /// # Errors
    ///
    /// When none is free, or the choice can't be remembered.
    pub fn choose(dir: &Path, file: &Path) -> Result<Self, NetworkError> {
        let remembered = fs::read(file).ok().and_then(|json| serde_json::from_slice::<Self>(&json).ok());
        let candidates = remembered.into_iter().chain((0..ATTEMPTS).map(|attempt| Self::candidate(dir, attempt)));
        let chosen = candidates.into_iter().find(|network| network.is_free()).ok_or(NetworkError::NoneFree)?;
        let json = serde_json::to_vec(&chosen).map_err(|e| NetworkError::Remember(e.into()))?;
        fs::write(file, json).map_err(NetworkError::Remember)?;
        Ok(chosen)
    }

    /// The same directory always tries the same networks, so that its addresses do not change without need.
    fn candidate(dir: &Path, attempt: u32) -> Self {
        let digest = Sha256::new().chain_update(dir.as_os_str().as_encoded_bytes()).chain_update(attempt.to_be_bytes());
        let digest = digest.finalize();
        let byte = |index| digest.get(index).copied().unwrap_or_default();
        // 127.0.0.0/16 has localhost, resolvers and what else people put there.
        Self { x: 32 + byte(0) % 192, y: byte(1) }
    }
}

/// No network for the stack.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// All candidates are taken.
    #[error(
        "something listens on every address at one of the ports {GATEWAY_PORT}, {RDS_PORT}, {CHAT_PORT}, {DNS_PORT} and \
         {POSTGRES_PORT}; nothing was started; next step: see who with `ss -lntup` and bind it to one address, or stop it"
    )]
    NoneFree,
    /// The choice could not be written down.
    #[error("the choice of network could not be written: {0}; nothing was started")]
    Remember(std::io::Error),
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
        let file = std::env::temp_dir().join(format!("rewind-network-{}.json", std::process::id()));
        let first = Network::choose(dir, &file).unwrap();
        let _taken = TcpListener::bind(first.rds()).unwrap();
        let second = Network::choose(dir, &file).unwrap();
        assert_ne!(first, second);
        assert_eq!(Network::choose(dir, &file).unwrap(), second, "the new choice is remembered");
        fs::remove_file(&file).unwrap();
    }
}
