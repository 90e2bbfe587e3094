//! The machine that undoes a recovery from whatever state it is in: it ends one that runs, finds out from record, fence and zone what was
//! done, and calls the functions that did it again, last first. A recovery that had changed nothing yet leaves its restored cluster.
//! docs/adr/0026-undo-from-any-state.md says why.

use crate::conclude::{explained_text, needs_operator, nothing_changed};
use crate::failed_function::{self, left, still_running, still_running_after_stop};
use crate::json::{Json, jsonata, object};
use crate::lease::{CLUSTER, acquire_as, is_of_recovery, leave, read_holder, release, release_key};
use crate::machine::Machine;
use crate::names_back;
use crate::open::{self, GROUP, ID_KEPT, NAME_MAX, text_of_input};
use crate::records_back::{self, NONE_SENT};
use crate::retry::{ANY, BUGS, CONDITION_FAILED};
use crate::state::{Assign, State, hours, set, set_to, text};
use crate::timeouts;
use crate::undo_in_place::{self, LET_IN, STANDING, WAYS_LEFT};
use crate::watch;
use rewind_core::ErrorName;

/// Hours for which the undo holds the leases, beside the old TTL: more than its steps can take.
const LEASE: u64 = 36;

/// The number of times that the undo waits for a lease, and the seconds of each: what was stopped gives it back within seven minutes.
const LEASE_WAITS: u64 = 60;
const LEASE_WAIT: u64 = 15;

/// The machine.
pub(crate) fn machine() -> Machine {
    Machine {
        file: "undo.asl.json",
        title: "A recovery is undone",
        comment: "aurora-rewind: takes a recovery back: traffic returns to the source, which was kept, and every name is followed there. Input: \
                  {\"recovery\": \"<id>\", \"by\": \"<who>\"}, and \"cancel\": true if one that has ended well is not to be \
                  touched. It ends a recovery that runs, and calls the functions that moved the traffic, last first; \
                  docs/adr/0015-undo-machine.md says why it is a machine of its own.",
        states: states(),
    }
}

