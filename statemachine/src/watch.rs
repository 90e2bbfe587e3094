//! The machine that watches a fence: it pages when a recovery has kept clients out for longer than the request says. It runs
//! beside the recovery, so that it pages as well where a step hangs, is repeated for an hour, or was stopped by hand.

use crate::conclude::explained;
use crate::json::{Json, jsonata, object};
use crate::machine::Machine;
use crate::retry::ANY;
use crate::state::{State, of_recovery, set_to, text};
use rewind_core::ErrorName;

/// The attribute of the recovery's item that ends the watch.
pub(crate) const ENDED: &str = "fenceWatchEndedAt";

/// The attribute that ends the watch over an undo: the name of the undo. A recovery may be undone in several attempts, each of which
/// is watched.
const UNDO_ENDED: &str = "undoWatchEnded";

/// The machine.
pub(crate) fn machine() -> Machine {
    Machine {
        file: "watch.asl.json",
        title: "A fence is watched",
        comment: "aurora-rewind: pages when a recovery keeps clients out for longer than its request says. Input: \
                  {\"recovery\": {…}, \"cluster\": \"…\", \"seconds\": n}, and the name of an undo as \"undo\". It changes nothing; docs/events.md has the event.",
        states: states(),
    }
}

/// The state `WatchFence` of a recovery, which starts the watch and goes on to `next`; and what tells people that it could not.
pub(crate) fn start(next: &'static str) -> [State; 2] {
    start_as(next, "$recovery.id", "$recovery", None, &of_recovery(UNWATCHED))
}

/// The same of an undo: people wait for both clusters then.
pub(crate) fn start_of_undo(next: &'static str) -> [State; 2] {
    let event = format!("{{'recoveryId': $id, 'executionArn': $undo.executionArn, {UNWATCHED}}}");
    // Whoever is paged looks at the execution that keeps clients out.
    let recovery = "$merge([$recovery, {'executionArn': $undo.executionArn}])";
    start_as(next, "$undo.id", recovery, Some(("undo", jsonata("$undo.id"))), &event)
}

/// Fields of the event that nobody watches a fence.
const UNWATCHED: &str = "'cluster': $plan.cluster, 'state': 'Running', 'at': $now(), 'cause': $unwatched";

/// The reason for which nobody watches the fence.
const WHY: &str = "$substring($read({'Error': $states.errorOutput.Error, 'Cause': $states.errorOutput.Cause, 'state': \
    'WatchFence'}), 0, 500)";

