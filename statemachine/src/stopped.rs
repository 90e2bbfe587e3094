//! The machine that finds a recovery which was stopped, an undo of one, or an opening: nothing of it runs any more, so this one writes its
//! end into the table and the leases, and pages with the command that settles it. It undoes and closes nothing by itself.

use crate::conclude::ending;
use crate::json::{jsonata, object};
use crate::lease::{CLUSTER, leave, release_key};
use crate::machine::Machine;
use crate::open::NAME_MAX;
use crate::retry::{ANY, CONDITION_FAILED};
use crate::state::{State, of_item, set, set_to, text};
use crate::stopped_opening;
use crate::timeouts;
use crate::undo::record_half_way;
use crate::watch;
use rewind_core::ErrorName;

/// Seconds for which a note that a recovery is to end is taken for the reason of its end: the undo that wrote it ends it at once.
const CANCELLED: &str = "900";

/// Seconds between two readings of what the stopped undo has begun.
const BEGINS: u64 = 20;

/// Seconds between two readings of a record that the table did not give for half an hour.
const UNREAD_PAUSE: u64 = 600;

/// The number of these readings: three and a half days of them fit into the history of the execution.
const UNREAD_ROUNDS: u64 = 500;

/// The strategy in the plan of a record, or `unknown`.
const STRATEGY: &str = "($plan := $exists($states.result.Item.plan.S) ? $parse($states.result.Item.plan.S) : {}; $exists($plan.strategy) ? \
                        $plan.strategy : 'unknown')";

/// The recovery that an undo names, or `unknown`: any other text in its place would be read in pages, as part of a command.
const RECOVERY: &str = "$type($given.recovery) = 'string' and $contains($given.recovery, /^[A-Za-z0-9_.=+@-]{1,80}(?![\\s\\S])/) ? \
                        $given.recovery : 'unknown'";

/// The machine.
pub(crate) fn machine() -> Machine {
    Machine {
        file: "stopped.asl.json",
        title: "A recovery was stopped",
        comment: "aurora-rewind: records that a recovery, an undo of one, or an opening of what one left behind, was aborted, timed out or was \
                  ended by Step Functions, and pages with the command that settles it. Input: the event of Step Functions. It changes no \
                  cluster and no DNS record; docs/events.md has the events.",
        states: [begin(), of_recovery(), of_undo(), stopped_opening::states(), ends()].into_iter().flatten().collect(),
    }
}

/// The states that find out what was stopped.
fn begin() -> Vec<State> {
    vec![
        State::pass("Begin")
            .comment("Gives every variable its first value. The input is the event that the execution has ended.")
            .keep_as(
                "undoes",
                "$type($states.input) = 'object' and $states.input.detail.stateMachineArn = '${UndoArn}'",
            )
            .keep_as(
                "opens",
                "$type($states.input) = 'object' and $states.input.detail.stateMachineArn = '${OpenArn}'",
            )
            .keep_as("id", &of_event("name"))
            .keep_as("undo", &of_event("name"))
            // The lease is released as its holder.
            .assign("stopped", object([("executionArn", jsonata(of_event("executionArn")))]))
            .keep_as("executionArn", &of_event("executionArn"))
            .keep_as("status", &of_event("status"))
            .keep_as("error", &of_event("error"))
            .assign("state", "unread".into())
            .keep_as("cluster", &of_input(CLUSTER))
            .assign("newCluster", "unknown".into())
            .assign("strategy", "unknown".into())
            .assign("fenced", false.into())
            .assign("lift", "unknown".into())
            .assign("cancelled", false.into())
            .assign("unsent", false.into())
            .assign("leaseLeft", true.into())
            .assign("held", true.into())
            .assign("begun", true.into())
            .assign("readAgain", 0.into())
            .assign("unread", 0.into())
            .assign("recoveryArn", "unknown".into())
            .keep_as(
                "by",
                &of_input(&format!(
                    "$type($given.by) = 'string' ? $substring($given.by, 0, {NAME_MAX}) : 'somebody who left no name'"
                )),
            )
            .keep_as("recovery", &of_input(RECOVERY))
            .keep_as("closes", &of_input("$given.close = true"))
            .assign("opening", object([]))
            .assign("ending", object([]))
            .next("IsUndo"),
        State::choice("IsUndo")
            .comment("An undo and an opening are told from a recovery by their machine, for whoever starts one chooses name and input.")
            .when_with("$undoes", vec![set("id", "$recovery")], "ReadUndone")
            .when_with("$opens", vec![set("id", "$recovery")], "ReadOpening")
            .next("ReadRecovery"),
    ]
}

