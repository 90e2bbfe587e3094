//! Deletes a kept cluster, one change at a time: the safety clone's deletion protection, the readers, the writer, the cluster with a
//! final snapshot. The tags are read again before each change, so changing a tag stops the deletion.

use crate::unused::{CLEAN_UP_NOTE, Marks, Ours};
use crate::{CleanUp, Kept, KeptRequest, Kind, Output, ReadSessions, Records};
use jiff::SignedDuration;
use rewind_aws::rds::{
    ChangeInstances, ClusterChange, DeleteClusters, FindClusters, ModifyClusters, ReadClusters, ReadSnapshots,
    RetireClusters,
};
use rewind_aws::records::{Lease, Leases, Notes};
use rewind_aws::recoveries::Recoveries;
use rewind_core::names::{IDENTIFIER_MAX, with_suffix};
use rewind_core::{CleanUpRecord, Clock, ErrorName, StepError, content_hash, timeouts};
use serde_json::json;
use std::time::Duration;

/// The largest age of find-records' result before the first change of a call. That function runs just before this one, so the result
/// is older only if the call was repeated for minutes.
const RECORDS_HOLD: SignedDuration = SignedDuration::from_mins(5);

/// The result of one poll.
enum Next {
    /// There is nothing more to do in this call.
    Over(Output),
    /// Poll again, with this status.
    Wait(String),
}

