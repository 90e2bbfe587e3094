//! In place: the safety clone, then the backtrack. Its undo is in `forward.rs`, for two machines have it.

use crate::forward::{self, Ways};
use crate::json::object;
use crate::retry::CONDITION_FAILED;
use crate::state::{Assign, Recoveries, State, found, hours, text};
use crate::timeouts;
use rewind_core::ErrorName;

/// Seconds in which the fence is inspected again and again because RDS takes no backtrack: as long as a cluster that is not ready is
/// waited for.
const INSPECTED: u64 = 20 * 60;

/// The record is this recovery's, and nobody has cancelled it: a condition of the notes that exclude a cancellation.
const NOT_CANCELLED: &str = "startedAt = :started AND attribute_not_exists(cancel)";

/// The failure of a note that a cancellation forbids. `unchanged` is a sentence about what was not done.
fn cancelled(state: &str, unchanged: &str) -> Assign {
    found(
        "failure",
        ErrorName::NotApproved,
        state,
        &format!(
            "'it was cancelled, or its record is gone from table ${{TableName}}; {unchanged}; next step: start again'"
        ),
    )
}

/// The states, in the order in which a recovery that works passes them.
pub(super) fn states() -> Vec<State> {
    vec![
        // Between fence and backtrack: an earlier clone would lack writes, a later one would hold the rewound data.
        State::step("CloneSource")
            .progress("asks RDS for a copy-on-write clone of the present state: the safety clone")
            .only(Recoveries::Backtrack)
            .comment("A copy-on-write clone of the cluster as it is: no acknowledged write is lost by what follows.")
            .inputs(["recovery", "plan", "leaseUntil"])
            .timeout(timeouts::CLONE_SOURCE)
            .keep("safetyClone")
            .starts_waiting_for("cluster")
            .next("AwaitRewind")
            .undone_when_over(timeouts::CLONE_SOURCE),
        State::table("NoteBacktrack", "updateItem")
            .progress("writes down that a backtrack may begin")
            .only(Recoveries::Backtrack)
            .comment(
                "Before the first backtrack, and once the safety clone can be read: `rewind undo` takes the cluster forward where this \
                 is noted, and only lifts the fence where it is not. It keeps the signature of the approval, without which nothing is \
                 backtracked forward. One that was cancelled meanwhile ends here.",
            )
            .argument("Key", object([("id", text("'recovery#' & $recovery.id"))]))
            .argument("UpdateExpression", "SET backtrackBegunAt = :now, approvalSignature = :approval".into())
            .argument("ConditionExpression", NOT_CANCELLED.into())
            .argument(
                "ExpressionAttributeValues",
                object([
                    (":now", text("$now()")),
                    (":approval", text("$type($approval) = 'string' ? $approval : 'null'")),
                    (":started", text("$recovery.startedAt")),
                ]),
            )
            .next("InspectFence")
            .catch(&CONDITION_FAILED, cancelled("NoteBacktrack", "nothing was backtracked"), "UndoFenceSource")
            .fails_to("UndoFenceSource"),
        State::step("InspectFence")
            .function("FenceSource")
            .progress("inspects the fence again, and the sessions inside it")
            .only(Recoveries::Backtrack)
            .comment(
                "Minutes have passed since the fence closed. If its groups were changed, a way around it was opened, \
                 somebody is connected, or anything was written since, nothing is backtracked: what they wrote would be \
                 on neither cluster.",
            )
            .inputs(["recovery", "plan"])
            .input_text("fence", "inspect")
            .input_as("writes", "$exists($fence.writes) ? $fence.writes : null")
            .timeout(timeouts::FENCE_SOURCE)
            .keep_as("inspectedAt", "$states.result.Payload.fencedAt")
            .next("StartBacktrack")
            // No backtrack was begun, so there is nothing to compare: what clients wrote meanwhile is theirs to keep.
            .undone_from("UndoFenceSource"),
        State::step("StartBacktrack")
            .progress("asks RDS to rewind the cluster in place")
            .only(Recoveries::Backtrack)
            .comment(
                "From here on the data may be rewound. It starts none on the word of an inspection that is half a minute old, \
                 however often it was retried.",
            )
            .inputs(["recovery", "plan", "inspectedAt", "approval"])
            .timeout(timeouts::START_BACKTRACK)
            .keep("backtrack")
            .starts_waiting_for_one(
                "backtrack",
                "$exists($states.result.Payload.identifier) ? $states.result.Payload.identifier : null",
            )
            .next("IsBacktrackStarted")
            .undone_when_over(timeouts::START_BACKTRACK),
        State::choice("IsBacktrackStarted")
            .only(Recoveries::Backtrack)
            .comment(
                "While RDS took no backtrack the inspection grew old: the fence is inspected again. Gives up twenty minutes \
                 after the first inspection, because clients have no database.",
            )
            .when("$type($backtrack) = 'object'", "AwaitRewind")
            // An hour in the lease: the last inspection may begin just before the bound, and then waits itself.
            .bounded(hours(1), Recoveries::Backtrack)
            .when_with(
                &format!("$millis() - $toMillis($inspectedSince) > {INSPECTED} * 1000"),
                found(
                    "failure",
                    ErrorName::ClusterNotReady,
                    "StartBacktrack",
                    "'RDS took no backtrack of ' & $plan.cluster & ' for 20 minutes; no backtrack was started; next step: \
                     look what RDS does with the cluster, and start again'",
                ),
                "UndoFenceSource",
            )
            .next("InspectFence"),
        State::table("NoteLift", "updateItem")
            // As long as LiftFence waits for the table, or nearly: without the note nobody may let clients in.
            .waits_half_an_hour()
            .progress("writes down that clients are let in to the rewound data")
            .only(Recoveries::Backtrack)
            .comment(
                "From here on clients may write to the rewound data, and no undo takes the cluster forward any more. One that was \
                 cancelled meanwhile ends here.",
            )
            .argument("Key", object([("id", text("'recovery#' & $recovery.id"))]))
            .argument("UpdateExpression", "SET liftBegunAt = :now".into())
            .argument("ConditionExpression", NOT_CANCELLED.into())
            .argument(
                "ExpressionAttributeValues",
                object([(":now", text("$now()")), (":started", text("$recovery.startedAt"))]),
            )
            .next("LiftFence")
            .catch(&CONDITION_FAILED, cancelled("NoteLift", "no client was let in"), "IsSourceChanged")
            .fails_to("IsAnythingChanged"),
        State::undo("LiftFence", "FenceSource")
            .progress("lifts the fence: clients get in again")
            .only(Recoveries::Backtrack)
            .comment(
                "The data is back and verified: the source admits clients again. A failure here rolls nothing back, \
                 because only the fence is left.",
            )
            .timeout(timeouts::FENCE_SOURCE)
            .next("EndFenceWatch")
            .undone_from("IsAnythingChanged"),
    ]
}

/// The undo of them, last first.
pub(super) fn undo() -> Vec<State> {
    forward::states(&Ways { failure: "undoFailure", failed: "IsAnythingChanged", there: "VerifyForward" })
}
