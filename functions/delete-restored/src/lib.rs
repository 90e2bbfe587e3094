//! Deletes what a recovery created: the instances of the restored cluster or of the safety clone, then the cluster itself. It is the
//! undo of start-restore, clone-source and add-instances, and a function of its own so that no role may both set the tag of a
//! recovery and delete what bears it. It tags no cluster and no instance, and never deletes what has no tag of its recovery.

use rewind_aws::rds::{
    ChangeInstances, DeleteClusters, Deletion, Instance, ModifyClusters, ReadClusters, ReadSnapshots, RetireClusters,
    delete_created,
};
use rewind_core::names::RECOVERY_TAG;
use rewind_core::{ErrorName, Plan, Recovery, StepError};
use rewind_lambda::{Step, Undone};
use serde::Deserialize;

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] = &[
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstances",
    "rds:ModifyDBCluster",
    "rds:DeleteDBCluster",
    "rds:DeleteDBInstance",
    "rds:CreateDBClusterSnapshot",
    "rds:DescribeDBClusterSnapshots",
    "rds:AddTagsToResource",
    "kms:VerifyMac",
];

/// The step.
#[derive(Debug)]
pub struct DeleteRestored<C> {
    /// Clusters and instances.
    pub clusters: C,
}

/// The payload of the step.
#[derive(Debug, Clone, Deserialize)]
pub struct Input {
    /// The recovery.
    pub recovery: Recovery,
    /// The plan of the recovery.
    pub plan: Plan,
    /// The part of the work.
    pub part: Part,
}

/// The parts of the work, each a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    /// The instances.
    Instances,
    /// The cluster.
    Cluster,
}

impl<C> Step for DeleteRestored<C>
where
    C: ReadClusters + ModifyClusters + DeleteClusters + RetireClusters + ReadSnapshots + ChangeInstances,
{
    type Input = Input;
    type Output = Undone;

    async fn run(&self, _input: Input) -> Result<Undone, StepError> {
        // A payload without its direction is a mistake, and a deletion is the wrong answer to one.
        Err(StepError::bug("delete-restored was called to do a step, and only undoes others"))
    }

    async fn undo(&self, Input { recovery, plan, part }: Input) -> Result<Undone, StepError> {
        match part {
            Part::Instances => self.instances(&recovery, &plan).await,
            Part::Cluster => self.cluster(&recovery, &plan).await,
        }
    }
}

impl<C> DeleteRestored<C>
where
    C: ReadClusters + ModifyClusters + DeleteClusters + RetireClusters + ReadSnapshots + ChangeInstances,
{
    async fn cluster(&self, recovery: &Recovery, plan: &Plan) -> Result<Undone, StepError> {
        let (what, name) = (plan.created_cluster(), &plan.new_cluster);
        // Only what has this recovery's tag is deleted: somebody else may have taken the name.
        Ok(match delete_created(&self.clusters, recovery, plan).await? {
            Deletion::None => Undone::nothing(),
            Deletion::Begun => Undone::of(vec![format!("{what} {name} is being deleted")]),
            Deletion::Into(snapshot) => {
                Undone::of(vec![format!("{what} {name} is being deleted, into the snapshot {snapshot}")])
            }
        })
    }

    async fn instances(&self, recovery: &Recovery, plan: &Plan) -> Result<Undone, StepError> {
        // RDS refuses to delete a cluster while it has instances.
        let Some(restored) = self.clusters.created_cluster(&plan.new_cluster, &recovery.id).await? else {
            return Ok(Undone::nothing());
        };
        let mut deleted = Vec::new();
        // Readers first: if the writer were deleted before them, RDS would fail over to a reader.
        let mut instances = self.clusters.instances(&restored.name).await?;
        let is_writer = |name: &str| restored.members.iter().any(|member| member.writer && member.instance == name);
        instances.sort_by_key(|instance| is_writer(&instance.name));
        let is_ours =
            |instance: &Instance| instance.tags.iter().any(|(key, value)| key == RECOVERY_TAG && *value == recovery.id);
        // Somebody uses the restored cluster already. An undo that stops is better than their instance deleted.
        if let Some(unknown) = instances.iter().find(|instance| !is_ours(instance)) {
            return Err(StepError::new(
                ErrorName::RewindFailed,
                format!("{} has an instance {} that this recovery did not make", restored.name, unknown.name),
            )
            .changed("no instance was deleted")
            .advice(format!("find out who uses it; delete {} by hand when nobody does", restored.name)));
        }
        for instance in instances {
            // An undo may run twice, and RDS refuses to delete an instance that is being deleted.
            if instance.status != "deleting" {
                self.clusters.delete_instance(&instance.name).await?;
            }
            deleted.push(format!("the new instance {} is being deleted", instance.name));
        }
        Ok(Undone::of(deleted))
    }
}

#[cfg(test)]
mod tests;
