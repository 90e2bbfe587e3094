//! Reaching a record's name as a client does, and telling who answered.

use super::{ConfirmCutover, Input, Reached};
use rewind_access::target;
use rewind_aws::rds::{Cluster, ReadClusters};
use rewind_aws::secrets::Logins;
use rewind_core::{Clock, Endpoint, ErrorName, PlannedRecord, StepError};
use rewind_db::{ConnectError, Credential, Identity, Network, Target, defaults, identity};

impl<C: ReadClusters, S: Logins, K: Clock> ConfirmCutover<C, S, K> {
    pub(crate) async fn reach(&self, input: &Input) -> Result<Vec<Reached>, StepError> {
        let cluster = self.access.cluster(&input.restored.cluster).await?;
        let moment = input.restored.rewound_to;
        let credentials = self.access.credentials(&cluster, &input.plan.secret_arn, moment).await?;
        let network = self.access.network.for_recovery(&input.recovery.id);
        let servers = self.servers(&network, &cluster, &credentials).await?;
        let mut reached = Vec::new();
        for record in &input.plan.dns {
            let endpoint = input.restored.endpoint(record.endpoint);
            let target = target(&cluster, endpoint).by_name(&record.name);
            reached.push(match ask(&network, &target, &credentials).await {
                Ok(who) => Reached {
                    name: record.name.clone(),
                    matches: is_expected(record, &who, &servers),
                    server: who.to_string(),
                },
                Err(error) => Reached { name: record.name.clone(), server: error.to_string(), matches: false },
            });
        }
        Ok(reached)
    }

    /// Who the restored cluster's instances are, each asked at its own endpoint.
    async fn servers(
        &self,
        network: &Network,
        cluster: &Cluster,
        credentials: &[Credential],
    ) -> Result<Vec<Identity>, StepError> {
        let mut servers = Vec::new();
        for instance in self.access.clusters.instances(&cluster.name).await? {
            let Some(endpoint) = instance.endpoint else { continue };
            servers.push(ask(network, &target(cluster, endpoint), credentials).await?);
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

fn is_expected(record: &PlannedRecord, who: &Identity, servers: &[Identity]) -> bool {
    let role_fits = record.endpoint == Endpoint::Reader || !who.in_recovery;
    role_fits && servers.iter().any(|server| server.is_same_server(who))
}

async fn ask(network: &Network, target: &Target, credentials: &[Credential]) -> Result<Identity, ConnectError> {
    // Any database does: who answers is asked, nothing else.
    let (_, session) = network.connect_with(target, credentials, defaults(target.engine).maintenance_database).await?;
    let who = identity(&session).await;
    session.close().await;
    who.map_err(ConnectError::Failed)
}
