//! The undo of a backtrack, which a recovery in place has and the undo of one: the cluster is backtracked forward to where it was, waited
//! for, and compared with the safety clone. AWS allows a backtrack back and forth; nobody may have written in between.

use crate::state::{Recoveries, State, bug, found, hours, set};
use crate::timeouts;
use rewind_core::ErrorName;

/// The ways out of these states.
pub(crate) struct Ways {
    /// The variable that keeps a failure.
    pub(crate) failure: &'static str,
    /// The state that follows a failure.
    pub(crate) failed: &'static str,
    /// The state that follows once the cluster is where it was, or where RDS lists no backtrack of it.
    pub(crate) there: &'static str,
}

/// The states, in the order in which they are passed. `UndoFenceSource` follows a comparison that finds nothing. Variables: `backtrack` and
/// `approval` are read, `restored` is null or gets the cluster, forward again.
pub(crate) fn states(&Ways { failure, failed, there }: &Ways) -> Vec<State> {
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
            .fails_with(failure, Vec::new(), failed),
        State::choice("IsForwardNeeded")
            .only(Recoveries::Backtrack)
            .comment(
                "If RDS lists no backtrack, none has to be undone. A list is no proof, so the data is compared all \
                 the same.",
            )
            .when("$type($awaiting.identifier) = 'string'", "AwaitForward")
            .next(there),
        State::waiting("AwaitForward")
            .progress("waits until it is there")
            .only(Recoveries::Backtrack)
            .next("IsForwardDone")
            .fails_with(failure, Vec::new(), failed),
        State::choice("IsForwardDone")
            .only(Recoveries::Backtrack)
            .comment("Gives up after two hours.")
            .when_with(
                "$rewind.done = true and $exists($rewind.restored)",
                vec![set("restored", "$rewind.restored")],
                there,
            )
            .when_with(
                "$rewind.done = true",
                bug(
                    failure,
                    "AwaitForward",
                    "the backtrack forward is done, and where it landed was not answered",
                ),
                failed,
            )
            .gives_up_after(
                hours(2),
                found(
                    failure,
                    ErrorName::RewindFailed,
                    "AwaitForward",
                    "'the backtrack of ' & $plan.cluster & ' forward to where it was is not done 2 hours after it \
                     began: its status is ' & $string($rewind.status)",
                ),
                failed,
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
            .fails_with(failure, Vec::new(), failed),
        State::choice("IsForwardVerified")
            .only(Recoveries::Backtrack)
            .comment(
                "What differs from the safety clone is named and not shown. Clients are not admitted to it, and the clone \
                 is kept.",
            )
            .when_with(
                "$forwardFailure != null",
                found(failure, ErrorName::VerificationFailed, "VerifyForward", "$forwardFailure"),
                failed,
            )
            .next("UndoFenceSource"),
    ]
}
