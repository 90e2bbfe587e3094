//! A cluster that a recovery makes of another, the rewound one or the safety clone: started once whatever answer is lost, told
//! from those of others by its tag, and deleted only if it bears that.

use jiff::Timestamp;
use rewind_aws::rds::tags::{MARKS_OF_CLUSTER, inherit};
use rewind_aws::rds::{
    Cluster, ClusterChange, DeleteClusters, ModifyClusters, Origin, ReadClusters, RestoreCall, RestoreClusters,
};
use rewind_core::names::{RECOVERY_TAG, TARGET_TAG};
use rewind_core::{Clock, ErrorName, Polling, Recovery, Restored, StepError, timeouts};
use rewind_lambda::Undone;
use std::time::Duration;

/// A cluster to be made.
#[derive(Debug, Clone, Copy)]
pub struct New<'a> {
    /// The recovery that makes it.
    pub recovery: &'a Recovery,
    /// What it is made like.
    pub source: &'a Cluster,
    /// Its name.
    pub name: &'a str,
    /// What it is made of.
    pub origin: Origin,
    /// The moment of its data, which it is tagged with: a second run reads it there.
    pub moment: Timestamp,
}

impl New<'_> {
    /// Starts it, or finds it started.
    ///
    /// # Errors
    ///
    /// What AWS says. After [`ErrorName::OutcomeUnknown`] it was looked for and is not there.
    pub async fn start<C: ReadClusters + RestoreClusters, K: Clock>(
        &self,
        clusters: &C,
        clock: &K,
    ) -> Result<Cluster, StepError> {
        let own =
            vec![(RECOVERY_TAG.to_owned(), self.recovery.id.clone()), (TARGET_TAG.to_owned(), self.moment.to_string())];
        let tags = inherit(&self.source.tags, MARKS_OF_CLUSTER, own);
        let call = RestoreCall { source: self.source, new_cluster: self.name, origin: self.origin, tags: &tags };
        let sent = clusters.restore(&call).await;
        // Whatever the answer was, or if none came: what is there decides. A call whose answer was lost may still be under
        // way, and to take it for not made would leave a cluster that nobody knows of.
        let patience = match &sent {
            Err(error) if error.name == ErrorName::OutcomeUnknown => timeouts::APPEARS_WITHIN,
            _ => Duration::ZERO,
        };
        let look = || clusters.cluster(self.name);
        match Polling::default().until(clock, patience, look, Option::is_some).await? {
            Some(found) => Ok(found),
            None => Err(sent.err().unwrap_or_else(|| {
                StepError::new(ErrorName::Unavailable, format!("{} was accepted and cannot be seen yet", self.name))
            })),
        }
    }
}

/// Tells of a cluster, if the recovery made it; `otherwise` is the moment of its data where it bears none.
///
/// # Errors
///
/// [`ErrorName::InvalidRequest`] if others made it, [`ErrorName::ClusterNotReady`] as long as it has no endpoints.
pub fn made_by(recovery: &Recovery, found: &Cluster, otherwise: Timestamp) -> Result<Restored, StepError> {
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
        rewound_to: found.tag(TARGET_TAG).and_then(|at| at.parse().ok()).unwrap_or(otherwise),
        differences: Vec::new(),
    })
}

/// Deletes the cluster `name`, if this recovery made it.
///
/// # Errors
///
/// What AWS says; [`ErrorName::ClusterNotReady`] as long as it is protected.
pub async fn take_back<C>(clusters: &C, recovery: &Recovery, name: &str) -> Result<Undone, StepError>
where
    C: ReadClusters + ModifyClusters + DeleteClusters,
{
    let Some(found) = clusters.cluster(name).await? else { return Ok(Undone::nothing()) };
    if found.tag(RECOVERY_TAG) != Some(recovery.id.as_str()) {
        return Ok(Undone::nothing());
    }
    if found.status != "deleting" {
        if found.deletion_protection {
            let unprotected = ClusterChange { deletion_protection: Some(false), ..ClusterChange::default() };
            clusters.modify(name, &unprotected).await?;
            if clusters.cluster(name).await?.is_some_and(|now| now.deletion_protection) {
                return Err(StepError::new(ErrorName::ClusterNotReady, format!("{name} is still protected"))
                    .advice("it is deleted as soon as its deletion protection is off"));
            }
        }
        clusters.delete_cluster(name).await?;
    }
    Ok(Undone::of(vec![format!("the restored cluster {name} is being deleted")]))
}
