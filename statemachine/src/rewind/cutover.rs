//! Records move to the restored cluster, and every name is followed there. Only a fact moves them back: a name that leads
//! elsewhere. docs/adr/0022-a-restored-cluster-is-kept.md says why.

use crate::conclude::explained;
use crate::json::{Json, jsonata, object};
use crate::records_back::{self, NONE_SENT};
use crate::retry::ANY;
use crate::state::{Recoveries, Situation, State, found, hours, of_recovery, set, set_to, text};
use crate::timeouts;
use rewind_core::ErrorName;

/// Hours in which every name has to lead to where the records were moved, beside the TTL of the old records.
pub(crate) const CONFIRMED: u64 = 1;

/// Seconds after which no server of Route 53 gives an answer from before a change.
const PROPAGATION: u64 = 60;

/// Seconds in which a server behind a name may be restarting, beside the TTL of the old records.
pub(crate) const UNSEEN: u64 = 120;

/// The part of the old TTL after which a name is asked for again: with that, the rounds of the wait are as many for a TTL of a week as for
/// one of minutes, and fit into the history.
pub(crate) const ROUNDS_OF_A_TTL: u64 = 60;

/// Events of a round: those of the pause, the function and the question.
#[cfg(test)]
const ROUND_EVENTS: u64 = 9;

/// The seconds before a name is asked for again, as an expression: what the function in `answer` asks for, and part of the longest old TTL of
/// the records `records`, but not beyond the bound of what is not seen, which is counted from `since`.
pub(crate) fn pause(answer: &str, records: &str, since: &str) -> String {
    format!(
        "($ttl := $max($append([0], {records}.ttl)); $left := {UNSEEN} + 2 * $ttl - ($millis() - $toMillis({since})) / 1000; $max([1, \
         $ceil(${answer}.waitSeconds), $min([$floor($ttl / {ROUNDS_OF_A_TTL}), $ceil($left) + 1])]))"
    )
}

/// The largest number of events that the names of records with the TTL `ttl` take, in seconds, until they are given up.
#[cfg(test)]
pub(crate) fn events_of_names(ttl: u64) -> u64 {
    // The function waits for the TTL once. Then it asks for ten seconds, and itself asks until the lenience is over: a name that it sees
    // ends the wait, and one that it does not see ends it after the bound of those.
    let pause = (ttl / ROUNDS_OF_A_TTL).max(10) + rewind_core::timeouts::NAME_LENIENCE.as_secs();
    ((UNSEEN + ttl) / pause + 2) * ROUND_EVENTS
}

/// The fence of the source does not hold: a condition after ConfirmCutover.
const SOURCE_IS_OPEN: &str = "$type($cutover.sourceOpen) = 'string'";

