//! Makes the safety clone of a cluster that is about to be rewound in place: a copy-on-write clone, taken while the fence is
//! closed, so that it has every acknowledged write. It never changes the source. delete-restored deletes the clone.

use jiff::Timestamp;
use rewind_aws::rds::{Cluster, NewCluster, Origin, ReadClusters, RestoreClusters, describe_created};
use rewind_core::{Clock, ErrorName, Plan, Recovery, Restored, StepError};
use rewind_lambda::Step;
use serde::Deserialize;

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] =
    &["rds:DescribeDBClusters", "rds:RestoreDBClusterToPointInTime", "rds:AddTagsToResource", "kms:VerifyMac"];

/// The step.
#[derive(Debug)]
pub struct CloneSource<C, K> {
    /// Clusters.
    pub clusters: C,
    /// The time.
    pub clock: K,
}

/// The payload of the step.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// The recovery.
    pub recovery: Recovery,
    /// The plan of the recovery.
    pub plan: Plan,
    /// The end of the recovery's lease; none where an earlier version passes none.
    #[serde(default)]
    pub lease_until: Option<Timestamp>,
}

impl<C, K> Step for CloneSource<C, K>
where
    C: ReadClusters + RestoreClusters,
    K: Clock,
{
    type Input = Input;
    type Output = Restored;

    async fn run(&self, Input { recovery, plan, lease_until }: Input) -> Result<Restored, StepError> {
        let in_place = plan.backtrack.as_ref().ok_or_else(|| StepError::bug("a safety clone is kept in place only"))?;
        let now = self.clock.now();
        // A clone is always of now: the one of the first attempt is taken, and not a second one of a later moment.
        if let Some(found) = self.clusters.cluster(&plan.new_cluster).await? {
            return describe_created(&recovery, &found, now);
        }
        let cluster = self.clusters.cluster(&plan.cluster).await?.ok_or_else(|| {
            StepError::new(ErrorName::RewindFailed, format!("{} is gone since the plan was made", plan.cluster))
                .changed("this step changed nothing")
                .advice("restore it from its retained automated backups by hand")
        })?;
        let source = Cluster {
            // The cluster has the fence's groups by now, through which nobody could reach the safety clone.
            security_groups: in_place.security_groups.clone(),
            // A clone that comes to nothing keeps its protection, for RDS changes only clusters that are available: it could not be
            // deleted. add-instances protects it, before the backtrack makes it the only copy of anything.
            deletion_protection: false,
            ..cluster
        };
        let new = NewCluster {
            recovery: &recovery,
            source: &source,
            name: &plan.new_cluster,
            // RestoreType copy-on-write cannot be combined with RestoreToTime.
            origin: Origin::CloneOfNow,
            moment: now,
            // From its first moment, so that whoever looks at a clone that a stopped recovery left sees how long it was to be kept. The
            // clean-up deletes none without the mark of a safety clone, which the end of the recovery sets with the time that counts.
            keep_until: lease_until.map(|end| plan.keep_undone_from(end)).transpose()?,
        };
        describe_created(&recovery, &new.create(&self.clusters, &self.clock).await?, now)
    }
}

#[cfg(test)]
mod tests;
