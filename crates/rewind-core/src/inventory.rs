//! The inventory of what recoveries made or kept and that is still there: why each cluster exists, until when it is kept, what it is billed
//! for, who uses it, and the command that removes it. It reads nothing: [`FoundCluster`] and [`ClusterUse`] hold what somebody else has
//! read, and what could not be seen is never guessed.

mod cost;
mod found;
mod removal;

pub use cost::{Connections, Measured, Metered, Prices};
pub use found::{AsOf, ClusterRole, ClusterUse, FoundCluster, FoundInstance, SERVERLESS};
pub use removal::{Removal, RemovedBy};

use crate::names::KEEP_UNTIL_TAG;
use crate::record::RecoveryRecord;
use crate::request::Strategy;
use crate::standing::Seen;
use crate::time::{format_duration, format_time};
use jiff::Timestamp;
use serde::Serialize;

/// Instances of one class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BilledInstances {
    /// The class.
    pub class: String,
    /// The number of them.
    pub count: usize,
}

/// A cluster that a recovery made or kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryCluster {
    /// The name.
    pub cluster: String,
    /// The ARN.
    pub cluster_arn: String,
    /// The role.
    pub role: ClusterRole,
    /// The recovery.
    pub recovery_id: String,
    /// The status.
    pub status: String,
    /// The reason why it exists, as a sentence.
    pub why: String,
    /// The time until which it is kept, as its tag has it.
    pub keep_until: Option<String>,
    /// The same as a sentence.
    pub kept: String,
    /// The instances that are billed.
    pub instances: Vec<BilledInstances>,
    /// The same as a sentence.
    pub billed_for: String,
    /// The names of the recovery's plan that lead to it now.
    pub used_by: Vec<String>,
    /// The same as a sentence.
    pub usage: String,
    /// The cost, and the connections; none where nobody asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metered: Option<Metered>,
    /// The facts that could not be seen.
    pub unseen: Vec<String>,
    /// The way in which it is removed.
    pub removal: Removal,
    /// The cluster as RDS shows it.
    #[serde(skip)]
    pub found: FoundCluster,
}

/// A final snapshot of a cluster that a recovery made or kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FinalSnapshot {
    /// The name.
    pub snapshot: String,
    /// The cluster that it was taken of.
    pub cluster: String,
    /// The status.
    pub status: String,
    /// The time at which it was taken.
    pub created: Option<Timestamp>,
    /// The command that removes it, with all data in it.
    pub remove: String,
}

impl FinalSnapshot {
    /// Derives the entry of a snapshot.
    pub fn new(snapshot: String, cluster: String, status: String, created: Option<Timestamp>) -> Self {
        let remove = format!("aws rds delete-db-cluster-snapshot --db-cluster-snapshot-identifier {snapshot}");
        Self { snapshot, cluster, status, created, remove }
    }
}

/// All that recoveries made or kept, and that is still there.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inventory {
    /// The clusters, by name.
    pub clusters: Vec<RecoveryCluster>,
    /// The final snapshots, by name.
    pub snapshots: Vec<FinalSnapshot>,
    /// True if a rule starts the clean-up every hour; none where that is not known.
    pub clean_up_hourly: Option<bool>,
    /// The parts that could not be seen.
    pub unseen: Vec<String>,
}

impl RecoveryCluster {
    /// Derives the entry of a cluster; none where it bears no tag of a recovery.
    pub fn of(found: &FoundCluster, usage: &ClusterUse, as_of: AsOf) -> Option<Self> {
        let recovery_id = found.recovery_id()?.to_owned();
        let role = role(found, usage);
        let removal = removal::removal(found, role, usage, as_of.now);
        let instances = billed(found);
        Some(Self {
            cluster: found.name.clone(),
            cluster_arn: found.arn.clone(),
            role,
            status: found.status.clone(),
            why: why(role, &recovery_id, usage),
            keep_until: found.keep_until.clone(),
            kept: kept(found, kept_after_undo(role, usage), removal.by, as_of),
            billed_for: billed_for(found, &instances, role),
            instances,
            usage: usage_sentence(usage),
            used_by: names(usage, true),
            unseen: unseen(usage),
            removal,
            recovery_id,
            metered: None,
            found: found.clone(),
        })
    }
}

fn role(found: &FoundCluster, usage: &ClusterUse) -> ClusterRole {
    // Only the end of a recovery in place tags its safety clone as such: until then the plan tells it from a restored cluster.
    let in_place =
        record(usage).and_then(|record| record.plan.as_ref()).is_some_and(|plan| plan.strategy == Strategy::Backtrack);
    match (&found.fenced_by, &found.safety_clone_of) {
        (Some(_), _) => ClusterRole::Source,
        (None, Some(_)) => ClusterRole::SafetyClone,
        (None, None) if in_place => ClusterRole::SafetyClone,
        (None, None) => ClusterRole::Restored,
    }
}

fn record(usage: &ClusterUse) -> Option<&RecoveryRecord> {
    usage.recovery.found().and_then(Option::as_ref)
}

