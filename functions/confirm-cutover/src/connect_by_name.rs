//! Connecting to a record's name as a client does, and identifying the server that it leads to.

use super::{ConfirmCutover, Input, ReachedServer};
use crate::led::{Led, Servers, led};
use rewind_access::{target, writer};
use rewind_aws::rds::{Cluster, Instance, ReadClusters};
use rewind_aws::secrets::Logins;
use rewind_core::{Clock, Endpoint, StepError};
use rewind_db::{ConnectError, Credential, Network, Server, ServerIdentity, Target, defaults, server_identity};

impl<C: ReadClusters, S: Logins, K: Clock> ConfirmCutover<C, S, K> {
    /// Connects to every record's name. A name without a login is a result, not an error: it is reported with the others.
    pub(crate) async fn connect_by_names(&self, input: &Input) -> Result<Vec<ReachedServer>, StepError> {
        let cluster = self.access.cluster(&input.restored.cluster).await?;
        // The restored cluster has the passwords of that moment, however often the secret was rotated since.
        let moment = input.restored.rewound_to;
        let credentials = self.access.credentials(&cluster, &input.plan, moment).await?;
        let network = self.access.network.for_recovery(&input.recovery.id);
        let instances = self.access.clusters.instances(&cluster.name).await?;
        let mut reached = Vec::new();
        for record in &input.plan.dns {
            let endpoint = input.restored.endpoint(record.endpoint);
            // Resolved by the record's name, as clients do, but TLS verifies the endpoint: RDS certificates name no
            // CNAME.
            let target = target(&cluster, endpoint).by_name(&record.name);
            let (server, led) = match identify(&network, &target, &credentials).await {
                Ok(found) => {
                    let (meant, others) = behind(record.endpoint, &cluster, &instances);
                    let meant = identify_all(&network, &cluster, &meant, &credentials).await;
                    // Only where it is none of those that were meant: the others need not even be up.
                    let others = match led(record.endpoint, &found, &meant, &Servers::default()) {
                        Led::There => Servers::default(),
                        _ => identify_all(&network, &cluster, &others, &credentials).await,
                    };
                    let led = match led(record.endpoint, &found, &meant, &others) {
                        // The restored cluster cannot say that it is none of its own; the source can say that it is its.
                        Led::Unseen(_) if self.is_of_source(input, &network, &found).await => {
                            Led::Elsewhere(format!("{found}, which is of {}", input.plan.cluster))
                        }
                        led => led,
                    };
                    (found.to_string(), led)
                }
                // No certificate of the source names an endpoint of the restored cluster: as the source it may be let in.
                Err(error) => match self.source_behind(input, &network, &record.name).await {
                    Some(found) => {
                        let led = Led::Elsewhere(format!("{found}, which is of {}", input.plan.cluster));
                        (found.to_string(), led)
                    }
                    None => (error.to_string(), Led::Unseen(error.to_string())),
                },
            };
            reached.push(ReachedServer { name: record.name.clone(), matches: led == Led::There, server, led });
        }
        Ok(reached)
    }

    /// The server of the source to which `name` leads; none where it leads to none, or that cannot be seen.
    async fn source_behind(&self, input: &Input, network: &Network, name: &str) -> Option<ServerIdentity> {
        let source = self.access.cluster(&input.plan.cluster).await.ok()?;
        let credentials = self.access.credentials(&source, &input.plan, self.clock.now()).await.ok()?;
        let by_name = writer(&source).ok()?.by_name(name);
        let found = identify(network, &by_name, &credentials).await.ok()?;
        // Where no certificate is verified, a server of the restored cluster may have answered as well.
        self.is_of_source(input, network, &found).await.then_some(found)
    }

    /// True if `found` is a server of the source, as far as that can be seen.
    async fn is_of_source(&self, input: &Input, network: &Network, found: &ServerIdentity) -> bool {
        let read = async {
            let source = self.access.cluster(&input.plan.cluster).await?;
            let credentials = self.access.credentials(&source, &input.plan, self.clock.now()).await?;
            let instances = self.access.clusters.instances(&source.name).await?;
            let all: Vec<&Instance> = instances.iter().collect();
            Ok::<_, StepError>(identify_all(network, &source, &all, &credentials).await)
        };
        // A source that does not answer proves nothing.
        read.await.is_ok_and(|servers| servers.seen.iter().any(|server| server.is_same_server(found)))
    }
}

/// The instances that a record of this kind may lead to, and all others of the cluster.
pub(crate) fn behind<'a>(
    endpoint: Endpoint,
    cluster: &Cluster,
    instances: &'a [Instance],
) -> (Vec<&'a Instance>, Vec<&'a Instance>) {
    let is_writer =
        |instance: &Instance| cluster.members.iter().any(|member| member.writer && member.instance == instance.name);
    let (writers, readers): (Vec<&Instance>, Vec<&Instance>) =
        instances.iter().partition(|instance| is_writer(instance));
    match endpoint {
        Endpoint::Writer => (writers, readers),
        // With a single instance Aurora's reader endpoint leads to the writer.
        Endpoint::Reader if readers.is_empty() => (writers, readers),
        Endpoint::Reader => (readers, writers),
    }
}

/// Identifies instances, each at its own endpoint: addresses would not do, for behind one name they change.
async fn identify_all(
    network: &Network,
    cluster: &Cluster,
    instances: &[&Instance],
    credentials: &[Credential],
) -> Servers {
    let mut servers = Servers::default();
    for instance in instances {
        // One that is still being made has none, and no name can lead to it.
        let Some(endpoint) = &instance.endpoint else { continue };
        match identify(network, &target(cluster, endpoint), credentials).await {
            Ok(identity) => servers.seen.push(identity),
            Err(error) => servers.unseen.push(format!("{}: {error}", instance.name)),
        }
    }
    servers
}

async fn identify(
    network: &Network,
    target: &Target,
    credentials: &[Credential],
) -> Result<ServerIdentity, ConnectError> {
    // Any database does: only the server is of interest.
    let (_, session) =
        Server::connect(network, target, credentials, defaults(target.engine).maintenance_database).await?;
    let identity = server_identity(&session).await;
    session.close().await;
    identity.map_err(ConnectError::Failed)
}
