//! One recovery a cluster: the lease is taken before anything is looked at.

use crate::json::{Json, jsonata, object};
use crate::lease::{acquire_as, held, held_by_clean_up, is_of_clean_up};
use crate::retry::{ANY, CONDITION_FAILED};
use crate::state::{State, set, set_to, text};
use rewind_core::ErrorName;

/// More than validation and preflight can take with all their retries, and short, for a refused request should not lock a cluster
/// for a day.
const UNTIL_PLANNED: &str = "10800";

/// The request. The proof of who started the recovery is for ValidateWindow, which reads it from the execution itself, and goes no further.
const REQUEST: &str = "$type($states.input) = 'object' ? $merge([{}, $sift($states.input, function($value, $key) { $key != 'startedBy' })]) : \
    $states.input";

/// The states, in the order in which a recovery that works passes them.
pub(super) fn states() -> Vec<State> {
    vec![
        variables(),
        State::choice("IsLeaseNeeded")
            .comment(
                "A dry run changes nothing and takes no lease. A request without a usable cluster name goes on, so \
                 that ValidateWindow refuses it. One that resumes a recovery gets that one's fields first.",
            )
            .when(
                "$type($request) = 'object' and $type($request.resume) = 'string' and $type($resumed) != 'object'",
                "ReadResumed",
            )
            .when_with(
                "$type($request) = 'object' and $type($request.cluster) = 'string' and \
                 $length($trim($request.cluster)) > 0 and $not($request.dryRun = true)",
                // In lower case, as RDS compares identifiers: two spellings of one cluster must be one lease.
                vec![set("leaseKey", "'lease#' & $lowercase($trim($request.cluster))")],
                "AcquireLease",
            )
            .next("ValidateWindow"),
        acquire_as("AcquireLease", "recovery", "$leaseKey", UNTIL_PLANNED, Some("$endedHolder"))
            .comment(
                "Only one recovery works on a cluster at a time. Three hours are more than validation and preflight can \
                 take with all their retries; ExtendLease then makes the lease outlast the recovery.",
            )
            .next("ValidateWindow")
            .catch(&CONDITION_FAILED, Vec::new(), "ReadLease")
            .undone_from("ConcludeNothingChanged"),
        read_lease(),
        read_holder(),
    ]
}

/// Every variable has a value from the beginning: an expression that reads one without would end the execution.
fn variables() -> State {
    let recovery = [
        ("id", jsonata("$states.context.Execution.Name")),
        ("executionArn", jsonata("$states.context.Execution.Id")),
        ("startedAt", jsonata("$states.context.Execution.StartTime")),
    ];
    State::pass("Begin")
        .comment("Names the recovery after the execution and gives every variable its first value.")
        .assign("recovery", object(recovery))
        .keep_as("request", REQUEST)
        .assign("resumed", Json::Null)
        .assign("stillRunning", 0.into())
        .keep_as("endedHolder", "$states.context.Execution.Name")
        .assign("timings", object([]))
        .assign("leaseKey", "none".into())
        .assign("leaseUntil", "none".into())
        .assign("holder", object([]))
        .assign("plan", object([]))
        .assign("blocking", Json::Null)
        .assign("failure", object([]))
        .assign("undoFailure", object([]))
        .assign("undone", Json::List(Vec::new()))
        .assign("restored", Json::Null)
        .assign("report", Json::Null)
        .assign("differences", Json::List(Vec::new()))
        .assign("comparison", Json::Null)
        .assign("safetyClone", Json::Null)
        .assign("heldJobs", Json::List(Vec::new()))
        .assign("backtrack", Json::Null)
        .assign("inSyncAt", Json::Null)
        .assign("fence", Json::Null)
        .assign("fenceBegunAt", "none".into())
        .assign("fenceLiftedAt", "none".into())
        .assign("swap", Json::Null)
        .assign("outcome", object([]))
        .assign("found", object([]))
        .assign("recordsSent", true.into())
        .assign("unwatched", Json::Null)
        .assign("unconfirmed", Json::Null)
        .assign("sourceUnseen", Json::Null)
        .assign("restoredFence", Json::Null)
        .assign("written", Json::Null)
        .assign("movedBack", false.into())
        .assign("kept", Json::Null)
        .assign("keepFailure", object([]))
        .assign("inUse", Json::Null)
        .assign("situation", Json::Null)
        .assign("fenceIsUp", false.into())
        .assign("invalidApprovals", 0.into())
        .assign("confirmed", Json::Null)
        .assign("notYet", Json::Null)
        .assign("approvers", Json::List(Vec::new()))
        .assign("approval", Json::Null)
        .next("IsLeaseNeeded")
}

