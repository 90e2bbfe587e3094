//! Deletes what a recovery kept, the fenced source or the safety clone, when its time is over and nobody needs it any more.
//! It is the one part that deletes what people had data in. So it refuses, and says why, wherever anything is not as the
//! finished recovery left it; it takes a final snapshot and keeps the automated backups; it never takes protection off
//! a source. What it deleted it cannot give back: there is no undo.

mod check;
mod delete;
mod visitors;

pub use check::CLEAN_UP_NOTE;
pub use visitors::{Databases, Visitors};

use jiff::Timestamp;
use rewind_aws::rds::{
    ChangeInstances, Cluster, FindClusters, ModifyClusters, ReadClusters, ReadSnapshots, RetireClusters,
};
use rewind_aws::records::{Leases, Notes};
use rewind_aws::recoveries::Recoveries;
use rewind_core::names::{FENCED_BY_TAG, KEEP_UNTIL_TAG, SAFETY_CLONE_OF_TAG};
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
    /// Where it is noted that a deletion has begun, and the leases of clusters.
    pub notes: N,
    /// Who is on a cluster.
    pub visitors: V,
    /// The time.
    pub clock: K,
    /// How often to look.
    pub polling: Polling,
    /// The security groups of the fence; empty: the fence has no network layer.
    pub fence_groups: Vec<String>,
}

/// What the step is passed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "what", rename_all = "camelCase")]
pub enum Input {
    /// Which clusters are kept longer than they had to be?
    Find,
    /// Is this one unused?
    Check(Asked),
    /// Delete this one: to be called again until it is done.
    Delete(Asked),
}

/// A cluster that a recovery kept, and what find-records saw of the records that point at it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Asked {
    /// The cluster.
    #[serde(flatten)]
    pub kept: Kept,
    /// The records that point at it; without them it stays.
    #[serde(default)]
    pub records: Option<Records>,
}

/// The answer of find-records, which can ask Route 53: from the subnets of this function there may be no way.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Records {
    /// When they were looked at.
    pub looked_at: Timestamp,
    /// Those that point at the cluster, and what could not be seen.
    pub why: Vec<String>,
}

/// A cluster that a recovery kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// Its name.
    pub cluster: String,
    /// Its ARN.
    pub cluster_arn: String,
    /// The recovery that kept it.
    pub recovery_id: String,
    /// Until when, by its tag.
    pub keep_until: Timestamp,
    /// As what.
    pub kind: Kind,
    /// The execution that cleans up, for those who wait for the cluster's lease.
    #[serde(default, skip_serializing)]
    pub execution_arn: String,
}

impl Kept {
    /// Whether the recovery kept another cluster, from which this one has its tags.
    fn is_a_copy(&self, record: &RecoveryRecord) -> bool {
        record.plan.as_ref().is_some_and(|plan| match self.kind {
            Kind::Source => plan.cluster_arn != self.cluster_arn,
            Kind::SafetyClone => plan.new_cluster != self.cluster,
        })
    }
}

/// As what a cluster was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// The source, fenced when its traffic was moved.
    Source,
    /// The clone of what an in-place recovery took away.
    SafetyClone,
}

/// What the step answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Output {
    /// To `find`.
    Found {
        /// Clusters whose time is over, the longest first.
        due: Vec<Kept>,
    },
    /// To `check`.
    Checked {
        /// Whether nobody needs the cluster any more.
        unused: bool,
        /// Why not; empty where it is unused.
        why: Vec<String>,
    },
    /// To `delete`.
    Deleted {
        /// Whether the cluster is gone, and its snapshot is complete.
        done: bool,
        /// What was last seen.
        status: String,
        /// The final snapshot; none where somebody else deleted the cluster without one.
        snapshot: Option<String>,
    },
}

impl<C, R, N, V, K> Step for CleanUp<C, R, N, V, K>
where
    C: ReadClusters + FindClusters + ModifyClusters + ChangeInstances + RetireClusters + ReadSnapshots,
    R: Recoveries,
    N: Notes + Leases,
    V: Visitors,
    K: Clock,
{
    type Input = Input;
    type Output = Output;

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        match input {
            Input::Find => {
                let now = self.clock.now();
                let tagged = self.clusters.tagged(KEEP_UNTIL_TAG).await?;
                let mut due = Vec::new();
                for kept in tagged.iter().filter_map(read).filter(|kept| kept.keep_until < now) {
                    // Whatever its tags still say.
                    match self.recoveries.recovery(&kept.recovery_id).await? {
                        Some(record) if record.state == "Undone" => {
                            tracing::info!(cluster = kept.cluster, "its recovery was undone: it has its traffic");
                        }
                        Some(record) if kept.is_a_copy(&record) => {
                            tracing::info!(cluster = kept.cluster, "it was restored from what was kept, tags and all");
                        }
                        _ => due.push(kept),
                    }
                }
                due.sort_by_key(|kept| kept.keep_until);
                Ok(Output::Found { due })
            }
            Input::Check(asked) => {
                let why = self.check(&asked).await?;
                Ok(Output::Checked { unused: why.is_empty(), why })
            }
            Input::Delete(asked) => self.delete(&asked).await,
        }
    }
}

/// What the cluster's tags say of how it is kept. Tags that say nothing sure keep it: somebody wrote them by hand.
fn read(cluster: &Cluster) -> Option<Kept> {
    let kept = match (cluster.tag(FENCED_BY_TAG), cluster.tag(SAFETY_CLONE_OF_TAG)) {
        (Some(id), None) => Some((id, Kind::Source)),
        (None, Some(id)) => Some((id, Kind::SafetyClone)),
        _ => None,
    };
    let until = cluster.tag(KEEP_UNTIL_TAG).and_then(|until| until.parse().ok());
    match (kept, until) {
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

#[cfg(test)]
mod tests;
