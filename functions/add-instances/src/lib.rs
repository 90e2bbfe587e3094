//! Adds the instances to the restored cluster, the writer first, and sets what a restore cannot carry over: roles, the Data API,
//! windows, monitoring. It reports as a difference what it cannot set either, and each reader that AWS refuses. To the safety clone it
//! gives an instance and deletion protection alone. Its second part makes the planned instance the writer, where another one is. Its undo is a function of its own, delete-restored: this one sets the tag
//! without which nothing is deleted.

mod create;
mod differences;
mod places;
mod writer;

use rewind_aws::rds::{
    ChangeInstances, Cluster, ClusterChange, CompleteClusters, FailOverClusters, Instance, ModifyClusters,
    ReadClusters, TagClusters,
};
use rewind_core::names::RECOVERY_TAG;
use rewind_core::{Clock, Difference, ErrorName, Plan, PlannedInstance, Recovery, StepError};
use rewind_lambda::Step;
use serde::{Deserialize, Serialize};

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] = &[
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstances",
    "rds:CreateDBInstance",
    "rds:AddTagsToResource",
    "rds:ModifyDBCluster",
    "rds:AddRoleToDBCluster",
    "rds:EnableHttpEndpoint",
    "rds:FailoverDBCluster",
    "iam:PassRole",
    "kms:VerifyMac",
];

/// The step.
#[derive(Debug)]
pub struct AddInstances<C, K> {
    /// Clusters and instances.
    pub clusters: C,
    /// The time.
    pub clock: K,
}

/// The payload of the step.
#[derive(Debug, Clone, Deserialize)]
pub struct Input {
    /// The recovery.
    pub recovery: Recovery,
    /// The plan of the recovery.
    pub plan: Plan,
    /// The part of the work.
    #[serde(default)]
    pub part: Part,
}

/// The parts of the work, each a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    /// Creating the instances, and setting what the restore did not carry over.
    #[default]
    Instances,
    /// Making the planned instance the writer.
    Writer,
}

/// The result of the step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Output {
    /// The new instances, the writer first.
    pub instances: Vec<String>,
    /// The settings in which the restored cluster differs from the source.
    pub differences: Vec<Difference>,
}

impl<C, K: Clock> Step for AddInstances<C, K>
where
    C: ReadClusters + ChangeInstances + ModifyClusters + CompleteClusters + FailOverClusters + TagClusters,
{
    type Input = Input;
    type Output = Output;

    async fn run(&self, Input { recovery, plan, part }: Input) -> Result<Output, StepError> {
        let restored = self.read(&plan.new_cluster).await?;
        // The name alone proves nothing: a cluster that was deleted and made anew has the same name and ARN.
        if restored.tag(RECOVERY_TAG) != Some(recovery.id.as_str()) {
            return Err(StepError::bug(format!("{} was not made by this recovery", restored.name)));
        }
        match part {
            Part::Instances => self.add(&recovery, &plan, &restored).await,
            Part::Writer => self.make_planned_writer(&plan, &restored).await,
        }
    }
}

