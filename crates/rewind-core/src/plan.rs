//! The plan: all that a recovery will do. It is settled before anything is changed, and every later step reads it.

use crate::check::Check;
use crate::difference::Difference;
use crate::engine::Engine;
use crate::error::StepError;
use crate::findings::Finding;
use crate::identity::ResourceIds;
use crate::names::{RECOVERY_TAG, is_of_event};
use crate::people::Identity;
use crate::request::{Approval, Endpoint, Strategy};
use crate::timeouts;
use crate::window::Window;
use jiff::{RoundMode, SignedDuration, Timestamp, TimestampRound, Unit};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The recovery that a step works for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recovery {
    /// The execution's name, from which every name, tag and token of the recovery derives.
    pub id: String,
    /// The execution's ARN.
    pub execution_arn: String,
    /// When it was started.
    pub started_at: Timestamp,
}

/// All that a recovery will do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The recovery's id.
    pub recovery_id: String,
    /// The cluster that is rewound.
    pub cluster: String,
    /// The cluster's ARN.
    pub cluster_arn: String,
    /// The resource ids of the cluster and its instances: under the same name and ARN there may be another cluster later.
    // A plan in the table may be older than this field.
    #[serde(default)]
    pub resource_ids: ResourceIds,
    /// The cluster's engine.
    pub engine: Engine,
    /// The engine's version.
    pub engine_version: String,
    /// The chosen strategy, never `auto`.
    pub strategy: Strategy,
    /// The reasons for this strategy, and against the other.
    pub reasons: Vec<String>,
    /// The moment to rewind to; with `use_latest`, the latest restorable time when the plan was made.
    pub target: Timestamp,
    /// True if the restore takes the latest restorable time of its start.
    pub use_latest: bool,
    /// The window at the time of the plan.
    pub window: Window,
    /// The name of the restored cluster; in place that of the safety clone.
    pub new_cluster: String,
    /// The instances of that cluster, the writer first.
    pub instances: Vec<PlannedInstance>,
    /// The records to move.
    pub dns: Vec<PlannedRecord>,
    /// The checks of the rewound data.
    pub checks: Vec<Check>,
    /// The time for each check, in seconds.
    // A plan in the table may be older than this field.
    #[serde(default = "default_check_timeout")]
    pub check_timeout_seconds: u64,
    /// The time for comparing all tables with the source before a person is asked, in seconds; zero where they are not compared.
    // A plan in the table may be older than this field.
    #[serde(default)]
    pub compare_seconds: u64,
    /// The secret with the login for the fence, and for the checks where they have none of their own.
    pub secret_arn: String,
    /// The moment whose version of the secret has the login, where that is known: the secret is rotated on with another cluster.
    // A plan in the table may be older than this field.
    #[serde(default)]
    pub secret_moment: Option<Timestamp>,
    /// The secret with the login that the checks run with; none where they run with that of the fence.
    // A plan in the table may be older than this field.
    #[serde(default)]
    pub check_secret_arn: Option<String>,
    /// Decides if a person is asked.
    pub approval: Approval,
    /// The time that the person has, in seconds.
    pub approval_timeout_seconds: i64,
    /// The time after which a fence that still stands pages, in seconds.
    // A plan in the table may be older than this field.
    #[serde(default = "default_fence_timeout")]
    pub fence_timeout_seconds: i64,
    /// The time for which the source is kept after the cutover, in seconds.
    pub keep_source_seconds: i64,
    /// The time for which the restored cluster is kept where the recovery did not move traffic to it, in seconds.
    // A plan in the table may be older than this field.
    #[serde(default = "a_day")]
    pub keep_restored_seconds: i64,
    /// True if the recovery ends with the plan and changes nothing.
    pub dry_run: bool,
    /// The part of an in-place recovery; absent side by side.
    // A plan in the table may be older than this field.
    #[serde(default)]
    pub backtrack: Option<InPlacePlan>,
    /// The earlier recovery whose restored cluster this one adopts; absent where it restores one itself.
    #[serde(default)]
    pub adopted: Option<Adopted>,
    /// One sentence for each change, in order.
    pub will_do: Vec<String>,
    /// Facts that a person should know before it starts.
    pub warnings: Vec<String>,
    /// The findings of the preflight, blocking ones first.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// The identities that started it, and the recovery that it resumes. Nobody means that nothing shows who did.
    // A plan in the table may be older than this field.
    #[serde(default)]
    pub started_by: Vec<Identity>,
    /// The signature of validate-window, in base64: without it no step acts on the plan.
    // A plan in the table may be older than this field.
    #[serde(default)]
    pub signature: Option<String>,
}

