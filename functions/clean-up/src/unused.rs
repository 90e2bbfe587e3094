//! Checks that a kept cluster is still exactly as the finished recovery left it, and that nobody uses it. It collects every reason to
//! keep the cluster, and changes nothing.

use crate::{CleanUp, Kept, KeptRequest, Kind, ReadSessions, Records};
use jiff::Timestamp;
use rewind_aws::fence_records::ReadFences;
use rewind_aws::rds::{Cluster, FindClusters, Instance, ReadClusters, is_foreign};
use rewind_aws::records::Notes;
use rewind_aws::recoveries::Recoveries;
use rewind_core::names::{
    FENCE_RECORD, FENCED_BY_TAG, KEEP_UNTIL_TAG, RECOVERY_TAG, RESTORED_FENCE_RECORD, SAFETY_CLONE_OF_TAG, SECRET_TAG,
    secret_of_tag,
};
use rewind_core::{CleanUpRecord, Clock, Ending, Plan, RecoveryRecord, StepError, Strategy, format_time};
use serde::Deserialize;

/// The note in a recovery's item that the deletion of its kept cluster has begun. From then on it cannot be undone.
pub const CLEAN_UP_NOTE: &str = "cleanUp";

/// The states of a recovery that has not come to its end.
const NOT_ENDED: [&str; 2] = ["Running", "AwaitingApproval"];

/// The state of a kept cluster by its tags and its recovery's item, read again before every change.
pub(crate) enum Marks {
    /// The cluster is gone.
    Gone,
    /// The cluster is not as the recovery left it, for these reasons.
    Changed(Vec<String>),
    /// The cluster is this recovery's, and its time is over.
    Ours(Box<Ours>),
}

/// A cluster whose time is over.
pub(crate) struct Ours {
    pub(crate) cluster: Cluster,
    pub(crate) plan: Plan,
    /// True if its deletion has begun: then instances may be missing.
    pub(crate) begun: bool,
}