fn read_lease() -> State {
    let (clean_up, by_clean_up) = (is_of_clean_up(), held_by_clean_up("$leaseKey"));
    // As the commands name it. Another text would be told as a recovery, which only costs a reading.
    let opening = r"$contains($lease.recoveryId.S, /-(open|close)(-[0-9]+)?(?![\s\S])/)";
    // No recovery, so it is neither undone nor resumed.
    let undo = r"$contains($lease.recoveryId.S, /-undo(-[0-9]+)?(?![\s\S])/)";
    let (failure, cause) = held(
        "AcquireLease",
        &format!(
            "( $lease := $states.result.Item; $exists($lease.stoppedAt.S) ? 'recovery ' & $lease.recoveryId.S & ' was stopped at ' & \
         $lease.stoppedAt.S & ' with ' & $leaseKey & ', and the cluster may be fenced; nothing was changed; next step: rewind undo ' \
         & $lease.recoveryId.S & ' finds out what was done, undoes it and releases the lease; then start this one again under another \
         name' : {clean_up} ? {by_clean_up} & 'start this one again under another name in a minute; if it is held then as well, that very cluster is being deleted, as rewind clusters shows' : $exists($lease) and {opening} ? $lease.recoveryId.S & ' holds ' & $leaseKey & ' since ' & \
         $lease.takenAt.S & ': what opens or closes what a recovery left behind holds it for moments; nothing was changed; next step: start \
         this one again under another name in a minute; if that execution was stopped, the lease is free some three minutes after that' : \
         $exists($lease) ? 'recovery ' & $lease.recoveryId.S & ' holds ' & $leaseKey \
         & ' since ' & $lease.takenAt.S & ', until ' & $fromMillis($number($lease.expiresAt.N) * 1000) & ' at the \
         latest; nothing was changed; next step: wait for it to end (' & $lease.executionArn.S & '); ' & ({undo} ? 'if that undo was \
         stopped, its lease goes back to its recovery within seven minutes; then start this one again under another name' : 'if that \
         execution is not running any more, rewind status ' & $lease.recoveryId.S & ' shows what settles it and releases the lease (rewind \
         undo ' & $lease.recoveryId.S & '), or goes on from what it restored (rewind resume ' & $lease.recoveryId.S & '); without a record of it, delete the item ' & $leaseKey & ' of \
         table ${{TableName}}; then start this one again under another name') : 'another recovery held ' & $leaseKey & ' until just now; \
         nothing was changed; next step: start this one again under another name' )",
        ),
    );
    let unread = held(
        "AcquireLease",
        "'another recovery holds ' & $leaseKey & ', and which one could not be read; nothing was changed; next step: \
         wait for it to end, then start this one again under another name'",
    );
    let none = set_to("leaseKey", "none".into());
    State::table("ReadLease", "getItem")
        .progress("reads who holds the lease")
        .comment("Reads the lease only to report who holds it.")
        .argument("Key", object([("id", text("$leaseKey"))]))
        // An eventually consistent read could miss the very item that has just refused the put.
        .argument("ConsistentRead", true.into())
        .assign(&failure, cause)
        .keep_as(
            "holder",
            "($lease := $states.result.Item; {'id': $exists($lease.recoveryId.S) ? $lease.recoveryId.S : 'none', 'stopped': \
             $exists($lease.stoppedAt.S) ? ' was stopped at ' & $lease.stoppedAt.S & ' with ' : ' ended in NeedsOperator, and keeps ', \
             'lease': $leaseKey})",
        )
        .assign("leaseKey", "none".into())
        .next("ReadHolder")
        .catch(&ANY, vec![unread, none], "ConcludeNothingChanged")
}

/// The state that tells a lease which is kept for a person from one whose recovery is at work.
fn read_holder() -> State {
    let cause = "'recovery ' & $holder.id & $holder.stopped & $holder.lease & ', and needs a person: the cluster may be fenced; nothing was \
                 changed; next step: rewind status ' & $holder.id & ' shows how it stands, and what settles it and releases the lease; \
                 then start this one again under another name'";
    State::table("ReadHolder", "getItem")
        .progress("reads whether whoever holds the lease needs a person")
        .comment(
            "One that called a person keeps its lease after its end, or has it back from an undo that failed: nobody who waits is served. \
             Without its record it is told as one that is at work.",
        )
        .argument("Key", object([("id", text("'recovery#' & $holder.id"))]))
        .argument("ConsistentRead", true.into())
        .keep_as(
            "failure",
            &format!(
                "$states.result.Item.state.S = 'NeedsOperator' ? {{'Error': '{}', 'state': 'AcquireLease', 'Cause': {cause}}} : $failure",
                ErrorName::LeaseHeld.as_str()
            ),
        )
        .next("ConcludeNothingChanged")
        .tolerated()
}
