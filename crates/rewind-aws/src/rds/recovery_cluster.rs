//! A cluster that a recovery creates from another one: the restored cluster, or the safety clone. It is created once, even if
//! AWS's answer is lost, recognised by its tag, and deleted only if it has that tag.

use super::tags::{MARKS_OF_CLUSTER, inherit};
use super::{
    Cluster, ClusterChange, DeleteClusters, ModifyClusters, Origin, ReadClusters, ReadSnapshots, RestoreCall,
    RestoreClusters, RetireClusters, TagClusters, Tagged,
};
use jiff::Timestamp;
use rewind_core::names::{KEEP_UNTIL_TAG, RECOVERY_TAG, SOURCE_RESOURCE_ID_TAG, TARGET_TAG, final_snapshot};
use rewind_core::{Adopted, Clock, ErrorName, Plan, Polling, Recovery, Restored, StepError, Strategy, timeouts};
use std::time::Duration;

/// A cluster to be created.
#[derive(Debug, Clone, Copy)]
pub struct NewCluster<'a> {
    /// The recovery that creates it.
    pub recovery: &'a Recovery,
    /// The cluster whose settings and tags it gets.
    pub source: &'a Cluster,
    /// `DBClusterIdentifier` of the restored cluster.
    pub name: &'a str,
    /// The data that it gets.
    pub origin: Origin,
    /// The moment of its data. It is kept in a tag, where a second run of the step reads it.
    pub moment: Timestamp,
    /// The time after which the clean-up may delete it; none if it never may.
    pub keep_until: Option<Timestamp>,
}

impl NewCluster<'_> {
    /// Starts the creation, or finds the cluster that an earlier call started.
    ///
    /// # Errors
    ///
    /// The error of AWS. With [`ErrorName::OutcomeUnknown`] the cluster has been looked for and is not there.
    pub async fn create<C: ReadClusters + RestoreClusters, K: Clock>(
        &self,
        clusters: &C,
        clock: &K,
    ) -> Result<Cluster, StepError> {
        // In the call itself, not in a second one: a cluster without the tag belongs to nobody and is never deleted.
        let mut own = vec![
            (RECOVERY_TAG.to_owned(), self.recovery.id.clone()),
            (TARGET_TAG.to_owned(), self.moment.to_string()),
            // Whoever goes on with this cluster later has to know that the source is still the same one.
            (SOURCE_RESOURCE_ID_TAG.to_owned(), self.source.resource_id.clone()),
        ];
        own.extend(self.keep_until.map(|until| (KEEP_UNTIL_TAG.to_owned(), until.to_string())));
        let tags = inherit(&self.source.tags, MARKS_OF_CLUSTER, own);
        let call = RestoreCall { source: self.source, new_cluster: self.name, origin: self.origin, tags: &tags };
        let sent = clusters.restore(&call).await;
        // Even an error does not mean that no cluster was created, so the cluster is read in every case. After a lost answer the
        // call may still be running in AWS: giving up at once would leave a cluster that no recovery knows of.
        let wait = match &sent {
            Err(error) if error.name == ErrorName::OutcomeUnknown => timeouts::APPEARS_WITHIN,
            _ => Duration::ZERO,
        };
        let read = || clusters.cluster(self.name);
        match Polling::default().until(clock, wait, read, Option::is_some).await? {
            Some(found) => Ok(found),
            None => Err(sent.err().unwrap_or_else(|| {
                StepError::new(ErrorName::Unavailable, format!("{} was accepted and cannot be seen yet", self.name))
            })),
        }
    }
}

/// Takes over `found`, the restored cluster of an earlier recovery, and returns it as it is then. From here on it is this
/// recovery's, and is kept at least until `keep_until`. One that nothing was to delete stays so.
///
/// # Errors
///
/// The error of AWS; [`ErrorName::InvalidRequest`] if the cluster is neither this recovery's nor that of the adopted one.
pub async fn adopt<C: TagClusters>(
    clusters: &C,
    recovery: &Recovery,
    adopted: &Adopted,
    keep_until: Option<Timestamp>,
    mut found: Cluster,
) -> Result<Cluster, StepError> {
    let owner = found.tag(RECOVERY_TAG).unwrap_or_default().to_owned();
    if owner != recovery.id {
        if !adopted.owners.contains(&owner) {
            return Err(StepError::new(
                ErrorName::InvalidRequest,
                format!("`resume`: {} is not the restored cluster of {} any more", found.name, adopted.recovery),
            )
            .changed("nothing was changed")
            .advice("look at its tag aurora-rewind:recovery, and resume the recovery that it names"));
        }
        let mut own = vec![(RECOVERY_TAG.to_owned(), recovery.id.clone())];
        // In one call: the clean-up never finds a cluster of this recovery whose time is over.
        let until = found.tag(KEEP_UNTIL_TAG).and_then(|until| until.parse::<Timestamp>().ok());
        let later = keep_until.filter(|later| until.is_some_and(|until| until < *later));
        own.extend(later.map(|later| (KEEP_UNTIL_TAG.to_owned(), later.to_string())));
        if clusters.tag(&found.arn, &own).await? == Tagged::Full {
            return Err(StepError::bug(format!("{} took no new value of a tag that it has", found.name)));
        }
        found.tags.retain(|(key, _)| own.iter().all(|(new, _)| new != key));
        found.tags.extend(own);
    }
    Ok(found)
}