impl<C, R, N, V, K> CleanUp<C, R, N, V, K>
where
    C: ReadClusters + FindClusters,
    R: Recoveries,
    N: Notes + ReadFences,
    V: ReadSessions,
    K: Clock,
{
    /// Collects the reasons to keep the cluster; none if nobody needs it any more.
    pub(crate) async fn check(&self, KeptRequest { kept, records }: &KeptRequest) -> Result<Vec<String>, StepError> {
        match self.marks(kept).await? {
            Marks::Gone => Ok(vec![format!("{} is gone", kept.cluster)]),
            Marks::Changed(why) => Ok(why),
            Marks::Ours(ours) => self.check_usage(kept, &ours, records.as_ref()).await,
        }
    }

    /// Reads cluster and table, which is cheap enough to repeat before every change.
    pub(crate) async fn marks(&self, kept: &Kept) -> Result<Marks, StepError> {
        let found = match self.clusters.cluster(&kept.cluster).await {
            Err(error) if is_foreign(&error) => {
                return Ok(Marks::Changed(vec![format!("{} is a cluster of another engine by now", kept.cluster)]));
            }
            found => found?,
        };
        let Some(cluster) = found else { return Ok(Marks::Gone) };
        let mut why = tags(kept, &cluster, self.clock.now());
        let record = self.recoveries.recovery(&kept.recovery_id).await?;
        // Told alone: the groups and the login of the way in would be told as a broken fence.
        if let Some(opening) = record.as_ref().and_then(|record| record.opening.as_ref()) {
            why.push(format!(
                "{} is open to {} until {}: rewind open {} --close closes it",
                kept.cluster,
                opening.by,
                format_time(opening.until),
                kept.recovery_id
            ));
            return Ok(Marks::Changed(why));
        }
        let has_had_traffic = record.as_ref().is_some_and(RecoveryRecord::has_had_traffic);
        let plan = match record {
            Some(record) if is_stopped(kept, &record) && self.has_fenced(&kept.recovery_id).await? => Err(format!(
                "the recovery {} stopped after it had begun to fence {}, and nobody knows how far it came",
                kept.recovery_id, record.cluster
            )),
            Some(record) => planned(kept, record, self.clock.now()),
            None => Err(format!("the table has no recovery {}", kept.recovery_id)),
        };
        let plan = match plan {
            Ok(plan) => plan,
            Err(reason) => {
                why.push(reason);
                return Ok(Marks::Changed(why));
            }
        };
        why.extend(self.settings(kept, &cluster, &plan, has_had_traffic));
        why.extend(self.fenced_by_another(kept, &cluster).await?);
        // By the note, and not by missing instances: people may have deleted one, which is a reason to stop.
        let note = self.notes.note(&kept.recovery_id, CLEAN_UP_NOTE).await?;
        // One that cannot be read holds no time: then the tags decide, as for one without a time of creation.
        let begun = note.as_ref().and_then(|note| CleanUpRecord::deserialize(note).ok());
        why.extend(begun.and_then(|begun| made_anew(&cluster, &begun)));
        if !why.is_empty() {
            return Ok(Marks::Changed(why));
        }
        Ok(Marks::Ours(Box::new(Ours { cluster, plan, begun: note.is_some() })))
    }

    /// True if the recovery has begun to fence its source, after which it moves traffic.
    async fn has_fenced(&self, id: &str) -> Result<bool, StepError> {
        self.notes.was_fenced(id, FENCE_RECORD).await
    }

    /// A sentence about a restored cluster that has the groups of a fence which its own recovery never raised: another recovery works on it,
    /// as on a source, and puts its mark on it only at its end.
    async fn fenced_by_another(&self, kept: &Kept, cluster: &Cluster) -> Result<Option<String>, StepError> {
        let is_fenced = !self.fence_groups.is_empty() && cluster.has_groups(&self.fence_groups);
        if kept.kind != Kind::Restored || !is_fenced {
            return Ok(None);
        }
        let by_its_own = self.notes.was_fenced(&kept.recovery_id, RESTORED_FENCE_RECORD).await?;
        Ok((!by_its_own).then(|| format!("{} is fenced, and not by {}", cluster.name, kept.recovery_id)))
    }

    /// Collects the settings that only people change, and that differ from those that the recovery left.
    fn settings(&self, kept: &Kept, cluster: &Cluster, plan: &Plan, has_had_traffic: bool) -> Vec<String> {
        let name = &cluster.name;
        let mut why = Vec::new();
        // Never switched off here, unlike the safety clone's: any other is people's decision. A restored cluster has that of its
        // source where its recovery ended well and was undone then, and nobody knows if people rely on it since.
        if kept.kind != Kind::SafetyClone && cluster.deletion_protection {
            why.push(format!(
                "{name} has deletion protection, which only a person takes off: aws rds modify-db-cluster --db-cluster-identifier {name} \
                 --no-deletion-protection --apply-immediately"
            ));
        }
        // Those of the source at the time of the restore, which nobody recorded, or those of the fence.
        let of_source = Vec::new();
        let groups = match (kept.kind, &plan.backtrack) {
            (Kind::Restored, _) if has_had_traffic && self.fence_groups.is_empty() => {
                why.push(format!(
                    "{name} has had the traffic, and without a fence of the network nobody sees who opened it again"
                ));
                return why;
            }
            (Kind::Restored, _) if !has_had_traffic => &of_source,
            (Kind::Restored | Kind::Source, _) => &self.fence_groups,
            (Kind::SafetyClone, Some(in_place)) => &in_place.security_groups,
            (Kind::SafetyClone, None) => {
                why.push("the plan says nothing of a safety clone".to_owned());
                return why;
            }
        };
        // People who need the source again open it first, and that is the earliest sign of it.
        if !groups.is_empty() && (!cluster.has_groups(groups) || cluster.security_groups_changing) {
            why.push(format!(
                "{name} has the security groups {} and not {}, with which the recovery left it",
                list(&cluster.security_groups),
                list(groups)
            ));
        }
        why.extend(
            cluster.global_cluster.as_ref().map(|global| format!("{name} is part of the global cluster {global}")),
        );
        why
    }

    /// Collects the signs that somebody needs the cluster, which cost more than a read: instances, successor, records, sessions.
    pub(crate) async fn check_usage(
        &self,
        kept: &Kept,
        ours: &Ours,
        records: Option<&Records>,
    ) -> Result<Vec<String>, StepError> {
        let Ours { cluster, plan, begun, .. } = ours;
        // Nothing can be asked of its databases in another state, and no session seen is not the same as none there.
        if cluster.status != "available" {
            return Ok(vec![format!("{} is {}", cluster.name, cluster.status)]);
        }
        let mut instances = self.clusters.instances(&cluster.name).await?;
        let mut why = unknown_instances(kept, plan, &instances);
        why.extend(self.without_successor(kept, cluster, plan).await?);
        why.extend(self.users_of_its_secret(cluster, plan).await?);
        match records {
            Some(records) => why.extend(records.why.iter().cloned()),
            // Without a result of find-records nobody knows, and an unknown record may have clients behind it.
            None => why.push(format!("which records point at {} was not looked at", cluster.name)),
        }
        // Our own deletion has taken instances away by now, so a missing one is no sign of anything.
        if *begun {
            instances.retain(|instance| instance.status != "deleting");
        } else if instances.is_empty() && kept.kind != Kind::Restored {
            // A restored cluster may have got none before its recovery failed, and without one nobody can use it.
            why.push(format!("{} has no instance: who uses its data cannot be seen", cluster.name));
        }
        let unseen: Vec<String> = instances
            .iter()
            .filter(|instance| instance.status != "available")
            .map(|instance| format!("{} is {}: who is on it cannot be seen", instance.name, instance.status))
            .collect();
        if unseen.is_empty() {
            // Even if there are other reasons: people are notified once a day, and want all of them at once.
            why.extend(self.inside(kept, ours, &instances).await);
        }
        why.extend(unseen);
        Ok(why)
    }

    /// Collects the sessions on the cluster, and the logins that somebody has opened again.
    async fn inside(&self, kept: &Kept, ours: &Ours, instances: &[Instance]) -> Vec<String> {
        let name = &ours.cluster.name;
        match self.sessions.sessions(kept, &ours.plan, &ours.cluster, instances).await {
            Ok(inside) => {
                let mut why: Vec<String> = inside.sessions.iter().map(|who| format!("in use: {who}")).collect();
                if kept.kind == Kind::Source {
                    why.extend(inside.open.iter().map(|login| format!("{name} is no longer fenced: {login}")));
                }
                why
            }
            Err(error) => vec![format!("who is on {name} could not be seen: {error}")],
        }
    }

    /// Checks that the cluster that took its place is there and works: otherwise this may be the last copy of the data.
    async fn without_successor(
        &self,
        kept: &Kept,
        cluster: &Cluster,
        plan: &Plan,
    ) -> Result<Option<String>, StepError> {
        let name = match kept.kind {
            Kind::Source => &plan.new_cluster,
            Kind::SafetyClone | Kind::Restored => &plan.cluster,
        };
        let found = match self.clusters.cluster(name).await {
            Err(error) if is_foreign(&error) => {
                return Ok(Some(format!("{name} is another cluster than the one that {} left", kept.recovery_id)));
            }
            found => found?,
        };
        let Some(successor) = found else {
            return Ok(Some(format!("{name}, which has its clients now, is gone: this may be the last copy")));
        };
        let same = match kept.kind {
            // A cluster that was deleted and made anew has the same name and ARN: only the tag tells whose it is.
            Kind::Source => successor.tag(RECOVERY_TAG) == Some(kept.recovery_id.as_str()),
            Kind::SafetyClone | Kind::Restored => {
                successor.arn == plan.cluster_arn && plan.refuse_other_source(&successor.resource_id).is_ok()
            }
        };
        if !same {
            return Ok(Some(format!("{name} is another cluster than the one that {} left", kept.recovery_id)));
        }
        // A backup runs daily and hinders nobody; any other state may be the beginning of a loss.
        let works = ["available", "backing-up"].contains(&successor.status.as_str());
        if !works {
            return Ok(Some(format!("{name}, which has its clients now, is {}", successor.status)));
        }
        // RDS deletes a managed secret with its cluster. Until the other cluster has one, its clients log in with this one.
        Ok(match (kept.kind, &cluster.master_secret, &successor.master_secret) {
            (Kind::Source, Some(secret), None) => Some(format!(
                "the secret {secret} goes with {0}, and {name} has no managed master password of its own: when no client \
                 needs the old one, aws rds modify-db-cluster --db-cluster-identifier {name} --manage-master-user-password \
                 --apply-immediately gives it another",
                cluster.name
            )),
            _ => None,
        })
    }
}

