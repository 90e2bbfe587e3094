//! A recovery that resumes an earlier one gets the fields of that one's request, and its lease where its execution is over.

use crate::failed_function::still_running_after_stop;
use crate::json::object;
use crate::records_back::NONE_SENT;
use crate::retry::ANY;
use crate::state::{Recoveries, State, set, text};
use crate::timeouts;

/// The parts of the record that ValidateWindow decides by. Never the whole: all variables together have 256 KiB, and the
/// checks of the earlier request are in the merged one already.
const RECORD: &str = "($i := $states.result.Item; $plan := $exists($i.plan.S) ? $parse($i.plan.S) : {}; {'id': $request.resume, \
    'state': $exists($i.state.S) ? $i.state.S : null, 'status': null, 'hasRequest': $exists($i.request.S), \
    'fence': $exists($i.fence) ? 'up' : $exists($i.fenceLiftedAt) ? 'lifted' : 'none', 'restoredFence': \
    $exists($i.fenceRestored) ? 'up' : $exists($i.fenceRestoredLiftedAt) ? 'lifted' : 'none', 'noneSent': \
    $i.recordsSentAt.S = 'null', 'stoppedIn': $exists($i.stoppedIn.S) ? $i.stoppedIn.S : null, 'executionArn': $exists($i.executionArn.S) ? $i.executionArn.S : 'none', 'plan': $exists($plan.newCluster) ? \
    {'cluster': $plan.cluster, 'newCluster': $plan.newCluster, 'target': $plan.target, 'useLatest': $plan.useLatest = \
    true, 'strategy': $plan.strategy, 'dns': $append([], $plan.dns), 'adopted': $exists($plan.adopted) ? $plan.adopted \
    : null} : null, 'asked': {'cluster': $exists($request.cluster) ? $request.cluster : null, 'to': $exists($request.to) ? \
    $request.to : null, 'newCluster': $exists($request.newCluster) ? $request.newCluster : null, 'strategy': \
    $exists($request.strategy) ? $request.strategy : null}})";

/// The request with the fields of the earlier one that it leaves out, and without those that are null in it. What the restored cluster settles is that
/// cluster's, whatever either says, and ValidateWindow compares it with what was asked.
const MERGED: &str = "($i := $states.result.Item; $plan := $exists($i.plan.S) ? $parse($i.plan.S) : {}; \
    $exists($plan.newCluster) and $type($request) = 'object' ? $sift($merge([$exists($i.request.S) ? $parse($i.request.S) : {}, {'dryRun': false}, $request, \
    {'cluster': $plan.cluster, 'to': $plan.target, 'newCluster': $plan.newCluster, 'strategy': $plan.strategy}]), \
    function($value) { $type($value) != 'null' }) : $request)";

/// The statuses of an execution that is over.
const OVER: &str = "['SUCCEEDED', 'FAILED', 'TIMED_OUT', 'ABORTED']";

