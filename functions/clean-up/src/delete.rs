//! Deletes a kept cluster, one change at a time: the safety clone's deletion protection, the readers, the writer, the cluster with a
//! final snapshot. The tags are read again before each change, so changing a tag stops the deletion.

use crate::unused::{CLEAN_UP_NOTE, Marks, Ours};
use crate::{CleanUp, Kept, KeptRequest, Kind, Output, ReadSessions, Records};
use jiff::{SignedDuration, Timestamp};
use rewind_aws::fence_records::ReadFences;
use rewind_aws::rds::{
    ChangeInstances, ClusterChange, DeleteParameterGroups, FindClusters, ModifyClusters, ReadClusters, ReadSnapshots,
    RetireClusters,
};
use rewind_aws::records::{Lease, Leases, NoteDeletions, Notes, RemoveNotes};
use rewind_aws::recoveries::Recoveries;
use rewind_core::names::{CLEAN_UP_HOLDER, held_jobs_group};
use rewind_core::{CleanUpRecord, Clock, ErrorName, StepError, timeouts};
use serde_json::json;
use std::time::Duration;

/// The largest age of find-records' result before the first change of a call. That function runs just before this one, so the result
/// is older only if the call was repeated for minutes.
const RECORDS_HOLD: SignedDuration = SignedDuration::from_mins(5);

/// The leases under which a call works.
struct Held {
    /// The lease, as it is taken of each cluster.
    lease: Lease,
    /// The clusters: the one that is deleted, and before its deletion has begun the source of a recovery that may adopt it.
    clusters: Vec<String>,
    /// True if the source is free because the deletion is noted.
    relies_on_note: bool,
    /// True if the cluster or its recovery is not as it was left: then another call of this execution stops as well.
    is_changed: bool,
}

/// The result of one poll.
enum Next {
    /// There is nothing more to do in this call.
    Over(Output),
    /// Poll again, with this status.
    Wait(String),
}