/// The states, in the order in which a recovery that works passes them.
pub(super) fn states() -> Vec<State> {
    vec![
        State::step("SwapDns")
            .progress("moves the records, if they are still as planned")
            .situation(Situation::RecordsMayHaveMoved)
            .only(Recoveries::Restore)
            .comment("All records in one compare-and-swap batch.")
            .inputs(["recovery", "plan", "restored", "approval"])
            .timeout(timeouts::SWAP_DNS)
            .keep("swap")
            // One start for both loops below, so that together they stay within one bound.
            .keep_as("cutoverSince", "$now()")
            .starts_waiting_for_one(
                "change",
                "$exists($states.result.Payload.changeId) ? $states.result.Payload.changeId : null",
            )
            .next("AwaitInSync")
            .undone_when_over(timeouts::SWAP_DNS),
        State::waiting("AwaitInSync")
            .progress("waits until Route 53 is in sync")
            .situation(Situation::RecordsMayHaveMoved)
            .only(Recoveries::Restore)
            .comment(
                "Runs outside the VPC, because Route 53 need not be reachable from the subnets of \
                      ConfirmCutover.",
            )
            .keep_as("inSyncAt", "$exists($states.result.Payload.inSyncAt) ? $states.result.Payload.inSyncAt : null")
            .next("IsInSync")
            .bugs_to("IsAnythingChanged")
            // Route 53 answers nobody, which says nothing about the records: the names are followed all the same.
            .fails_to("ConfirmCutover"),
        State::choice("IsInSync")
            .only(Recoveries::Restore)
            .comment(
                "Gives up after one hour, which counts towards that of IsCutoverConfirmed. The names are followed all \
                 the same, and people are told.",
            )
            // Zero, or the hour that it shares with IsCutoverConfirmed would be in the lease twice.
            .bounded(0, Recoveries::Restore)
            .when("$rewind.done = true", "ConfirmCutover")
            .when_with(
                &format!("$millis() - $toMillis($cutoverSince) > {} * 1000", hours(CONFIRMED)),
                found(
                    "failure",
                    ErrorName::VerificationFailed,
                    "AwaitInSync",
                    "'not all servers of Route 53 had the records of ' & $plan.newCluster & ' one hour after they \
                     were moved: ' & $string($rewind.status) & '; next step: look at the AWS Health Dashboard for \
                     Route 53: clients may still be led to ' & $plan.cluster & ', which is fenced'",
                ),
                "ConfirmCutover",
            )
            .next("AwaitInSync"),
        State::step("ConfirmCutover")
            .progress("resolves and connects by name")
            .situation(Situation::RecordsMayHaveMoved)
            .only(Recoveries::Restore)
            .comment(
                "A name that leads elsewhere is a fact, and moves the records back. A server that cannot be seen is \
                 none: clients may write to the restored cluster by now. Inspects the fence of the source as well, which \
                 somebody may have opened since it closed.",
            )
            .inputs(["recovery", "plan", "restored", "swap", "inSyncAt"])
            .timeout(105)
            .keep("cutover")
            .keep_as("inSyncAt", "$exists($states.result.Payload.inSyncAt) ? $states.result.Payload.inSyncAt : null")
            .keep_as(
                "sourceUnseen",
                "$exists($states.result.Payload.sourceUnseen) ? $states.result.Payload.sourceUnseen : null",
            )
            .next("IsCutoverConfirmed")
            .bugs_to("IsAnythingChanged")
            .fails_by(&[ErrorName::RecordChanged.as_str()], "FenceRestored")
            .fails_to("NoteUnconfirmed"),
        State::choice("IsCutoverConfirmed")
            .only(Recoveries::Restore)
            .comment(
                "Gives up one hour and twice the longest old TTL after the records were moved; on a server that cannot \
                 be seen after two minutes and that. Nothing is moved back for it.",
            )
            // A wait for Route 53 that failed is told of, even where every name is right by now.
            .when_with(
                &format!("$cutover.confirmed = true and {SOURCE_IS_OPEN}"),
                found(
                    "failure",
                    ErrorName::VerificationFailed,
                    "ConfirmCutover",
                    "$cutover.sourceOpen",
                ),
                "NoteUnconfirmed",
            )
            .when("$cutover.confirmed = true and $exists($failure.Error)", "NoteUnconfirmed")
            .when("$cutover.confirmed = true", "ReleaseJobs")
            .bounded(hours(CONFIRMED), Recoveries::Restore)
            .when_with(
                &format!(
                    "$count($cutover.unseen) > 0 and $millis() - $toMillis($cutoverSince) > ({UNSEEN} + 2 * \
                     $max($append([0], $plan.dns.ttl))) * 1000"
                ),
                found(
                    "failure",
                    ErrorName::Unavailable,
                    "ConfirmCutover",
                    &format!(
                        "'the records point at ' & $plan.newCluster & ', and what is behind them could not be seen: ' & \
                         $join($append([], $cutover.unseen), '; ') & ({SOURCE_IS_OPEN} ? '; ' & $cutover.sourceOpen : '')"
                    ),
                ),
                "NoteUnconfirmed",
            )
            .when_with(
                &format!(
                    "$millis() - $toMillis($cutoverSince) > ({} + 2 * $max($append([0], $plan.dns.ttl))) * 1000",
                    hours(CONFIRMED)
                ),
                found(
                    "failure",
                    ErrorName::VerificationFailed,
                    "ConfirmCutover",
                    &format!(
                        "'it is not known whether the DNS names lead to ' & $plan.newCluster & ': ' & \
                         $string($cutover.records) & ({SOURCE_IS_OPEN} ? '; ' & $cutover.sourceOpen : '') & '; next \
                         step: look at the resolvers and caches in between'"
                    ),
                ),
                "NoteUnconfirmed",
            )
            .next("WaitForOldTtl"),
        State::wait("WaitForOldTtl", &pause("cutover", "$plan.dns", "$cutoverSince"))
            .progress("waits as long as resolvers may remember the old value")
            .only(Recoveries::Restore)
            .comment("Resolvers may serve the old value until the old TTL is over.")
            .next("ConfirmCutover"),
        State::pass("NoteUnconfirmed")
            .only(Recoveries::Restore)
            .comment("The records have moved, and that is no reason to move them back: it goes into the notes.")
            .assign("unconfirmed", explained("$substring($read($failure), 0, 4000)"))
            .next("AnnounceUnconfirmed"),
        State::announce(
            "AnnounceUnconfirmed",
            &[(
                "Rewind Cutover Unconfirmed".into(),
                &of_recovery(
                    "'cluster': $plan.cluster, 'state': 'Running', 'at': $now(), 'newCluster': $plan.newCluster, \
                     'cause': $unconfirmed",
                ),
            )],
        )
        .progress("sends as an event what could not be confirmed")
        .only(Recoveries::Restore)
        .comment(
            "Pages: clients are on the restored cluster, and somebody should look whether all of them are, and none on the \
             source.",
        )
        .next("ReleaseJobs")
        .tolerated(),
    ]
}

