//! The sessions on the fenced cluster's readers. They can write nothing, but would go on reading the data that was left
//! behind. A reader that cannot be emptied is told and stops nothing.

use super::{Fence, FenceSource, Input};
use rewind_access::target;
use rewind_aws::rds::{Cluster, Instance, ReadClusters};
use rewind_aws::secrets::Logins;
use rewind_core::StepError;
use rewind_db::fence::{Patience, empty};
use std::time::Duration;

/// How long one reader may take: a cluster has fifteen at most, and the writer is fenced already.
const PATIENCE: Duration = Duration::from_secs(4);

/// What became of the readers' sessions.
#[derive(Default)]
pub(crate) struct Readers {
    pub(crate) sessions_ended: u64,
    /// In words; none where there is no reader.
    pub(crate) did: Option<String>,
}

impl<C: ReadClusters, S: Logins, N, K> FenceSource<C, S, N, K> {
    pub(crate) async fn empty_readers(&self, input: &Input, fence: &Fence, cluster: &Cluster) -> Readers {
        let mut readers = Readers::default();
        let mut said = Vec::new();
        let instances = match self.access.clusters.instances(&cluster.name).await {
            Ok(instances) => instances,
            Err(error) => {
                said.push(format!("the readers could not be listed: {error}"));
                Vec::new()
            }
        };
        let is_writer = |name: &str| cluster.members.iter().any(|member| member.writer && member.instance == name);
        for reader in instances.iter().filter(|instance| !is_writer(&instance.name)) {
            match self.empty(input, fence, cluster, reader).await {
                Ok(ended) => {
                    readers.sessions_ended += ended;
                    said.push(format!("{ended} ended on the reader {}", reader.name));
                }
                Err(error) => said.push(format!("the reader {} may still have some: {error}", reader.name)),
            }
        }
        readers.did = (!said.is_empty()).then(|| said.join("; "));
        readers
    }

    async fn empty(
        &self,
        input: &Input,
        fence: &Fence,
        cluster: &Cluster,
        reader: &Instance,
    ) -> Result<u64, StepError> {
        let Some(endpoint) = &reader.endpoint else { return Ok(0) };
        let credentials = self.access.credentials(cluster, &input.plan.secret_arn, fence.moment).await?;
        let network = self.access.network.for_recovery(&input.recovery.id);
        let target = target(cluster, endpoint);
        let (_, session) = network.connect_with(&target, &credentials, target.engine.maintenance_database()).await?;
        let emptied = empty(&session, Patience { bound: PATIENCE, ..Patience::default() }).await;
        session.close().await;
        Ok(emptied?.sessions_ended)
    }
}