fn start_as(
    next: &'static str,
    execution: &str,
    recovery: &str,
    undo: Option<(&'static str, Json)>,
    event: &str,
) -> [State; 2] {
    let input = [
        ("recovery", jsonata(recovery)),
        ("cluster", jsonata("$plan.cluster")),
        // A plan that was made by an earlier version has no such field.
        ("seconds", jsonata("$exists($plan.fenceTimeoutSeconds) ? $plan.fenceTimeoutSeconds : 900")),
    ];
    let input = object(input.into_iter().chain(undo));
    [
        State::start_execution("WatchFence", "${FenceWatchArn}", execution, input)
            .progress("starts the watch over the fence")
            .comment(
                "A machine of its own pages when the fence stands for longer than the request says, whatever this one does \
                 meanwhile. Before the fence, so that none is up unwatched. A watch that cannot be started stops nothing, for the \
                 fence is lifted without it too: people are told, and watch it themselves.",
            )
            .next(next)
            .catch(&ANY, vec![set_to("unwatched", explained(WHY))], "AnnounceUnwatched"),
        State::announce("AnnounceUnwatched", &[("Rewind Fence Unwatched".into(), event)])
            .progress("sends as an event that nobody watches the fence")
            .comment("Pages: a fence that stands for too long would not.")
            .next(next)
            .tolerated(),
    ]
}

/// A state of a recovery that ends the watch: clients get in again.
pub(crate) fn end(name: &'static str) -> State {
    State::table(name, "updateItem")
        .waits_half_an_hour()
        .progress("ends the watch over the fence")
        .argument("Key", object([("id", text("'recovery#' & $recovery.id"))]))
        .argument("UpdateExpression", format!("SET {ENDED} = :now").into())
        .argument("ExpressionAttributeValues", object([(":now", text("$now()"))]))
}

/// A state that ends the watch over the undo whose name the expression `undo` yields: clients get in again, to whichever cluster.
pub(crate) fn end_of_undo(name: &'static str, undo: &str, next: &'static str) -> State {
    State::table(name, "updateItem")
        .waits_half_an_hour()
        .progress("ends the watch over the fence")
        .comment("Clients are in again. A watch that is not ended pages without need.")
        .argument("Key", object([("id", text("'recovery#' & $id"))]))
        .argument("UpdateExpression", format!("SET {UNDO_ENDED} = :undo").into())
        .argument("ExpressionAttributeValues", object([(":undo", text(undo))]))
        .next(next)
        .tolerated()
}

/// The states, in the order in which they are passed.
fn states() -> Vec<State> {
    vec![
        State::pass("Begin")
            .comment("Gives every variable its first value.")
            // Only a recovery starts it, but an execution that dies here would page as nothing does.
            .keep_as("recovery", "$type($states.input.recovery) = 'object' ? $states.input.recovery : {'id': 'unknown'}")
            .keep_as("cluster", "$type($states.input.cluster) = 'string' ? $states.input.cluster : 'unknown'")
            .keep_as("seconds", "$type($states.input.seconds) = 'number' ? $states.input.seconds : 0")
            .keep_as("undo", "$type($states.input.undo) = 'string' ? $states.input.undo : null")
            .assign("ended", false.into())
            .assign("failure", object([]))
            .next("WaitForFence"),
        State::wait("WaitForFence", "$max([1, $ceil($seconds)])")
            .progress("waits as long as a fence may stand")
            .next("ReadFence"),
        State::table("ReadFence", "getItem")
            .progress("reads whether the fence still stands")
            .comment("Reads the recovery's record. A watch that cannot read it pages: nobody knows how the fence stands.")
            .argument("Key", object([("id", text("'recovery#' & $recovery.id"))]))
            .argument("ConsistentRead", true.into())
            .keep_as(
                "ended",
                &format!(
                    "$type($undo) = 'string' ? $states.result.Item.{UNDO_ENDED}.S = $undo : $exists($states.result.Item.{ENDED}.S)"
                ),
            )
            .next("IsFenceUp")
            .catch(&ANY, Vec::new(), "AnnounceOverdue"),
        State::choice("IsFenceUp")
            .comment("The end of a recovery is none of the watch: what ends with a fence that stands is still overdue.")
            .when("$ended = true", "Watched")
            .next("AnnounceOverdue"),
        State::announce(
            "AnnounceOverdue",
            &[(
                "Rewind Fence Overdue".into(),
                "{'recoveryId': $recovery.id, 'executionArn': $recovery.executionArn, 'cluster': $cluster, 'state': 'Running', \
                 'at': $now(), 'cause': $cluster & ' was fenced more than ' & $string($round($seconds / 60)) & ' minutes ago, \
                 and no end of its fence was noted; clients may have no database; next step: rewind status ' & $recovery.id & ' shows \
                 where they are and what it waits for; docs/runbook.md says how to lift the fence where it does not go on'}",
            )],
        )
        .progress("sends the event that pages")
        .comment("The one event that pages while a recovery runs.")
        .next("IsAnnounced")
        .catch(
            &ANY,
            vec![set_to(
                "failure",
                object([
                    ("Error", ErrorName::Unavailable.as_str().into()),
                    ("state", "AnnounceOverdue".into()),
                    ("Cause", "a fence is overdue, and the event that says so could not be sent".into()),
                ]),
            )],
            "IsAnnounced",
        ),
        State::choice("IsAnnounced")
            .comment("A page that could not be sent must not end in silence.")
            .when("$exists($failure.Error)", "Unannounced")
            .next("Watched"),
        State::succeed("Watched").comment("Clients are in again, or people know that they are not."),
        State::fail("Unannounced", "'FenceOverdueUnannounced'", "$failure.Cause")
            .comment("An error that is none of ours, so that the rule for unexpected ends pages."),
    ]
}
