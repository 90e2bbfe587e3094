//! Whether the parts of a stack answer. It asks and never starts anything.

use super::network::Network;
use hickory_resolver::Resolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// A healthy part answers in milliseconds; a machine that compiles meanwhile may need longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether an HTTP GET of `url` answers 200.
pub async fn answers(url: String) -> bool {
    let asked = tokio::task::spawn_blocking(move || {
        let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).proxy(None).build();
        ureq::Agent::from(config).get(&url).call().is_ok_and(|response| response.status() == 200)
    });
    asked.await.unwrap_or(false)
}

/// Whether ministack answers.
pub async fn gateway(network: Network) -> bool {
    answers(format!("http://{}/_ministack/health", network.gateway())).await
}

/// Whether the RDS control plane is ready.
pub async fn rds(network: Network) -> bool {
    answers(format!("http://{}/health", network.rds())).await
}

/// The addresses that the stack's name server gives for a name now: nothing is kept from earlier questions.
///
/// # Errors
///
/// When the server does not answer, or knows no address.
pub async fn resolve(server: SocketAddrV4, name: &str) -> Result<Vec<Ipv4Addr>, String> {
    let mut udp = ConnectionConfig::udp();
    udp.port = server.port();
    let mut tcp = ConnectionConfig::tcp();
    tcp.port = server.port();
    let server = NameServerConfig::new((*server.ip()).into(), true, vec![udp, tcp]);
    let mut options = ResolverOpts::default();
    options.cache_size = 0;
    options.timeout = PATIENCE;
    options.attempts = 1;
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let resolver = Resolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_options(options)
        .build()
        .map_err(|e| e.to_string())?;
    let absolute = format!("{}.", name.trim_end_matches('.'));
    let found = resolver.ipv4_lookup(absolute).await.map_err(|e| e.to_string())?;
    Ok(found.answers().iter().filter_map(|record| record.data.ip_addr()).filter_map(ipv4).collect())
}

fn ipv4(address: std::net::IpAddr) -> Option<Ipv4Addr> {
    match address {
        std::net::IpAddr::V4(address) => Some(address),
        std::net::IpAddr::V6(_) => None,
    }
}