/// The states, in the order in which they are passed.
fn states() -> Vec<State> {
    let mut states = vec![
        State::pass("Begin")
            .comment("Gives every variable its first value. The input says which recovery, and who undoes it.")
            .assign(
                "undo",
                object([
                    ("id", jsonata("$states.context.Execution.Name")),
                    ("executionArn", jsonata("$states.context.Execution.Id")),
                    ("startedAt", jsonata("$states.context.Execution.StartTime")),
                ]),
            )
            .keep_as("id", &text_of_input("recovery", ID_KEPT, "'none'"))
            .keep_as("by", &text_of_input("by", NAME_MAX, "'somebody who left no name'"))
            .keep_as("cancel", "$type($states.input) = 'object' and $states.input.cancel = true")
            .assign("recovery", object([]))
            .assign("plan", object([]))
            .assign("noted", false.into())
            .assign("inPlace", false.into())
            .assign("lift", "unknown".into())
            .assign("fencedAt", "unknown".into())
            .assign("backtrackBegun", false.into())
            .assign("backtrack", Json::Null)
            .assign("approval", Json::Null)
            .assign("forwardFailure", Json::Null)
            .assign("leftover", object([]))
            .assign("awaiting", object([]))
            .assign("rewind", object([]))
            .assign("stopped", false.into())
            .assign("resumedBy", "nobody".into())
            .assign("endedAt", "none".into())
            .assign("noneSent", false.into())
            .assign("fence", false.into())
            .assign("restoredFence", false.into())
            .assign("unused", false.into())
            .assign("status", "unasked".into())
            .assign("cluster", "unknown".into())
            .assign("ended", false.into())
            .assign("asked", false.into())
            .assign("stillRunning", 0.into())
            .assign("kept", Json::Null)
            .assign("found", object([]))
            .assign("recordsNow", "unread".into())
            .assign("restored", object([]))
            .assign("dns", Json::List(Vec::new()))
            .assign("state", "unknown".into())
            .assign("cleanUp", object([]))
            .assign("opening", object([]))
            .assign("rules", Json::List(Vec::new()))
            .assign("timings", object([]))
            .assign("leaseKey", "none".into())
            .assign("restoredLeaseKey", "none".into())
            .assign("leaseUntil", "none".into())
            .assign("leaseWas", Json::Null)
            .assign("holder", "nobody".into())
            .assign("leaseWaits", 0.into())
            .assign("failure", object([]))
            .assign("undoFailure", object([]))
            .assign("undone", Json::List(Vec::new()))
            .assign("movedBack", false.into())
            .assign("movedBackAt", jsonata("$states.context.Execution.StartTime"))
            .assign("swap", Json::Null)
            .assign("inSyncAt", Json::Null)
            .assign("confirmation", object([]))
            .assign("confirmedAt", Json::Null)
            .assign("unconfirmed", Json::Null)
            .assign("unconfirmedFailure", object([]))
            .assign("outcome", object([]))
            .assign("unwatched", Json::Null)
            .next("ReadRecovery"),
        State::table("ReadRecovery", "getItem")
            .progress("reads what the recovery did")
            .comment(
                "Reads what the recovery did from its record. It is read again once the recovery is over, and once more under \
                 the lease, because until that is held a clean-up may begin to delete the source.",
            )
            .argument("Key", object([("id", text("'recovery#' & $id"))]))
            // The recovery may have ended a moment ago, and the clean-up may just have noted that it deletes the
            // source.
            .argument("ConsistentRead", true.into())
            // Nothing else of it: whatever people write into a request or a decision, the answer is never too large to be read.
            .argument(
                "ProjectionExpression",
                "#state, fenceBegunAt, stoppedIn, resumedBy, endedAt, recordsSentAt, outcome, moved, cleanUp, #opening, #plan, recoveryId, \
                 executionArn, startedAt, backtrackBegunAt, liftBegunAt, approvalSignature"
                    .into(),
            )
            .argument(
                "ExpressionAttributeNames",
                object([("#state", "state".into()), ("#opening", open::OPENING.into()), ("#plan", "plan".into())]),
            )
            .keep_as("state", "$exists($states.result.Item.state.S) ? $states.result.Item.state.S : 'unknown'")
            .keep_as("noted", "$exists($states.result.Item.fenceBegunAt.S)")
            // NoteFence writes null, and NoteLift a time: a record without it is of an earlier version.
            .keep_as("lift", "$exists($states.result.Item.liftBegunAt.S) ? $states.result.Item.liftBegunAt.S : 'unknown'")
            .keep_as("backtrackBegun", "$exists($states.result.Item.backtrackBegunAt.S)")
            .keep_as(
                "approval",
                "($text := $states.result.Item.approvalSignature.S; $exists($text) and $text != 'null' ? $text : null)",
            )
            .keep_as(
                "inPlace",
                "($plan := $exists($states.result.Item.plan.S) ? $parse($states.result.Item.plan.S) : {}; $plan.strategy = 'backtrack')",
            )
            .keep_as("stopped", "$exists($states.result.Item.stoppedIn.S)")
            .keep_as("resumedBy", "$exists($states.result.Item.resumedBy.S) ? $states.result.Item.resumedBy.S : 'nobody'")
            .keep_as("endedAt", "$exists($states.result.Item.endedAt.S) ? $states.result.Item.endedAt.S : 'none'")
            // One that ended well had clients, whoever moved the records.
            .keep_as("noneSent", &format!("{NONE_SENT} and $not($exists($states.result.Item.outcome.S))"))
            .keep_as("cleanUp", "$exists($states.result.Item.cleanUp.S) ? $parse($states.result.Item.cleanUp.S) : {}")
            .keep_as("opening", &open::of_record())
            .keep_as("recovery", open::RECOVERY_OF_RECORD)
            .keep_as("plan", open::PLAN_OF_RECORD)
            .keep_as(
                "fencedAt",
                &of_record("($exists($o.fence.fencedAt) ? $o.fence.fencedAt : 'unknown')", "'unknown'"),
            )
            .keep_as("dns", &of_record("$append([], $o.dns)", "[]"))
            .keep_as(
                "restored",
                &of_record(
                    "{'cluster': $o.newCluster, 'clusterArn': '', 'writerEndpoint': $o.writerEndpoint, \
                     'readerEndpoint': $o.readerEndpoint, 'rewoundTo': $o.rewoundTo, 'differences': []}",
                    "{}",
                ),
            )
            .next("ReadFence")
            .fails_to("IsAnythingLeft"),
        State::table("ReadFence", "getItem")
            .progress("reads whether the fence of the source may be up")
            .comment(
                "The record of a fence is an item of its own, written before the fence changes anything, and there until it is \
                 lifted completely: it is true also of a recovery of an earlier version, which noted nothing before.",
            )
            .argument("Key", object([("id", text("'fence#' & $id"))]))
            .argument("ConsistentRead", true.into())
            .keep_as("fence", "$exists($states.result.Item.fence)")
            .keep_as("restoredFence", "$exists($states.result.Item.fenceRestored)")
            .next("IsUndoable")
            .fails_to("IsAnythingLeft"),
        State::choice("IsUndoable")
            .comment(
                "What has ended with clients where they were needs no undo. One that was half undone may be undone again: \
                 every step below finds what is done already. Checked before anything is ended, and once more under the lease.",
            )
            .when_with(
                "$state = 'Undone'",
                refused(ErrorName::InvalidRequest, "ReadRecovery", "$id & ' is undone already; nothing was changed'"),
                "IsAnythingLeft",
            )
            // Before its plan a recovery has no record, and only Step Functions knows of it.
            .when("$state = 'unknown' and $asked", "ConcludeUnplanned")
            .when("$state = 'unknown' and $id != 'none'", "DescribeUnplanned")
            .when_with(
                "$not($exists($plan.cluster)) or $state in ['NothingChanged', 'RolledBack']",
                refused(ErrorName::InvalidRequest, "ReadRecovery", UNKNOWN),
                "IsAnythingLeft",
            )
            // Its restored cluster is that one's by now, and may have clients.
            .when_with(
                "$resumedBy != 'nobody'",
                refused(
                    ErrorName::InvalidRequest,
                    "ReadRecovery",
                    "$id & ' was resumed by ' & $resumedBy & ', which has its restored cluster since; nothing was changed; next step: \
                     rewind status ' & $resumedBy & ' shows how that one stands, and what undoes it'",
                ),
                "IsAnythingLeft",
            )
            .when_with(
                "$exists($cleanUp.snapshot)",
                refused(
                    ErrorName::InvalidRequest,
                    "ReadRecovery",
                    "$id & ' cannot be undone any more: the time until which ' & $cleanUp.cluster & ' was kept is \
                     over, and since ' & $cleanUp.begunAt & ' it is being deleted; nothing was changed; next step: \
                     its data is in the snapshot ' & $cleanUp.snapshot & ': restore that beside what is there (aws \
                     rds restore-db-cluster-from-snapshot --snapshot-identifier ' & $cleanUp.snapshot & ' --engine ' \
                     & $plan.engine & ' --db-cluster-identifier <a new name>), and copy over what is missed; or, if ' & $cleanUp.cluster & ' is \
                     still there with every instance and is to be kept, move its tag aurora-rewind:keep-until or take it off: the next run \
                     of the clean-up takes the deletion back, and then it can be undone'",
                ),
                "IsAnythingLeft",
            )
            .when_with(
                "$cancel and $state = 'Recovered'",
                refused(
                    ErrorName::InvalidRequest,
                    "ReadRecovery",
                    "$id & ' has ended well, and is not cancelled any more; nothing was changed; next step: rewind undo ' & $id & \
                     ' moves traffic back to ' & $plan.cluster",
                ),
                "IsAnythingLeft",
            )
            .when_with(
                "$inPlace and $state = 'Recovered'",
                refused(
                    ErrorName::InvalidRequest,
                    "ReadRecovery",
                    &format!("$id & ' rewound ' & $plan.cluster & ' in place, and clients have written to it since, or may have: going forward again \
                     would throw that away; nothing was changed; next step: ' & ({WAYS_LEFT})"),
                ),
                "IsAnythingLeft",
            )
            .when_with(
                "$inPlace and ($noted or $fence) and $lift = 'unknown'",
                refused(
                    ErrorName::InvalidRequest,
                    "ReadRecovery",
                    "$id & ' was begun by an earlier version, which did not note whether clients are in again: ' & $plan.cluster & ' may be \
                     fenced, and may be rewound, and no undo finds out which; nothing was changed; next step: ' & ($stopped ? \
                     'docs/runbook.md#an-execution-was-stopped' : 'docs/runbook.md#needsoperator')",
                ),
                "IsAnythingLeft",
            )
            .when_with(
                "$state = 'Recovered' and $count($dns) = 0",
                refused(
                    ErrorName::InvalidRequest,
                    "ReadRecovery",
                    "$id & ' moved no traffic: it moved none of the records of ' & $plan.cluster & '; nothing was changed'",
                ),
                "IsAnythingLeft",
            )
            .when_with(
                "$not($type($plan.signature) = 'string')",
                refused(
                    ErrorName::InvalidRequest,
                    "ReadRecovery",
                    "$id & ' was planned by a version that signed no plans, and no step of this one follows its plan; nothing \
                     was changed; next step: deploy the version that made it, undo it, and deploy this one again \
                     (docs/install.md#upgrading)'",
                ),
                "IsAnythingLeft",
            )
            .when_with(
                "$fence and $count($dns) = 0 and $not($inPlace)",
                refused(
                    ErrorName::InvalidRequest,
                    "ReadFence",
                    "$plan.cluster & ' may be fenced by ' & $id & ', and its record does not say which records may have moved: an \
                     earlier version began it; nothing was changed; next step: docs/runbook.md#an-execution-was-stopped'",
                ),
                "IsAnythingLeft",
            )
            .when("$not($ended)", "DescribeRecovery")
            .when("$stillRunning > 0 and ($noted or $fence)", "WaitForStopped")
            .when("$leaseKey = 'none'", "AcquireLease")
            .when("$exists($opening.id)", "CloseSource")
            // AWS is asked whether one began, and the fence whether clients may have written since.
            .when(LET_IN, "UndoFenceSource")
            .when_with("$inPlace and $backtrackBegun", vec![set_to("restored", Json::Null)], "UndoStartBacktrack")
            .when("$inPlace and ($noted or $fence)", "UndoFenceSource")
            .when("$count($dns) > 0", "ReadRecords")
            .next("KeepRestored"),
        State::describe_execution("DescribeRecovery", "$recovery.executionArn")
            .progress("asks Step Functions if the recovery is over")
            .comment("Whatever the record says: stop-execution runs no state, and so leaves it as it was.")
            .keep_as("status", "$exists($states.result.Status) ? $states.result.Status : 'unknown'")
            .keep_as("stillRunning", &still_running_after_stop(&longest()))
            .next("IsRecoveryOver")
            // One that ended a moment ago may have been stopped, by its record or not.
            .catch(&ANY, vec![set_to("status", "unknown".into()), set("stillRunning", &left_after_end())], "IsRecoveryOver"),
        State::choice("IsRecoveryOver")
            .comment(
                "An execution that Step Functions does not know any more is over where its record has an end: it is kept for \
                 90 days.",
            )
            .when_with(
                &format!("$status = 'RUNNING' and $state in ['Running', 'AwaitingApproval'] and $not($asked) and {LET_IN}"),
                refused(
                    ErrorName::InvalidRequest,
                    "ReadRecovery",
                    "$id & ' has rewound and verified ' & $plan.cluster & ', and lets clients in since ' & $lift & ': going forward would throw \
                     away what they may have written since; nothing was changed; next step: let it end: rewind status ' & $id & ' --follow; if \
                     it hangs, stop its execution (' & $recovery.executionArn & '), and undo it again, which lets clients in'",
                ),
                "IsAnythingLeft",
            )
            .when("$status = 'RUNNING' and $state in ['Running', 'AwaitingApproval'] and $not($asked)", "RecordCancel")
            .when_with(
                "$status = 'RUNNING' and $millis() - $toMillis($undo.startedAt) > 120 * 1000 or $status = 'unknown' and $state in \
                 ['Running', 'AwaitingApproval']",
                refused(
                    ErrorName::Unavailable,
                    "DescribeRecovery",
                    "'whether ' & $id & ' is over could not be seen: ' & $status & '; ' & ($asked ? 'it was asked to stop' : 'nothing was \
                     changed') & '; next step: see how its execution stands (' & $recovery.executionArn & '), and undo it again'",
                ),
                "IsAnythingLeft",
            )
            .when("$status = 'RUNNING'", "WaitForEnd")
            .assign("ended", true.into())
            .next("ReadRecovery"),
        State::table("RecordCancel", "updateItem")
            .progress("writes down that the recovery is to end")
            .comment(
                "A recovery that reads this before it fences, backtracks or lets clients in ends itself. In place this and the note on \
                 letting clients in exclude each other: what they write to the rewound data is never taken away, and one that lets them in \
                 goes on to its end.",
            )
            .argument("Key", object([("id", text("'recovery#' & $id"))]))
            .argument("UpdateExpression", "SET cancel = :cancel".into())
            .argument(
                "ConditionExpression",
                "#state IN (:running, :awaiting) AND (attribute_not_exists(fenceBegunAt) OR :strategy = :restore OR liftBegunAt = \
                 :unlifted)"
                    .into(),
            )
            .argument("ExpressionAttributeNames", object([("#state", "state".into())]))
            .argument(
                "ExpressionAttributeValues",
                object([
                    (":cancel", text("$string({'id': $undo.id, 'by': $by, 'at': $now()})")),
                    (":running", object([("S", "Running".into())])),
                    (":awaiting", object([("S", "AwaitingApproval".into())])),
                    (":strategy", text("$plan.strategy")),
                    (":restore", object([("S", "restore".into())])),
                    (":unlifted", object([("S", "null".into())])),
                ]),
            )
            .next("StopRecovery")
            // It has gone on meanwhile, and the record says how far.
            .catch(&CONDITION_FAILED, Vec::new(), "ReadRecovery")
            .fails_to("IsAnythingLeft"),
        State::stop_execution("StopRecovery", "$recovery.executionArn", "Cancelled", "$by & ' cancelled it by ' & $undo.id")
            .progress("ends the recovery")
            .comment("No state runs after that. The function that was called last goes on to its end, and is waited out.")
            .assign("asked", true.into())
            .next("DescribeRecovery")
            .fails_to("WithdrawCancel"),
        State::table("WithdrawCancel", "updateItem")
            .progress("takes back that the recovery is to end")
            .comment("It runs on. With that note it would end before its fence, and whoever stops it by hand would be told of nothing.")
            .argument("Key", object([("id", text("'recovery#' & $id"))]))
            .argument("UpdateExpression", "REMOVE cancel".into())
            .argument("ConditionExpression", "begins_with(cancel, :mine)".into())
            .argument("ExpressionAttributeValues", object([(":mine", text("'{\"id\":\"' & $undo.id & '\"'"))]))
            .next("IsAnythingLeft")
            .tolerated(),
        State::describe_execution("DescribeUnplanned", "$replace('${RewindArn}', ':stateMachine:', ':execution:') & ':' & $id")
            .progress("asks Step Functions whether the recovery is making its plan")
            .comment("It has no record before that. A dry run never has one.")
            .keep_as("status", "$exists($states.result.Status) ? $states.result.Status : 'unknown'")
            .keep_as(
                "cluster",
                &format!(
                    "($text := $type($states.result.Input) = 'string' ? $trim($states.result.Input) : ''; $given := $substring($text, 0, 1) \
                     = '{{' ? $parse($text) : {{}}; {CLUSTER})"
                ),
            )
            .next("IsUnplannedOver")
            .catch(&ANY, vec![set_to("status", "unknown".into())], "IsUnplannedOver"),
        State::choice("IsUnplannedOver")
            .comment("It may have recorded its plan until its end: then it is ended as any other, and its lease released.")
            .when("$status = 'RUNNING' and $not($asked)", "StopUnplanned")
            .when_with("$not($asked)", refused(ErrorName::InvalidRequest, "ReadRecovery", UNKNOWN), "IsAnythingLeft")
            .when_with(
                "$status = 'RUNNING' and $millis() - $toMillis($undo.startedAt) > 120 * 1000 or $status = 'unknown'",
                // Nothing of it was changed, and it has no record that a person could settle.
                refused(
                    ErrorName::Unavailable,
                    "DescribeUnplanned",
                    "'whether ' & $id & ' is over could not be seen: ' & $status & '; it was asked to stop; next step: see how its execution \
                     stands: rewind status ' & $id",
                )
                .into_iter()
                .chain([set_to("asked", false.into())])
                .collect(),
                "IsAnythingLeft",
            )
            .when("$status = 'RUNNING'", "WaitForUnplanned")
            .assign("ended", true.into())
            .next("ReadRecovery"),
        State::stop_execution(
            "StopUnplanned",
            "$replace('${RewindArn}', ':stateMachine:', ':execution:') & ':' & $id",
            "Cancelled",
            "$by & ' cancelled it by ' & $undo.id",
        )
        .progress("ends the recovery, which has no plan yet")
        .comment("Before its plan it changes nothing. The machine Stopped releases its lease.")
        .assign("asked", true.into())
        .next("DescribeUnplanned")
        .fails_to("IsAnythingLeft"),
        State::wait("WaitForUnplanned", "2")
            .progress("waits until the recovery is over")
            .comment("Step Functions shows an end within moments.")
            .next("DescribeUnplanned"),
        State::pass("ConcludeUnplanned")
            .comment("There is no record to write into.")
            .output(jsonata(
                "{'outcome': 'Undone', 'recoveryId': $id, 'undoId': $undo.id, 'by': $by, 'cluster': $cluster, 'newCluster': null, 'dns': [], \
                 'undone': [$id & ' has ended before it had a plan: it had changed nothing, and its lease is free within a minute'], 'timings': \
                 $timings}",
            ))
            .next("Undone"),
        State::wait("WaitForEnd", "2")
            .progress("waits until the recovery is over")
            .comment("Step Functions shows an end within moments.")
            .next("DescribeRecovery"),
        State::wait("WaitForStopped", "$stillRunning")
            .progress("waits until no function of the stopped recovery can run any more, three minutes after the stop, or six where traffic had moved")
            .comment(
                "A function that was called before the stop may fence the source or move the records behind what follows. Before \
                 the note on the fence none does, and nothing is waited for.",
            )
            .assign("stillRunning", 0.into())
            .next("ReadRecovery"),
        acquire_as("AcquireLease", "undo", "'lease#' & $plan.cluster", &lease(), Some("$id"))
            .comment(
                "Takes the same lease as a recovery, so that never both run at once: that of the recovery itself, which \
                 keeps it where it calls a person. A day and a half, and twice the longest TTL, is more than the steps can take with \
                 all their retries.",
            )
            .argument("ReturnValues", "ALL_OLD".into())
            .keep_as("leaseKey", "'lease#' & $plan.cluster")
            // The restored cluster bears a time that was counted from there, which nobody has asked for.
            .keep_as(
                "leaseWas",
                "$exists($states.result.Attributes.expiresAt.N) ? $fromMillis($number($states.result.Attributes.expiresAt.N) * 1000) : null",
            )
            .next("AcquireRestoredLease")
            .catch(
                &CONDITION_FAILED,
                refused(
                    ErrorName::LeaseHeld,
                    "AcquireLease",
                    "'another execution holds lease#' & $plan.cluster & '; nothing was changed; next step: wait for \
                     it to end; which it is says that item of table ${TableName}'",
                ),
                "ReadLease",
            )
            .fails_to("IsAnythingLeft"),
        acquire_as("AcquireRestoredLease", "undo", "'lease#' & $plan.newCluster", &lease(), Some("$id"))
            .comment(
                "The restored cluster is fenced, so nobody else may work on it either: a recovery of it would fence it too, and \
                 move the same records.",
            )
            .keep_as("restoredLeaseKey", "'lease#' & $plan.newCluster")
            .next("ReadRecovery")
            .catch(
                &CONDITION_FAILED,
                refused(
                    ErrorName::LeaseHeld,
                    "AcquireRestoredLease",
                    "'another execution holds lease#' & $restored.cluster & ', the restored cluster; nothing was changed; \
                     next step: wait for it to end; which it is says that item of table ${TableName}'",
                ),
                "ReadLease",
            )
            .fails_to("IsAnythingLeft"),
        read_lease(),
        State::choice("IsLeaseWaitedFor")
            .comment(
                "An undo that was stopped has the lease until no function of it can run any more, and what opens or closes the source has it for \
                 moments: whoever undoes now is not sent away to try again.",
            )
            .when(
                &format!(
                    "({}) and $leaseWaits < {LEASE_WAITS}",
                    ["-undo", "-open", "-close"].map(|what| is_of_recovery("$holder", what)).join(" or ")
                ),
                "WaitForLease",
            )
            .next("IsAnythingLeft"),
        State::wait("WaitForLease", &LEASE_WAIT.to_string())
            .progress("waits until what was stopped before, or opens or closes the source, gives the lease back")
            .keep_as("leaseWaits", "$leaseWaits + 1")
            .next("IsSourceLeaseTaken"),
        State::choice("IsSourceLeaseTaken")
            .comment("That of the source first. What is known of the recovery may be old by now.")
            .when("$leaseKey = 'none'", "ReadRecovery")
            .next("AcquireRestoredLease"),
        State::undo("CloseSource", "OpenSource")
            .progress("ends the reading of whoever the source is open to")
            .comment(
                "Before clients may come back: the login goes, and its group with it. What cannot be closed is told and stays recorded, and stops nothing: whoever reads there must \
                 not keep clients from their database.",
            )
            .inputs(["opening"])
            .timeout(timeouts::OPEN_SOURCE)
            .keeps_what_was_undone()
            .next("IsOpenGroupOurs")
            .catch(&ANY, told_open("could not be closed"), "IsUndoable"),
        State::choice("IsOpenGroupOurs")
            .comment("Without a group of its own there is no rule to take away.")
            .when(&format!("'{GROUP}' = 'none'"), "RecordSourceClosed")
            .next("ReadOpenRules"),
        open::rules("ReadOpenRules")
            .progress("reads whom the security group still admits")
            .comment("The source has this group no more: a rule that is left keeps its address from another cluster, until the opening's own end.")
            .next("IsOpenRuleLeft")
            .catch(&ANY, Vec::new(), "RecordSourceClosed"),
        State::choice("IsOpenRuleLeft")
            .comment("The rule is the opening's by its description.")
            .when(open::OWN_RULE, "RevokeOpenRule")
            .next("RecordSourceClosed"),
        open::revoke("RevokeOpenRule").next("RecordSourceClosed").tolerated(),
        open::record_closed("RecordSourceClosed")
            .assign("opening", object([]))
            .next("IsUndoable")
            .catch(&CONDITION_FAILED, vec![set_to("opening", object([]))], "IsUndoable")
            .catch(&ANY, told_open("is closed, and that could not be recorded"), "IsUndoable"),
        State::step("ReadRecords")
            .function("SwapDns")
            .progress("reads from the zone where the records lead")
            .comment("Before anything is fenced: a record that leads elsewhere by now is somebody's decision.")
            .inputs(["recovery", "plan", "restored"])
            .input_as("readOnly", "true")
            .timeout(timeouts::SWAP_DNS)
            .keep("found")
            .next("AreRecordsOurs")
            .fails_to("IsAnythingLeft"),
        State::choice("AreRecordsOurs")
            .comment(
                "At the source, or at the restored cluster: all of them. Where all are at the source and none was ever sent to be moved, \
                 no client was led to the restored cluster, and another recovery can go on from it. Otherwise somebody may have moved them \
                 back, so the restored cluster is fenced all the same.",
            )
            .when_with(
                "$found.records = 'planned' and $noneSent and $not($restoredFence) and $fence",
                vec![set_to("unused", true.into())],
                "UndoFenceSource",
            )
            .when("$found.records = 'planned' and $noneSent and $not($restoredFence)", "KeepRestored")
            .when("$found.records in ['planned', 'moved']", "WatchFence")
            .assign(
                "failure",
                object([
                    ("Error", ErrorName::RecordChanged.as_str().into()),
                    ("state", "ReadRecords".into()),
                    ("retries", 0.into()),
                    (
                        "Cause",
                        jsonata(
                            "'a record is not where ' & $id & ' left it: ' & $found.what & '; nothing was changed; next step: find out \
                             who changed it: if a later recovery moved it, as rewind list shows, undo that one first; otherwise point it at ' \
                             & $restored.cluster & ' or at ' & $plan.cluster & ', and undo it again'",
                        ),
                    ),
                ]),
            )
            .next("IsAnythingLeft"),
    ];
    states.extend(watch::start_of_undo("FenceRestored"));
    states.extend([
        State::step("FenceRestored")
            .function("FenceSource")
            .progress("ends writes on the restored cluster, before traffic moves back")
            .comment(
                "Before the records go back: no write may be acknowledged by the restored cluster while clients \
                 return to the source.",
            )
            .inputs(["recovery"])
            .inputs(["plan"])
            .input_text("fence", "restored")
            .inputs(["restored"])
            // A person has decided, whatever was written since.
            .input_as("writes", "null")
            .input_as("holder", "$undo.id")
            .timeout(timeouts::FENCE_SOURCE)
            .next("UndoSwapDns")
            .bugs_to("ConcludeNeedsOperator")
            .fails_with("failure", still_running(timeouts::FENCE_SOURCE), "IsFailedFunctionOver"),
        State::undo("UndoSwapDns", "SwapDns")
            .progress("moves the records back")
            .comment("Moves the records back, if they are still as the recovery left them.")
            .inputs(["restored"])
            .timeout(timeouts::SWAP_DNS)
            .begins_to_confirm()
            .keeps_what_was_undone()
            .next("UndoFenceSource")
            .bugs_to("ConcludeNeedsOperator")
            .fails_with("failure", still_running(timeouts::SWAP_DNS), "IsFailedFunctionOver"),
        State::undo("UndoFenceSource", "FenceSource")
            // Giving up would leave clients locked out.
            .waits_an_hour()
            .progress("lifts the fence of the source")
            .comment(
                "Lifts the fence of the source: it is exactly as it was. Not before the records have left the \
                 restored cluster, and before anything is waited for: clients are on their way.",
            )
            .timeout(timeouts::FENCE_SOURCE)
            .keeps_what_was_undone()
            .next("EndFenceWatch")
            // Not to UndoFenceRestored: the records point at the source by then, and opening the restored cluster as
            // well could make a second writer.
            .fails_to("ConcludeNeedsOperator"),
        watch::end_of_undo("EndFenceWatch", "$undo.id", "IsRestoredClusterUnused"),
        State::choice("IsRestoredClusterUnused")
            .comment(
                "No record was ever sent: the source bears no tag of a kept cluster, and the restored cluster can be resumed. In place \
                 the safety clone goes, because the cluster holds what it held before.",
            )
            .when("$inPlace", "EndWatchOfRecovery")
            .when("$unused", "KeepRestored")
            .next("AwaitInSync"),
    ]);
    states.extend(undo_in_place::states());
    states.extend(names_back::states("UndoFinish"));
    states.extend([
        State::undo("UndoFinish", "Finish")
            .progress("takes the tags of a kept cluster off the source, and tags the restored cluster with the time until which it is kept")
            .comment(
                "The source is live again, and the restored cluster is the one that is kept. A tag that is left harms nobody, because the clean-up goes by the record as well: a \
                 failure here stops nothing.",
            )
            .timeout(45)
            .keeps_what_was_undone()
            .next("RecordUndone")
            .catch(
                &ANY,
                vec![set(
                    "undone",
                    "$append($undone, ['the tags aurora-rewind:fenced-by and aurora-rewind:keep-until of ' & $plan.cluster & ' could not be \
                     taken off, or ' & $plan.newCluster & ' could not be tagged with the time until which it is kept: ' & \
                     $string($states.errorOutput.Error) & '; next step: rewind clusters shows until when each is kept: the clean-up deletes \
                     neither before, and nothing without a time'])",
                )],
                "RecordUndone",
            ),
        State::undo("UndoFenceRestored", "FenceSource")
            // Giving up would leave clients locked out.
            .waits_an_hour()
            .progress("lifts the fence of the restored cluster")
            .comment(
                "The undo failed, so the fence of the restored cluster is lifted again. The source is still fenced, \
                 so no write can be acknowledged twice, wherever the records point.",
            )
            .input_text("fence", "restored")
            .inputs(["restored"])
            .timeout(timeouts::FENCE_SOURCE)
            .keeps_what_was_undone()
            .next("IsTrafficUnmoved")
            .undo_fails_to("ConcludeNeedsOperator"),
        State::choice("IsTrafficUnmoved")
            .comment(
                "The zone was read after UndoSwapDns had failed: records that are all at the restored cluster were not moved. Neither \
                 was one by a batch that was refused at the first try, because a record had changed. Otherwise they may point at \
                 either cluster. Where they led to the source all the time, clients are at one that is fenced.",
            )
            .when(
                "$found.records = 'moved' and ($failure.state = 'FenceRestored' or $recordsNow = 'moved' or ($failure.Error = \
                 'RecordChanged' and $failure.retries = 0))",
                "EndFenceWatchAfterFailure",
            )
            .next("ConcludeNeedsOperator"),
        watch::end_of_undo("EndFenceWatchAfterFailure", "$undo.id", "IsAnythingLeft"),
        State::table("RecordUndone", "updateItem")
            .waits_half_an_hour()
            .progress("writes the end into the table")
            .comment(
                "Stores who undid the recovery, and what that changed, and builds the output of the execution. The \
                 undo is done, even if this record fails.",
            )
            .argument("Key", object([("id", text("'recovery#' & $id"))]))
            .argument(
                "UpdateExpression",
                "SET #state = :state, #undo = :undo, fenceWatchEndedAt = :now, endedAt = if_not_exists(endedAt, :now) REMOVE #error, \
                 cause, approval, cancel"
                    .into(),
            )
            .argument(
                "ExpressionAttributeNames",
                object([("#state", "state".into()), ("#error", "error".into()), ("#undo", "undo".into())]),
            )
            .argument(
                "ExpressionAttributeValues",
                object([
                    (":state", object([("S", "Undone".into())])),
                    (":undo", text("$string({'id': $undo.id, 'by': $by, 'at': $now(), 'undone': $undone})")),
                    (":now", text("$now()")),
                ]),
            )
            .keep_as(
                "outcome",
                "{'outcome': 'Undone', 'recoveryId': $id, 'undoId': $undo.id, 'by': $by, 'cluster': $plan.cluster, \
                 'newCluster': $inPlace ? null : $restored.cluster, 'dns': $append([], $map($dns, function($r) { {'name': $r.name, \
                 'from': $r.to, 'to': $r.from, 'ttl': $r.ttl} })), 'undone': $undone, 'confirmedAt': $confirmedAt, \
                 'unconfirmed': $unconfirmed, 'timings': $merge([$timings, \
                 {$states.context.State.Name: $now()}])}",
            )
            .next("ReleaseRestoredLease")
            .catch(
                &ANY,
                vec![set(
                    "outcome",
                    "{'outcome': 'Undone', 'recoveryId': $id, 'undoId': $undo.id, 'by': $by, 'cluster': \
                     $plan.cluster, 'newCluster': $inPlace ? null : $restored.cluster, 'undone': $append($undone, ['not recorded in the \
                     table: ' & $string($states.errorOutput.Error)]), 'confirmedAt': $confirmedAt, 'unconfirmed': \
                     $unconfirmed, 'timings': $timings}",
                )],
                "ReleaseRestoredLease",
            ),
        State::step("KeepRestored")
            .function("Finish")
            .progress("tags the restored cluster with the time until which it is kept")
            .comment(
                "Nothing is moved, and the source is not fenced or not any more, so the recovery has only to end. The restored cluster \
                 bears a time since it was restored: one that cannot be set stops nothing.",
            )
            .inputs(["recovery", "plan"])
            .input_text("what", "keep")
            .input_as("leaseUntil", "$leaseWas")
            .timeout(45)
            .keep("kept")
            .next("RecordCancelled")
            .catch(&ANY, Vec::new(), "RecordCancelled"),
        State::table("RecordCancelled", "updateItem")
            .waits_half_an_hour()
            .progress("writes the end into the table")
            .comment(
                "The recovery ends as one that failed before it had changed anything, so that another one can go on from its restored \
                 cluster. It is ended, even if this record fails.",
            )
            .argument("Key", object([("id", text("'recovery#' & $id"))]))
            .argument(
                "UpdateExpression",
                "SET #state = :state, #error = :error, cause = :cause, #undo = :undo, moved = :none, stoppedIn = :before, fenceWatchEndedAt = \
                 :now, endedAt = if_not_exists(endedAt, :now) REMOVE approval, cancel"
                    .into(),
            )
            .argument(
                "ExpressionAttributeNames",
                object([("#state", "state".into()), ("#error", "error".into()), ("#undo", "undo".into())]),
            )
            .argument(
                "ExpressionAttributeValues",
                object([
                    (":state", object([("S", "NothingChanged".into())])),
                    (":error", object([("S", ErrorName::NotApproved.as_str().into())])),
                    (":cause", text(&format!("$by & ' cancelled it; ' & $plan.cluster & ' is not fenced, and ' & $id & ' moved none of its records' & ({KEPT})"))),
                    (":undo", text("$string({'id': $undo.id, 'by': $by, 'at': $now(), 'undone': $undone})")),
                    (":none", object([("S", "{}".into())])),
                    (":before", text("$state")),
                    (":now", text("$now()")),
                ]),
            )
            .keep_as("outcome", &cancelled("[]"))
            .next("ReleaseRestoredLease")
            .catch(
                &ANY,
                vec![set("outcome", &cancelled("['not recorded in the table: ' & $string($states.errorOutput.Error)]"))],
                "ReleaseRestoredLease",
            ),
        release_key("ReleaseRestoredLease", "$restoredLeaseKey", "undo")
            .comment("A lease that cannot be released expires by itself.")
            .next("ReleaseLease")
            .tolerated(),
        release("ReleaseLease", "undo")
            .comment("A lease that cannot be released expires by itself.")
            .output(jsonata("$outcome"))
            .next("Undone")
            .tolerated_with_output(),
        State::succeed("Undone").comment("Traffic is on the source, or its records are, and what could not be seen is told. The restored cluster is kept, and fenced if a record was ever sent to be moved. In place the source may stay rewound, which its output tells."),
        State::choice("IsAnythingLeft")
            .comment(
                "A recovery that was ended for this undo, or before it, with its source fenced is settled by nobody else: people have to \
                 know, and nobody may start another recovery of that cluster meanwhile.",
            )
            .when(
                "$asked and $not($ended) or $leaseKey != 'none' and ($fence or $noted) and $state in ['Running', 'AwaitingApproval', \
                 'NeedsOperator']",
                "ConcludeNeedsOperator",
            )
            .next("ConcludeNothingChanged"),
        nothing_changed(
            "($failure.state in ['FenceRestored', 'UndoSwapDns'] ? '; traffic is where the recovery left it, on ' & \
             $restored.cluster & ', and ' & $plan.cluster & ' is fenced; next step: mend what the first sentence \
             names, then undo it again' : $failure.state = 'ReadRecords' and $failure.Error != 'RecordChanged' ? '; nothing was changed: ' \
             & $restored.cluster & ' and ' & $plan.cluster & ' are as ' & $id & ' left them; next step: mend what the first sentence \
             names, then undo it again' : $asked ? '; ' & $id & ' was asked to stop for this undo, and its lease stays until it is \
             undone; next step: rewind undo ' & $id : '')",
        )
        .comment("Traffic is where the recovery left it.")
        .next("IsLeaseTaken"),
        needs_operator(&format!(
            "$new := $restored.cluster; $old := $plan.cluster; $where := $inPlace ? {STANDING} : $failure.state = 'FenceRestored' ? ($found.records = 'moved' ? \
             'the records point at ' & $new & ', which may be fenced' : 'the records point at ' & $old & ', which is fenced') : \
             $failure.state = 'UndoSwapDns' ? 'the records may point at ' & $new & ' or at ' & $old & ', which is fenced' : \
             $failure.state = 'UndoFenceSource' ? 'the records point at ' & $old & ', which may still be fenced' & ($unused ? '' : ', \
             and ' & $new & ' is fenced') : $old & ' may be fenced, as ' & $id & ' left it, and the records may point at it or at ' & \
             $plan.newCluster; $text := $read($failure) & ($exists($undoFailure.Error) ? '; then opening ' & $new & ' again failed: ' & \
             $read($undoFailure) : '') & ($count($undone) > 0 ? '; done before that: ' & $join($undone, '; ') : '') & '; ' & $where & \
             '; next step: mend what the first sentence names, then undo it again: every step finds what is done already; ' & \
             ($leaseKey = 'none' ? 'its lease stays until then' : $leaseKey & ' is kept until ' & $leaseUntil & ($restoredLeaseKey = \
             'none' ? '' : ', and so is ' & $restoredLeaseKey) & ', and the next undo of ' & $id & ' takes over what is kept'); \
             $substring($text, 0, 30000)"
        ))
        .comment("The undo stopped half-way. Says what failed, what was done before, and where traffic may be.")
        .next("LeaveLease"),
        leave("LeaveLease", "$leaseKey", "undo", "$recovery.executionArn").next("LeaveRestoredLease").tolerated(),
        leave("LeaveRestoredLease", "$restoredLeaseKey", "undo", "$recovery.executionArn").next("RecordFailure").tolerated(),
        record_half_way("RecordFailure", "$string({'id': $undo.id, 'by': $by, 'at': $now(), 'undone': $undone})", Vec::new())
            .progress("writes the failure into the table")
            .comment(
                "The recovery's record must show that its undo stopped half-way. A failure here hides nothing: the \
                 execution ends with the same error and cause.",
            )
            .next("AnnounceFailure")
            .tolerated(),
        State::announce(
            "AnnounceFailure",
            &[(
                "Rewind Needs Operator".into(),
                "{'recoveryId': $id, 'executionArn': $undo.executionArn, 'cluster': $plan.cluster, 'state': \
                 $ending.state, 'at': $now(), 'error': $ending.error, 'cause': $substring($ending.cause, 0, 4000), 'outage': \
                 'unknown', 'outageSeconds': null}",
            )],
        )
        .progress("sends the end as an event")
        .comment(
            "Sends the same event as a recovery that needs a person: docs/events.md. An event that cannot be sent \
             stops nothing.",
        )
        .next("NeedsOperator")
        .tolerated(),
        State::choice("IsLeaseTaken")
            .comment("If the undo holds no lease, there is none to release.")
            .when("$leaseKey = 'none'", "NothingChanged")
            .when("$restoredLeaseKey = 'none'", "ReleaseLeaseAfterFailure")
            .next("ReleaseRestoredLeaseAfterFailure"),
        release_key("ReleaseRestoredLeaseAfterFailure", "$restoredLeaseKey", "undo")
            .comment("A lease that cannot be released expires by itself.")
            .next("ReleaseLeaseAfterFailure")
            .tolerated(),
        release("ReleaseLeaseAfterFailure", "undo")
            .comment("A lease that cannot be released expires by itself.")
            .next("NothingChanged")
            .tolerated(),
        State::fail("NothingChanged", "$ending.error", "$ending.cause")
            .comment("Failed with traffic where the recovery had left it."),
        State::fail("NeedsOperator", "$ending.error", "$ending.cause").comment("A person must look. This end pages."),
    ]);
    let ways = [("$failure.state = 'UndoSwapDns'", "ReadRecordsBack")];
    states.extend(failed_function::states(&ways, "UndoFenceRestored"));
    states.extend(records_back::states("UndoFenceRestored", |read| {
        // What failed is told as it is: the move back.
        read.keep_as(
            "recordsNow",
            "$exists($states.result.Payload.records) ? $states.result.Payload.records : 'unread'",
        )
        .begins_to_confirm()
        .catch(&BUGS, Vec::new(), "ConcludeNeedsOperator")
    }));
    states
}

