//! Holds what would act by itself on the restored cluster from the first moment, and releases it when clients are on it.

use crate::retry::ANY;
use crate::state::{Recoveries, Situation, State, set};
use crate::timeouts;

/// Before the restored cluster has an instance.
pub(super) fn scheduler() -> Vec<State> {
    vec![
        State::step("HoldScheduler")
            .function("HoldJobs")
            .progress("lets the restored cluster start without its jobs")
            .situation(Situation::ClusterMayExist)
            .only(Recoveries::Restore)
            .comment(
                "Events, jobs of pg_cron and subscriptions begin as soon as a writer runs, and would delete again what was \
                 restored. A parameter group that is the cluster's before it has an instance is in force from the first moment.",
            )
            .inputs(["recovery", "plan", "restored"])
            .input_text("task", "scheduler")
            .timeout(timeouts::HOLD_JOBS)
            .next("AddInstances")
            .undone_from("IsSourceChanged"),
    ]
}

/// As soon as the writer is up.
pub(super) fn jobs() -> Vec<State> {
    vec![
        State::step("HoldJobs")
            .progress("holds what would act by itself on the restored cluster")
            .situation(Situation::InstancesMayExist)
            .only(Recoveries::Restore)
            .comment(
                "Names events, jobs of pg_cron and subscriptions, and switches off those that could run, before anybody looks \
                 at the data. A PostgreSQL cluster then restarts with the parameter group of its source. People see the jobs \
                 among the differences.",
            )
            .inputs(["recovery", "plan", "restored"])
            .timeout(timeouts::HOLD_JOBS)
            .keep_as("heldJobs", "$append([], $states.result.Payload.jobs)")
            .keep_as("differences", "$append($append([], $differences), $states.result.Payload.differences)")
            .next("Verify")
            .undone_from("IsSourceChanged"),
    ]
}

/// When clients are on the restored cluster.
pub(super) fn release() -> Vec<State> {
    // Whatever fails here: clients work on the restored cluster, and each job has the command that releases it.
    let note = "$append([], $map($heldJobs, function($job) { $merge([$job, {'note': 'it is still held, because the release \
                failed: ' & $substring($string($states.errorOutput.Cause), 0, 300)}]) }))";
    vec![
        State::step("ReleaseJobs")
            .function("HoldJobs")
            .progress("releases what was held on the restored cluster")
            .situation(Situation::RecordsMayHaveMoved)
            .only(Recoveries::Restore)
            .comment("A failure here is a note in the report: the cutover is done, and the jobs stay held.")
            .inputs(["recovery", "plan", "restored"])
            .input_text("task", "release")
            .timeout(timeouts::HOLD_JOBS)
            .keep_as("heldJobs", "$append([], $states.result.Payload.jobs)")
            .next("EndFenceWatch")
            .catch(&ANY, vec![set("heldJobs", note)], "EndFenceWatch"),
    ]
}

/// The undo of them.
pub(super) fn undo() -> Vec<State> {
    let left = "$append($undone, 'the parameter group ' & $plan.newCluster & '-jobs-held may be left: aws rds \
                delete-db-cluster-parameter-group --db-cluster-parameter-group-name ' & $plan.newCluster & '-jobs-held')";
    vec![
        State::undo("UndoHoldJobs", "HoldJobs")
            .progress("deletes the parameter group that held the jobs")
            .comment("Last, because RDS deletes no group that a cluster has. One that is left over harms nobody, and is named.")
            .timeout(timeouts::HOLD_JOBS)
            .keeps_what_was_undone()
            .next("ConcludeNothingChanged")
            .catch(&ANY, vec![set("undone", left)], "ConcludeNothingChanged"),
    ]
}
