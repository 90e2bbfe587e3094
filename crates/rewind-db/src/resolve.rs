//! Resolves names, afresh each time: what confirms a switch of names must not come from a cache.

use crate::error::unavailable;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use rewind_core::{StepError, timeouts};
use std::net::{IpAddr, SocketAddr};

/// The CNAME chain and the addresses of a name, as they are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// The names that the CNAME records lead through, in order; empty where there is none.
    pub chain: Vec<String>,
    /// The addresses at the end; empty where the name does not exist or has none.
    pub addresses: Vec<IpAddr>,
}

impl Resolution {
    /// True if the name is, or leads through, `name`.
    pub fn leads_to(&self, name: &str) -> bool {
        self.chain.iter().any(|link| *link == plain(name))
    }
}

/// Resolves `name` at `server`, or at the system's resolver.
pub(crate) async fn resolve(server: Option<SocketAddr>, name: &str) -> Result<Resolution, StepError> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(Resolution { chain: Vec::new(), addresses: vec![address] });
    }
    let failed = |error: &NetError| {
        unavailable(format!("the name {name} could not be resolved")).detail(error).advice(
            "see whether the resolver answers and, for a private zone, whether the function's VPC is associated with it",
        )
    };
    // A resolver per question: nothing is left over from an earlier answer, or from before the function was frozen.
    let resolver = resolver(server).map_err(|error| failed(&error))?;
    let mut absolute =
        Name::from_utf8(name).map_err(|_| StepError::bug(format!("\"{name}\" is not a name that DNS can hold")))?;
    // Otherwise the resolver tries the search domains of the machine behind it.
    absolute.set_fqdn(true);
    let mut resolution = Resolution { chain: Vec::new(), addresses: Vec::new() };
    // Addresses of IPv4 first, and alone where there are some: a function's subnets need not have IPv6.
    for family in [RecordType::A, RecordType::AAAA] {
        match resolver.lookup(absolute.clone(), family).await {
            Ok(lookup) => resolution = follow(name, lookup.answers()),
            // A name that is not there is a finding: a record may just have been deleted.
            Err(error) if error.is_no_records_found() || error.is_nx_domain() => {}
            Err(error) => return Err(failed(&error)),
        }
        if !resolution.addresses.is_empty() {
            break;
        }
    }
    Ok(resolution)
}

fn resolver(server: Option<SocketAddr>) -> Result<TokioResolver, NetError> {
    let mut builder = match server {
        Some(address) => {
            let at_port = |mut connection: ConnectionConfig| {
                connection.port = address.port();
                connection
            };
            let connections = vec![at_port(ConnectionConfig::udp()), at_port(ConnectionConfig::tcp())];
            let server = NameServerConfig::new(address.ip(), true, connections);
            let config = ResolverConfig::from_name_servers(vec![server]);
            let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
            // A test's server has to be asked even for a name that this machine's hosts file knows.
            builder.options_mut().use_hosts_file = ResolveHosts::Never;
            builder
        }
        None => TokioResolver::builder_tokio()?,
    };
    let options = builder.options_mut();
    options.cache_size = 0;
    // Otherwise the CNAME records between are dropped, and the chain could not be shown.
    options.preserve_intermediates = true;
    options.timeout = timeouts::DNS_QUERY;
    options.attempts = timeouts::DNS_ATTEMPTS;
    builder.build()
}

/// Walks from `name` through the CNAME records, in whatever order they came, to the addresses.
fn follow(name: &str, records: &[Record]) -> Resolution {
    let mut at = plain(name);
    let mut chain = Vec::new();
    // No further than there are records: a loop of names would never end.
    while chain.len() <= records.len() {
        let next = records.iter().find_map(|record| match &record.data {
            RData::CNAME(to) if plain(&record.name.to_utf8()) == at => Some(plain(&to.0.to_utf8())),
            _ => None,
        });
        let Some(next) = next else { break };
        chain.push(next.clone());
        at = next;
    }
    let address = |record: &Record| match &record.data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(a) => Some(IpAddr::V6(a.0)),
        _ => None,
    };
    let owned = |record: &&Record| plain(&record.name.to_utf8()) == at;
    Resolution { addresses: records.iter().filter(owned).filter_map(address).collect(), chain }
}

/// A name as it is compared: lower case, no dot at its end.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::proto::rr::rdata::{A, CNAME};

    fn cname(from: &str, to: &str) -> Record {
        Record::from_rdata(Name::from_utf8(from).unwrap(), 5, RData::CNAME(CNAME(Name::from_utf8(to).unwrap())))
    }

    fn a(name: &str, last: u8) -> Record {
        Record::from_rdata(Name::from_utf8(name).unwrap(), 5, RData::A(A::new(127, 0, 0, last)))
    }

    #[test]
    fn the_chain_is_followed_in_whatever_order_the_records_come() {
        let answers = [
            a("writer.example.", 7),
            cname("Cluster.example.", "writer.example."),
            a("stray.example.", 9),
            cname("db.example.", "cluster.Example."),
        ];
        let resolution = follow("DB.example", &answers);
        assert_eq!(resolution.chain, ["cluster.example", "writer.example"]);
        assert_eq!(resolution.addresses, ["127.0.0.7".parse::<IpAddr>().unwrap()]);
        assert!(resolution.leads_to("Cluster.example."));
        assert!(!resolution.leads_to("stray.example"));
    }

    #[test]
    fn a_loop_of_names_ends_without_an_address() {
        let resolution = follow("a.example", &[cname("a.example.", "b.example."), cname("b.example.", "a.example.")]);
        assert!(resolution.addresses.is_empty());
    }
}