/// The cause of the refusal of a recovery that has nothing to undo, as an expression.
const UNKNOWN: &str = "$id & ' is no recovery that moved traffic: it is ' & $state & '; nothing was changed; next step: see which recoveries \
                       are there'";

/// The seconds for which the undo holds the leases, as an expression.
fn lease() -> String {
    format!("{} + 2 * $max($append([0], $dns.ttl))", hours(LEASE))
}

/// An expression over the record of a recovery that moved traffic, or may have: `$item` is the record, and `$o` its output, or
/// what a recovery that called a person recorded in its place. `otherwise` is the value for any other record.
fn of_record(expression: &str, otherwise: &str) -> String {
    format!(
        "($item := $states.result.Item; $o := $exists($item.outcome.S) ? $parse($item.outcome.S) : \
         $exists($item.moved.S) ? $parse($item.moved.S) : {{}}; $exists($o.strategy) and $exists($item.plan.S) ? \
         {expression} : {otherwise})"
    )
}

/// People are told how the close of what was open failed, and the undo goes on. The record stays, so that the opening's own end, or somebody's
/// close, finds it.
fn told_open(how: &str) -> Assign {
    let told = explained_text(&format!(
        "$f := $merge([{{'Error': 'Unknown', 'Cause': ''}}, $states.errorOutput, {{'state': $states.context.State.Name}}]); $text := $plan.cluster & \
         ', which was open to ' & $substring($string($opening.by), 0, {NAME_MAX}) & ' from ' & $string($opening.from) & ', {how}: ' & $read($f) & \
         '; next step: rewind open ' & $id & ' --close'; $substring($text, 0, 4000)"
    ));
    vec![set("undone", &format!("$append($undone, [{told}])")), set_to("opening", object([]))]
}

