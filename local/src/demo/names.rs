//! The stack's name server, asked afresh at every question: which endpoint a record leads to, and its address.

use super::stop::{Because, Stop};
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::{Resolver, TokioResolver};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the stack's name server.
#[derive(Debug, Clone)]
pub struct Names {
    resolver: TokioResolver,
}

/// Where a name leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Led {
    /// The last name of the chain of aliases: a database's endpoint.
    pub endpoint: String,
    /// Its address.
    pub address: Ipv4Addr,
}

impl Names {
    /// Asks the server at this address and no other.
    ///
    /// # Errors
    ///
    /// When the resolver can't be made.
    pub fn new(server: SocketAddrV4) -> Result<Self, Stop> {
        let (mut udp, mut tcp) = (ConnectionConfig::udp(), ConnectionConfig::tcp());
        (udp.port, tcp.port) = (server.port(), server.port());
        let server = NameServerConfig::new((*server.ip()).into(), true, vec![udp, tcp]);
        let mut options = ResolverOpts::default();
        // The record moves under the application: each new connection asks again.
        options.cache_size = 0;
        options.timeout = PATIENCE;
        options.attempts = 2;
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let resolver = Resolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
            .because("the resolver could not be made")?;
        Ok(Self { resolver })
    }

    /// Where `name` leads now.
    ///
    /// # Errors
    ///
    /// What the server says, or that it does not answer.
    pub async fn lead(&self, name: &str) -> Result<Led, String> {
        let plain = name.trim_end_matches('.');
        let found = self.resolver.ipv4_lookup(format!("{plain}.")).await.map_err(|e| e.to_string())?;
        let mut endpoint = plain.to_owned();
        let mut address = None;
        for record in found.answers() {
            match &record.data {
                RData::CNAME(target) => endpoint = target.0.to_ascii().trim_end_matches('.').to_owned(),
                RData::A(a) => address = Some(a.0),
                _ => {}
            }
        }
        let address = address.ok_or_else(|| format!("{plain} has no address"))?;
        Ok(Led { endpoint, address })
    }
}