/// Describes `found` if this recovery created it. `otherwise` is the moment of its data where it has no tag for that.
///
/// # Errors
///
/// [`ErrorName::InvalidRequest`] if others created it, [`ErrorName::ClusterNotReady`] as long as it has no endpoints.
pub fn describe_created(recovery: &Recovery, found: &Cluster, otherwise: Timestamp) -> Result<Restored, StepError> {
    // The name proves nothing: somebody may have created a cluster of that name since the plan.
    if found.tag(RECOVERY_TAG) != Some(recovery.id.as_str()) {
        return Err(StepError::new(
            ErrorName::InvalidRequest,
            format!("`newCluster`: there is a cluster {} already, which this recovery did not make", found.name),
        )
        .changed("this step changed nothing")
        .advice("choose another `newCluster`"));
    }
    let (Some(writer), Some(reader)) = (&found.endpoint, &found.reader_endpoint) else {
        return Err(StepError::new(ErrorName::ClusterNotReady, format!("{} has no endpoints yet", found.name))
            .changed("it was started"));
    };
    Ok(Restored {
        cluster: found.name.clone(),
        cluster_arn: found.arn.clone(),
        writer_endpoint: writer.clone(),
        reader_endpoint: reader.clone(),
        // From the tag: a second run may be minutes later, and the latest restorable time has moved on.
        rewound_to: found.tag(TARGET_TAG).and_then(|at| at.parse().ok()).unwrap_or(otherwise),
        differences: Vec::new(),
    })
}

/// The deletion of a cluster that a recovery created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deletion {
    /// There is no such cluster of this recovery.
    None,
    /// It has begun.
    Begun,
    /// It has begun, and the last state of the cluster goes into this snapshot.
    Into(String),
}

/// Deletes the cluster that this recovery created, or adopted.
///
/// A restored cluster that was there for people goes into a final snapshot: they may have written to it, while they were asked or
/// since an earlier recovery.
///
/// # Errors
///
/// The error of AWS; [`ErrorName::ClusterNotReady`] as long as the protection of a safety clone is on; [`ErrorName::RewindFailed`] if
/// people protected the restored cluster.
pub async fn delete_created<C>(clusters: &C, recovery: &Recovery, plan: &Plan) -> Result<Deletion, StepError>
where
    C: ReadClusters + ModifyClusters + DeleteClusters + RetireClusters + ReadSnapshots,
{
    let name = &plan.new_cluster;
    // An undo also runs where its step never ran, or ran already: then there is nothing to delete.
    // A cluster of somebody else is left alone, even under the name that the plan chose.
    let Some(found) = clusters.created_cluster(name, &recovery.id).await? else { return Ok(Deletion::None) };
    let snapshot = final_snapshot(name, &recovery.id);
    let is_kept = clusters.snapshot(&snapshot).await?.is_some();
    // RDS refuses further calls for a cluster that is being deleted, and that is what was wanted.
    if found.status == "deleting" {
        return Ok(if is_kept { Deletion::Into(snapshot) } else { Deletion::Begun });
    }
    if found.deletion_protection {
        remove_protection(clusters, plan).await?;
    }
    if !was_usable(plan, &found) {
        clusters.delete_cluster(name).await?;
        return Ok(Deletion::Begun);
    }
    clusters.retire_cluster(name, &snapshot).await?;
    Ok(Deletion::Into(snapshot))
}

/// True if people could log in to the cluster, or it is the only copy of what was written before a backtrack. A restore that came to
/// nothing has no data to keep.
fn was_usable(plan: &Plan, found: &Cluster) -> bool {
    plan.adopted.is_some() || found.status != "creating" && !came_to_nothing(&found.status)
}

/// True if this is the status of a cluster or an instance whose creation failed: AWS never makes it available.
#[must_use]
pub fn came_to_nothing(status: &str) -> bool {
    ["failed", "restore-error"].contains(&status) || status.ends_with("-failed")
}

async fn remove_protection<C: ReadClusters + ModifyClusters>(clusters: &C, plan: &Plan) -> Result<(), StepError> {
    let name = &plan.new_cluster;
    // A restored cluster gets none before its recovery has ended well, so this one was set by people.
    if plan.strategy != Strategy::Backtrack {
        return Err(StepError::new(
            ErrorName::RewindFailed,
            format!("{name} has deletion protection, which people set"),
        )
        .changed("it was not deleted")
        .advice("find out who needs it; take its protection off and delete it by hand when nobody does"));
    }
    let unprotected = ClusterChange { deletion_protection: Some(false), ..ClusterChange::default() };
    clusters.modify(name, &unprotected).await?;
    // RDS may accept the change and apply it later; until then it refuses the deletion.
    if clusters.cluster(name).await?.is_some_and(|now| now.deletion_protection) {
        return Err(StepError::new(ErrorName::ClusterNotReady, format!("{name} is still protected"))
            .advice("it is deleted as soon as its deletion protection is off"));
    }
    Ok(())
}
