//! No write is acknowledged by the source from here on; the undo lifts the fence.

use super::failure;
use crate::json::object;
use crate::retry::CONDITION_FAILED;
use crate::state::{Situation, State, found, text};
use crate::timeouts;
use crate::watch;
use rewind_core::ErrorName;
use std::iter;

/// The states, in the order in which a recovery that works passes them.
pub(super) fn states() -> Vec<State> {
    let noted = State::table("NoteFence", "updateItem")
        // Nobody is out yet, and giving up would throw an approval away.
        .waits_half_an_hour()
        .progress("writes down what an undo would need")
        .situation(Situation::InstancesMayExist)
        .comment(
            "Before the first change to the source: `rewind undo` reads it where the execution is stopped before it has an end. One that \
             was cancelled meanwhile ends here.",
        )
        .argument("Key", object([("id", text("'recovery#' & $recovery.id"))]))
        .argument("UpdateExpression", "SET fenceBegunAt = :now, moved = :moved, liftBegunAt = :none".into())
        .argument("ConditionExpression", "startedAt = :started AND attribute_not_exists(cancel)".into())
        .argument(
            "ExpressionAttributeValues",
            object([
                (":now", text("$now()")),
                (":moved", text(&failure::moved("$plan.strategy = 'restore'"))),
                // In place: no client was let in to rewound data. A record without it is of an earlier version, and says nothing.
                (":none", object([("S", "null".into())])),
                (":started", text("$recovery.startedAt")),
            ]),
        )
        .keep_as("fenceBegunAt", "$now()")
        .next("WatchFence")
        .catch(
            &CONDITION_FAILED,
            found(
                "failure",
                ErrorName::NotApproved,
                "NoteFence",
                "'it was cancelled, or its record is gone from table ${TableName}; no traffic was moved; next step: start again'",
            ),
            "IsSourceChanged",
        )
        .fails_to("IsSourceChanged");
    let watched = watch::start("FenceSource");
    let fenced = [
        State::step("FenceSource")
            .progress("ends all writes on the source, and verifies that none gets in")
            .situation(Situation::SourceMayBeFenced)
            .comment(
                "From here on the source acknowledges no write. Clients have no database until SwapDns, in place \
                 until LiftFence.",
            )
            // The restored cluster too: its writes are counted before the outage begins.
            .inputs(["recovery", "plan", "restored", "approval"])
            .timeout(timeouts::FENCE_SOURCE)
            .keep("fence")
            .next("IsDataRewound")
            .undone_when_over(timeouts::FENCE_SOURCE),
        State::choice("IsDataRewound")
            .comment(
                "Beside the source the data is restored by now. In place it is not rewound yet: the safety clone \
                 comes first, inside the fence. docs/adr/0014-in-place.md says why.",
            )
            .when("$plan.strategy = 'backtrack'", "CloneSource")
            .next("SwapDns"),
    ];
    iter::once(noted).chain(watched).chain(fenced).collect()
}

/// The undo of them, last first.
pub(super) fn undo() -> Vec<State> {
    vec![
        State::undo("UndoFenceSource", "FenceSource")
            .progress("lifts the fence of the source")
            .comment("Restores exactly what the fence recorded before it changed anything.")
            .timeout(timeouts::FENCE_SOURCE)
            .keeps_what_was_undone()
            .keep_as("fenceLiftedAt", "$now()")
            .next("EndFenceWatchAfterUndo")
            .undo_fails_to("IsAnythingChanged"),
        watch::end("EndFenceWatchAfterUndo")
            .comment("Clients are in again. A watch that is not ended pages without need.")
            .next("IsRestoredClusterKept")
            .tolerated(),
    ]
}
