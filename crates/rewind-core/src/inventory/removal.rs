//! Decides how a cluster that a recovery made or kept is removed: by the clean-up, which checks once more and deletes into a final
//! snapshot; by hand, where the clean-up never deletes it; or not at all, with every reason.

use super::found::{ClusterRole, ClusterUse, FoundCluster};
use crate::names::{FENCED_BY_TAG, SAFETY_CLONE_OF_TAG, final_snapshot};
use crate::record::RecoveryRecord;
use crate::request::Strategy;
use crate::standing::Seen;
use crate::time::format_time;
use jiff::Timestamp;
use serde::Serialize;

/// The remover of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RemovedBy {
    /// The clean-up, once its time is over.
    CleanUp,
    /// A person: the clean-up never deletes it.
    Hand,
    /// Nobody, as it is now.
    Nobody,
}

/// The way in which a cluster is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removal {
    /// The remover.
    pub by: RemovedBy,
    /// The commands, in order; none where nobody removes it.
    pub commands: Vec<String>,
    /// The reasons against removing it, or against the clean-up doing it; empty where the clean-up does it.
    pub why: Vec<String>,
}

/// Decides how a cluster is removed at `now`.
pub(super) fn removal(found: &FoundCluster, role: ClusterRole, usage: &ClusterUse, now: Timestamp) -> Removal {
    let why = blockers(found, role, usage);
    let record = usage.recovery.found().and_then(Option::as_ref);
    let (Some(record), true) = (record, why.is_empty()) else {
        return Removal { by: RemovedBy::Nobody, commands: Vec::new(), why };
    };
    let unseen: Vec<String> = usage
        .records
        .iter()
        .filter_map(|(name, leads)| leads.unseen().map(|_| name))
        .map(|name| format!("where {name} leads could not be seen, and it may lead to it"))
        .collect();
    match why_not_by_clean_up(role, record, now) {
        None if role != ClusterRole::SafetyClone && found.deletion_protection => {
            // The clean-up never takes it off, and neither does the command: people set it, on this cluster or on its source, to
            // prevent this.
            let of_source = if record.has_had_traffic() { ", as its source had when it got the traffic" } else { "" };
            let command = unprotect(&found.name);
            let why = format!("it has deletion protection{of_source}, which only a person takes off: {command}");
            Removal { by: RemovedBy::Nobody, commands: Vec::new(), why: vec![why] }
        }
        None => {
            let commands = vec![format!("rewind clusters --remove {}", found.name)];
            Removal { by: RemovedBy::CleanUp, commands, why }
        }
        // No clean-up looks again at what a person deletes.
        Some(_) if !unseen.is_empty() => Removal { by: RemovedBy::Nobody, commands: Vec::new(), why: unseen },
        Some(reason) => Removal { by: RemovedBy::Hand, commands: by_hand(found, record), why: vec![reason] },
    }
}

/// Collects the reasons against removing a cluster, in whatever way.
fn blockers(found: &FoundCluster, role: ClusterRole, usage: &ClusterUse) -> Vec<String> {
    let id = found.recovery_id().unwrap_or_default();
    let mut why = Vec::new();
    if found.fenced_by.is_some() && found.safety_clone_of.is_some() {
        why.push(format!("it is tagged {FENCED_BY_TAG} and {SAFETY_CLONE_OF_TAG}, which contradict each other"));
    }
    match &usage.recovery {
        Seen::Found(Some(record)) => why.extend(of_record(found, role, record, usage)),
        Seen::Found(None) => why.push(format!("the table of this stack has no recovery {id}: mind the stack")),
        Seen::Unseen(_) => why.push(format!("the record of the recovery {id} could not be read")),
    }
    match &usage.runs {
        Seen::Found(true) => why.push(format!("the recovery {id} runs")),
        Seen::Found(false) => {}
        Seen::Unseen(_) => why.push(format!("whether the recovery {id} runs could not be seen")),
    }
    for (cluster, lease) in &usage.leases {
        match lease {
            Seen::Found(Some(lease)) => {
                why.push(format!("{} holds {cluster} until {}", lease.holder, format_time(lease.until)))
            }
            Seen::Found(None) => {}
            Seen::Unseen(_) => why.push(format!("who holds {cluster} could not be seen")),
        }
    }
    // A name that could not be read blocks nothing here: the clean-up reads the zones with permissions of its own.
    let leading = usage.records.iter().filter(|(_, leads)| leads.found() == Some(&true));
    why.extend(leading.map(|(name, _)| format!("it has traffic: {name} leads to it")));
    why.extend(match found.status.as_str() {
        "available" => None,
        "stopped" => Some(format!(
            "it is stopped, so who uses it cannot be seen: aws rds start-db-cluster --db-cluster-identifier {}",
            found.name
        )),
        status => Some(format!("it is {status}, and not available")),
    });
    why
}

