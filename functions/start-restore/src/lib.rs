//! Starts the point-in-time restore with everything of the source that the API lets it pass. It never touches the source.
//! Its undo deletes the new cluster, if this recovery made it.

use rewind_aws::rds::{
    Cluster, ClusterChange, DeleteClusters, ModifyClusters, ReadClusters, RestoreCall, RestoreClusters,
};
use rewind_core::names::{RECOVERY_TAG, TARGET_TAG};
use rewind_core::{Difference, ErrorName, Plan, Recovery, Restored, StepError};
use rewind_lambda::{Step, Undone};
use serde::Deserialize;

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] = &[
    "rds:DescribeDBClusters",
    "rds:RestoreDBClusterToPointInTime",
    "rds:AddTagsToResource",
    "rds:ModifyDBCluster",
    "rds:DeleteDBCluster",
];

/// The step.
#[derive(Debug)]
pub struct StartRestore<C> {
    /// Clusters.
    pub clusters: C,
}

/// What the step is passed.
#[derive(Debug, Clone, Deserialize)]
pub struct Input {
    /// Which recovery.
    pub recovery: Recovery,
    /// What it does.
    pub plan: Plan,
}

impl<C: ReadClusters + RestoreClusters + ModifyClusters + DeleteClusters> Step for StartRestore<C> {
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
        if !plan.use_latest && latest < plan.target {
            return Err(StepError::new(
                ErrorName::ClusterNotReady,
                format!("AWS can restore {} up to {latest} yet, not up to {}", plan.cluster, plan.target),
            )
            .changed("nothing was changed")
            .advice("it is tried again until the latest restorable time has moved on"));
        }
        let moment = if plan.use_latest { latest } else { plan.target };
        let mut tags: Vec<(String, String)> =
            source.tags.iter().filter(|(key, _)| !is_reserved(key)).cloned().collect();
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
        match self.clusters.cluster(&plan.new_cluster).await? {
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
            }
            self.clusters.delete_cluster(name).await?;
        }
        Ok(Undone::of(vec![format!("the new cluster {name} is being deleted")]))
    }
}

/// What a person, or AWS, put on the source is inherited; what marks it for this product, or belongs to AWS, is not.
fn is_reserved(key: &str) -> bool {
    key.starts_with("aws:") || key.starts_with("aurora-rewind:")
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
