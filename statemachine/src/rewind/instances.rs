//! The restored cluster, or the safety clone, gets its instances; the undo deletes them.

use crate::state::{Assign, Situation, State, found, hours, set};
use crate::timeouts;
use rewind_core::ErrorName;

/// The states, in the order in which a recovery that works passes them.
pub(super) fn states() -> Vec<State> {
    vec![
        State::step("AddInstances")
            .progress("gives the new cluster its instances and settings")
            .situation(Situation::InstancesMayExist)
            .comment(
                "Creates the writer, then the readers, and sets all that a restore does not carry over. Differences \
                 of the safety clone are not differences of the rewound cluster.",
            )
            .inputs(["recovery", "plan"])
            .timeout(timeouts::ADD_INSTANCES)
            .keep("added")
            .keep_as(
                "differences",
                "$plan.strategy = 'backtrack' ? [] : $append($append([], $restored.differences), \
                 $states.result.Payload.differences)",
            )
            .starts_waiting_for("instances")
            .next("AwaitInstances")
            // In place the undo deletes the cluster that a late instance would be added to. Beside the source nothing is deleted.
            .undone_when_over_in_place(timeouts::ADD_INSTANCES),
        State::waiting("AwaitInstances")
            .progress("waits for the instances")
            .situation(Situation::InstancesMayExist)
            .next("AreInstancesReady")
            .undone_from("IsSourceChanged"),
        State::choice("AreInstancesReady")
            .comment(
                "Done when the writer is available, and each reader is or was given up. Readers that were given up are \
                 differences. Gives up on the writer after two hours.",
            )
            // The safety clone has to be readable before the source is changed: an undo compares the two.
            .when_with(
                "$rewind.done = true and $plan.strategy = 'backtrack'",
                vec![set("inspectedSince", "$now()")],
                "NoteBacktrack",
            )
            .when_with("$rewind.done = true and $rewind.failOver = true", differences(), "FailOver")
            .when_with("$rewind.done = true", differences(), "HoldJobs")
            .gives_up_after(
                hours(2),
                found(
                    "failure",
                    ErrorName::RewindFailed,
                    "AwaitInstances",
                    "'the instances of ' & $plan.newCluster & ' were not available 2 hours after they were asked for: \
                     ' & $string($rewind.status) & '; next step: look whether the Region has capacity for their \
                     classes, and start again'",
                ),
                "IsSourceChanged",
            )
            .next("AwaitInstances"),
    ]
}

/// The differences that waiting found, which are there only at its end.
fn differences() -> Assign {
    vec![set("differences", "$append($differences, $append([], $rewind.differences))")]
}

/// The undo of them, last first.
pub(super) fn undo() -> Vec<State> {
    vec![
        State::undo("UndoAddInstances", "DeleteRestored")
            .progress("deletes the new instances")
            .input_text("part", "instances")
            .timeout(timeouts::DELETE_RESTORED)
            .keeps_what_was_undone()
            .next("UndoStartRestore")
            .undo_fails_to("IsAnythingChanged"),
    ]
}