impl<C, R, N, V, K> CleanUp<C, R, N, V, K>
where
    C: FindClusters,
{
    /// Finds other clusters whose clients log in with the managed secret of this one, which RDS deletes with it.
    // Beside the cluster that took its place: a later recovery of that one has the same login, under another name.
    async fn users_of_its_secret(&self, cluster: &Cluster, plan: &Plan) -> Result<Vec<String>, StepError> {
        let Some(secret) = &cluster.master_secret else { return Ok(Vec::new()) };
        let tagged = self.clusters.tagged(SECRET_TAG).await?;
        let uses = |other: &&Cluster| {
            // A fenced cluster has no clients. One with a secret of its own has another password by now.
            let serves = other.master_secret.is_none() && other.tag(FENCED_BY_TAG).is_none();
            serves && other.tag(SECRET_TAG).and_then(secret_of_tag).is_some_and(|(arn, _)| arn == *secret)
        };
        let users =
            tagged.iter().filter(|other| other.arn != cluster.arn && other.name != plan.new_cluster).filter(uses);
        Ok(users
            .map(|other| {
                format!(
                    "the secret {secret} goes with {}, and {} logs in with it: when no client needs it, aws rds \
                     modify-db-cluster --db-cluster-identifier {} --manage-master-user-password --apply-immediately gives it \
                     another",
                    cluster.name, other.name, other.name
                )
            })
            .collect())
    }
}

