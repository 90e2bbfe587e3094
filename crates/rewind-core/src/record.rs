//! The record of a recovery: the table's item `recovery#<id>`, as one type for whoever reads, shows or decides on it.
//! `docs/steps.md` documents the attributes. Reading the item is rewind-aws's work.

use crate::opening::Opening;
use crate::outcome::{Ending, Outcome};
use crate::people::{CallerProof, Identity, lenient};
use crate::plan::{MovedRecord, Plan};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::fmt;

/// The record of a recovery. Its JSON is what `rewind status --json` prints: it never holds the task token.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryRecord {
    /// The recovery's id.
    pub id: String,
    /// The ARN of the recovery's execution.
    pub execution_arn: String,
    /// `Running`, `AwaitingApproval`, or the name of an [`crate::Ending`].
    pub state: String,
    /// The source.
    pub cluster: String,
    /// The restored cluster; none where the recovery failed before it had a plan.
    pub new_cluster: Option<String>,
    /// The time at which the execution was started.
    pub started_at: Timestamp,
    /// The time at which it ended.
    pub ended_at: Option<Timestamp>,
    /// The approval that the recovery waits for.
    pub approval: Option<PendingApproval>,
    /// The decision on the last approval.
    pub decision: Option<RecordedDecision>,
    /// The undo of the recovery.
    pub undo: Option<UndoRecord>,
    /// The id of the recovery that this one undoes; none where it is no undo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
    /// The time at which it noted that it begins to fence the source; none before that, and in a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fence_begun_at: Option<Timestamp>,
    /// The note on letting clients in to rewound data; none before the fence, in a list, and in a record of an earlier version.
    #[serde(skip)]
    pub lift: Option<LiftNote>,
    /// The note of an undo that ends the recovery; none in a list.
    // The undo itself is in the record once it has an end.
    #[serde(skip)]
    pub cancel: Option<CancelNote>,
    /// The deletion of what the recovery kept, once it has begun.
    pub clean_up: Option<CleanUpRecord>,
    /// The way into what it left behind, while it is open to somebody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opening: Option<Opening>,
    /// The last one that is closed; none in a list.
    // What people read of it is in the table; a close that is repeated needs it.
    #[serde(skip)]
    pub last_opening: Option<Opening>,
    /// The id of the recovery that adopted the restored cluster of this one.
    pub resumed_by: Option<String>,
    /// The name of the error with which the recovery ended.
    pub error: Option<String>,
    /// The cause of that error.
    pub cause: Option<String>,
    /// The output; none where the recovery did not end well, and in a list.
    pub outcome: Option<Outcome>,
    /// The records that were moved or may have been, where the recovery called a person and has no output; none in a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved: Option<PossiblyMoved>,
    /// The plan; none where the recovery failed before it had one, and in a list.
    pub plan: Option<Plan>,
    /// The request, with what it took over from a recovery that it resumed; none in a list.
    // The execution's input is what people wrote, and what they are shown.
    #[serde(skip)]
    pub request: Option<Value>,
    /// A sentence for each attribute that could not be read: another version wrote it, or a person.
    // One bad item must neither hide the other recoveries of a list nor stop the clean-up of all clusters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
}

impl RecoveryRecord {
    /// True of a recovery that moved its records, or may have, and was undone: what clients wrote to its restored cluster is nowhere else.
    pub fn has_had_traffic(&self) -> bool {
        let is_moved =
            self.moved.is_some() || self.outcome.as_ref().is_some_and(|outcome| outcome.recovered().is_some());
        self.state == Ending::Undone.name() && is_moved
    }

    /// The time until which the restored cluster of such a recovery is kept, whatever its tag says; none of any other recovery, and
    /// where the record does not hold when it was undone.
    pub fn kept_after_undo(&self) -> Option<Timestamp> {
        let undo = self.undo.as_ref().filter(|_| self.has_had_traffic())?;
        self.plan.as_ref()?.keep_undone_from(undo.at).ok()
    }
}

