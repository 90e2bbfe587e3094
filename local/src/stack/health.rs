//! Health checks of the parts of a stack. It never starts anything.

use super::network::Network;
use anyhow::Result;
use hickory_resolver::Resolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// Longest time that a part may take: a healthy one answers in milliseconds, on a machine that compiles meanwhile in more.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// True when an HTTP GET of `url` returns 200.
async fn is_ok(url: String) -> bool {
    let asked = tokio::task::spawn_blocking(move || {
        // A proxy of the person's environment knows nothing of loopback addresses.
        let config = ureq::Agent::config_builder().timeout_global(Some(HEALTH_TIMEOUT)).proxy(None).build();
        ureq::Agent::from(config).get(&url).call().is_ok_and(|response| response.status() == 200)
    });
    asked.await.unwrap_or(false)
}

/// True when ministack answers.
pub async fn gateway(network: Network) -> bool {
    is_ok(format!("http://{}/_ministack/health", network.gateway())).await
}

/// True when the RDS control plane is ready.
pub async fn rds(network: Network) -> bool {
    is_ok(format!("http://{}/health", network.rds())).await
}

/// Resolves a name by the stack's name server, without a cache.
///
/// # Errors
///
/// When the server does not answer, or knows no address.
pub async fn resolve(server: SocketAddrV4, name: &str) -> Result<Vec<Ipv4Addr>> {
    let mut udp = ConnectionConfig::udp();
    udp.port = server.port();
    let mut tcp = ConnectionConfig::tcp();
    tcp.port = server.port();
    let server = NameServerConfig::new((*server.ip()).into(), true, vec![udp, tcp]);
    let mut options = ResolverOpts::default();
    options.cache_size = 0;
    options.timeout = HEALTH_TIMEOUT;
    // One try: whoever waits for the stack asks again anyway, and a retry here would hide how often.
    options.attempts = 1;
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let resolver =
        Resolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options).build()?;
    let absolute = format!("{}.", name.trim_end_matches('.'));
    let found = resolver.ipv4_lookup(absolute).await?;
    Ok(found.answers().iter().filter_map(|record| record.data.ip_addr()).filter_map(ipv4).collect())
}

fn ipv4(address: std::net::IpAddr) -> Option<Ipv4Addr> {
    match address {
        std::net::IpAddr::V4(address) => Some(address),
        std::net::IpAddr::V6(_) => None,
    }
}
