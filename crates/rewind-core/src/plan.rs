//! The plan: what a recovery will do, settled before anything is changed, and read by every later step.

use crate::check::Check;
use crate::engine::Engine;
use crate::request::{Approval, Endpoint, Strategy};
use crate::window::Window;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Which recovery a step works for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recovery {
    /// The execution's name: every name and token a step makes derives from it.
    pub id: String,
    /// The execution.
    pub execution_arn: String,
    /// When it was started.
    pub started_at: Timestamp,
}

/// What a recovery will do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The recovery's id.
    pub recovery_id: String,
    /// The cluster that is rewound.
    pub cluster: String,
    /// Its ARN.
    pub cluster_arn: String,
    /// The cluster's engine.
    pub engine: Engine,
    /// The engine's version.
    pub engine_version: String,
    /// How: never `auto`, for the choice is made.
    pub strategy: Strategy,
    /// Why this strategy.
    pub reasons: Vec<String>,
    /// The moment to go back to; with `use_latest`, the latest restorable time when the plan was made.
    pub target: Timestamp,
    /// Whether the latest restorable time is taken when the restore starts.
    pub use_latest: bool,
    /// The window as it was when the plan was made.
    pub window: Window,
    /// The name of the restored cluster.
    pub new_cluster: String,
    /// Its instances, the writer first.
    pub instances: Vec<PlannedInstance>,
    /// The records to move.
    pub dns: Vec<PlannedRecord>,
    /// What must be true of the rewound data.
    pub checks: Vec<Check>,
    /// The secret with the login for checks and the fence.
    pub secret_arn: String,
    /// Whether a person is asked.
    pub approval: Approval,
    /// How long the person has.
    pub approval_timeout_seconds: i64,
    /// How long the source is kept after the switch.
    pub keep_source_seconds: i64,
    /// Whether this is all that happens.
    pub dry_run: bool,
    /// What only an in-place recovery needs; absent side by side.
    #[serde(default)]
    pub backtrack: Option<InPlacePlan>,
    /// What will happen, a sentence a change, in order.
    pub will_do: Vec<String>,
    /// What a person should know before it does.
    pub warnings: Vec<String>,
}

impl Plan {
    /// The instance that is made first and becomes the writer.
    pub fn writer(&self) -> Option<&PlannedInstance> {
        self.instances.iter().find(|instance| instance.writer)
    }

    /// How long the source is kept after the switch.
    pub fn keep_source(&self) -> SignedDuration {
        SignedDuration::from_secs(self.keep_source_seconds)
    }
}

/// What only an in-place recovery needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InPlacePlan {
    /// The cluster's target window, in seconds: how far back it reaches really, `Plan::window` says.
    pub window_seconds: i64,
    /// Whether the backtrack is forced: AWS refuses it otherwise where binary logging is on.
    pub force: bool,
    /// The cluster's security groups before the fence: the safety clone gets them, so that people can look at it.
    pub security_groups: Vec<String>,
}

/// An instance of the restored cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedInstance {
    /// The source's instance that it is made like.
    pub source: String,
    /// Its name.
    pub name: String,
    /// Its class, such as `db.r6g.large`.
    pub class: String,
    /// Its promotion tier, 0 to 15.
    pub promotion_tier: i32,
    /// Whether it is the writer.
    pub writer: bool,
}

/// A record as it was when the plan was made: the switch moves it only if it is still so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedRecord {
    /// The hosted zone.
    pub hosted_zone_id: String,
    /// The record's name, in lower case and without the dot at its end.
    pub name: String,
    /// Its time to live, in seconds.
    pub ttl: i64,
    /// The CNAME's value, exactly as Route 53 holds it.
    pub from: String,
    /// Which endpoint of the restored cluster it will point at.
    pub endpoint: Endpoint,
}

/// The rewound cluster, or the safety clone: a cluster that a recovery answers for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    /// Its name.
    pub cluster: String,
    /// Its ARN.
    pub cluster_arn: String,
    /// The cluster endpoint.
    pub writer_endpoint: String,
    /// The reader endpoint.
    pub reader_endpoint: String,
    /// The moment of its data: the one that AWS accepted, in place the one that it landed on.
    pub rewound_to: Timestamp,
    /// What of the source a restore could not carry over.
    pub differences: Vec<Difference>,
}

impl Restored {
    /// The endpoint that a record of `kind` is to point at.
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
    /// AWS's name for it: what is waited for.
    pub identifier: String,
    /// The moment that was asked for: where it landed, only AWS's answer says.
    pub to: Timestamp,
    /// When AWS took the request.
    pub requested_at: Timestamp,
}

/// Something in which the restored cluster is not like the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What it is.
    pub what: String,
    /// How the source has it.
    pub source: String,
    /// How the restored cluster has it.
    pub restored: String,
    /// What a person can do about it.
    pub todo: String,
}

impl Difference {
    /// A difference, told by its four parts.
    pub fn new(
        what: impl Into<String>,
        source: impl Into<String>,
        restored: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self { what: what.into(), source: source.into(), restored: restored.into(), todo: todo.into() }
    }
}

/// The switch of the records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Swap {
    /// Route 53's id of the change; absent where there was no record to move.
    pub change_id: Option<String>,
    /// The zone of the records.
    pub hosted_zone_id: Option<String>,
    /// When the change was accepted.
    pub swapped_at: Timestamp,
    /// The records.
    pub records: Vec<MovedRecord>,
}

/// A record that was moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedRecord {
    /// Its name.
    pub name: String,
    /// Where it pointed.
    pub from: String,
    /// Where it points.
    pub to: String,
    /// Its time to live, in seconds.
    pub ttl: i64,
}

/// The short hash that an approval is bound to: 12 hexadecimal digits of the SHA-256 of what was shown.
pub fn content_hash(shown: &Value) -> String {
    // serde_json keeps object keys sorted, so equal content has equal bytes.
    let digest = Sha256::digest(shown.to_string().as_bytes());
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_hash_depends_on_content_and_not_on_the_order_of_keys() {
        assert_eq!(content_hash(&json!({ "a": 1, "b": 2 })), content_hash(&json!({ "b": 2, "a": 1 })));
        assert_ne!(content_hash(&json!({ "a": 1 })), content_hash(&json!({ "a": 2 })));
        assert_eq!(content_hash(&json!({})).len(), 12);
    }
}
