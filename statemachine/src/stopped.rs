//! The machine that finds a recovery which was stopped: nothing of the recovery runs any more, so this one writes its end into the table
//! and the lease, and pages with the command that settles it. It undoes nothing by itself.

use crate::json::{Json, jsonata, object};
use crate::lease::release_key;
use crate::machine::Machine;
use crate::retry::ANY;
use crate::state::{State, set_to, text};
use rewind_core::ErrorName;

/// Seconds for which a note that a recovery is to end is taken for the reason of its end: the undo that wrote it ends it at once.
const CANCELLED: &str = "900";

/// The machine.
pub(crate) fn machine() -> Machine {
    Machine {
        file: "stopped.asl.json",
        title: "A recovery was stopped",
        comment: "aurora-rewind: records that a recovery was aborted, timed out or was ended by Step Functions, and pages with the command that \
                  settles it. Input: the event of Step Functions. It changes no cluster and no DNS record; docs/events.md has the events.",
        states: states(),
    }
}

/// The states, in the order in which they are passed.
fn states() -> Vec<State> {
    vec![
        State::pass("Begin")
            .comment("Gives every variable its first value. The input is the event that the execution has ended.")
            .keep_as("id", &of_event("name"))
            // The lease is released as its holder.
            .assign("stopped", object([("executionArn", jsonata(of_event("executionArn")))]))
            .keep_as("executionArn", &of_event("executionArn"))
            .keep_as("status", &of_event("status"))
            .assign("state", "unread".into())
            .assign("cluster", "unknown".into())
            .assign("newCluster", "unknown".into())
            .assign("strategy", "unknown".into())
            .assign("fenced", false.into())
            .assign("cancelled", false.into())
            .assign("unsent", false.into())
            .assign("ending", object([]))
            .next("ReadRecovery"),
        State::table("ReadRecovery", "getItem")
            .progress("reads how far the stopped recovery had come")
            .comment("A record that cannot be read is as good as one of a fence: a person has to look.")
            .argument("Key", object([("id", text("'recovery#' & $id"))]))
            .argument("ConsistentRead", true.into())
            .keep_as("state", "$exists($states.result.Item.state.S) ? $states.result.Item.state.S : 'unplanned'")
            .keep_as("cluster", &of_item("cluster", "unknown"))
            .keep_as("newCluster", &of_item("newCluster", "unknown"))
            .keep_as(
                "strategy",
                "($plan := $exists($states.result.Item.plan.S) ? $parse($states.result.Item.plan.S) : {}; $exists($plan.strategy) ? \
                 $plan.strategy : 'unknown')",
            )
            .keep_as("fenced", "$exists($states.result.Item.fenceBegunAt.S)")
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
            .when("$cancelled or $not($state in ['Running', 'AwaitingApproval', 'unplanned'])", "Settled")
            .when("$fenced", "ConcludeNeedsOperator")
            .when("$state = 'unplanned'", "ConcludeUnplanned")
            .next("ConcludeNothingChanged"),
        State::pass("ConcludeNothingChanged")
            .comment("Nothing was fenced or moved, so the cluster is free again, and another recovery can go on from what is restored.")
            .assign(
                "ending",
                ending(
                    "NothingChanged",
                    ErrorName::Unavailable,
                    "'its execution was ended from outside (' & $status & '); nothing was fenced, and no traffic was moved: ' & $cluster & ' \
                     has it all the time' & ($strategy = 'restore' ? '; next step: rewind resume ' & $id & ' goes on from ' & $newCluster & \
                     ', if that is restored; it is kept until the time in its tag aurora-rewind:keep-until' : '; next step: start again')",
                ),
            )
            .next("RecordStopped"),
        State::pass("ConcludeUnplanned")
            .comment("There is no record to write into. Before its plan a recovery changes nothing, and a dry run never does.")
            .assign(
                "ending",
                ending(
                    "NothingChanged",
                    ErrorName::Unavailable,
                    "'its execution was ended from outside (' & $status & ') before it had a plan, or as a dry run; nothing was changed; next \
                     step: start again, after three hours at most, if its lease is held by then'",
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
                     undone: ' & $cluster & ' may be fenced' & ($strategy = 'backtrack' ? ', and may be rewound; next step: \
                     docs/runbook.md#an-execution-was-stopped' : ', and the records may point at ' & $newCluster & '; next step: rewind undo \
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
        State::announce(
            "AnnounceStopped",
            &[(
                jsonata("$ending.state = 'NeedsOperator' ? 'Rewind Needs Operator' : 'Rewind Stopped'"),
                "{'recoveryId': $id, 'executionArn': $executionArn, 'cluster': $cluster, 'state': $ending.state, 'at': $now(), 'error': \
                 $ending.error, 'cause': $ending.cause}",
            )],
        )
        .progress("sends the end of the stopped recovery as an event")
        .comment(
            "Both events page: nobody asked for this end. One that cannot be sent is paged by the end of this execution, which is counted.",
        )
        .next("IsOperatorNeeded")
        .catch(&ANY, vec![set_to("unsent", true.into())], "IsOperatorNeeded"),
        State::choice("IsOperatorNeeded")
            .comment("Where the event was not sent, this end is the only page.")
            .when("$ending.state = 'NeedsOperator' or $unsent", "NeedsOperator")
            .next("Settled"),
        State::succeed("Settled").comment("Nothing has to be undone."),
        State::fail("NeedsOperator", "$ending.error", "$ending.cause").comment("A person must look. This end pages."),
    ]
}

/// A field of the event, as an expression: an execution that somebody starts by hand must not fail on its input.
fn of_event(field: &str) -> String {
    format!(
        "$type($states.input) = 'object' and $type($states.input.detail) = 'object' and $type($states.input.detail.{field}) = 'string' ? \
         $states.input.detail.{field} : 'unknown'"
    )
}

fn of_item(name: &str, otherwise: &str) -> String {
    format!("$exists($states.result.Item.{name}.S) ? $states.result.Item.{name}.S : '{otherwise}'")
}

fn ending(state: &str, error: ErrorName, cause: &str) -> Json {
    object([("state", state.into()), ("error", error.as_str().into()), ("cause", jsonata(cause))])
}
