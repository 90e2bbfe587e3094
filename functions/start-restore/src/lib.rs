//! Starts the point-in-time restore with everything of the source that the API lets it pass. It never touches the source.
//! Its undo deletes the new cluster, if this recovery made it.

use rewind_aws::rds::{
    Cluster, ClusterChange, DeleteClusters, ModifyClusters, ReadClusters, RestoreCall, RestoreClusters,
};
use rewind_core::names::{RECOVERY_TAG, TARGET_TAG, is_reserved_tag};
use rewind_core::{Clock, Difference, ErrorName, Plan, Polling, Recovery, Restored, StepError};
use rewind_lambda::{Step, Undone};
use serde::Deserialize;
use std::time::Duration;

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] = &[
    "rds:DescribeDBClusters",
    "rds:RestoreDBClusterToPointInTime",
    "rds:AddTagsToResource",
    "rds:ModifyDBCluster",
    "rds:DeleteDBCluster",
];

/// How long a restore whose answer was lost may take to show.
const APPEARS_WITHIN: Duration = Duration::from_secs(30);

/// The step.
#[derive(Debug)]
pub struct StartRestore<C, K> {
    /// Clusters.
    pub clusters: C,
    /// The time.
    pub clock: K,
}

/// What the step is passed.
#[derive(Debug, Clone, Deserialize)]
pub struct Input {
    /// Which recovery.
    pub recovery: Recovery,
    /// What it does.
    pub plan: Plan,
}

impl<C, K> Step for StartRestore<C, K>
where
    C: ReadClusters + RestoreClusters + ModifyClusters + DeleteClusters,
    K: Clock,
{
    type Input = Input;
    type Output = Restored;

    async fn run(&self, Input { recovery, plan }: Input) -> Result<Restored, StepError> {
        if let Some(found) = self.clusters.cluster(&plan.new_cluster).await? {
            return describe(&recovery, &plan, &found);
        }
        let source = self.clusters.cluster(&plan.cluster).await?.ok_or_else(|| {
            StepError::new(ErrorName::RewindFailed, format!("{} is gone since the plan was made", plan.cluster))
                .changed("nothing was changed")
                .advice("restore it from its retained automated backups by hand")
        })?;
        let latest = source.latest_restorable.unwrap_or(plan.window.latest);
        // AWS wants a moment before the latest restorable time, not at it.
        if !plan.use_latest && latest <= plan.target {
            return Err(StepError::new(
                ErrorName::ClusterNotReady,
                format!("AWS can restore {} up to {latest} yet, not up to {}", plan.cluster, plan.target),
            )
            .changed("nothing was changed")
            .advice("it is tried again until the latest restorable time has moved on"));
        }
        let moment = if plan.use_latest { latest } else { plan.target };
        let mut tags: Vec<(String, String)> =
            source.tags.iter().filter(|(key, _)| !is_reserved_tag(key)).cloned().collect();
        tags.push((RECOVERY_TAG.to_owned(), recovery.id.clone()));
        tags.push((TARGET_TAG.to_owned(), moment.to_string()));
        let call = RestoreCall {
            source: &source,
            new_cluster: &plan.new_cluster,
            to: (!plan.use_latest).then_some(plan.target),
            tags: &tags,
        };
        let sent = self.clusters.restore(&call).await;
        // Whatever the answer was, or if none came: what is there decides.
        let patience = match &sent {
            Err(error) if error.name == ErrorName::OutcomeUnknown => APPEARS_WITHIN,
            _ => Duration::ZERO,
        };
        match self.appears(&plan.new_cluster, patience).await? {
            Some(found) => describe(&recovery, &plan, &found),
            None => match sent {
                Err(error) => Err(error),
                Ok(_) => Err(StepError::new(
                    ErrorName::Unavailable,
                    format!("{} was accepted and cannot be seen yet", plan.new_cluster),
                )),
            },
        }
    }

    async fn undo(&self, Input { recovery, plan }: Input) -> Result<Undone, StepError> {
        let name = &plan.new_cluster;
        let Some(found) = self.clusters.cluster(name).await? else { return Ok(Undone::nothing()) };
        if found.tag(RECOVERY_TAG) != Some(recovery.id.as_str()) {
            return Ok(Undone::nothing());
        }
        if found.status != "deleting" {
            if found.deletion_protection {
                let unprotected = ClusterChange { deletion_protection: Some(false), ..ClusterChange::default() };
                self.clusters.modify(name, &unprotected).await?;
                if self.clusters.cluster(name).await?.is_some_and(|now| now.deletion_protection) {
                    return Err(StepError::new(ErrorName::ClusterNotReady, format!("{name} is still protected"))
                        .advice("it is deleted as soon as its deletion protection is off"));
                }
            }
            self.clusters.delete_cluster(name).await?;
        }
        Ok(Undone::of(vec![format!("the new cluster {name} is being deleted")]))
    }
}

impl<C: ReadClusters, K: Clock> StartRestore<C, K> {
    /// Looks for a cluster until it is there or the patience is used up: a call whose answer was lost may still be under
    /// way, and to take it for not made would leave a cluster that nobody knows of.
    async fn appears(&self, name: &str, patience: Duration) -> Result<Option<Cluster>, StepError> {
        let polling = Polling::default();
        let mut waited = Duration::ZERO;
        loop {
            let found = self.clusters.cluster(name).await?;
            if found.is_some() || waited >= patience {
                return Ok(found);
            }
            let pause = polling.pause(waited);
            self.clock.sleep(pause).await;
            waited += pause;
        }
    }
}

fn describe(recovery: &Recovery, plan: &Plan, found: &Cluster) -> Result<Restored, StepError> {
    if found.tag(RECOVERY_TAG) != Some(recovery.id.as_str()) {
        return Err(StepError::new(
            ErrorName::InvalidRequest,
            format!("`newCluster`: there is a cluster {} already, which this recovery did not make", found.name),
        )
        .changed("nothing was changed")
        .advice("choose another `newCluster`"));
    }
    let (Some(writer), Some(reader)) = (&found.endpoint, &found.reader_endpoint) else {
        return Err(StepError::new(ErrorName::ClusterNotReady, format!("{} has no endpoints yet", found.name))
            .changed("the restore was started"));
    };
    Ok(Restored {
        cluster: found.name.clone(),
        cluster_arn: found.arn.clone(),
        writer_endpoint: writer.clone(),
        reader_endpoint: reader.clone(),
        rewound_to: found.tag(TARGET_TAG).and_then(|at| at.parse().ok()).unwrap_or(plan.target),
        differences: vec![Difference::new(
            "endpoints",
            plan.cluster.clone(),
            writer.clone(),
            "clients that do not go through the moved records must be told; a DNS name in front of an endpoint fails \
             TLS verify-full and IAM tokens, which are made for the endpoint itself",
        )],
    })
}

#[cfg(test)]
mod tests;