/// The seconds for which a function of the recovery may run. Once a record was sent it may have released jobs, which takes the longest;
/// before, clients have no database while it is waited for.
fn longest() -> String {
    format!("($noneSent ? {} : {})", timeouts::FENCE_SOURCE, timeouts::HOLD_JOBS)
}

/// The same of an execution that cannot be described, by the end in its record; none where there is none.
fn left_after_end() -> String {
    format!("$endedAt = 'none' ? 0 : {}", left(&longest(), "$endedAt"))
}

/// The restored cluster that is kept, as the end of a sentence. It bears a time since it was restored, whatever KeepRestored came to.
const KEPT: &str = "$type($kept) = 'object' and $exists($kept.what) ? '; ' & $kept.what : $plan.strategy = 'restore' ? '; the restored \
                    cluster ' & $plan.newCluster & ', if there is one, is kept with its instances until the time in its tag \
                    aurora-rewind:keep-until; next step: rewind resume ' & $id & ' goes on with it' : ''";

/// The output of an undo that found nothing to move back. `more` is an expression of what else is to be told.
fn cancelled(more: &str) -> String {
    format!(
        "{{'outcome': 'Undone', 'recoveryId': $id, 'undoId': $undo.id, 'by': $by, 'cluster': $plan.cluster, 'newCluster': \
         $inPlace ? null : $plan.newCluster, 'dns': [], 'undone': $append($append($undone, $id & ' has ended: ' & $plan.cluster & ' is not fenced, and ' & $id & ' moved none of its records' & ({KEPT})), \
         {more}), 'timings': $timings}}"
    )
}