fn default_check_timeout() -> u64 {
    timeouts::CHECK.as_secs()
}

fn default_fence_timeout() -> i64 {
    900
}

impl Plan {
    /// Names what the cluster `new_cluster` is: for people, who must not take the one for the other.
    pub fn created_cluster(&self) -> &'static str {
        // In place it holds the data with the mistake, and beside the source the data without it.
        match self.strategy {
            Strategy::Backtrack => "the safety clone",
            Strategy::Restore | Strategy::Auto => "the restored cluster",
        }
    }

    /// True if an event or an alarm wrote the checks: whoever may send one has not been given a login with that.
    pub fn has_checks_of_event(&self) -> bool {
        is_of_event(&self.recovery_id) || self.adopted.as_ref().is_some_and(|adopted| adopted.checks_of_event)
    }

    /// The instance that is created first and becomes the writer.
    pub fn writer(&self) -> Option<&PlannedInstance> {
        self.instances.iter().find(|instance| instance.writer)
    }

    /// The time for each check.
    pub fn check_timeout(&self) -> Duration {
        Duration::from_secs(self.check_timeout_seconds)
    }

    /// The time for which the source is kept after the cutover.
    pub fn keep_source(&self) -> SignedDuration {
        SignedDuration::from_secs(self.keep_source_seconds)
    }

    /// The time for which the restored cluster is kept where the recovery did not move traffic to it.
    pub fn keep_restored(&self) -> SignedDuration {
        SignedDuration::from_secs(self.keep_restored_seconds)
    }

    /// The time until which the restored cluster is kept that somebody works on, or worked on, until `end`; in whole seconds.
    ///
    /// While a recovery runs, `end` is that of its lease: a restored cluster that is past its time has no recovery that runs.
    ///
    /// # Errors
    ///
    /// [`ErrorName::Bug`](crate::ErrorName::Bug) if that is no time any more.
    pub fn keep_restored_from(&self, end: Timestamp) -> Result<Timestamp, StepError> {
        whole_seconds_after(end, self.keep_restored())
    }

    /// The time until which the restored cluster is kept from which traffic went back at `end`: as long as the source would have been, because
    /// what clients wrote to it is nowhere else; in whole seconds.
    ///
    /// # Errors
    ///
    /// [`ErrorName::Bug`](crate::ErrorName::Bug) if that is no time any more.
    pub fn keep_undone_from(&self, end: Timestamp) -> Result<Timestamp, StepError> {
        whole_seconds_after(end, self.keep_source())
    }
}

fn whole_seconds_after(end: Timestamp, duration: SignedDuration) -> Result<Timestamp, StepError> {
    // Cut, so that nothing is kept for longer than was asked for.
    let whole = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Trunc);
    let until = end.checked_add(duration).and_then(|until| until.round(whole));
    until.map_err(|e| StepError::bug(e.to_string()))
}

fn a_day() -> i64 {
    SignedDuration::from_hours(24).as_secs()
}

/// The earlier recovery whose restored cluster is adopted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Adopted {
    /// The id of that recovery.
    pub recovery: String,
    // More than one where a recovery was stopped after its plan adopted the cluster, and before it took it over.
    /// The ids that the cluster's recovery tag may hold, the latest first.
    pub owners: Vec<String>,
    /// The time until which the cluster was kept before; none if nothing was to delete it.
    // A failure of this recovery must not shorten what people have extended.
    #[serde(default)]
    pub keep_until: Option<Timestamp>,
    /// True if the checks are those of an event or an alarm, which started the earlier recovery or one that it resumed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub checks_of_event: bool,
}

/// The part of a plan that only an in-place recovery has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InPlacePlan {
    /// The cluster's target window, in seconds. The time that it really reaches back to is in `Plan::window`.
    pub window_seconds: i64,
    /// True if the backtrack is forced, without which AWS refuses it while binary logging is on.
    pub force: bool,
    /// The cluster's security groups before the fence. The safety clone gets them, so that people can reach it.
    pub security_groups: Vec<String>,
}

