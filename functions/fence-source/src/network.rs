//! The fence's outer layer: the cluster's security groups replaced by those that admit the recovery's functions alone.
//! Established connections live on until they are ended: that is the other layers' work.

use super::FenceSource;
use rewind_aws::fence_records::FenceRecords;
use rewind_aws::rds::{Cluster, ModifyClusters, ReadClusters, set_security_groups};
use rewind_aws::secrets::Logins;
use rewind_core::{Clock, StepError};

impl<C, S, R, K> FenceSource<C, S, R, K>
where
    C: ReadClusters + ModifyClusters,
    S: Logins,
    R: FenceRecords,
    K: Clock,
{
    /// Closes the network, and returns what was done; none where the deployment has no groups for it.
    pub(crate) async fn close_network(&self, cluster: &Cluster) -> Result<Option<String>, StepError> {
        if self.fence_groups.is_empty() {
            return Ok(None);
        }
        set_security_groups(&self.access.clusters, &self.clock, cluster, &self.fence_groups).await?;
        Ok(Some(format!("only {} admitted", self.fence_groups.join(", "))))
    }

    /// Puts back the groups that the cluster had, and returns what was done.
    pub(crate) async fn open_network(&self, cluster: &Cluster, recorded: &[String]) -> Result<Vec<String>, StepError> {
        if !set_security_groups(&self.access.clusters, &self.clock, cluster, recorded).await? {
            return Ok(Vec::new());
        }
        Ok(vec![format!("security groups of {} restored to {}", cluster.name, recorded.join(", "))])
    }
}