/// Collects the reasons in the tags against a deletion.
fn tags(kept: &Kept, cluster: &Cluster, now: Timestamp) -> Vec<String> {
    let (name, id) = (&cluster.name, kept.recovery_id.as_str());
    let mut why = Vec::new();
    if cluster.arn != kept.cluster_arn {
        why.push(format!("{name} is {} and not {}", cluster.arn, kept.cluster_arn));
    }
    let (marks, others): (&[&str], &[&str]) = match kept.kind {
        Kind::Source => (&[FENCED_BY_TAG], &[SAFETY_CLONE_OF_TAG]),
        Kind::SafetyClone => (&[SAFETY_CLONE_OF_TAG, RECOVERY_TAG], &[FENCED_BY_TAG]),
        // A recovery that adopts the cluster gives it its own mark.
        Kind::Restored => (&[RECOVERY_TAG], &[FENCED_BY_TAG, SAFETY_CLONE_OF_TAG]),
    };
    for mark in marks {
        match cluster.tag(mark) {
            Some(of) if of == id => {}
            Some(of) => why.push(format!("{name} is tagged {mark} by {of} and not by {id}")),
            None => why.push(format!("{name} is no longer tagged {mark}")),
        }
    }
    for other in others {
        why.extend(cluster.tag(other).map(|of| format!("{name} is tagged {other} by {of}")));
    }
    // Read again from the cluster: extending the tag is how people keep a cluster, up to the last moment.
    match cluster.tag(KEEP_UNTIL_TAG).map(str::parse::<Timestamp>) {
        Some(Ok(until)) if until >= now => why.push(format!("{name} is kept until {}", format_time(until))),
        // Changed after it was found: somebody is at work on it. The next execution begins with the new value.
        Some(Ok(until)) if until != kept.keep_until => {
            why.push(format!("{name} was kept until {until} and not until {}", kept.keep_until));
        }
        Some(Ok(_)) => {}
        Some(Err(_)) => why.push(format!("the tag {KEEP_UNTIL_TAG} of {name} is no time")),
        None => why.push(format!("{name} is no longer tagged {KEEP_UNTIL_TAG}")),
    }
    why
}