/// The states, in the order in which a recovery that resumes another passes them.
pub(super) fn states() -> Vec<State> {
    vec![
        State::table("ReadResumed", "getItem")
            .progress("reads the recovery to resume")
            .comment(
                "The request gets the fields of the earlier one that it leaves out; null takes one away, and dryRun is \
                 never taken over. The target is the moment that the earlier plan settled.",
            )
            .argument("Key", object([("id", text("'recovery#' & $request.resume"))]))
            // It may have ended a moment ago.
            .argument("ConsistentRead", true.into())
            .keep_as("resumed", RECORD)
            .keep_as("request", MERGED)
            .next("IsResumedOver")
            .undone_from("ConcludeNothingChanged"),
        State::choice("IsResumedOver")
            .comment(
                "stop-execution runs no state: then the record says that the recovery runs, and its lease is held, \
                 though nobody works on the cluster.",
            )
            // Where a person was called, it may have been stopped.
            .when(
                "$resumed.state in ['Running', 'AwaitingApproval', 'NeedsOperator'] or $resumed.stoppedIn = 'Running'",
                "DescribeResumed",
            )
            .next("ReadResumedFence"),
        State::describe_execution("DescribeResumed", "$resumed.executionArn")
            .progress("asks Step Functions if that recovery is over")
            .comment("Without an answer it counts as running, and its lease is respected.")
            .keep_as("resumed", "$merge([$resumed, {'status': $states.result.Status}])")
            .keep_as("stillRunning", &still_running_after_stop(&timeouts::HOLD_JOBS.to_string()))
            .next("IsFunctionPossiblyRunning")
            .catch(&ANY, Vec::new(), "ReadResumedFence"),
        State::choice("IsFunctionPossiblyRunning")
            .comment(
                "stop-execution does not stop the function that the execution had called: it may still fence the source. While \
                 people are asked none runs that changes anything, and a dry run takes nothing over.",
            )
            .when("$stillRunning > 0 and ($resumed.state in ['Running', 'NeedsOperator'] or $resumed.stoppedIn = 'Running') and $not($request.dryRun = true)", "WaitForStopped")
            .next("ReadResumedFence"),
        State::wait("WaitForStopped", "$stillRunning")
            .progress("waits until no function of the stopped recovery can run any more, some six minutes after the stop")
            .comment("By the clock of the stop, and not by what the function does: nobody hears of its end.")
            .next("ReadStopped"),
        State::table("ReadStopped", "getItem")
            .progress("reads once more whether that recovery sent a record to be moved")
            .comment("The function that it had called may have done so since the first look.")
            .argument("Key", object([("id", text("'recovery#' & $request.resume"))]))
            .argument("ConsistentRead", true.into())
            .keep_as("resumed", &format!("$merge([$resumed, {{'noneSent': {NONE_SENT}}}])"))
            .next("ReadResumedFence")
            .undone_from("ConcludeNothingChanged"),
        State::table("ReadResumedFence", "getItem")
            .progress("reads whether that recovery's fence may be up")
            .comment(
                "After the execution is known to be over: nothing that it began to fence is missed. The record of a fence is \
                 an item of its own, and is there until the fence is lifted completely. A recovery of an earlier version has \
                 it in its own item.",
            )
            .argument("Key", object([("id", text("'fence#' & $request.resume"))]))
            // Nothing may be taken over from whoever has just begun to fence.
            .argument("ConsistentRead", true.into())
            .keep_as(
                "resumed",
                "($i := $states.result.Item; $merge([$resumed, {'fence': $exists($i.fence) ? 'up' : $resumed.fence = 'none' and \
                 $exists($i.fenceLiftedAt) ? 'lifted' : $resumed.fence, 'restoredFence': $exists($i.fenceRestored) ? 'up' : \
                 $resumed.restoredFence = 'none' and $exists($i.fenceRestoredLiftedAt) ? 'lifted' : $resumed.restoredFence}]))",
            )
            .next("IsLeaseToTakeOver")
            .undone_from("ConcludeNothingChanged"),
        State::choice("IsLeaseToTakeOver")
            .comment(
                "One whose fence may be up keeps its lease: a person has to put the source in order first. One whose fence was lifted \
                 leaves it if it never sent a record to be moved, whoever lifted it. One that called a person before any fence has \
                 changed nothing about the source.",
            )
            .when_with(
                &format!(
                    "($resumed.status in {OVER} or $resumed.state = 'NeedsOperator') and ($resumed.fence = 'none' or $resumed.fence = 'lifted' and \
                     $resumed.noneSent)"
                ),
                vec![set("endedHolder", "$resumed.id")],
                "IsLeaseNeeded",
            )
            .next("IsLeaseNeeded"),
        record(),
        release_restored(),
    ]
}

/// The state that writes into the record of the earlier recovery what resumed it.
fn record() -> State {
    State::table("RecordResumed", "updateItem")
        .progress("writes into the earlier recovery's record what resumed it")
        .comment("Nobody undoes that one any more, by a restored cluster that is this one's. fence-source compares its tag too, so a failure here stops nothing.")
        .only(Recoveries::Restore)
        .argument("Key", object([("id", text("'recovery#' & $plan.adopted.recovery"))]))
        .argument("UpdateExpression", "SET resumedBy = :me".into())
        // An update would create an item that is no recovery's.
        .argument("ConditionExpression", "attribute_exists(id)".into())
        .argument("ExpressionAttributeValues", object([(":me", text("$recovery.id"))]))
        .next("ReleaseResumedLease")
        .tolerated()
}

/// The state that takes away the lease of the restored cluster, where an undo of the earlier recovery left it to that one.
fn release_restored() -> State {
    State::table("ReleaseResumedLease", "deleteItem")
        .progress("releases what an undo of the earlier recovery left")
        .comment("Nobody undoes that one any more, and the undo of this one takes that lease.")
        .only(Recoveries::Restore)
        .argument("Key", object([("id", text("'lease#' & $plan.newCluster"))]))
        .argument("ConditionExpression", "recoveryId = :earlier".into())
        .argument(
            "ExpressionAttributeValues",
            object([(":earlier", text("$type($plan.adopted) = 'object' ? $plan.adopted.recovery : 'none'"))]),
        )
        .next("StartRestore")
        .tolerated()
}
