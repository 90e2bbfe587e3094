//! The security groups of a cluster, changed and waited for until they are in force. Established connections live on: ending them is
//! not this module's work.

use super::{Cluster, ClusterChange, ModifyClusters, ReadClusters};
use crate::AwsResult;
use rewind_core::{Clock, ErrorName, Polling, StepError, timeouts};

/// Gives the cluster these groups and waits until they are in force; returns whether it had others.
///
/// # Errors
///
/// `Unavailable` where they are not in force in time: repeated, it finds them set, and goes on waiting. `RewindFailed` where the cluster
/// is gone.
pub async fn set_security_groups<C: ReadClusters + ModifyClusters>(
    clusters: &C,
    clock: &impl Clock,
    cluster: &Cluster,
    groups: &[String],
) -> AwsResult<bool> {
    let had_others = !cluster.has_groups(groups);
    // An earlier attempt may have set the same groups, and AWS still be applying them: then this one only waits.
    if groups.is_empty() || (!had_others && !cluster.security_groups_changing) {
        return Ok(false);
    }
    let read = || async {
        // Not retried: a cluster that is gone does not come back by waiting.
        let gone = || StepError::new(ErrorName::RewindFailed, format!("the cluster {} is gone", cluster.name));
        clusters.cluster(&cluster.name).await?.ok_or_else(gone)
    };
    if had_others {
        let change = ClusterChange { security_groups: Some(groups.to_vec()), ..ClusterChange::default() };
        if let Err(error) = clusters.modify(&cluster.name, &change).await {
            if error.name != ErrorName::OutcomeUnknown {
                return Err(error);
            }
            // A change whose answer was lost is to be seen; otherwise it was not made, and the step is repeated.
            let is_named = |now: &Cluster| now.has_groups(groups);
            let now = Polling::default().until(clock, timeouts::CHANGE_IS_NAMED, read, is_named).await?;
            if !is_named(&now) {
                let name = &cluster.name;
                return Err(StepError::new(
                    ErrorName::Unavailable,
                    format!("the groups of {name} were not changed: {error}"),
                ));
            }
        }
    }
    // Named is not in force: a group that is still `adding` stops nobody, nor does one of a change that is under way. No other status
    // has to do with the groups: a backup runs for as long as it likes, and clients are out meanwhile.
    let in_force = |now: &Cluster| now.has_groups(groups) && !now.security_groups_changing && now.status != "modifying";
    let now = Polling::default().until(clock, timeouts::FENCE_GROUPS, read, in_force).await?;
    if in_force(&now) {
        return Ok(had_others);
    }
    Err(StepError::new(
        ErrorName::Unavailable,
        format!("{} does not have the security groups {} yet", cluster.name, groups.join(", ")),
    ))
}