/// True for the recovery of a restored cluster whose record does not show that it ended. Somebody has stopped it: the cluster's time
/// ends after the recovery's lease, and for as long as the lease is held nothing is deleted, whatever people made of the tag.
fn is_stopped(kept: &Kept, record: &RecoveryRecord) -> bool {
    kept.kind == Kind::Restored && NOT_ENDED.contains(&record.state.as_str())
}

/// A sentence about a cluster that was made after the deletion of its namesake had begun: a restore of the final snapshot under the old name
/// has the tags as well.
pub(crate) fn made_anew(cluster: &Cluster, begun: &CleanUpRecord) -> Option<String> {
    let begun_at = begun.begun_at;
    let created = cluster.created.filter(|created| *created > begun_at)?;
    let name = &cluster.name;
    Some(format!("{name} was made anew at {created}, after the deletion of the one before it had begun at {begun_at}"))
}

/// Reads the plan of a recovery that ended as its kind of kept cluster needs, was not undone, and kept this cluster.
fn planned(kept: &Kept, record: RecoveryRecord, now: Timestamp) -> Result<Plan, String> {
    let id = &kept.recovery_id;
    // Where a person has to look, they decide which of the clusters is needed, and may not have done so yet.
    let ended: &[Ending] = match kept.kind {
        Kind::Source | Kind::SafetyClone => &[Ending::Recovered],
        Kind::Restored => &[Ending::NothingChanged, Ending::RolledBack, Ending::Undone],
    };
    if !ended.iter().any(|ending| ending.name() == record.state) && !is_stopped(kept, &record) {
        let names: Vec<&str> = ended.iter().map(|ending| ending.name()).collect();
        return Err(format!("the recovery {id} is {}, not {}", record.state, names.join(" or ")));
    }
    // One that was cancelled had moved nothing. Where traffic had moved, the source has it again, and is none that was kept.
    if record.undo.is_some() && kept.kind != Kind::Restored {
        return Err(format!("the recovery {id} was undone"));
    }
    let undone_at = match &record.undo {
        _ if !record.has_had_traffic() => None,
        Some(undo) => Some(undo.at),
        None => return Err(format!("the undo of the recovery {id} is not in its record")),
    };
    // What cannot be read may be an undo: then the cluster has its traffic.
    let (Some(plan), []) = (record.plan, record.unreadable.as_slice()) else {
        return Err(format!("the record of the recovery {id} cannot be read: {}", record.unreadable.join("; ")));
    };
    let (strategy, cluster) = match kept.kind {
        Kind::Source => (Strategy::Restore, &plan.cluster),
        Kind::SafetyClone => (Strategy::Backtrack, &plan.new_cluster),
        Kind::Restored => (Strategy::Restore, &plan.new_cluster),
    };
    // The plan was made before what the recovery creates, so it holds no ARN of that.
    let same_arn = kept.kind != Kind::Source || plan.cluster_arn == kept.cluster_arn;
    if plan.recovery_id != *id || plan.strategy != strategy || *cluster != kept.cluster || !same_arn {
        return Err(format!("the recovery {id} did not keep {}", kept.cluster));
    }
    // Its tag can be the restore's, and older than what clients wrote to it.
    if let Some(at) = undone_at
        && plan.keep_undone_from(at).map_err(|error| error.to_string())? > now
    {
        return Err(format!(
            "{} had the traffic until {}, and is kept as long after it as a source",
            kept.cluster,
            format_time(at)
        ));
    }
    Ok(plan)
}

/// Lists the instances that were added after the recovery: somebody needs them.
fn unknown_instances(kept: &Kept, plan: &Plan, instances: &[Instance]) -> Vec<String> {
    let known = |name: &str| {
        plan.instances.iter().any(|planned| match kept.kind {
            Kind::Source => planned.source == name,
            Kind::SafetyClone | Kind::Restored => planned.name == name,
        })
    };
    let added = instances.iter().filter(|instance| !known(&instance.name));
    added.map(|instance| format!("the instance {} was added since", instance.name)).collect()
}

fn list(groups: &[String]) -> String {
    if groups.is_empty() { "none".to_owned() } else { groups.join(", ") }
}
