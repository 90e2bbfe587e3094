//! The part of an undo that only a recovery in place passes: the source is taken forward to where it was before the backtrack, and the safety
//! clone goes once clients are in again. One that had begun to let clients in stays rewound: they are let in, and the safety clone is kept.
//! docs/adr/0029-undo-in-place.md says why.

use crate::conclude::{noted, printable};
use crate::forward::{self, Ways};
use crate::json::object;
use crate::retry::ANY;
use crate::state::{Recoveries, State, found, hours, set, text};
use crate::timeouts;
use crate::watch;
use rewind_core::ErrorName;

/// The ways to the data of before that are left once clients may write to the rewound data, as an expression.
pub(crate) const WAYS_LEFT: &str = "'copy what is missed from ' & $plan.newCluster & ', which holds what it was before; or, if Backtrack reaches \
    it, start a recovery in place to ' & ($fencedAt = 'unknown' ? 'the moment before its fence' : $fencedAt) & ', which keeps what is there \
    now on a safety clone of its own'";

/// The recovery had begun to let clients in to the rewound data, as an expression. Nothing goes forward over what they may have written.
pub(crate) const LET_IN: &str = "($inPlace and ($noted or $fence) and $not($lift in ['null', 'unknown']))";

/// How such a recovery is left, as an expression.
const STAYS: &str = "$plan.cluster & ' stays rewound to ' & $plan.target & ', as it was verified, and takes clients; ' & $id & ' began at ' & $lift \
    & ' to let them in, and going forward would throw away what they may have written since; ' & ($type($kept) = 'object' and \
    $exists($kept.what) ? $kept.what : 'the safety clone ' & $plan.newCluster & ' holds what it held before, and could not be tagged with the \
    time until which it is kept: rewind clusters shows it')";

/// How the cluster stands where a person has to look, as an expression.
pub(crate) const STANDING: &str = "($failure.state = 'UndoFenceSource' ? $plan.cluster & ($lift in ['null', 'unknown'] ? ' holds what it held \
    before, and may still be fenced; the safety clone ' & $plan.newCluster & ' may exist' : ' stays rewound to ' & $plan.target & ', as it was \
    verified, and may still be fenced; the safety clone ' & $plan.newCluster & ' is kept') : $failure.state = 'VerifyForward' ? ($type($awaiting.identifier) = 'string' ? \
    $plan.cluster & ' was taken forward to where it was' : 'RDS lists no backtrack of ' & $plan.cluster & ' by ' & $id) & ', and that it \
    holds what it held before is not verified; it is still fenced, and the safety clone ' & $plan.newCluster & ' is kept: compare them' : \
    $failure.state in ['UndoStartBacktrack', 'AwaitForward'] ? 'whether ' & $plan.cluster & ' is as it was or rewound to ' & $plan.target & ' \
    is not known: ask aws rds describe-db-cluster-backtracks --db-cluster-identifier ' & $plan.cluster & '; this undo has lifted no fence, and \
    the safety clone ' & $plan.newCluster & ' is kept' : $plan.cluster & ' may be fenced, and may be rewound, as ' & $id & ' left it; the safety \
    clone ' & $plan.newCluster & ' may exist') & '; to let clients in when it is right: aws rds modify-db-cluster --db-cluster-identifier ' & \
    $plan.cluster & ' --vpc-security-group-ids ' & $join($plan.backtrack.securityGroups, ' ')";

/// The states, in the order in which they are passed. They begin with `UndoStartBacktrack`, or after the fence is lifted with
/// `EndWatchOfRecovery`.
pub(crate) fn states() -> Vec<State> {
    let ways = Ways { failure: "failure", failed: "ConcludeNeedsOperator", there: "IsFenceUp" };
    // Giving up would leave clients locked out.
    let mut states: Vec<State> = forward::states(&ways).into_iter().map(State::waits_an_hour).collect();
    states.push(
        State::choice("IsFenceUp")
            .only(Recoveries::Backtrack)
            .comment(
                "The recovery lifts the fence by its own undo once it has compared the cluster. Then clients write to it, and nothing is \
                 compared any more.",
            )
            .when("$fence", "VerifyForward")
            .next("UndoFenceSource"),
    );
    states.extend(without_safety_clone());
    states
}