/// The states for a recovery that was stopped.
fn of_recovery() -> Vec<State> {
    vec![
        State::table("ReadRecovery", "getItem")
            .progress("reads how far the stopped recovery had come")
            .comment("A record that cannot be read is as good as one of a fence: a person has to look.")
            .argument("Key", object([("id", text("'recovery#' & $id"))]))
            .argument("ConsistentRead", true.into())
            // Nothing else of it: whatever people write into a request or a decision, the answer is never too large to be read.
            .argument("ProjectionExpression", "#state, #cluster, newCluster, #plan, fenceBegunAt, liftBegunAt, cancel".into())
            .argument(
                "ExpressionAttributeNames",
                object([("#state", "state".into()), ("#cluster", "cluster".into()), ("#plan", "plan".into())]),
            )
            .keep_as("state", "$exists($states.result.Item.state.S) ? $states.result.Item.state.S : 'unplanned'")
            .keep_as("cluster", &of_item("cluster", "$cluster"))
            .keep_as("newCluster", &of_item("newCluster", "'unknown'"))
            .keep_as("strategy", STRATEGY)
            .keep_as("fenced", "$exists($states.result.Item.fenceBegunAt.S)")
            .keep_as("lift", &of_item("liftBegunAt", "'unknown'"))
            .keep_as(
                "cancelled",
                &format!(
                    "($cancel := $exists($states.result.Item.cancel.S) ? $parse($states.result.Item.cancel.S) : {{}}; $exists($cancel.at) \
                     and $millis() - $toMillis($cancel.at) < {CANCELLED} * 1000)"
                ),
            )
            .next("ReadFence")
            .catch(&ANY, vec![set_to("fenced", true.into())], "ConcludeNeedsOperator"),
        State::table("ReadFence", "getItem")
            .progress("reads whether its fence may be up")
            .comment("A recovery of an earlier version noted nothing before it fenced.")
            .argument("Key", object([("id", text("'fence#' & $id"))]))
            .argument("ConsistentRead", true.into())
            .keep_as("fenced", "$fenced or $exists($states.result.Item.fence)")
            .next("IsSettled")
            .catch(&ANY, vec![set_to("fenced", true.into())], "ConcludeNeedsOperator"),
        State::choice("IsSettled")
            .comment(
                "One that an undo ended is that undo's to settle, and people know of it. One whose record has an end was stopped after it: it \
                 was told, or this is the second event of one stop.",
            )
            .when("$state in ['Planned', 'Recovered', 'NothingChanged', 'RolledBack']", "ReleaseLeftLease")
            // By an undo, or by whoever gave that error by hand: nothing was changed, so only the lease is left.
            .when("$state = 'unplanned' and $error = 'Cancelled' and $cluster != 'unknown'", "ReleaseLeftLease")
            .when("$state = 'unplanned' and $error = 'Cancelled'", "Settled")
            .when("$cancelled or $not($state in ['Running', 'AwaitingApproval', 'unplanned'])", "Settled")
            .when("$fenced", "ConcludeNeedsOperator")
            .when("$state = 'unplanned' and $cluster != 'unknown'", "ReleaseUnplannedLease")
            .when("$state = 'unplanned'", "ConcludeUnplanned")
            .next("ConcludeNothingChanged"),
        State::pass("ConcludeNothingChanged")
            .comment("Nothing was fenced or moved, so the cluster is free again, and another recovery can go on from what is restored.")
            .assign(
                "ending",
                ending(
                    "NothingChanged",
                    ErrorName::Unavailable,
                    "'its execution was ended from outside (' & $status & '); ' & $cluster & ' was not fenced, and \
                     this recovery moved none of its records' & ($strategy = 'restore' ? '; next step: rewind resume ' & $id & ' goes on from ' & $newCluster & \
                     ', if that is restored; it is kept until the time in its tag aurora-rewind:keep-until' : '; next step: start again')",
                ),
            )
            .next("RecordStopped"),
        release_key("ReleaseUnplannedLease", "'lease#' & $cluster", "stopped")
            .comment("By the cluster of its request, for there is no record. The lease of anybody else stays, and a dry run holds none.")
            .assign("leaseLeft", false.into())
            .next("ConcludeUnplanned")
            .catch(&CONDITION_FAILED, vec![set_to("leaseLeft", false.into())], "ConcludeUnplanned")
            .tolerated(),
        State::pass("ConcludeUnplanned")
            .comment("There is no record to write into. Before its plan a recovery changes nothing, and a dry run never does.")
            .assign(
                "ending",
                ending(
                    "NothingChanged",
                    ErrorName::Unavailable,
                    "'its execution was ended from outside (' & $status & ') before it had a plan, or as a dry run; nothing was changed; next \
                     step: start again' & ($leaseLeft ? ', after three hours at most, if its lease is held by then' : '')",
                ),
            )
            .next("AnnounceStopped"),
        State::pass("ConcludeNeedsOperator")
            .comment("The source may be fenced, and the records may lead to either cluster. The undo finds out which.")
            .assign(
                "ending",
                ending(
                    "NeedsOperator",
                    ErrorName::OutcomeUnknown,
                    "'its execution was ended from outside (' & $status & ') after it had begun to fence ' & $cluster & '; nothing was \
                     undone: ' & $cluster & ' may be fenced' & ($strategy = 'backtrack' ? ($lift in ['null', 'unknown'] ? ', and may be rewound; \
                     next step: ' : ', and is rewound and verified; next step: ') & ($lift = 'null' ? 'rewind undo ' & $id & ' finds out what \
                     was done, takes ' & $cluster & ' forward to where it was, and lifts its fence' : $lift = 'unknown' ? \
                     'docs/runbook.md#an-execution-was-stopped' : 'rewind undo ' & $id & ' lets clients in, if they are not: it had begun to at \
                     ' & $lift & ', so ' & $cluster & ' stays rewound, and its safety clone is kept') : ', and the records may point at ' & $newCluster & '; next step: rewind undo \
                     ' & $id & ' finds out what was done, and moves traffic back to ' & $cluster)",
                ),
            )
            .next("RecordStopped"),
        State::table("RecordStopped", "updateItem")
            .waits_half_an_hour()
            .progress("writes the end of the stopped recovery into the table")
            .comment("Only where it still runs by its record: an undo may have ended it meanwhile.")
            .argument("Key", object([("id", text("'recovery#' & $id"))]))
            .argument(
                "UpdateExpression",
                "SET #state = :state, #error = :error, cause = :cause, endedAt = :now, stoppedIn = :before REMOVE approval".into(),
            )
            .argument("ConditionExpression", "#state IN (:running, :awaiting)".into())
            .argument("ExpressionAttributeNames", object([("#state", "state".into()), ("#error", "error".into())]))
            .argument(
                "ExpressionAttributeValues",
                object([
                    (":state", text("$ending.state")),
                    (":error", text("$ending.error")),
                    (":cause", text("$ending.cause")),
                    (":now", text("$now()")),
                    // Of one that was at work, a function may still be.
                    (":before", text("$state")),
                    (":running", object([("S", "Running".into())])),
                    (":awaiting", object([("S", "AwaitingApproval".into())])),
                ]),
            )
            .next("IsLeaseKept")
            .tolerated(),
        State::choice("IsLeaseKept")
            .comment("Nobody should start another recovery of a cluster that may be fenced. `rewind undo` takes its lease over.")
            .when("$ending.state = 'NeedsOperator'", "NoteOnLease")
            .next("ReleaseLease"),
        State::table("NoteOnLease", "updateItem")
            .progress("writes into the lease that its holder was stopped")
            .comment("Whoever meets the lease is told what to do, and not to wait.")
            .argument("Key", object([("id", text("'lease#' & $cluster"))]))
            .argument("UpdateExpression", "SET stoppedAt = :now".into())
            .argument("ConditionExpression", "recoveryId = :id".into())
            .argument("ExpressionAttributeValues", object([(":now", text("$now()")), (":id", text("$id"))]))
            .next("AnnounceStopped")
            .tolerated(),
        release_key("ReleaseLease", "'lease#' & $cluster", "stopped")
            .comment("A lease that cannot be released expires by itself.")
            .next("AnnounceStopped")
            .tolerated(),
        release_key("ReleaseLeftLease", "'lease#' & $cluster", "stopped")
            .comment("It was stopped between its end and the release.")
            .next("Settled")
            .tolerated(),
    ]
}

