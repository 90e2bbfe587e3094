//! Connecting to a record's name as a client does, and identifying the server that it leads to.

use super::{ConfirmCutover, Input, ReachedServer, Side};
use crate::led::{Led, Servers, led};
use rewind_access::{target, writer};
use rewind_aws::rds::{Cluster, Instance, ReadClusters};
use rewind_aws::secrets::Logins;
use rewind_core::{Clock, Endpoint, StepError};
use rewind_db::{ConnectError, Credential, Network, Server, ServerIdentity, Target, defaults, server_identity};

impl<C: ReadClusters, S: Logins, K: Clock> ConfirmCutover<C, S, K> {
    /// Connects to every record's name. A name without a login is a result, not an error: it is reported with the others.
    pub(crate) async fn connect_by_names(&self, input: &Input) -> Result<Vec<ReachedServer>, StepError> {
        let (meant, other) = input.sides(self.clock.now());
        let cluster = self.access.cluster(meant.cluster).await?;
        let credentials = self.access.credentials(&cluster, &input.plan, meant.moment).await?;
        let network = self.access.network.for_recovery(&input.recovery.id);
        let instances = self.access.clusters.instances(&cluster.name).await?;
        let mut reached = Vec::new();
        for record in &input.plan.dns {
            // Resolved by the record's name, as clients do, but TLS verifies the endpoint: RDS certificates name no
            // CNAME.
            let target = target(&cluster, input.host(record)).by_name(&record.name);
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
                        // The cluster that is meant cannot say that it is none of its own; the other can say that it is its.
                        Led::Unseen(_) if self.is_of(other, input, &network, &found).await => {
                            Led::Elsewhere(format!("{found}, which is of {}", other.cluster))
                        }
                        led => led,
                    };
                    (found.to_string(), led)
                }
                // No certificate of one cluster names an endpoint of the other: by the other's it may be let in.
                Err(error) => match self.other_behind(other, input, &network, &record.name).await {
                    Some(found) => {
                        let led = Led::Elsewhere(format!("{found}, which is of {}", other.cluster));
                        (found.to_string(), led)
                    }
                    None => (error.to_string(), Led::Unseen(error.to_string())),
                },
            };
            reached.push(ReachedServer { name: record.name.clone(), matches: led == Led::There, server, led });
        }
        Ok(reached)
    }

    /// The server of the `other` cluster to which `name` leads; none where it leads to none, or that cannot be seen.
    async fn other_behind(
        &self,
        other: Side<'_>,
        input: &Input,
        network: &Network,
        name: &str,
    ) -> Option<ServerIdentity> {
        let cluster = self.access.cluster(other.cluster).await.ok()?;
        let credentials = self.access.credentials(&cluster, &input.plan, other.moment).await.ok()?;
        let by_name = writer(&cluster).ok()?.by_name(name);
        let found = identify(network, &by_name, &credentials).await.ok()?;
        // Where no certificate is verified, a server of the cluster that is meant may have answered as well.
        self.is_of(other, input, network, &found).await.then_some(found)
    }

    /// True if `found` is a server of the `other` cluster, as far as that can be seen.
    async fn is_of(&self, other: Side<'_>, input: &Input, network: &Network, found: &ServerIdentity) -> bool {
        let read = async {
            let cluster = self.access.cluster(other.cluster).await?;
            let credentials = self.access.credentials(&cluster, &input.plan, other.moment).await?;
            let instances = self.access.clusters.instances(&cluster.name).await?;
            let all: Vec<&Instance> = instances.iter().collect();
            Ok::<_, StepError>(identify_all(network, &cluster, &all, &credentials).await)
        };
        // A cluster that does not answer proves nothing.
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
