//! A client of the stack's name server without a cache: resolves a record to an endpoint and its address.

use anyhow::{Context, Result};
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::{Resolver, TokioResolver};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

const DNS_TIMEOUT: Duration = Duration::from_secs(2);

/// A client of the stack's name server.
#[derive(Debug, Clone)]
pub struct DnsClient {
    resolver: TokioResolver,
}

/// The end of a name's chain of aliases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedEndpoint {
    /// The last name of the chain: a database's endpoint.
    pub endpoint: String,
    /// The endpoint's address.
    pub address: Ipv4Addr,
}

impl DnsClient {
    /// Asks the server at this address and no other.
    ///
    /// # Errors
    ///
    /// When the resolver can't be made.
    pub fn new(server: SocketAddrV4) -> Result<Self> {
        let (mut udp, mut tcp) = (ConnectionConfig::udp(), ConnectionConfig::tcp());
        (udp.port, tcp.port) = (server.port(), server.port());
        let server = NameServerConfig::new((*server.ip()).into(), true, vec![udp, tcp]);
        let mut options = ResolverOpts::default();
        // The record moves under the application: each new connection asks again.
        options.cache_size = 0;
        options.timeout = DNS_TIMEOUT;
        options.attempts = 2;
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let resolver = Resolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
            .context("the resolver could not be made")?;
        Ok(Self { resolver })
    }

    /// Resolves `name` now.
    ///
    /// # Errors
    ///
    /// When the server does not answer, or the name has no address.
    pub async fn resolve(&self, name: &str) -> Result<ResolvedEndpoint> {
        let plain = name.trim_end_matches('.');
        // The final dot keeps the resolver from trying search domains first.
        let found = self.resolver.ipv4_lookup(format!("{plain}.")).await?;
        let mut endpoint = plain.to_owned();
        let mut address = None;
        for record in found.answers() {
            match &record.data {
                RData::CNAME(target) => endpoint = target.0.to_ascii().trim_end_matches('.').to_owned(),
                RData::A(a) => address = Some(a.0),
                _ => {}
            }
        }
        let address = address.with_context(|| format!("{plain} has no address"))?;
        Ok(ResolvedEndpoint { endpoint, address })
    }
}