/// The states for an undo that was stopped. Its record names the clusters, so it is read for as long as it takes. Both leases are left to the recovery, from which the next undo takes them over; where it had not
/// begun, they are released.
fn of_undo() -> Vec<State> {
    vec![
        read_undone("ReadUndone")
            .waits_half_an_hour()
            .comment("It names both clusters: without it both leases would stay with an undo that is over. The watch over the fences pages meanwhile.")
            .next("IsUndone")
            .catch(&ANY, Vec::new(), "ConcludeUndoUnread"),
        State::pass("ConcludeUndoUnread")
            .comment("A record that cannot be read is as good as one that is half undone: people are told, and it is read again.")
            .assign("ending", ending("NeedsOperator", ErrorName::OutcomeUnknown, &unread("it is read again every ten minutes, and once it is \
                there both leases are left to ' & $id & ', and you are told. Then rewind undo ' & $id & ' finds out what was done")))
            .next("AnnounceUndoUnread"),
        announce_ending("AnnounceUndoUnread", "'Rewind Needs Operator'")
            .progress("sends as an event that a record could not be read")
            .comment("Pages: clients may have no database. One that cannot be sent is sent after the next reading.")
            .assign("unsent", false.into())
            .next("WaitForRecord")
            .catch(&ANY, vec![set_to("unsent", true.into())], "WaitForRecord"),
        State::wait("WaitForRecord", &UNREAD_PAUSE.to_string())
            .progress("waits before it reads the record again")
            .comment("A table that does not answer for half an hour may do so in hours, and nothing else frees the leases then.")
            .keep_as("unread", "$unread + 1")
            .next("ReadUndoneAgain"),
        read_undone("ReadUndoneAgain")
            .comment("From here on it is settled as any other, and told anew with the names of the clusters.")
            .assign("ending", object([]))
            .assign("unsent", false.into())
            .next("IsUndone")
            .catch(&ANY, Vec::new(), "IsRecordUnread"),
        State::choice("IsRecordUnread")
            .comment("Gives up after three and a half days, before the history is full.")
            .when_with(
                &format!("$unread >= {UNREAD_ROUNDS}"),
                vec![set_to("ending", ending("NeedsOperator", ErrorName::OutcomeUnknown, &unread("once it is there, delete the items \
                    lease#<source> and lease#<restored cluster>, if their executionArn ends in ' & $undo & '; then rewind undo ' & $id & ' finds \
                    out what was done")))],
                "NeedsOperator",
            )
            .when("$unsent", "AnnounceUndoUnread")
            .next("WaitForRecord"),
        State::choice("IsUndone")
            .comment("It was stopped between its end and the release, or had nothing to undo.")
            .when("$state in ['Planned', 'Undone', 'NothingChanged', 'RolledBack']", "ReleaseUndoRestoredLease")
            .next("ReadUndoLease"),
        State::table("ReadUndoLease", "getItem")
            .progress("reads whether the stopped undo was at work")
            .comment("Under the lease alone an undo changes a cluster or a record. One that cannot be read counts as held.")
            .argument("Key", object([("id", text("'lease#' & $cluster"))]))
            .argument("ConsistentRead", true.into())
            .keep_as(
                "held",
                "$exists($states.result.Item.executionArn.S) and $states.result.Item.executionArn.S = $stopped.executionArn",
            )
            .next("ReadUndoFence")
            .catch(&ANY, Vec::new(), "ReadUndoFence"),
        State::table("ReadUndoFence", "getItem")
            .progress("reads whether the stopped undo had begun to fence the restored cluster")
            .comment(
                "Its first change to a recovery that ended well: the record of that fence is written before the fence changes anything. \
                 One that cannot be read counts as there, and people are told at once.",
            )
            .argument("Key", object([("id", text("'fence#' & $id"))]))
            .argument("ConsistentRead", true.into())
            .keep_as("begun", "$exists($states.result.Item.fenceRestored)")
            .next("IsUndoBegun")
            .catch(&ANY, vec![set_to("begun", true.into())], "IsUndoBegun"),
        State::choice("IsUndoBegun")
            .comment(
                "A recovery that had ended well, and whose restored cluster no fence was begun on, is what it was. Any other may have been \
                 ended for its undo, or half undone. Under the lease a function that was called before the stop may still begin.",
            )
            .when(
                &format!(
                    "$state = 'Recovered' and $not($begun) and ($not($held) or $readAgain >= {})",
                    timeouts::FENCE_SOURCE.div_ceil(BEGINS)
                ),
                "ConcludeUndoNotBegun",
            )
            .when("$state = 'Recovered' and $not($begun)", "WaitForUndoToBegin")
            .next("ConcludeUndoStopped"),
        State::wait("WaitForUndoToBegin", &BEGINS.to_string())
            .progress("waits until no function of the stopped undo can begin any more, some three minutes after the stop")
            .comment("Stopping an execution does not stop the function that it had called. People are told as soon as it has begun.")
            .keep_as("readAgain", "$readAgain + 1")
            .next("ReadUndoFence"),
        State::pass("ConcludeUndoNotBegun")
            .comment("Clients are on the restored cluster, as they were, and the recovery is what it was.")
            .assign(
                "ending",
                ending(
                    "Recovered",
                    ErrorName::Unavailable,
                    "'its undo ' & $undo & ' was ended from outside (' & $status & ') before its first change: ' & $newCluster & ' is not \
                     fenced, no record was moved, ' & $id & ' is Recovered as it was, and the leases of the undo are free; what rewind open had \
                     opened may be closed; next step: none, \
                     or rewind undo ' & $id & ', if traffic is still to go back to ' & $cluster",
                ),
            )
            .next("EndUndoWatch"),
        watch::end_of_undo("EndUndoWatch", "$undo", "ReleaseUndoRestoredLease")
            .comment("No fence was begun, so it would page without need."),
        State::pass("ConcludeUndoStopped")
            .comment("Either cluster may be fenced, and the records may lead to either. The next undo finds out which.")
            .assign(
                "ending",
                ending(
                    "NeedsOperator",
                    ErrorName::OutcomeUnknown,
                    &format!(
                        "'its undo ' & $undo & ' was ended from outside (' & $status & ')' & ($held ? ' half-way, and nothing was undone \
                         for that: ' & ($strategy = 'backtrack' ? $cluster & ' may be fenced, and may be rewound' : $cluster & ' and ' & $newCluster & ' may be \
                         fenced, and the records may point at either') & '; next step: \
                         rewind undo ' & $id & ', from ' & $fromMillis($millis() + {0} * 1000) & ' on: a function that was called before \
                         may run until then. It finds out what was done, and takes over the leases, which are left to ' & $id & ' by \
                         then' : ' while it held no lease: before its first change, or after its last. ' & $id & ' may have been \
                         ended for it; next step: rewind undo ' & $id & ' finds out what was done, and undoes what is left')",
                        timeouts::FENCE_SOURCE
                    ),
                ),
            )
            .next("IsUndoAtWork"),
        State::choice("IsUndoAtWork")
            .comment("Without its lease it has changed nothing that its recovery did not change itself, or has told its own end.")
            .when("$held", "RecordUndoStopped")
            .next("AnnounceStopped"),
        record_half_way(
            "RecordUndoStopped",
            "$string({'id': $undo, 'by': $by, 'at': $now(), 'undone': []})",
            vec![(":undone", object([("S", "Undone".into())])), (":nothing", object([("S", "NothingChanged".into())]))],
        )
        .progress("writes the end of the stopped undo into the table")
        .comment("The record must show that the undo stopped half-way. Only where it has no other end meanwhile.")
        .argument("ConditionExpression", "attribute_exists(id) AND #state <> :undone AND #state <> :nothing".into())
            .next("AnnounceStopped")
            .tolerated(),
        State::wait("WaitForUndo", &timeouts::FENCE_SOURCE.to_string())
            .progress("waits until no function of the stopped undo can run any more, some three minutes after the stop")
            .comment("Stopping an execution does not stop the function that it had called, and the next undo must not run beside that.")
            .next("LeaveLease"),
        leave("LeaveLease", "'lease#' & $cluster", "stopped", "$recoveryArn").next("LeaveRestoredLease").tolerated(),
        leave("LeaveRestoredLease", "'lease#' & $newCluster", "stopped", "$recoveryArn").next("NeedsOperator").tolerated(),
        release_key("ReleaseUndoRestoredLease", "'lease#' & $newCluster", "stopped")
            .comment("A lease that cannot be released expires by itself.")
            .next("ReleaseUndoLease")
            .tolerated(),
        release_key("ReleaseUndoLease", "'lease#' & $cluster", "stopped")
            .comment("A lease that cannot be released expires by itself.")
            .next("IsStopKnown")
            .tolerated(),
        State::choice("IsStopKnown")
            .comment("An undo that came to its end has announced that itself.")
            .when("$exists($ending.state)", "AnnounceStopped")
            .next("Settled"),
    ]
}