fn why(role: ClusterRole, id: &str, usage: &ClusterUse) -> String {
    let record = record(usage);
    let source = record.map_or("its source", |record| record.cluster.as_str());
    let how = match role {
        ClusterRole::Source => format!("source, fenced by recovery {id}"),
        ClusterRole::SafetyClone => format!("safety clone of {source}, made by recovery {id}"),
        ClusterRole::Restored => format!("restored from {source} by recovery {id}"),
    };
    let end = match (&usage.recovery, record.map(|record| record.state.as_str())) {
        (_, Some("Running" | "AwaitingApproval")) => match usage.runs {
            Seen::Found(true) => ", which runs".to_owned(),
            Seen::Found(false) => ", which was stopped".to_owned(),
            Seen::Unseen(_) => String::new(),
        },
        (_, Some(state)) => format!(", which ended in {state}"),
        (Seen::Found(None), None) => ", which is not in the table of this stack".to_owned(),
        _ => String::new(),
    };
    format!("{how}{end}")
}

/// The time until which a restored cluster is kept that had the traffic, whatever its tag says.
fn kept_after_undo(role: ClusterRole, usage: &ClusterUse) -> Option<Timestamp> {
    record(usage).filter(|_| role == ClusterRole::Restored)?.kept_after_undo()
}

fn kept(found: &FoundCluster, least: Option<Timestamp>, by: RemovedBy, as_of: AsOf) -> String {
    let Some(until) = &found.keep_until else {
        return "no time is set: nothing deletes it by itself".to_owned();
    };
    match until.parse::<Timestamp>().map(|until| least.map_or(until, |least| least.max(until))) {
        Err(_) => format!("its tag {KEEP_UNTIL_TAG} is \"{until}\", which is no time: nothing deletes it by itself"),
        Ok(at) if at > as_of.now => {
            format!("until {}, in {}", format_time(at), format_duration(at.duration_since(as_of.now)))
        }
        Ok(at) if by == RemovedBy::CleanUp => {
            let next = match as_of.hourly {
                Some(true) => "the clean-up looks every hour, and deletes it when nobody uses it",
                Some(false) => "CleanUp of the stack is DISABLED, so nothing deletes it until a person has it removed",
                None => {
                    "the clean-up looks every hour, unless the stack's CleanUp is DISABLED, and deletes it when nobody uses it"
                }
            };
            format!("until {}, which is over: {next}", format_time(at))
        }
        Ok(at) => format!("until {}, which is over, and nothing deletes it as it is", format_time(at)),
    }
}

fn billed(found: &FoundCluster) -> Vec<BilledInstances> {
    let of = |(class, count): (&str, usize)| BilledInstances { class: class.to_owned(), count };
    found.classes().into_iter().map(of).collect()
}

fn billed_for(found: &FoundCluster, instances: &[BilledInstances], role: ClusterRole) -> String {
    // A clone shares the pages that neither side has changed.
    let storage = match role {
        ClusterRole::SafetyClone => "the storage of what differs from the source",
        ClusterRole::Source | ClusterRole::Restored => "its storage",
    };
    let class = |billed: &BilledInstances| match (billed.class.as_str(), found.capacity) {
        (SERVERLESS, Some((least, most))) => {
            format!("{} x {SERVERLESS} ({least} to {most} ACU each, by use)", billed.count)
        }
        (class, _) => format!("{} x {class}", billed.count),
    };
    let classes = instances.iter().map(class).collect::<Vec<_>>().join(" and ");
    match (classes.is_empty(), found.status.as_str()) {
        (true, _) => format!("{storage}: it has no instance"),
        (false, "stopped") => format!("{storage}: it is stopped, and AWS starts {classes} after seven days"),
        (false, _) => format!("{classes}, day and night, and {storage}"),
    }
}

/// The names that lead to the cluster, or those that lead elsewhere; one that could not be read is among neither.
fn names(usage: &ClusterUse, leading: bool) -> Vec<String> {
    let seen = usage.records.iter().filter(|(_, leads)| leads.found() == Some(&leading));
    seen.map(|(name, _)| name.clone()).collect()
}

fn usage_sentence(usage: &ClusterUse) -> String {
    let lead = |names: &[String]| {
        let verb = if names.len() == 1 { "leads" } else { "lead" };
        format!("{} {verb}", names.join(" and "))
    };
    match (names(usage, true).as_slice(), names(usage, false).as_slice()) {
        ([], []) if usage.records.is_empty() => "nobody is known: its recovery moves no name".to_owned(),
        ([], []) => "not known: no name could be read".to_owned(),
        ([], elsewhere) => format!("nobody by name: {} elsewhere", lead(elsewhere)),
        (here, _) => format!("{} to it", lead(here)),
    }
}

fn unseen(usage: &ClusterUse) -> Vec<String> {
    let mut unseen = Vec::new();
    let mut note = |what: String, why: Option<&str>| unseen.extend(why.map(|why| format!("{what}: {why}")));
    note("the record of its recovery".to_owned(), usage.recovery.unseen());
    note("whether its recovery runs".to_owned(), usage.runs.unseen());
    note("the fences of its recovery".to_owned(), usage.fences.unseen());
    for (cluster, lease) in &usage.leases {
        note(format!("the lease of {cluster}"), lease.unseen());
    }
    for (name, leads) in &usage.records {
        note(format!("where {name} leads"), leads.unseen());
    }
    unseen
}