/// The states after the fence was lifted. Clients are in, so nothing that fails here calls a person: it is told.
fn without_safety_clone() -> Vec<State> {
    vec![
        watch::end("EndWatchOfRecovery")
            .only(Recoveries::Backtrack)
            .comment("Clients are in again. A watch that is not ended pages without need.")
            .next("IsSafetyCloneKept")
            .tolerated(),
        State::choice("IsSafetyCloneKept")
            .only(Recoveries::Backtrack)
            .comment("Where the data stays rewound, the safety clone alone holds what it was before.")
            .when(LET_IN, "KeepSafetyClone")
            .next("UndoAddInstances"),
        State::step("KeepSafetyClone")
            .function("Finish")
            .progress("tags the safety clone with the time until which it is kept")
            .only(Recoveries::Backtrack)
            .comment("As the recovery would have. Clients are in: a tag that cannot be set stops nothing, and people are told.")
            .inputs(["recovery", "plan"])
            .input_text("what", "keepSafetyClone")
            .input_as("leaseUntil", "$leaseWas")
            .timeout(45)
            .keep("kept")
            .next("RecordLetIn")
            .catch(&ANY, Vec::new(), "RecordLetIn"),
        State::table("RecordLetIn", "updateItem")
            .waits_half_an_hour()
            .progress("writes into the table that clients were let in")
            .only(Recoveries::Backtrack)
            .comment(
                "The data is back, verified, and clients reach it: the recovery is what it would have been. Nothing was taken back, so it \
                 bears no undo, with which the clean-up would keep the safety clone for ever.",
            )
            .argument("Key", object([("id", text("'recovery#' & $id"))]))
            .argument(
                "UpdateExpression",
                "SET #state = :state, cause = :cause, fenceWatchEndedAt = :now, endedAt = if_not_exists(endedAt, :now) REMOVE #error, #undo, \
                 approval, cancel"
                    .into(),
            )
            .argument(
                "ExpressionAttributeNames",
                object([("#state", "state".into()), ("#error", "error".into()), ("#undo", "undo".into())]),
            )
            .argument(
                "ExpressionAttributeValues",
                object([
                    (":state", object([("S", "Recovered".into())])),
                    (":cause", text(&printable(&format!("$by & ' settled it by ' & $undo.id & ' at ' & $now() & ': ' & {STAYS}")))),
                    (":now", text("$now()")),
                ]),
            )
            .keep_as("outcome", &let_in("[]"))
            .next("ReleaseRestoredLease")
            .catch(
                &ANY,
                vec![set("outcome", &let_in("['not recorded in the table: ' & $string($states.errorOutput.Error)]"))],
                "ReleaseRestoredLease",
            ),
        State::undo("UndoAddInstances", "DeleteRestored")
            .progress("deletes the instances of the safety clone")
            .only(Recoveries::Backtrack)
            .comment("The cluster holds what the safety clone was to keep. It goes into a final snapshot, if it was ever available.")
            .input_text("part", "instances")
            .timeout(timeouts::DELETE_RESTORED)
            .keeps_what_was_undone()
            .next("UndoStartRestore")
            .fails_with("leftover", Vec::new(), "IsSafetyCloneGone"),
        State::undo("UndoStartRestore", "DeleteRestored")
            .progress("deletes the safety clone")
            .only(Recoveries::Backtrack)
            .comment("Deletes the safety clone, if the recovery made it.")
            .input_text("part", "cluster")
            .timeout(timeouts::DELETE_RESTORED)
            .keeps_what_was_undone()
            .starts_waiting_for("clusterGone")
            .next("AwaitDeletion")
            .fails_with("leftover", Vec::new(), "IsSafetyCloneGone"),
        State::waiting("AwaitDeletion")
            .progress("waits until it is gone")
            .only(Recoveries::Backtrack)
            .next("IsDeletionDone")
            .fails_with("leftover", Vec::new(), "IsSafetyCloneGone"),
        State::choice("IsDeletionDone")
            .only(Recoveries::Backtrack)
            .comment("Gives up after two hours. Another recovery in place may want the same name, and RDS frees it only at the end.")
            .when("$rewind.done = true", "IsSafetyCloneGone")
            .gives_up_after(
                hours(2),
                found(
                    "leftover",
                    ErrorName::Unavailable,
                    "AwaitDeletion",
                    "$plan.newCluster & ' was still being deleted after 2 hours: ' & $string($rewind.status)",
                ),
                "IsSafetyCloneGone",
            )
            .next("AwaitDeletion"),
        State::choice("IsSafetyCloneGone")
            .only(Recoveries::Backtrack)
            .comment("A cluster that was only fenced is as one whose recovery failed before it had changed anything.")
            .when("$exists($leftover.Error)", "NoteLeftover")
            .when("$backtrackBegun", "RecordUndone")
            .next("RecordCancelled"),
        State::pass("NoteLeftover")
            .only(Recoveries::Backtrack)
            .comment("The safety clone harms nobody: whoever undoes is told that it is left. A deletion whose answer was lost may go on.")
            .assign(
                "undone",
                noted(
                    "undone",
                    "'the safety clone ' & $plan.newCluster & ', or a part of it, is left: ' & $read($leftover) & '; next step: rewind clusters \
                     shows how it is removed; if it is gone all the same, aws rds describe-db-cluster-snapshots --db-cluster-identifier ' & \
                     $plan.newCluster & ' lists its final snapshot'",
                ),
            )
            .assign("leftover", crate::json::object([]))
            .next("IsSafetyCloneGone"),
    ]
}

/// The output of an undo that let clients in and took nothing back. `more` is an expression of what else is to be told.
fn let_in(more: &str) -> String {
    format!(
        "{{'outcome': 'Undone', 'recoveryId': $id, 'undoId': $undo.id, 'by': $by, 'cluster': $plan.cluster, 'newCluster': null, 'dns': [], \
         'staysRewound': true, 'undone': $append($append($undone, {STAYS}), {more}), 'timings': $timings}}"
    )
}