/// The state `name`: writes `$ending` into the record of the recovery `$id` whose undo stopped half-way, with `undo`, the expression of that
/// undo, and `more` values for a condition.
pub(crate) fn record_half_way(name: &'static str, undo: &str, more: Vec<(&str, Json)>) -> State {
    let values = [
        (":state", text("$ending.state")),
        (":error", text("$ending.error")),
        (":cause", text("$ending.cause")),
        (":undo", text(undo)),
    ];
    State::table(name, "updateItem")
        .waits_half_an_hour()
        .argument("Key", object([("id", text("'recovery#' & $id"))]))
        .argument("UpdateExpression", "SET #state = :state, #error = :error, cause = :cause, #undo = :undo".into())
        .argument(
            "ExpressionAttributeNames",
            object([("#state", "state".into()), ("#error", "error".into()), ("#undo", "undo".into())]),
        )
        .argument("ExpressionAttributeValues", object(values.into_iter().chain(more)))
}

/// The state that names whoever holds the lease which this undo was refused: the restored cluster's, where that of the source is its own.
fn read_lease() -> State {
    let key = "($leaseKey = 'none' ? 'lease#' & $plan.cluster : 'lease#' & $plan.newCluster)";
    read_holder("failure", key, "'undo ' & $id")
        .keep_as("holder", "$exists($states.result.Item.recoveryId.S) ? $states.result.Item.recoveryId.S : 'nobody'")
        .next("IsLeaseWaitedFor")
        .tolerated()
}