/// The note of a recovery in place on letting clients in to the rewound data: from then on they may write to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiftNote {
    /// Nobody was let in.
    NotBegun,
    /// Clients may have been let in since that time.
    Begun(Timestamp),
}

/// The note of an undo that a recovery is to end for it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CancelNote {
    /// The execution of the undo.
    pub id: String,
}

/// The part of a recovery that an undo needs where the recovery has no output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PossiblyMoved {
    /// The restored cluster; absent where no record can have been moved.
    pub new_cluster: Option<String>,
    /// The records, as they were before and may be now.
    pub dns: Vec<MovedRecord>,
}

/// An approval that a recovery waits for.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingApproval {
    /// The task token that ends the wait.
    // Whoever holds the token decides, so neither JSON nor `Debug` shows it.
    #[serde(skip)]
    pub task_token: String,
    /// The hash of the proposal that people were shown.
    pub hash: String,
    /// The time at which people were first asked.
    pub requested_at: Timestamp,
    /// The time at which the wait ends.
    pub expires_at: Timestamp,
    /// The reason why the last approval was not enough; none where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_refused: Option<String>,
}

impl fmt::Debug for PendingApproval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingApproval").field("hash", &self.hash).finish_non_exhaustive()
    }
}

/// A decision as the task was answered with it. Whoever calls `SendTaskSuccess` by hand may write anything: a field that
/// is no text counts as absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedDecision {
    /// `approved` or `rejected`.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// The person who decided.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The reason that the person gave.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The hash of the proposal that the person saw.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// The time at which the decision was recorded.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The identity in chat that the person decided by, which the table has to confirm.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// The proof of the identity in AWS that the person decided by. It is not recorded.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub proof: Option<CallerProof>,
}

impl RecordedDecision {
    /// The person who decided, for a sentence.
    pub fn decided_by(&self) -> &str {
        self.by.as_deref().unwrap_or("somebody who left no name")
    }
}

/// The undo of a recovery, as the undo state machine recorded it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoRecord {
    /// The execution that did it.
    pub id: String,
    /// The person who asked for it.
    #[serde(default, deserialize_with = "text")]
    pub by: Option<String>,
    /// The time at which it was recorded.
    pub at: Timestamp,
    /// A sentence for each change that was made.
    #[serde(default)]
    pub undone: Vec<String>,
}

/// The deletion of a kept cluster, recorded before its first change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CleanUpRecord {
    /// The cluster that is deleted.
    pub cluster: String,
    /// The final snapshot that it is deleted into.
    pub snapshot: String,
    /// The time at which the deletion began.
    pub begun_at: Timestamp,
    /// The instances that the cluster had then: while all of them are there, nothing is deleted.
    // A record in the table may be older than this field.
    #[serde(default)]
    pub instances: Vec<String>,
}

/// Reads a text; anything else counts as absent.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    // A hand-written decision that failed to parse would make its recovery unreadable for everybody.
    Ok(Value::deserialize(deserializer)?.as_str().map(ToOwned::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_task_token_is_in_neither_the_json_nor_the_debug_output_of_an_approval() {
        let at = "2026-11-23T10:40:00Z".parse().unwrap();
        let approval = PendingApproval {
            task_token: "secret".into(),
            hash: "abc".into(),
            requested_at: at,
            expires_at: at,
            last_refused: None,
        };
        for shown in [format!("{approval:?}"), json!(approval).to_string()] {
            assert!(shown.contains("abc") && !shown.contains("secret"), "{shown}");
        }
    }

    #[test]
    fn a_decision_that_was_written_by_hand_is_read_as_far_as_it_is_text() {
        let read = |value: Value| serde_json::from_value::<RecordedDecision>(value).unwrap();
        let decision = read(json!({ "decision": "approved", "by": { "name": "ann" }, "hash": 123_456 }));
        assert_eq!((decision.decided_by(), decision.hash.clone()), ("somebody who left no name", None));
        assert_eq!(json!(decision), json!({ "decision": "approved" }));
    }
}