/// An instance of the restored cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedInstance {
    /// The instance of the source whose settings it gets.
    pub source: String,
    /// `DBInstanceIdentifier` of the new instance.
    pub name: String,
    /// `DBInstanceClass`, such as `db.r6g.large`.
    pub class: String,
    /// `PromotionTier`, 0 to 15.
    pub promotion_tier: i32,
    /// True for the writer.
    pub writer: bool,
}

impl PlannedInstance {
    /// Writes the command with which a person adds the instance to the restored cluster of `plan`.
    // With the recovery's tag, which RDS does not pass on from the cluster: an instance without it counts as a sign that somebody
    // uses the cluster, and no recovery would resume this one.
    pub fn create_command(&self, plan: &Plan) -> String {
        format!(
            "aws rds create-db-instance --db-instance-identifier {} --db-cluster-identifier {} --engine {} --db-instance-class {} \
             --promotion-tier {} --tags Key={RECOVERY_TAG},Value={}",
            self.name,
            plan.new_cluster,
            plan.engine.name(),
            self.class,
            self.promotion_tier,
            plan.recovery_id
        )
    }
}

/// A record at the time of the plan. It is moved only if it is still the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedRecord {
    /// The id of the hosted zone.
    pub hosted_zone_id: String,
    /// The record's name, in lower case and without the dot at its end.
    pub name: String,
    /// The time to live, in seconds.
    pub ttl: i64,
    // A batch that deletes a record must name its value byte for byte.
    /// The CNAME's value, exactly as Route 53 holds it.
    pub from: String,
    /// The endpoint of the restored cluster that it will point at.
    pub endpoint: Endpoint,
}

/// A cluster that a recovery is responsible for: the restored cluster, the backtracked source, or the safety clone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    /// The cluster's name.
    pub cluster: String,
    /// The cluster's ARN.
    pub cluster_arn: String,
    /// The cluster endpoint.
    pub writer_endpoint: String,
    /// The reader endpoint.
    pub reader_endpoint: String,
    /// The moment of its data: the one that AWS accepted; after a backtrack the one that AWS reports.
    pub rewound_to: Timestamp,
    /// Everything of the source that a restore could not carry over.
    pub differences: Vec<Difference>,
}

impl Restored {
    /// Returns the endpoint that a record of `kind` is to point at.
    pub fn endpoint(&self, kind: Endpoint) -> &str {
        match kind {
            Endpoint::Writer => &self.writer_endpoint,
            Endpoint::Reader => &self.reader_endpoint,
        }
    }
}

/// A backtrack that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backtrack {
    /// `BacktrackIdentifier`, by which its end is waited for.
    pub identifier: String,
    /// The requested moment. AWS chooses the nearest consistent one, and reports it when the backtrack has ended.
    pub to: Timestamp,
    /// The time at which AWS accepted the request.
    pub requested_at: Timestamp,
}

/// The result of moving the records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Swap {
    /// Route 53's id of the change; null if there was no record to move, or if an earlier attempt moved them.
    pub change_id: Option<String>,
    /// The zone of the records.
    pub hosted_zone_id: Option<String>,
    /// The time at which the change was accepted.
    pub swapped_at: Timestamp,
    /// The records.
    pub records: Vec<MovedRecord>,
    /// A sentence for each record that leads to where it was moved, and that somebody edited since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edited: Vec<String>,
}

/// A job of a restored cluster that would act by itself as soon as an instance serves: an event of MySQL, a job of pg_cron, a
/// subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldJob {
    /// `event`, `cron` or `subscription`.
    pub kind: String,
    /// The name, with its schema or database.
    pub name: String,
    /// True if it does not run until it is released.
    pub held: bool,
    /// True if it runs again, as it did on the source.
    pub released: bool,
    /// The command or the statement that releases it; none where nothing holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The reason why it could not be held or released, or what it did before it was held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A record that was moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedRecord {
    /// The record's name.
    pub name: String,
    /// The value before.
    pub from: String,
    /// The value now.
    pub to: String,
    /// The time to live, in seconds.
    pub ttl: i64,
}