impl<C, R, N, V, K> CleanUp<C, R, N, V, K>
where
    C: ReadClusters + FindClusters + ModifyClusters + ChangeInstances + RetireClusters + DeleteClusters + ReadSnapshots,
    R: Recoveries,
    N: Notes + Leases,
    V: ReadSessions,
    K: Clock,
{
    pub(crate) async fn delete(&self, KeptRequest { kept, records }: &KeptRequest) -> Result<Output, StepError> {
        // Before the first read, so that no recovery changes between check and deletion what was checked.
        let leased = self.leased_cluster(kept).await?;
        let holder = self.lease(kept, &leased).await?;
        let began = self.clock.now();
        let mut checked = false;
        loop {
            let status = match self.go_on(kept, records.as_ref(), &mut checked).await {
                Ok(Next::Over(output)) => {
                    self.notes.release_lease(&leased, &holder).await?;
                    return Ok(output);
                }
                Ok(Next::Wait(status)) => status,
                // The next poll shows if the change was made, or can be made by now.
                Err(error) if [ErrorName::OutcomeUnknown, ErrorName::ClusterNotReady].contains(&error.name) => {
                    error.to_string()
                }
                Err(error) => {
                    // The next call takes the lease again. If the release fails, the lease ends by itself.
                    drop(self.notes.release_lease(&leased, &holder).await);
                    return Err(error);
                }
            };
            let here = Duration::try_from(self.clock.now().duration_since(began)).unwrap_or_default();
            let pause = self.polling.pause(here);
            // Deleting an instance takes minutes, longer than one invocation should: the state machine calls again.
            if self.polling.is_used_up(&self.clock, here, pause) {
                return Ok(Output::Deleted { done: false, status, snapshot: Some(snapshot_name(kept)) });
            }
            self.clock.sleep(pause).await;
        }
    }

    /// The cluster whose lease keeps recoveries away from this one.
    async fn leased_cluster(&self, kept: &Kept) -> Result<String, StepError> {
        if kept.kind != Kind::Restored {
            return Ok(kept.cluster.clone());
        }
        // A recovery that adopts it holds the lease of the source. Without a record nothing is deleted anyway.
        let record = self.recoveries.recovery(&kept.recovery_id).await?;
        Ok(record.map_or_else(|| kept.cluster.clone(), |record| record.cluster))
    }

    /// Takes the cluster's lease, so that no recovery and no undo works on it meanwhile.
    async fn lease(&self, kept: &Kept, cluster: &str) -> Result<String, StepError> {
        let now = self.clock.now();
        // The execution is the holder, not the recovery: of two clean-ups at once only one may work.
        let who = kept.execution_arn.rsplit(':').next().filter(|name| !name.is_empty()).unwrap_or(&kept.recovery_id);
        let lease = Lease {
            holder: format!("clean-up-{who}"),
            execution_arn: kept.execution_arn.clone(),
            taken_at: now,
            expires_at: now.checked_add(timeouts::CLEAN_UP_LEASE).map_err(|e| StepError::bug(e.to_string()))?,
        };
        if self.notes.take_lease(cluster, &lease).await? {
            return Ok(lease.holder);
        }
        Err(StepError::new(ErrorName::LeaseHeld, format!("{} is being worked on by a recovery", kept.cluster))
            .changed("this call deleted nothing")
            .advice("nothing: it is looked at again when that recovery is over"))
    }

    /// Polls once, and makes one change at most.
    async fn go_on(&self, kept: &Kept, records: Option<&Records>, checked: &mut bool) -> Result<Next, StepError> {
        let ours = match self.marks(kept).await? {
            // A call after the deletion finds no cluster any more. Then the snapshot decides.
            Marks::Gone => return self.is_over(kept).await,
            Marks::Changed(why) => return Err(refused(kept, &why)),
            Marks::Ours(ours) => ours,
        };
        // After our own first change the cluster leaves `available` for some minutes. Before it, that is a reason to
        // keep it.
        let status = &ours.cluster.status;
        if status == "deleting" || (ours.begun && status != "available") {
            return Ok(Next::Wait(format!("{} is {status}", kept.cluster)));
        }
        if !*checked {
            if records.is_some_and(|records| self.clock.now().duration_since(records.read_at) > RECORDS_HOLD) {
                let status = format!("which records point at {} is to be looked at again", kept.cluster);
                let snapshot = Some(snapshot_name(kept));
                return Ok(Next::Over(Output::Deleted { done: false, status, snapshot }));
            }
            let why = self.check_usage(kept, &ours, records).await?;
            if !why.is_empty() {
                return Err(refused(kept, &why));
            }
            *checked = true;
            if !ours.begun {
                // From here on traffic cannot be moved back to this cluster. An undo reads the note before anything is deleted.
                let record = CleanUpRecord {
                    cluster: kept.cluster.clone(),
                    snapshot: snapshot_name(kept),
                    begun_at: self.clock.now(),
                };
                self.notes.note_once(&kept.recovery_id, CLEAN_UP_NOTE, &json!(record)).await?;
            }
            return Ok(Next::Wait(format!("{} is unused", kept.cluster)));
        }
        self.change(kept, &ours).await
    }

    async fn change(&self, kept: &Kept, ours: &Ours) -> Result<Next, StepError> {
        let cluster = &ours.cluster;
        let name = &cluster.name;
        // The recovery set this protection itself, so taking it off overrules nobody. On a restored cluster too: it copied that
        // of the source.
        if kept.kind != Kind::Source && cluster.deletion_protection {
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
        if !ours.had_clients {
            // The moment that it was restored to is in the source's backups, and nothing else is on it.
            self.clusters.delete_cluster(name).await?;
            return Ok(Next::Wait(format!("{name} is deleted")));
        }
        let snapshot = snapshot_name(kept);
        // Last, because RDS refuses to delete a cluster that has instances. The call takes the snapshot as well.
        self.clusters.retire_cluster(name, &snapshot).await?;
        Ok(Next::Wait(format!("{name} is deleted into {snapshot}")))
    }

    /// Reads the snapshot of a cluster that is deleted: the end is reached only when that is complete.
    async fn is_over(&self, kept: &Kept) -> Result<Next, StepError> {
        let name = snapshot_name(kept);
        let over = |status, snapshot| Ok(Next::Over(Output::Deleted { done: true, status, snapshot }));
        match self.clusters.snapshot(&name).await? {
            Some(snapshot) if snapshot.status == "available" => {
                over(format!("{} is gone, its data is in the snapshot {name}", kept.cluster), Some(name))
            }
            // The cluster is gone by then: the automated backups are the only way back, and somebody has to know.
            Some(snapshot) if snapshot.status == "failed" => Err(StepError::new(
                ErrorName::RewindFailed,
                format!("{} is gone, and its final snapshot {name} has failed", kept.cluster),
            )
            .advice("restore the cluster from its automated backups, which are kept, if its data is needed")),
            Some(snapshot) => Ok(Next::Wait(format!("the snapshot {name} is {}", snapshot.status))),
            None if kept.kind == Kind::Restored => {
                over(format!("{} is gone, and the source has its traffic: no client was on it", kept.cluster), None)
            }
            // Nothing is left to save here, so it is the end and no error.
            None => over(format!("{} is gone without a snapshot {name}: somebody else deleted it", kept.cluster), None),
        }
    }
}

fn refused(kept: &Kept, why: &[String]) -> StepError {
    StepError::new(ErrorName::RewindFailed, format!("{} is not deleted: {}", kept.cluster, why.join("; ")))
        .changed(
            "the cluster and all of its data are still there, though instances may be gone if its deletion had begun",
        )
        .advice("see who needs it, and delete it by hand when nobody does")
}

/// Makes the final snapshot's name: `<cluster>-final-<recovery id>`, cut to RDS's limit, but never the same for two ids.
fn snapshot_name(kept: &Kept) -> String {
    // RDS limits the name to 63 characters, and two recoveries of one cluster need two names.
    const WORD: &str = "-final-";
    let id = &kept.recovery_id;
    let words: Vec<&str> = id.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let plain = words.join("-").to_ascii_lowercase();
    let room = IDENTIFIER_MAX.saturating_sub(kept.cluster.len() + WORD.len());
    if plain == *id && plain.len() <= room {
        return format!("{}{WORD}{plain}", kept.cluster);
    }
    // Of the whole id: cut ids of the same day would all begin alike.
    let hash: String = content_hash(&json!(id)).chars().take(8).collect();
    let most = room.saturating_sub(hash.len() + 1);
    let cut = plain.get(..most).unwrap_or(&plain).trim_end_matches('-');
    let suffix = if cut.is_empty() { format!("{WORD}{hash}") } else { format!("{WORD}{cut}-{hash}") };
    with_suffix(&kept.cluster, &suffix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rewind_core::names::identifier_problem;

    fn named(cluster: &str, id: &str) -> String {
        snapshot_name(&Kept {
            cluster: cluster.to_owned(),
            cluster_arn: String::new(),
            recovery_id: id.to_owned(),
            keep_until: jiff::Timestamp::UNIX_EPOCH,
            kind: Kind::Source,
            execution_arn: String::new(),
        })
    }

    #[test]
    fn a_snapshot_is_named_after_its_cluster_and_recovery() {
        assert_eq!(named("orders", "operation-001"), "orders-final-operation-001");
    }

    proptest! {
        #[test]
        fn every_name_is_one_that_rds_accepts_and_no_two_recoveries_share_one(
            cluster in "[a-z]([a-z0-9]|-[a-z0-9]){0,31}",
            one in "[A-Za-z0-9_.-]{1,80}",
            other in "[A-Za-z0-9_.-]{1,80}",
        ) {
            prop_assume!(cluster.len() <= IDENTIFIER_MAX && one != other);
            prop_assert_eq!(identifier_problem(&named(&cluster, &one)), None, "{}", named(&cluster, &one));
            prop_assert_ne!(named(&cluster, &one), named(&cluster, &other));
        }
    }
}