impl<C, K: Clock> AddInstances<C, K>
where
    C: ReadClusters + ChangeInstances + ModifyClusters + CompleteClusters + FailOverClusters + TagClusters,
{
    async fn add(&self, recovery: &Recovery, plan: &Plan, restored: &Cluster) -> Result<Output, StepError> {
        // Read again: a restore takes minutes to hours, in which the source may have been changed since the plan.
        let source = self.read(&plan.cluster).await?;
        let like = self.clusters.instances(&source.name).await?;
        let (instances, mut differences) = self.create_missing(recovery, plan, restored, &like).await?;
        if plan.backtrack.is_some() {
            self.protect(restored).await?;
            // People only read the safety clone, so it needs nothing that makes a cluster fit for traffic. Its tags matter, because
            // permissions may depend on them.
            return Ok(Output { instances, differences: differences::tags(&source, restored) });
        }
        // Read again: AWS may have created an instance without a setting that it refused.
        let made = self.clusters.instances(&restored.name).await?;
        for planned in &plan.instances {
            let new = made.iter().find(|instance| instance.name == planned.name);
            if let (Some(like), Some(new)) = (model(planned, &like), new) {
                differences.extend(differences::of_instance(planned, &like, new));
            }
        }
        // The restore call has no field for minor version upgrades, and refuses monitoring: both are set afterwards.
        let change = left_to_modify(&source, restored);
        let monitoring = Some(&source.monitoring).filter(|monitoring| **monitoring != restored.monitoring);
        if !change.is_empty() || monitoring.is_some() {
            let pending = pending_beside(restored, &change);
            if pending.is_empty() {
                let sent = self.clusters.complete(&restored.name, &change, monitoring).await;
                differences.extend(differences::unless_done("windows, backups and monitoring", sent)?);
            } else {
                // The call would start them as well, an upgrade of the engine among them: people may have left some on a cluster
                // that is adopted, and nobody asked for them now.
                differences.push(differences::left_out_for(&restored.name, &pending));
            }
        }
        // Only what is missing: RDS refuses a role that the cluster has already, and a second run would fail on it.
        for role in source.roles.iter().filter(|role| !restored.roles.contains(role)) {
            let sent = self.clusters.add_role(&restored.name, role).await;
            differences.extend(differences::unless_done(&format!("role {}", role.arn), sent)?);
        }
        // EnableHttpEndpoint takes a cluster that exists: the restore call cannot switch the Data API on.
        if source.data_api && !restored.data_api {
            let sent = self.clusters.enable_data_api(&restored.arn).await;
            differences.extend(differences::unless_done("Data API", sent)?);
        }
        differences.extend(differences::find(&source, restored));
        Ok(Output { instances, differences })
    }

    /// Protects the safety clone from deletion: after the backtrack it is the only copy of the writes that the backtrack removes, and
    /// nobody must delete it by mistake.
    // Here and not when it is cloned: RDS takes the protection off no clone that came to nothing.
    async fn protect(&self, safety_clone: &Cluster) -> Result<(), StepError> {
        let name = &safety_clone.name;
        if safety_clone.deletion_protection {
            return Ok(());
        }
        let protected = ClusterChange { deletion_protection: Some(true), ..ClusterChange::default() };
        self.clusters.modify(name, &protected).await?;
        // RDS may accept the change and apply it later; the backtrack must not come before it.
        if self.read(name).await?.deletion_protection {
            return Ok(());
        }
        Err(StepError::new(ErrorName::ClusterNotReady, format!("{name} is not protected from deletion yet"))
            .changed("its instances are being created")
            .advice("it is tried again until the protection is on"))
    }

    async fn read(&self, name: &str) -> Result<Cluster, StepError> {
        self.clusters
            .cluster(name)
            .await?
            .ok_or_else(|| StepError::new(ErrorName::RewindFailed, format!("the cluster {name} is gone")))
    }
}

/// Returns the model of a planned instance: its source instance, or for a writer any other instance of the source. A reader
/// without its source instance, which autoscaling may delete at any time, has none. Class and tier are those of the plan.
fn model(planned: &PlannedInstance, source: &[Instance]) -> Option<Instance> {
    let like = source.iter().find(|instance| instance.name == planned.source);
    // Without a writer there is no cluster; a reader fewer costs capacity only.
    let like = like.or(source.first().filter(|_| planned.writer))?;
    Some(Instance { class: planned.class.clone(), promotion_tier: planned.promotion_tier, ..like.clone() })
}

/// Returns the settings that the restore did not carry over. Both windows are set in one call: one after the other, the first
/// could overlap with the old value of the second.
fn left_to_modify(source: &Cluster, restored: &Cluster) -> ClusterChange {
    fn differing<T: Clone + PartialEq>(source: &Option<T>, restored: &Option<T>) -> Option<T> {
        source.clone().filter(|_| source != restored)
    }
    ClusterChange {
        maintenance_window: differing(&source.maintenance_window, &restored.maintenance_window),
        backup_window: differing(&source.backup_window, &restored.backup_window),
        backup_retention: differing(&source.backup_retention, &restored.backup_retention),
        auto_minor_version_upgrade: differing(&source.auto_minor_version_upgrade, &restored.auto_minor_version_upgrade),
        ..ClusterChange::default()
    }
}

/// Returns the changes that wait for the maintenance window of the restored cluster, beside those that `change` replaces.
fn pending_beside<'a>(restored: &'a Cluster, change: &ClusterChange) -> Vec<&'a str> {
    // A run before this one may have asked for the retention, and RDS still be setting it.
    let is_replaced = |what: &str| change.backup_retention.is_some() && what.starts_with("backup retention");
    restored.pending.iter().map(String::as_str).filter(|what| !is_replaced(what)).collect()
}

#[cfg(test)]
mod tests;
