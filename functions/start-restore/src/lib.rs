//! Starts the point-in-time restore, with all settings of the source that the API accepts. It never changes the source. Where the
//! plan adopts the restored cluster of an earlier recovery, it takes that one over and restores nothing. Its undo is a function of
//! its own, delete-restored: this one sets the tag without which nothing is deleted.

use jiff::Timestamp;
use rewind_aws::rds::{
    Cluster, NewCluster, Origin, ReadClusters, RestoreClusters, TagClusters, adopt, describe_created,
};
use rewind_core::{Adopted, Clock, Difference, ErrorName, Plan, Recovery, Restored, StepError};
use rewind_lambda::Step;
use serde::Deserialize;

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] =
    &["rds:DescribeDBClusters", "rds:RestoreDBClusterToPointInTime", "rds:AddTagsToResource", "kms:VerifyMac"];

/// The step.
#[derive(Debug)]
pub struct StartRestore<C, K> {
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
    /// The end of the recovery's lease, after which it cannot run any more; none in a payload of an earlier definition.
    #[serde(default)]
    pub lease_until: Option<Timestamp>,
}

impl<C, K> Step for StartRestore<C, K>
where
    C: ReadClusters + RestoreClusters + TagClusters,
    K: Clock,
{
    type Input = Input;
    type Output = Restored;

    async fn run(&self, Input { recovery, plan, lease_until }: Input) -> Result<Restored, StepError> {
        // From its first moment: a recovery that somebody stops sets no tag any more, and nothing would ever delete its cluster.
        let keep_until = lease_until.map(|end| plan.keep_restored_from(end)).transpose()?;
        let found = self.clusters.cluster(&plan.new_cluster).await?;
        if let Some(adopted) = &plan.adopted {
            let found = found.filter(|found| found.status != "deleting").ok_or_else(|| is_gone(&plan, adopted))?;
            return describe(&recovery, &plan, &adopt(&self.clusters, &recovery, adopted, keep_until, found).await?);
        }
        // A second run finds the cluster of the first one: the name is the token.
        if let Some(found) = found {
            return describe(&recovery, &plan, &found);
        }
        let source = self.clusters.cluster(&plan.cluster).await?.ok_or_else(|| {
            StepError::new(ErrorName::RewindFailed, format!("{} is gone since the plan was made", plan.cluster))
                .changed("nothing was changed")
                .advice("restore it from its retained automated backups by hand")
        })?;
        // Its data would be restored for hours, and it is not that of the cluster that people asked for.
        plan.refuse_other_source(&source.resource_id)?;
        let latest = source.latest_restorable.unwrap_or(plan.window.latest);
        // RDS restores to moments before the latest restorable time, not to that time itself.
        if !plan.use_latest && latest <= plan.target {
            return Err(StepError::new(
                ErrorName::ClusterNotReady,
                format!("AWS can restore {} up to {latest} yet, not up to {}", plan.cluster, plan.target),
            )
            .changed("nothing was changed")
            .advice("it is tried again until the latest restorable time has moved on"));
        }
        let moment = if plan.use_latest { latest } else { plan.target };
        // RestoreToTime and UseLatestRestorableTime exclude each other.
        let origin = if plan.use_latest { Origin::Latest } else { Origin::Moment(plan.target) };
        // finish protects it as the source is. Until then a protection of it is people's, whom nobody overrules.
        let source = Cluster { deletion_protection: false, ..source };
        let new =
            NewCluster { recovery: &recovery, source: &source, name: &plan.new_cluster, origin, moment, keep_until };
        describe(&recovery, &plan, &new.create(&self.clusters, &self.clock).await?)
    }
}

fn is_gone(plan: &Plan, adopted: &Adopted) -> StepError {
    let (cluster, recovery) = (&plan.new_cluster, &adopted.recovery);
    StepError::new(
        ErrorName::RewindFailed,
        format!("{cluster}, which {recovery} restored, is gone since the plan was made"),
    )
    .changed("nothing was changed")
    .advice("start a recovery without `resume`, which restores a cluster of its own")
}

fn describe(recovery: &Recovery, plan: &Plan, found: &Cluster) -> Result<Restored, StepError> {
    let mut restored = describe_created(recovery, found, plan.target)?;
    // Every restore has new endpoints, and this is the difference that clients meet first.
    restored.differences.push(Difference::new(
        "endpoints",
        plan.cluster.clone(),
        restored.writer_endpoint.clone(),
        "clients that do not go through the moved records must be told; a DNS name in front of an endpoint fails TLS \
         verify-full and IAM tokens, which are made for the endpoint itself",
    ));
    Ok(restored)
}

#[cfg(test)]
mod tests;
