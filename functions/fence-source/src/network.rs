//! The fence's outer layer: the cluster's security groups replaced by those that admit the recovery's functions alone.
//! Established connections live on until they are ended: that is the other layers' work.

use super::FenceSource;
use rewind_aws::fence_records::FenceRecords;
use rewind_aws::rds::{Cluster, ClusterChange, ModifyClusters, ReadClusters};
use rewind_aws::secrets::Logins;
use rewind_core::{Clock, ErrorName, Polling, StepError, timeouts};

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
        self.change_groups(cluster, &self.fence_groups).await?;
        Ok(Some(format!("only {} admitted", self.fence_groups.join(", "))))
    }

    /// Puts back the groups that the cluster had, and returns what was done.
    pub(crate) async fn open_network(&self, cluster: &Cluster, recorded: &[String]) -> Result<Vec<String>, StepError> {
        if !self.change_groups(cluster, recorded).await? {
            return Ok(Vec::new());
        }
        Ok(vec![format!("security groups of {} restored to {}", cluster.name, recorded.join(", "))])
    }

    /// Returns if a change whose answer was lost is to be seen; otherwise it was not made, and the step is repeated.
    async fn settle(&self, error: StepError, cluster: &str, groups: &[String]) -> Result<(), StepError> {
        if error.name != ErrorName::OutcomeUnknown {
            return Err(error);
        }
        let read = || self.access.cluster(cluster);
        let is_named = |now: &Cluster| now.has_groups(groups);
        let now = Polling::default().until(&self.clock, timeouts::CHANGE_IS_NAMED, read, is_named).await?;
        if is_named(&now) {
            return Ok(());
        }
        Err(StepError::new(ErrorName::Unavailable, format!("the groups of {cluster} were not changed: {error}")))
    }

    /// Gives the cluster these groups and waits until they are in force; returns whether it had others.
    async fn change_groups(&self, cluster: &Cluster, groups: &[String]) -> Result<bool, StepError> {
        let had_others = !cluster.has_groups(groups);
        // An earlier attempt may have set the same groups, and AWS still be applying them: then this one only waits.
        if groups.is_empty() || (!had_others && !cluster.security_groups_changing) {
            return Ok(false);
        }
        if had_others {
            let change = ClusterChange { security_groups: Some(groups.to_vec()), ..ClusterChange::default() };
            let sent = self.access.clusters.modify(&cluster.name, &change).await;
            if let Err(error) = sent {
                self.settle(error, &cluster.name, groups).await?;
            }
        }
        // Named is not in force: a group that is still `adding` stops nobody, nor does one of a change that is under way. No other status
        // has to do with the groups: a backup runs for as long as it likes, and clients are out meanwhile.
        let in_force =
            |now: &Cluster| now.has_groups(groups) && !now.security_groups_changing && now.status != "modifying";
        let read = || self.access.cluster(&cluster.name);
        let now = Polling::default().until(&self.clock, timeouts::FENCE_GROUPS, read, in_force).await?;
        if in_force(&now) {
            return Ok(had_others);
        }
        // Unavailable, so that the step is repeated: it finds the groups set, and goes on waiting.
        Err(StepError::new(
            ErrorName::Unavailable,
            format!("{} does not have the security groups {} yet", cluster.name, groups.join(", ")),
        ))
    }
}
