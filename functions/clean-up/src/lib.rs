//! Deletes the cluster that a recovery kept, the fenced source, the safety clone or the restored cluster of one that failed, when
//! its time is over and nobody needs it any more. So it refuses, with the reasons, if anything is not as the recovery left it; it
//! always takes a final snapshot and keeps the automated backups; it switches off no deletion protection but that of a safety
//! clone, which the recovery set. There is no undo.

mod delete;
mod sessions;
mod stopped;
mod unused;

pub use sessions::{Databases, ReadSessions};
pub use unused::CLEAN_UP_NOTE;

use jiff::Timestamp;
use rewind_aws::fence_records::ReadFences;
use rewind_aws::rds::{
    ChangeInstances, Cluster, DeleteParameterGroups, FindClusters, ModifyClusters, ReadClusters, ReadSnapshots,
    RetireClusters,
};
use rewind_aws::records::{Leases, NoteDeletions, Notes, RemoveNotes};
use rewind_aws::recoveries::Recoveries;
use rewind_core::names::{FENCED_BY_TAG, KEEP_UNTIL_TAG, RECOVERY_TAG, SAFETY_CLONE_OF_TAG, final_snapshot};
use rewind_core::{Clock, Polling, RecoveryRecord, StepError};
use rewind_lambda::Step;
use serde::{Deserialize, Serialize};

/// The IAM actions that the function calls.
pub const ACTIONS: &[&str] = &[
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstances",
    "rds:DescribeDBClusterSnapshots",
    "rds:ModifyDBCluster",
    "rds:DeleteDBInstance",
    "rds:DeleteDBCluster",
    "rds:CreateDBClusterSnapshot",
    "rds:DescribeDBClusterParameters",
    "rds:DeleteDBClusterParameterGroup",
    "rds:AddTagsToResource",
    "secretsmanager:ListSecretVersionIds",
    "secretsmanager:GetSecretValue",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
];

/// The step.
#[derive(Debug)]
pub struct CleanUp<C, R, N, V, K> {
    /// Clusters, instances and snapshots.
    pub clusters: C,
    /// The table's items of recoveries.
    pub recoveries: R,
    /// The notes that a deletion has begun, the leases of clusters, and the marks of fences.
    pub notes: N,
    /// The sessions on a cluster.
    pub sessions: V,
    /// The time.
    pub clock: K,
    /// The pauses between polls.
    pub polling: Polling,
    /// The security groups of the fence; empty: the fence has no network layer.
    pub fence_groups: Vec<String>,
}

/// The payload of the step.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "what", rename_all = "camelCase")]
pub enum Input {
    /// Find the clusters whose time is over, and take back the notes of deletions that nobody goes on with.
    Find {
        /// Only the cluster of this name; none: all of them.
        #[serde(default)]
        cluster: Option<String>,
        /// The execution of the clean-up, which the lease names under which a note is taken back.
        #[serde(default, rename = "executionArn")]
        execution_arn: String,
    },
    /// Check that nobody needs this cluster.
    Check(KeptRequest),
    /// Delete this cluster; called again until it is done.
    Delete(KeptRequest),
}

/// A cluster that a recovery kept, and the records that point at it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct KeptRequest {
    /// The cluster.
    #[serde(flatten)]
    pub kept: Kept,
    /// The records that point at it. Without them it is not deleted.
    #[serde(default)]
    pub records: Option<Records>,
}

/// The result of find-records. The subnets of this function may have no route to Route 53.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Records {
    /// The time at which they were read.
    #[serde(rename = "lookedAt")]
    pub read_at: Timestamp,
    /// The records that point at the cluster, and those that could not be read.
    pub why: Vec<String>,
}

/// A cluster that a recovery kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// The cluster's name.
    pub cluster: String,
    /// The cluster's ARN.
    pub cluster_arn: String,
    /// The recovery that kept it.
    pub recovery_id: String,
    /// The end of its time, from its tag.
    pub keep_until: Timestamp,
    /// The role in which it was kept.
    pub kind: Kind,
    /// The execution of the clean-up, which the lease names.
    #[serde(default, skip_serializing)]
    pub execution_arn: String,
}

impl Kept {
    /// The name of its final snapshot.
    pub(crate) fn snapshot(&self) -> String {
        final_snapshot(&self.cluster, &self.recovery_id)
    }

    /// True if the recovery kept another cluster, of which this one is a restore with all of its tags.
    fn is_a_copy(&self, record: &RecoveryRecord) -> bool {
        // A restore inherits all tags of its source unless others are passed, the recovery's marks included.
        record.plan.as_ref().is_some_and(|plan| match self.kind {
            Kind::Source => plan.cluster_arn != self.cluster_arn,
            Kind::SafetyClone | Kind::Restored => plan.new_cluster != self.cluster,
        })
    }
}

