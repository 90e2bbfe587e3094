//! Connecting to a record's name as a client does, and identifying the server that it leads to.

use super::{ConfirmCutover, Input, ReachedServer};
use rewind_access::target;
use rewind_aws::rds::{Cluster, ReadClusters};
use rewind_aws::secrets::Logins;
use rewind_core::{Clock, Endpoint, ErrorName, PlannedRecord, StepError};
use rewind_db::{ConnectError, Credential, Network, Server, ServerIdentity, Target, defaults, server_identity};

impl<C: ReadClusters, S: Logins, K: Clock> ConfirmCutover<C, S, K> {
    /// Connects to every record's name. A name without a login is a result, not an error: it is reported with the others.
    pub(crate) async fn connect_by_names(&self, input: &Input) -> Result<Vec<ReachedServer>, StepError> {
        let cluster = self.access.cluster(&input.restored.cluster).await?;
        // The restored cluster has the passwords of that moment, however often the secret was rotated since.
        let moment = input.restored.rewound_to;
        let credentials = self.access.credentials(&cluster, &input.plan.secret_arn, moment).await?;
        let network = self.access.network.for_recovery(&input.recovery.id);
        let servers = self.instance_identities(&network, &cluster, &credentials).await?;
        let mut reached = Vec::new();
        for record in &input.plan.dns {
            let endpoint = input.restored.endpoint(record.endpoint);
            // Resolved by the record's name, as clients do, but TLS verifies the endpoint: RDS certificates name no
            // CNAME.
            let target = target(&cluster, endpoint).by_name(&record.name);
            reached.push(match identify(&network, &target, &credentials).await {
                Ok(identity) => ReachedServer {
                    name: record.name.clone(),
                    matches: is_expected(record, &identity, &servers),
                    server: identity.to_string(),
                },
                Err(error) => ReachedServer { name: record.name.clone(), server: error.to_string(), matches: false },
            });
        }
        Ok(reached)
    }

    /// Identifies the restored cluster's instances, each at its own endpoint: addresses would not do, for behind one name they
    /// change.
    async fn instance_identities(
        &self,
        network: &Network,
        cluster: &Cluster,
        credentials: &[Credential],
    ) -> Result<Vec<ServerIdentity>, StepError> {
        let mut servers = Vec::new();
        for instance in self.access.clusters.instances(&cluster.name).await? {
            // One that is still being made has none, and no name can lead to it.
            let Some(endpoint) = instance.endpoint else { continue };
            servers.push(identify(network, &target(cluster, endpoint), credentials).await?);
        }
        if servers.is_empty() {
            return Err(StepError::new(
                ErrorName::RewindFailed,
                format!("{} has no instance that is up", cluster.name),
            ));
        }
        Ok(servers)
    }
}

fn is_expected(record: &PlannedRecord, identity: &ServerIdentity, servers: &[ServerIdentity]) -> bool {
    // A name for readers may lead to the writer: with a single instance Aurora's reader endpoint does.
    let role_fits = record.endpoint == Endpoint::Reader || !identity.in_recovery;
    role_fits && servers.iter().any(|server| server.is_same_server(identity))
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