impl<C, R, N, V, K> CleanUp<C, R, N, V, K>
where
    C: ReadClusters
        + FindClusters
        + ModifyClusters
        + ChangeInstances
        + RetireClusters
        + ReadSnapshots
        + DeleteParameterGroups,
    R: Recoveries,
    N: Notes + NoteDeletions + RemoveNotes + Leases + ReadFences,
    V: ReadSessions,
    K: Clock,
{
    pub(crate) async fn delete(&self, KeptRequest { kept, records }: &KeptRequest) -> Result<Output, StepError> {
        // Before the first read, so that no recovery changes between check and deletion what was checked.
        let mut held = self.lease(kept).await?;
        let began = self.clock.now();
        let mut checked = false;
        loop {
            let status = match self.go_on(kept, records.as_ref(), &mut checked, &mut held).await {
                Ok(Next::Over(output)) => {
                    self.release(&held).await?;
                    return Ok(output);
                }
                Ok(Next::Wait(status)) => status,
                // The next poll shows if the change was made, or can be made by now.
                Err(error) if [ErrorName::OutcomeUnknown, ErrorName::ClusterNotReady].contains(&error.name) => {
                    error.to_string()
                }
                Err(error) => {
                    // After any other failure than a change by people the next call goes on with the deletion, or another call of this
                    // execution does already. If this fails, the note stays until the next run finds it.
                    let is_adoptable = kept.kind == Kind::Restored && held.is_changed;
                    drop(self.take_back_note(&kept.cluster, &kept.recovery_id, is_adoptable).await);
                    // The next call takes the leases again. If the release fails, they end by themselves.
                    drop(self.release(&held).await);
                    return Err(error);
                }
            };
            let here = Duration::try_from(self.clock.now().duration_since(began)).unwrap_or_default();
            let pause = self.polling.pause(here);
            // Deleting an instance takes minutes, longer than one invocation should: the state machine calls again.
            if self.polling.is_used_up(&self.clock, here, pause) {
                return Ok(Output::Deleted { done: false, status, snapshot: Some(kept.snapshot()) });
            }
            self.clock.sleep(pause).await;
        }
    }

    /// Takes the leases of the cluster, and of the source of a recovery that may adopt it, so that no recovery and no undo works on it
    /// meanwhile.
    async fn lease(&self, kept: &Kept) -> Result<Held, StepError> {
        let lease = new_lease(self.clock.now(), &kept.execution_arn, &kept.recovery_id)?;
        let mut held = Held { lease, clusters: Vec::new(), relies_on_note: false, is_changed: false };
        self.take(kept, &kept.cluster, &mut held).await?;
        // Only under the cluster's own lease, because another clean-up may just take its note back.
        if let Err(error) = self.lease_source(kept, &mut held).await {
            drop(self.release(&held).await);
            return Err(error);
        }
        Ok(held)
    }

    async fn take(&self, kept: &Kept, cluster: &str, held: &mut Held) -> Result<(), StepError> {
        if self.notes.take_lease(cluster, &held.lease).await? {
            held.clusters.push(cluster.to_owned());
            return Ok(());
        }
        let name = &kept.cluster;
        let why =
            format!("{name} is left as it is: a recovery, an undo or another clean-up holds the lease of {cluster}");
        Err(StepError::new(ErrorName::LeaseHeld, why)
            .changed("this call deleted nothing")
            .advice("nothing: it is looked at again when that is over"))
    }

    /// Takes the lease of the source, which a recovery holds that adopts this cluster, where one can adopt it.
    async fn lease_source(&self, kept: &Kept, held: &mut Held) -> Result<(), StepError> {
        if kept.kind != Kind::Restored {
            return Ok(());
        }
        // Without a record nothing is deleted anyway, and none adopts one that has had the traffic.
        let record = self.recoveries.recovery(&kept.recovery_id).await?;
        let Some(record) = record.filter(|record| !record.has_had_traffic()) else { return Ok(()) };
        held.relies_on_note = self.notes.note(&kept.recovery_id, CLEAN_UP_NOTE).await?.is_some();
        if held.relies_on_note {
            // None adopts one with this note either. A call that died before it released the source has left its lease.
            return self.notes.release_lease(&record.cluster, &held.lease.holder).await;
        }
        self.take(kept, &record.cluster, held).await
    }

    /// Releases all leases that are held; the first failure, after all were tried.
    async fn release(&self, held: &Held) -> Result<(), StepError> {
        let mut released = Ok(());
        for cluster in &held.clusters {
            let this = self.notes.release_lease(cluster, &held.lease.holder).await;
            released = released.and(this);
        }
        released
    }

    /// Releases the lease of the source: the note keeps recoveries from adopting the cluster from here on. The deletion takes
    /// minutes, in which the source may have to be recovered, or the last recovery of it undone.
    async fn release_source(&self, kept: &Kept, held: &mut Held) -> Result<(), StepError> {
        for source in held.clusters.iter().filter(|cluster| **cluster != kept.cluster) {
            self.notes.release_lease(source, &held.lease.holder).await?;
            held.relies_on_note = true;
        }
        held.clusters.retain(|cluster| *cluster == kept.cluster);
        Ok(())
    }

    /// Polls once, and makes one change at most.
    async fn go_on(
        &self,
        kept: &Kept,
        records: Option<&Records>,
        checked: &mut bool,
        held: &mut Held,
    ) -> Result<Next, StepError> {
        let ours = match self.marks(kept).await? {
            // A call after the deletion finds no cluster any more. Then the snapshot decides.
            Marks::Gone => return self.is_over(kept).await,
            Marks::Changed(why) => {
                held.is_changed = true;
                return Err(refused(kept, &why));
            }
            Marks::Ours(ours) => ours,
        };
        if held.relies_on_note && !ours.begun {
            // Another call has taken the note back, and a recovery may adopt the cluster: the next call takes the source's lease.
            let status = format!("the deletion of {} is to be begun again", kept.cluster);
            return Ok(Next::Over(Output::Deleted { done: false, status, snapshot: Some(kept.snapshot()) }));
        }
        // After our own first change the cluster leaves `available` for some minutes. Before it, that is a reason to
        // keep it.
        let status = &ours.cluster.status;
        if status == "deleting" || (ours.begun && status != "available") {
            return Ok(Next::Wait(format!("{} is {status}", kept.cluster)));
        }
        if !*checked {
            if records.is_some_and(|records| self.clock.now().duration_since(records.read_at) > RECORDS_HOLD) {
                let status = format!("which records point at {} is to be looked at again", kept.cluster);
                let snapshot = Some(kept.snapshot());
                return Ok(Next::Over(Output::Deleted { done: false, status, snapshot }));
            }
            let why = self.check_usage(kept, &ours, records).await?;
            if !why.is_empty() {
                return Err(refused(kept, &why));
            }
            *checked = true;
            return Ok(Next::Wait(format!("{} is unused", kept.cluster)));
        }
        if !ours.begun {
            if !self.note_begin(kept).await? {
                // The next poll finds the opening, and stops.
                return Ok(Next::Wait(format!("{} is open to somebody", kept.cluster)));
            }
            self.release_source(kept, held).await?;
        }
        self.change(kept, &ours).await
    }

    /// Notes that the deletion begins; false if the cluster was opened to somebody since it was checked. From here on traffic cannot be
    /// moved back to this cluster, and no recovery adopts it: both read the note under the lease, before anything is deleted.
    async fn note_begin(&self, kept: &Kept) -> Result<bool, StepError> {
        let instances = self.clusters.instances(&kept.cluster).await?;
        let record = CleanUpRecord {
            cluster: kept.cluster.clone(),
            snapshot: kept.snapshot(),
            begun_at: self.clock.now(),
            instances: instances.into_iter().map(|instance| instance.name).collect(),
        };
        self.notes.note_deletion(&kept.recovery_id, CLEAN_UP_NOTE, &json!(record)).await
    }

    async fn change(&self, kept: &Kept, ours: &Ours) -> Result<Next, StepError> {
        let cluster = &ours.cluster;
        let name = &cluster.name;
        // The recovery set this protection itself, so taking it off overrules nobody. On any other cluster it is people's.
        if kept.kind == Kind::SafetyClone && cluster.deletion_protection {
            let change = ClusterChange { deletion_protection: Some(false), ..ClusterChange::default() };
            self.clusters.modify(name, &change).await?;
            return Ok(Next::Wait(format!("the protection of {name} is taken off")));
        }
        let is_writer = |name: &str| cluster.members.iter().any(|member| member.writer && member.instance == name);
        let mut instances = self.clusters.instances(name).await?;
        if instances.iter().any(|instance| !is_writer(&instance.name)) {
            // Readers first: if the writer were deleted before them, RDS would fail over to a reader.
            instances.retain(|instance| !is_writer(&instance.name));
        }
        // One a poll: the tags are read again before the next, so people can stop the deletion in between.
        if let Some(next) = instances.iter().find(|instance| instance.status != "deleting") {
            self.clusters.delete_instance(&next.name).await?;
            return Ok(Next::Wait(format!("{} is deleted", next.name)));
        }
        if let Some(last) = instances.first() {
            return Ok(Next::Wait(format!("{} is deleting", last.name)));
        }
        // A restored cluster too: people may have written to it, whether or not a recovery led clients there.
        let snapshot = kept.snapshot();
        // Last, because RDS refuses to delete a cluster that has instances. The call takes the snapshot as well.
        self.clusters.retire_cluster(name, &snapshot).await?;
        Ok(Next::Wait(format!("{name} is deleted into {snapshot}")))
    }

    /// Reads the snapshot of a cluster that is deleted: the end is reached only when that is complete.
    async fn is_over(&self, kept: &Kept) -> Result<Next, StepError> {
        let name = kept.snapshot();
        let over = |status, snapshot| Ok(Next::Over(Output::Deleted { done: true, status, snapshot }));
        match self.clusters.snapshot(&name).await? {
            Some(snapshot) if snapshot.status == "available" => {
                self.delete_parameter_group(kept).await?;
                over(format!("{} is gone, its data is in the snapshot {name}", kept.cluster), Some(name))
            }
            // The cluster is gone by then: the automated backups are the only way back, and somebody has to know.
            Some(snapshot) if snapshot.status == "failed" => Err(StepError::new(
                ErrorName::RewindFailed,
                format!("{} is gone, and its final snapshot {name} has failed", kept.cluster),
            )
            .advice("restore the cluster from its automated backups, which are kept, if its data is needed")),
            Some(snapshot) => Ok(Next::Wait(format!("the snapshot {name} is {}", snapshot.status))),
            // Nothing is left to save here, so it is the end and no error.
            None => {
                self.delete_parameter_group(kept).await?;
                over(format!("{} is gone without a snapshot {name}: somebody else deleted it", kept.cluster), None)
            }
        }
    }

    /// Deletes the parameter group that hold-jobs made for the cluster, if it did. RDS deletes none that a cluster has, so it is
    /// left over until now.
    async fn delete_parameter_group(&self, kept: &Kept) -> Result<(), StepError> {
        let group = held_jobs_group(&kept.cluster);
        if !self.clusters.delete_group(&group).await? {
            tracing::warn!(group, "another cluster has it, so it stays");
        }
        Ok(())
    }
}

/// The lease of an execution of the clean-up, from `now` on.
pub(crate) fn new_lease(now: Timestamp, execution_arn: &str, recovery_id: &str) -> Result<Lease, StepError> {
    // The execution is the holder, not the recovery: of two clean-ups at once only one may work.
    let who = execution_arn.rsplit(':').next().filter(|name| !name.is_empty()).unwrap_or(recovery_id);
    Ok(Lease {
        holder: format!("{CLEAN_UP_HOLDER}{who}"),
        execution_arn: execution_arn.to_owned(),
        taken_at: now,
        expires_at: now.checked_add(timeouts::CLEAN_UP_LEASE).map_err(|e| StepError::bug(e.to_string()))?,
    })
}

fn refused(kept: &Kept, why: &[String]) -> StepError {
    StepError::new(ErrorName::RewindFailed, format!("{} is not deleted: {}", kept.cluster, why.join("; ")))
        .changed(
            "the cluster and all of its data are still there, though instances may be gone if its deletion had begun",
        )
        .advice("see who needs it, and delete it by hand when nobody does")
}
