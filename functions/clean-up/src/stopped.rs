//! Takes back the notes of deletions that nobody goes on with. While a note is there, no recovery adopts the restored cluster, no undo
//! moves traffic back to the source, and nobody opens either for reading. It never deletes anything.
//!
//! A deletion takes its note back itself where it stops. It cannot where RDS or the table does not answer just then, or where its
//! execution was stopped. If people keep the cluster after that, no deletion of it is ever begun again.

use crate::delete::new_lease;
use crate::unused::{CLEAN_UP_NOTE, made_anew};
use crate::{CleanUp, Kept, Kind, ReadSessions, read_kind};
use rewind_aws::rds::{FindClusters, ReadClusters};
use rewind_aws::records::{Leases, Notes, RemoveNotes};
use rewind_core::names::{FENCED_BY_TAG, RECOVERY_TAG};
use rewind_core::{CleanUpRecord, Clock, StepError};

impl<C, R, N, V, K> CleanUp<C, R, N, V, K>
where
    C: ReadClusters + FindClusters,
    N: Notes + RemoveNotes + Leases,
    V: ReadSessions,
    K: Clock,
{
    /// Takes back the notes of all clusters of recoveries that are not `due`, or of the cluster `only`.
    pub(crate) async fn take_back_notes(
        &self,
        due: &[Kept],
        only: Option<&str>,
        execution_arn: &str,
    ) -> Result<(), StepError> {
        // Not by the tag with the time: people keep a cluster for ever by taking that off.
        let mut found = self.clusters.tagged(RECOVERY_TAG).await?;
        found.extend(self.clusters.tagged(FENCED_BY_TAG).await?);
        found.sort_by(|one, other| one.arn.cmp(&other.arn));
        found.dedup_by(|one, other| one.arn == other.arn);
        found.retain(|cluster| only.is_none_or(|name| *name == cluster.name));
        found.retain(|cluster| due.iter().all(|kept| kept.cluster_arn != cluster.arn));
        for cluster in &found {
            if let Some((id, kind)) = read_kind(cluster) {
                self.take_back_under_lease(&cluster.name, id, kind, execution_arn).await?;
            }
        }
        Ok(())
    }

    /// Takes back the note of a cluster that is due, and stays.
    pub(crate) async fn take_back_if_noted(&self, kept: &Kept) -> Result<(), StepError> {
        self.take_back_under_lease(&kept.cluster, &kept.recovery_id, kept.kind, &kept.execution_arn).await
    }

    async fn take_back_under_lease(
        &self,
        cluster: &str,
        id: &str,
        kind: Kind,
        execution_arn: &str,
    ) -> Result<(), StepError> {
        // Most clusters have no note, and then nobody is kept from the lease.
        if self.noted(cluster, id).await?.is_none() {
            return Ok(());
        }
        let lease = new_lease(self.clock.now(), execution_arn, id)?;
        // A deletion that goes on holds it from before its note to its end.
        if !self.notes.take_lease(cluster, &lease).await? {
            tracing::info!(cluster, "its lease is held, so the note of its deletion stays");
            return Ok(());
        }
        let taken_back = self.take_back_note(cluster, id, kind == Kind::Restored).await;
        let released = self.notes.release_lease(cluster, &lease.holder).await;
        taken_back.and(released)
    }

    /// Takes the note back, under the lease of the cluster, if everything is still there: then traffic can be moved back. That of a
    /// cluster which `is_adoptable` also with instances gone, because a recovery that adopts it creates them.
    pub(crate) async fn take_back_note(&self, name: &str, id: &str, is_adoptable: bool) -> Result<(), StepError> {
        let Some(begun) = self.noted(name, id).await? else { return Ok(()) };
        let Some(cluster) = self.clusters.cluster(name).await? else { return Ok(()) };
        let instances = self.clusters.instances(name).await?;
        let is_there = |name: &String| instances.iter().any(|found| found.name == *name && found.status != "deleting");
        // A note of an earlier version names no instances, and nobody knows if one is missing.
        let is_whole = !begun.instances.is_empty() && begun.instances.iter().all(is_there);
        // The note alone shows that one which was made anew under the old name is not the one of the recovery.
        let is_the_same = made_anew(&cluster, &begun).is_none();
        if is_the_same && cluster.status != "deleting" && (is_whole || is_adoptable) {
            self.notes.remove_note(id, CLEAN_UP_NOTE).await?;
            tracing::info!(cluster = name, recovery_id = id, "the note of its deletion is taken back: it is kept");
        }
        Ok(())
    }

    /// The note of the recovery that the deletion of this cluster has begun; none where there is none, or it cannot be read.
    async fn noted(&self, cluster: &str, id: &str) -> Result<Option<CleanUpRecord>, StepError> {
        let note = self.notes.note(id, CLEAN_UP_NOTE).await?;
        let begun = note.and_then(|note| serde_json::from_value::<CleanUpRecord>(note).ok());
        Ok(begun.filter(|begun| begun.cluster == cluster))
    }
}