/// The undo is not begun. `cause` is an expression.
fn refused(error: ErrorName, state: &str, cause: &str) -> Assign {
    let fields = [
        ("Error", error.as_str().into()),
        ("state", state.into()),
        // IsTrafficUnmoved reads it of every failure.
        ("retries", 0.into()),
        ("Cause", jsonata(cause)),
    ];
    vec![set_to("failure", object(fields))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::step;
    use crate::retry::Retries;
    use crate::rewind::CONFIRMED;
    use crate::state::Recoveries;

    #[test]
    fn the_lease_outlasts_the_steps_with_all_their_retries() {
        let steps = |is_on_the_way: &dyn Fn(&State) -> bool| -> u64 {
            let steps = states().into_iter().filter(|state| state.retries == Retries::Function && is_on_the_way(state));
            steps.map(|state| step(state.waits_out)).sum()
        };
        // The loops beside the source go on for an hour, and twice the longest TTL, which the lease has beside its hours.
        let restore = steps(&|state| state.recoveries != Recoveries::Backtrack) + hours(CONFIRMED);
        // In place no record is moved. Its loops, forward and for the safety clone, go on for two hours each.
        let shared = ["CloseSource", "UndoFenceSource", "UndoFinish"];
        let is_in_place = |state: &State| state.recoveries == Recoveries::Backtrack || shared.contains(&state.name);
        let in_place = steps(&is_in_place) + hours(2 + 2);
        for seconds in [restore, in_place] {
            assert!(seconds > hours(6) && seconds < hours(LEASE), "{} h", seconds / hours(1));
        }
    }
}