/// Collects the reasons in the record of its recovery.
fn of_record(found: &FoundCluster, role: ClusterRole, record: &RecoveryRecord, usage: &ClusterUse) -> Vec<String> {
    let id = &record.id;
    let (Some(plan), []) = (&record.plan, record.unreadable.as_slice()) else {
        // What cannot be read may be an undo: then the cluster has its traffic.
        return vec![format!("the record of the recovery {id} has no plan that can be read")];
    };
    let mut why = Vec::new();
    let is_of_recovery = match role {
        ClusterRole::Source => plan.cluster_arn == found.arn && plan.strategy == Strategy::Restore,
        ClusterRole::SafetyClone | ClusterRole::Restored => plan.new_cluster == found.name,
    };
    if !is_of_recovery {
        // A restore inherits all tags of its source, those of the recovery included.
        why.push(format!(
            "it is a copy of what the recovery {id} made or kept, tags and all: whoever copied it decides"
        ));
    }
    if role == ClusterRole::Source && (record.state != "Recovered" || record.undo.is_some()) {
        why.push(format!("it is a source that serves, or may: its recovery is {}", record.state));
    }
    if let Some(clean_up) = record.clean_up.as_ref().filter(|clean_up| clean_up.cluster == found.name) {
        let (at, snapshot) = (format_time(clean_up.begun_at), &clean_up.snapshot);
        why.push(format!("it is being deleted since {at}, into the snapshot {snapshot}"));
    }
    // The fence of a source that is kept stays; any other may have clients behind it.
    let may_be_fenced = match &usage.fences {
        Seen::Found(fences) => fences.source && role != ClusterRole::Source && record.state != "Recovered",
        Seen::Unseen(_) => false,
    };
    if may_be_fenced {
        why.push(format!("{} may still be fenced by its recovery: rewind status {id}", record.cluster));
    }
    if role != ClusterRole::Source && record.state != "Recovered" {
        why.extend(usage.fences.unseen().map(|_| format!("the fences of the recovery {id} could not be seen")));
    }
    why
}

/// Explains why the clean-up does not delete a cluster at `now`, by the end of its recovery; none where it does.
fn why_not_by_clean_up(role: ClusterRole, record: &RecoveryRecord, now: Timestamp) -> Option<String> {
    let id = &record.id;
    let restored = role == ClusterRole::Restored;
    if let Some(until) = record.kept_after_undo().filter(|until| restored && *until > now) {
        let at = record.undo.as_ref().map_or_else(String::new, |undo| format!(" until {}", format_time(undo.at)));
        return Some(format!(
            "it had the traffic{at}, and what clients wrote to it is nowhere else: whatever its tag says, the clean-up keeps it until {}, \
             as long as it would have kept its source",
            format_time(until)
        ));
    }
    if restored && record.has_had_traffic() && is_fenced_by_logins_alone(record) {
        return Some(
            "it had the traffic, and without a fence of the network nobody sees who opened it again, so the clean-up never deletes it"
                .to_owned(),
        );
    }
    match (role, record.state.as_str()) {
        (ClusterRole::Source | ClusterRole::SafetyClone, "Recovered") => None,
        // One that was stopped is in the table as it was, for ever.
        (ClusterRole::Restored, "NothingChanged" | "RolledBack" | "Undone" | "Running" | "AwaitingApproval") => None,
        (ClusterRole::Restored, "Recovered") => Some(format!(
            "its recovery ended in Recovered, so the clean-up never deletes it: clients may be on it by other names than {id}'s"
        )),
        (_, state) => Some(format!(
            "its recovery is {state}, so the clean-up never deletes it, and a person decides which cluster is needed: rewind status {id}"
        )),
    }
}

/// True of a recovery whose output shows a fence without security groups: its deployment had none.
fn is_fenced_by_logins_alone(record: &RecoveryRecord) -> bool {
    let recovered = record.outcome.as_ref().and_then(|outcome| outcome.recovered());
    let fence = recovered.and_then(|recovered| recovered.fence.as_ref());
    // An earlier version listed no layers.
    fence.is_some_and(|fence| !fence.layers.is_empty() && !fence.layers.iter().any(|layer| layer.layer == "network"))
}

/// Writes the commands that delete a cluster into a final snapshot, as the clean-up does.
fn by_hand(found: &FoundCluster, record: &RecoveryRecord) -> Vec<String> {
    let name = &found.name;
    let mut commands = Vec::new();
    if found.deletion_protection {
        commands.push(unprotect(name));
        // RDS takes no final snapshot of a cluster that is being modified, and its instances would be gone by then.
        commands.push(format!("aws rds wait db-cluster-available --db-cluster-identifier {name}"));
    }
    // Readers first: RDS fails over to a reader whose writer is deleted.
    let mut instances: Vec<_> = found.instances.iter().collect();
    instances.sort_by_key(|instance| instance.writer);
    commands.extend(
        instances
            .iter()
            .map(|instance| format!("aws rds delete-db-instance --db-instance-identifier {}", instance.name)),
    );
    commands.push(format!(
        "aws rds delete-db-cluster --db-cluster-identifier {name} --final-db-snapshot-identifier {} --no-delete-automated-backups",
        final_snapshot(name, &record.id)
    ));
    if let Some(group) = &found.own_parameter_group {
        // RDS keeps a group while a cluster has it, and a cluster is there until its snapshot is whole.
        commands.push(format!("aws rds wait db-cluster-deleted --db-cluster-identifier {name}"));
        commands.push(format!("aws rds delete-db-cluster-parameter-group --db-cluster-parameter-group-name {group}"));
    }
    commands
}

fn unprotect(name: &str) -> String {
    format!("aws rds modify-db-cluster --db-cluster-identifier {name} --no-deletion-protection --apply-immediately")
}
