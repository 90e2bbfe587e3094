//! In place: the safety clone, then the backtrack; its undo takes the cluster forward again and compares it with the
//! clone.

use crate::state::{Recoveries, State, bug, found, hours, set};
use crate::timeouts;
use rewind_core::ErrorName;

/// Seconds in which the fence is inspected again and again because RDS takes no backtrack: as long as a cluster that is not ready is
/// waited for.
const INSPECTED: u64 = 20 * 60;

/// The states, in the order in which a recovery that works passes them.
pub(super) fn states() -> Vec<State> {
    vec![
        // Between fence and backtrack: an earlier clone would lack writes, a later one would hold the rewound data.
        State::step("CloneSource")
            .progress("asks RDS for a copy-on-write clone of the present state: the safety clone")
            .only(Recoveries::Backtrack)
            .comment("A copy-on-write clone of the cluster as it is: no acknowledged write is lost by what follows.")
            .inputs(["recovery", "plan"])
            .timeout(timeouts::CLONE_SOURCE)
            .keep("safetyClone")
            .starts_waiting_for("cluster")
            .next("AwaitRewind")
            .undone_when_over(timeouts::CLONE_SOURCE),
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
    vec![
        // AWS allows a backtrack forward again, which is the only undo that needs no other cluster.
        State::undo("UndoStartBacktrack", "StartBacktrack")
            .progress("takes the cluster forward to where it was")
            .only(Recoveries::Backtrack)
            .comment(
                "Starts a backtrack forward to the state before the rewind. ClusterNotReady is retried for 20 \
                 minutes, because the first backtrack may still be running.",
            )
            .inputs(["backtrack", "approval"])
            .timeout(timeouts::START_BACKTRACK)
            .starts_waiting_for_one(
                "backtrack",
                "$exists($states.result.Payload.backtrack.identifier) ? $states.result.Payload.backtrack.identifier : \
                 null",
            )
            .keeps_what_was_undone()
            .next("IsForwardNeeded")
            .undo_fails_to("IsAnythingChanged"),
        State::choice("IsForwardNeeded")
            .only(Recoveries::Backtrack)
            .comment(
                "If RDS lists no backtrack, none has to be undone. A list is no proof, so the data is compared all \
                 the same.",
            )
            .when("$type($awaiting.identifier) = 'string'", "AwaitForward")
            .next("VerifyForward"),
        State::waiting("AwaitForward")
            .progress("waits until it is there")
            .only(Recoveries::Backtrack)
            .next("IsForwardDone")
            .undo_fails_to("IsAnythingChanged"),
        State::choice("IsForwardDone")
            .only(Recoveries::Backtrack)
            .comment("Gives up after two hours.")
            .when_with(
                "$rewind.done = true and $exists($rewind.restored)",
                vec![set("restored", "$rewind.restored")],
                "VerifyForward",
            )
            .when_with(
                "$rewind.done = true",
                bug(
                    "undoFailure",
                    "AwaitForward",
                    "the backtrack forward is done, and where it landed was not answered",
                ),
                "IsAnythingChanged",
            )
            .gives_up_after(
                hours(2),
                found(
                    "undoFailure",
                    ErrorName::RewindFailed,
                    "AwaitForward",
                    "'the backtrack of ' & $plan.cluster & ' forward to where it was is not done 2 hours after it \
                     began: its status is ' & $string($rewind.status)",
                ),
                "IsAnythingChanged",
            )
            .next("AwaitForward"),
        State::step("VerifyForward")
            .function("Verify")
            .progress("compares it with the safety clone, row counts and checks")
            .only(Recoveries::Backtrack)
            .comment(
                "Each check and each count must equal that of the safety clone before clients are admitted and the \
                 clone is deleted. If no backtrack was begun, restored is null and the cluster is read as it is.",
            )
            .inputs(["recovery", "plan", "restored"])
            .input_text("expect", "sameAsSource")
            .timeout(timeouts::VERIFY)
            .keep_as(
                "undone",
                "$states.result.Payload.passed = true ? $append($undone, [$plan.cluster & ' was compared with the \
                 safety clone: it holds what it held before']) : $undone",
            )
            .keep_as(
                "forwardFailure",
                "$states.result.Payload.passed = true ? null : $exists($states.result.Payload.failure) ? \
                 $states.result.Payload.failure : 'it is not what it was'",
            )
            .next("IsForwardVerified")
            .undo_fails_to("IsAnythingChanged"),
        State::choice("IsForwardVerified")
            .only(Recoveries::Backtrack)
            .comment(
                "What differs from the safety clone is named and not shown. Clients are not admitted to it, and the clone \
                 is kept.",
            )
            .when_with(
                "$forwardFailure != null",
                found("undoFailure", ErrorName::VerificationFailed, "VerifyForward", "$forwardFailure"),
                "IsAnythingChanged",
            )
            .next("UndoFenceSource"),
    ]
}