/// The undo of them, last first.
pub(super) fn undo() -> Vec<State> {
    let mut states = vec![
        State::table("ReadMoveNote", "getItem")
            .only(Recoveries::Restore)
            .progress("reads whether the records were sent to be moved")
            .comment(
                "The function notes it right before it sends its batch. Without an answer of the table they count as sent.",
            )
            .argument("Key", object([("id", text("'recovery#' & $recovery.id"))]))
            .argument("ConsistentRead", true.into())
            .keep_as("recordsSent", &format!("$not({NONE_SENT})"))
            .next("IsTrafficPossiblyMoved")
            .tolerated(),
        State::choice("IsTrafficPossiblyMoved")
            .only(Recoveries::Restore)
            .comment(
                "A batch that was never sent moved nothing, and neither did one that was refused at the first try: a record had \
                 changed, or AWS allowed no change. In every other case the zone knows.",
            )
            .when(
                "$recordsSent = false or $failure.Error in ['RecordChanged', 'RewindFailed', 'InvalidRequest'] and \
                 $failure.retries = 0",
                "UndoFenceSource",
            )
            .next("ReadRecords"),
        State::step("ReadRecords")
            .function("SwapDns")
            .progress("reads from the zone whether the records were moved")
            .only(Recoveries::Restore)
            .comment("Moves nothing: decides by what the records are now, and not by which call failed.")
            .inputs(["recovery", "plan", "restored"])
            .input_as("readOnly", "true")
            .timeout(timeouts::SWAP_DNS)
            .keep("found")
            .next("AreRecordsMoved")
            .undo_fails_to("IsAnythingChanged"),
        State::choice("AreRecordsMoved")
            .only(Recoveries::Restore)
            .comment(
                "All at the restored cluster: the cutover goes on. Otherwise the restored cluster has to say if it had \
                 clients: where all is as planned, somebody may have moved back what the lost attempt had moved.",
            )
            .when_with(
                "$found.records = 'moved' and $type($found.swap) = 'object'",
                vec![
                    set("swap", "$found.swap"),
                    set("cutoverSince", "$now()"),
                    // What failed was an answer, and the records are where they were to be.
                    set("failure", "{}"),
                    set_to(
                        "awaiting",
                        object([("what", "change".into()), ("identifier", Json::Null), ("since", jsonata("$now()"))]),
                    ),
                ],
                "AwaitInSync",
            )
            .next("FenceRestored"),
        State::step("FenceRestored")
            .function("FenceSource")
            .progress("ends writes on the restored cluster, before traffic moves back")
            .only(Recoveries::Restore)
            .comment(
                "Before the records go back: no write may be acknowledged by the restored cluster while clients \
                 return to the source. Finds out whether one was acknowledged before.",
            )
            .inputs(["recovery"])
            .inputs(["plan"])
            .input_text("fence", "restored")
            .inputs(["restored"])
            .input_as("writes", "$exists($fence.writes) ? $fence.writes : null")
            .timeout(timeouts::FENCE_SOURCE)
            .keep("restoredFence")
            .next("IsRestoredClusterUntouched")
            .undo_ended_when_over(timeouts::FENCE_SOURCE),
        State::choice("IsRestoredClusterUntouched")
            .only(Recoveries::Restore)
            .comment(
                "Where clients may have written to the restored cluster, nobody goes back without a person: those \
                 writes would be on no cluster that has traffic.",
            )
            // Nothing leads to the restored cluster, so there is nothing to move back.
            .when(
                "$restoredFence.untouched = true and $found.records in ['planned', 'elsewhere']",
                "UndoFenceSource",
            )
            .when("$restoredFence.untouched = true", "UndoSwapDns")
            .keep_as(
                "written",
                "$exists($restoredFence.why) ? $restoredFence.why : 'whether clients wrote to it is not known'",
            )
            .next("LiftRestoredFence"),
        State::undo("LiftRestoredFence", "FenceSource")
            .progress("lifts the fence of the restored cluster: traffic stays there")
            .only(Recoveries::Restore)
            .comment(
                "The source is still fenced, so no write can be acknowledged twice, wherever the records point. A \
                 person decides.",
            )
            .input_text("fence", "restored")
            .inputs(["restored"])
            .timeout(timeouts::FENCE_SOURCE)
            .keeps_what_was_undone()
            .next("IsAnythingChanged")
            .undo_fails_to("IsAnythingChanged"),
        State::undo("UndoSwapDns", "SwapDns")
            .progress("moves the records back")
            .only(Recoveries::Restore)
            .comment(
                "The result of a retry does not say whether the call before it moved a record: then the records count \
                 as moved.",
            )
            .inputs(["restored"])
            .timeout(timeouts::SWAP_DNS)
            .keep_as("movedBack", "$states.result.Payload.changed = true or $states.context.State.RetryCount > 0")
            .keeps_what_was_undone()
            .next("UndoFenceSource")
            .undo_ended_when_over(timeouts::SWAP_DNS),
        State::wait("AwaitOldAnswers", &format!("{PROPAGATION} + $max($append([0], $plan.dns.ttl))"))
            .progress("waits as long as resolvers may remember the restored cluster")
            .only(Recoveries::Restore)
            .comment(
                "Clients have the source again. If the lost attempt did move the records, and somebody moved them back, \
                 resolvers may still lead to the restored cluster, which must be fenced until they do not.",
            )
            .next("ReadRecordsAgain"),
        State::step("ReadRecordsAgain")
            .function("SwapDns")
            .progress("reads from the zone whether the records are still as planned")
            .only(Recoveries::Restore)
            .comment(
                "Minutes have passed, and somebody may have led clients to the restored cluster. Unread, its fence stays.",
            )
            .inputs(["recovery", "plan", "restored"])
            .input_as("readOnly", "true")
            .timeout(timeouts::SWAP_DNS)
            .keep("found")
            .next("IsRestoredClusterUnused")
            .catch(&ANY, Vec::new(), "KeepRestored"),
        State::choice("IsRestoredClusterUnused")
            .only(Recoveries::Restore)
            .comment(
                "Clients on two open clusters would write to both. It is opened where nothing leads to it, and otherwise told \
                 as one that is fenced.",
            )
            .when("$found.records = 'planned'", "OpenRestored")
            .next("KeepRestored"),
        State::undo("OpenRestored", "FenceSource")
            .progress("lifts the fence of the restored cluster, to which nothing leads")
            .only(Recoveries::Restore)
            .comment(
                "Nobody wrote to it, so it can be resumed. A fence that cannot be lifted stops nothing: it is told as one \
                 that is.",
            )
            .input_text("fence", "restored")
            .inputs(["restored"])
            .timeout(timeouts::FENCE_SOURCE)
            .keep_as("restoredFence", "null")
            .keeps_what_was_undone()
            .next("KeepRestored")
            .tolerated(),
    ];
    states.extend(records_back::states("LiftRestoredFence", |read| read.undo_bugs_to("IsAnythingChanged")));
    states
}