/// The states in which people are told.
fn ends() -> Vec<State> {
    vec![
        announce_ending("AnnounceStopped", "$ending.state = 'NeedsOperator' ? 'Rewind Needs Operator' : 'Rewind Stopped'")
        .progress("sends the end of what was stopped as an event")
        .comment(
            "Both events page: nobody asked for this end. One that cannot be sent is paged by the end of this execution, which is counted.",
        )
        .next("IsOperatorNeeded")
        .catch(&ANY, vec![set_to("unsent", true.into())], "IsOperatorNeeded"),
        State::choice("IsOperatorNeeded")
            .comment(
                "Where the event was not sent, this end is the only page. Where nothing was half-way, nobody has to settle it. People are told of an undo before its leases are left: clients may \
                 have no database meanwhile.",
            )
            .when("$undoes and $ending.state = 'NeedsOperator'", "WaitForUndo")
            .when("$opens and $held and $ending.state = 'NeedsOperator'", "WaitForOpening")
            .when("$ending.state = 'NeedsOperator' or $unsent", "NeedsOperator")
            .next("Settled"),
        State::succeed("Settled").comment("Nothing has to be undone."),
        State::fail("NeedsOperator", "$ending.error", "$ending.cause").comment("A person must look. This end pages."),
    ]
}