/// The roles in which a cluster is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// The source, fenced before its traffic was moved.
    Source,
    /// The clone of the state before an in-place recovery.
    SafetyClone,
    /// The restored cluster of a recovery that moved no traffic to it, or moved it back, or that somebody stopped before.
    Restored,
}

/// The result of the step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Output {
    /// To `find`.
    Found {
        /// The clusters whose time is over, the oldest first.
        due: Vec<Kept>,
    },
    /// To `check`.
    Checked {
        /// True if nobody needs the cluster any more.
        unused: bool,
        /// The reasons to keep it; empty if it is unused.
        why: Vec<String>,
    },
    /// To `delete`.
    Deleted {
        /// True if the cluster is deleted and its snapshot is complete.
        done: bool,
        /// The last state that was seen.
        status: String,
        /// The final snapshot; none if somebody else deleted the cluster.
        snapshot: Option<String>,
    },
}

impl<C, R, N, V, K> Step for CleanUp<C, R, N, V, K>
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
    type Input = Input;
    type Output = Output;

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        match input {
            Input::Find { cluster: only, execution_arn } => {
                let now = self.clock.now();
                // By tag, and not by the table: people keep a cluster for ever by taking the tag off.
                let tagged = self.clusters.tagged(KEEP_UNTIL_TAG).await?;
                let mut due = Vec::new();
                // The table is read for each: tags are edited by people and copied by restores, and the table is
                // written by recoveries alone.
                let is_asked_for = |kept: &Kept| only.as_ref().is_none_or(|name| *name == kept.cluster);
                let over = |kept: &Kept| kept.keep_until < now && is_asked_for(kept);
                for kept in tagged.iter().filter_map(read).filter(over) {
                    // Tags can be stale: the undo may have failed to remove them, and a restore copies them.
                    match self.recoveries.recovery(&kept.recovery_id).await? {
                        Some(record) if record.state == "Undone" && kept.kind != Kind::Restored => {
                            tracing::info!(cluster = kept.cluster, "its recovery was undone: it has its traffic");
                        }
                        Some(record) if kept.is_a_copy(&record) => {
                            tracing::info!(cluster = kept.cluster, "it was restored from what was kept, tags and all");
                        }
                        // Whatever people made of its tag.
                        Some(record) if record.kept_after_undo().is_some_and(|until| until > now) => {
                            tracing::info!(
                                cluster = kept.cluster,
                                "it had the traffic, and is kept as long as a source"
                            );
                        }
                        // A record that is missing or unreadable is left to the check, which keeps the cluster and
                        // reports why.
                        _ => due.push(kept),
                    }
                }
                // The clean-up works through the list in this order, and what is longest overdue must not wait behind
                // newer ones.
                due.sort_by_key(|kept| kept.keep_until);
                self.take_back_notes(&due, only.as_deref(), &execution_arn).await?;
                Ok(Output::Found { due })
            }
            Input::Check(asked) => {
                let why = self.check(&asked).await?;
                if !why.is_empty() {
                    self.take_back_if_noted(&asked.kept).await?;
                }
                Ok(Output::Checked { unused: why.is_empty(), why })
            }
            Input::Delete(asked) => self.delete(&asked).await,
        }
    }
}

/// Reads from the tags how a cluster is kept; none if they are incomplete or contradict each other. Then the cluster stays, because
/// somebody has edited them by hand.
fn read(cluster: &Cluster) -> Option<Kept> {
    let until = cluster.tag(KEEP_UNTIL_TAG).and_then(|until| until.parse().ok());
    match (read_kind(cluster), until) {
        (Some((id, kind)), Some(keep_until)) => Some(Kept {
            cluster: cluster.name.clone(),
            cluster_arn: cluster.arn.clone(),
            recovery_id: id.to_owned(),
            keep_until,
            kind,
            execution_arn: String::new(),
        }),
        _ => {
            tracing::warn!(cluster = cluster.name, "its tags do not say by which recovery and until when it is kept");
            None
        }
    }
}

/// Reads from the tags which recovery a cluster is of, and in which role; none if they contradict each other.
fn read_kind(cluster: &Cluster) -> Option<(&str, Kind)> {
    match (cluster.tag(FENCED_BY_TAG), cluster.tag(SAFETY_CLONE_OF_TAG)) {
        (Some(id), None) => Some((id, Kind::Source)),
        (None, Some(id)) => Some((id, Kind::SafetyClone)),
        // What neither fenced it nor cloned it for safety created it, and failed.
        (None, None) => cluster.tag(RECOVERY_TAG).map(|id| (id, Kind::Restored)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
