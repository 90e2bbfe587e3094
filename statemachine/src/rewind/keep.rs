//! Keeps the restored cluster after a failure: somebody waited hours for it, and the next attempt goes on from there.
//! docs/adr/0022-a-restored-cluster-is-kept.md says why.

use crate::conclude::explained;
use crate::retry::ANY;
use crate::state::{State, set_to};
use crate::timeouts;

/// The reason to keep a cluster that could not be inspected.
const UNSEEN: &str = "'who uses it could not be seen: ' & $substring($read({'Error': $states.errorOutput.Error, 'Cause': \
    $states.errorOutput.Cause, 'state': 'InspectRestored'}), 0, 500)";

/// The states, in the order in which a recovery that fails passes them.
pub(super) fn states() -> Vec<State> {
    vec![
        State::choice("IsRestoredClusterKept")
            .comment(
                "Only a person's rejection and a restore that came to nothing delete the restored cluster. In place \
                 the safety clone goes, because the cluster holds what it held before.",
            )
            .when("$plan.strategy = 'backtrack'", "UndoAddInstances")
            .when("$failure.rejected = true", "InspectRestored")
            // It was fenced to count its writes, and all records are as planned.
            .when("$found.records = 'planned' and $type($restoredFence) = 'object'", "AwaitOldAnswers")
            .next("KeepRestored"),
        State::step("KeepRestored")
            .function("Finish")
            .progress("tags the restored cluster with the time until which it is kept")
            .comment(
                "The cluster bears one since it was restored, for as long as its recovery may run: a tag that cannot be set \
                 changes no end, and people are told so.",
            )
            .inputs(["recovery", "plan", "leaseUntil"])
            .input_text("what", "keep")
            // One that is fenced cannot be adopted: whoever reads the sentence must not be promised that.
            .input_as("fenced", "$type($restoredFence) = 'object'")
            .timeout(45)
            .keep("kept")
            .next("IsRestoreFailed")
            .tolerated_as("keepFailure"),
        State::choice("IsRestoreFailed")
            .comment(
                "By what RDS shows now, and not by the error: a restore whose answer was lost may have run for an hour. Where \
                 nothing can be seen, whatever there is stays until the time in its tag.",
            )
            // One that was adopted from an earlier recovery is hours old, whatever happened to this call.
            .when(
                "$failure.state in ['StartRestore', 'AwaitRewind'] and $type($kept) = 'object' and $type($kept.cluster) = 'null' and \
                 $not($exists($request.resume))",
                "UndoAddInstances",
            )
            .next("IsTrafficRolledBack"),
        State::choice("IsTrafficRolledBack")
            .comment("Clients that were on the restored cluster and are back had two outages: that pages.")
            .when("$movedBack = true or $type($swap) = 'object'", "ConcludeRolledBack")
            .next("ConcludeNothingChanged"),
    ]
}

/// The states that a rejected recovery passes before its restored cluster is deleted.
pub(super) fn rejected() -> Vec<State> {
    vec![
        State::step("InspectRestored")
            .function("Preflight")
            .progress("looks whether somebody uses the restored cluster")
            .comment(
                "It is rejected, and somebody may have led clients to it by hand. Whatever cannot be seen keeps the cluster.",
            )
            .inputs(["recovery", "plan"])
            .input_text("part", "restored")
            .timeout(timeouts::PREFLIGHT)
            .keep_as("inUse", "$exists($states.result.Payload.blocking) ? $states.result.Payload.blocking : null")
            .next("IsRestoredInUse")
            .catch(&ANY, vec![set_to("inUse", explained(UNSEEN))], "KeepRestored"),
        State::choice("IsRestoredInUse")
            .comment("A cluster in use is kept, and people are told why.")
            .when("$type($inUse) = 'string'", "KeepRestored")
            .next("UndoAddInstances"),
    ]
}