/// A state that reads the record of the recovery whose undo was stopped.
fn read_undone(name: &'static str) -> State {
    State::table(name, "getItem")
        .progress("reads how the recovery stands whose undo was stopped")
        .argument("Key", object([("id", text("'recovery#' & $id"))]))
        .argument("ConsistentRead", true.into())
        .argument("ProjectionExpression", "#state, #cluster, newCluster, #plan, executionArn".into())
        .argument(
            "ExpressionAttributeNames",
            object([("#state", "state".into()), ("#cluster", "cluster".into()), ("#plan", "plan".into())]),
        )
        .keep_as("state", &of_item("state", "'unknown'"))
        .keep_as("cluster", &of_item("cluster", "'unknown'"))
        .keep_as("newCluster", &of_item("newCluster", "'unknown'"))
        .keep_as("recoveryArn", &of_item("executionArn", "'unknown'"))
        .keep_as("strategy", STRATEGY)
}

/// The cause of the end of an undo whose record could not be read, as an expression; `next` is the inside of a text.
fn unread(next: &str) -> String {
    format!(
        "'its undo ' & $undo & ' was ended from outside (' & $status & '), and the record of ' & $id & ' cannot be read, which names the \
         clusters: source and restored cluster may be fenced, the records may point at either, and both leases are still of ' & $undo & '; \
         nothing was undone; next step: see why the table does not answer: {next}'"
    )
}

