//! RDS restores into a new cluster, and is waited for; the undo deletes that cluster.

use crate::state::{Assign, Recoveries, Situation, State, bug, found, hours, set};
use crate::timeouts;
use rewind_core::ErrorName;

/// Hours that RDS gets for a cluster, by a restore or as a clone.
const RESTORE: u64 = 12;

/// Hours that it gets for a backtrack.
const BACKTRACK: u64 = 2;

/// The states, in the order in which a recovery that works passes them.
pub(super) fn states() -> Vec<State> {
    vec![
        State::step("StartRestore")
            .progress("asks RDS for a new cluster as of the target")
            .situation(Situation::ClusterMayExist)
            .only(Recoveries::Restore)
            .comment(
                "From here on a cluster may exist that has to be deleted. ClusterNotReady is retried for 20 minutes, \
                 because the latest restorable time may not have reached the target yet.",
            )
            .inputs(["recovery", "plan", "leaseUntil"])
            .timeout(timeouts::START_RESTORE)
            .keep("restored")
            .starts_waiting_for("cluster")
            .next("AwaitRewind")
            .undone_when_over(timeouts::START_RESTORE),
        State::waiting("AwaitRewind")
            .progress("waits for RDS")
            .situation(Situation::ClusterMayExist)
            .comment(
                "Waits for the restored cluster; in place, for the safety clone and then for the backtrack. Polls \
                 inside the invocation and returns after about four minutes at the latest.",
            )
            .timed_as(
                "$plan.strategy = 'backtrack' and $awaiting.what = 'cluster' ? 'AwaitSafetyClone' : \
                 $states.context.State.Name",
            )
            .next("IsRewindDone")
            .undone_from("IsSourceChanged"),
        State::choice("IsRewindDone")
            .comment(format!(
                "{RESTORE} hours for a cluster and {BACKTRACK} for a backtrack are the bounds: the lease and the \
                 history's 25,000 events are reckoned with them."
            ))
            .when_with(
                "$rewind.done = true and $awaiting.what = 'backtrack' and $exists($rewind.restored)",
                vec![set("restored", "$rewind.restored")],
                "Verify",
            )
            .when_with(
                "$rewind.done = true and $awaiting.what = 'backtrack'",
                bug("failure", "AwaitRewind", "the backtrack is done, and where it landed was not answered"),
                "IsAnythingChanged",
            )
            .when("$rewind.done = true and $plan.strategy != 'backtrack'", "HoldScheduler")
            .when("$rewind.done = true", "AddInstances")
            // Both bounds add up in place, where this state waits for the clone first and then for the backtrack.
            .bounded(hours(RESTORE), Recoveries::Any)
            .bounded(hours(BACKTRACK), Recoveries::Backtrack)
            .when_with(
                &format!(
                    "$millis() - $toMillis($awaiting.since) > ($awaiting.what = 'backtrack' ? {BACKTRACK} : \
                     {RESTORE}) * 3600 * 1000"
                ),
                not_done(),
                "IsSourceChanged",
            )
            .next("AwaitRewind"),
    ]
}

/// RDS was given long enough.
fn not_done() -> Assign {
    let cause = format!(
        "($awaiting.what = 'backtrack' ? 'the backtrack of ' & $plan.cluster & ' was not done {BACKTRACK} hours after \
         it began' : $plan.strategy = 'backtrack' ? 'the safety clone ' & $plan.newCluster & ' was not there \
         {RESTORE} hours after it was asked for' : 'the restore into ' & $plan.newCluster & ' was not done {RESTORE} \
         hours after it began') & ': its status is ' & $string($rewind.status) & '; next step: ask AWS Support about \
         it, or recover to another time'"
    );
    found("failure", ErrorName::RewindFailed, "AwaitRewind", &cause)
}

/// The undo of them, last first.
pub(super) fn undo() -> Vec<State> {
    vec![
        State::undo("UndoStartRestore", "DeleteRestored")
            .progress("deletes the new cluster")
            .input_text("part", "cluster")
            .comment("Deletes the restored cluster, in place the safety clone, if this recovery created it.")
            .timeout(timeouts::DELETE_RESTORED)
            .keeps_what_was_undone()
            .starts_waiting_for("clusterGone")
            .next("AwaitDeletion")
            .undo_fails_to("IsAnythingChanged"),
        State::waiting("AwaitDeletion")
            .progress("waits until it is gone")
            .next("IsDeletionDone")
            .undo_fails_to("IsAnythingChanged"),
        // Waited for: a new recovery may want the same name, and RDS frees it only at the end.
        State::choice("IsDeletionDone")
            .comment("Gives up after two hours.")
            .when("$rewind.done = true", "UndoHoldJobs")
            .gives_up_after(
                hours(2),
                found(
                    "undoFailure",
                    ErrorName::Unavailable,
                    "AwaitDeletion",
                    "$plan.newCluster & ' was still being deleted after 2 hours: ' & $string($rewind.status)",
                ),
                "IsAnythingChanged",
            )
            .next("AwaitDeletion"),
    ]
}