/// A state that sends the ending as an event; `detail_type` is an expression.
fn announce_ending(name: &'static str, detail_type: &str) -> State {
    let detail = "{'recoveryId': $id, 'executionArn': $executionArn, 'cluster': $cluster, 'state': $ending.state, 'at': $now(), 'error': \
                  $ending.error, 'cause': $ending.cause, 'outage': $ending.state = 'NeedsOperator' and $not($opens) ? 'unknown' : 'none', 'outageSeconds': null}";
    State::announce(name, &[(jsonata(detail_type), detail)])
}

/// A field of the event, as an expression: an execution that somebody starts by hand must not fail on its input.
fn of_event(field: &str) -> String {
    format!(
        "$type($states.input) = 'object' and $type($states.input.detail) = 'object' and $type($states.input.detail.{field}) = 'string' ? \
         $states.input.detail.{field} : 'unknown'"
    )
}

/// The value of `expression` over `$given`, the input of the execution that has ended; the event has it as text.
fn of_input(expression: &str) -> String {
    format!(
        "($text := $type($states.input) = 'object' and $type($states.input.detail) = 'object' and $type($states.input.detail.input) = \
         'string' ? $trim($states.input.detail.input) : ''; $given := $substring($text, 0, 1) = '{{' ? $parse($text) : {{}}; {expression})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::HISTORY;
    use crate::retry::Retries;

    #[test]
    fn a_record_is_read_for_days_before_the_history_is_full() {
        // The pause, the question, and an event for each begin, failure and retry of the reading.
        let attempts = Retries::Table.attempts_of_an_hour() + 1;
        let events = UNREAD_ROUNDS * (2 + 2 + 2 + 3 * attempts);
        assert!(events < HISTORY - 1_000, "{events} events");
        assert_eq!(UNREAD_ROUNDS * UNREAD_PAUSE / (24 * 3600), 3, "days");
    }
}
