//! The end of an undo that moved records back: every name is followed to the source, as a recovery follows it to the restored cluster.
//! Nothing that is seen here moves a record again: it goes into what the undo tells, and pages.

use crate::conclude::explained;
use crate::json::jsonata;
use crate::retry::ANY;
use crate::rewind::{CONFIRMED, UNSEEN, pause};
use crate::state::{State, found, hours, set, set_to};
use rewind_core::ErrorName;

/// The longest TTL by which resolvers may remember the restored cluster, in seconds.
const OLD_TTL: &str = "$max($append([0], $swap.records.ttl))";

/// The names that the last invocation of ConfirmSource did not see lead to the source, as the sentences of an array.
const NOT_THERE: &str = "$append($append([], $confirmation.elsewhere), $append([], $confirmation.unseen))";

/// The fence of the restored cluster does not hold: a condition after ConfirmSource.
const RESTORED_IS_OPEN: &str = "$type($confirmation.restoredOpen) = 'string'";

impl State {
    /// The records lead to the source, by the `swap` in the answer of the function: the names are to be followed there.
    pub(crate) fn begins_to_confirm(self) -> Self {
        let swap = "$states.result.Payload.swap";
        self.keep_as("swap", &format!("$exists({swap}) ? {swap} : null"))
            // One start for both loops below, so that together they stay within one bound.
            .keep_as("movedBackAt", "$now()")
            .starts_waiting_for_one("change", &format!("$type({swap}.changeId) = 'string' ? {swap}.changeId : null"))
    }
}

/// The states, in the order in which they are passed. `next` follows, whatever was seen.
pub(crate) fn states(next: &'static str) -> Vec<State> {
    vec![
        State::waiting("AwaitInSync")
            .progress("waits until Route 53 is in sync")
            .comment("Clients have the source by now, and the watch over the fences has ended: nobody is kept out by this wait.")
            .keep_as("inSyncAt", "$exists($states.result.Payload.inSyncAt) ? $states.result.Payload.inSyncAt : null")
            .next("IsInSync")
            // Route 53 answers nobody, which says nothing about the records: the names are followed all the same.
            .fails_with("unconfirmedFailure", Vec::new(), "ConfirmSource"),
        State::choice("IsInSync")
            .comment(
                "Gives up after one hour, which counts towards that of IsSourceConfirmed. The names are followed all the same, and \
                 people are told.",
            )
            .when("$rewind.done = true", "ConfirmSource")
            .when_with(
                &format!("$millis() - $toMillis($movedBackAt) > {} * 1000", hours(CONFIRMED)),
                found(
                    "unconfirmedFailure",
                    ErrorName::VerificationFailed,
                    "AwaitInSync",
                    "'not all servers of Route 53 had the records of ' & $plan.cluster & ' one hour after they were moved back: ' & \
                     $string($rewind.status) & '; next step: look at the AWS Health Dashboard for Route 53: clients may still be led to ' \
                     & $restored.cluster & ', which is fenced'",
                ),
                "ConfirmSource",
            )
            .next("AwaitInSync"),
        State::step("ConfirmSource")
            .function("ConfirmCutover")
            .progress("resolves and connects by name, and inspects the fence of the restored cluster")
            .comment(
                "A name that still leads to the restored cluster is asked for again: that cluster is fenced, so no write is lost by it. \
                 Inspects its fence as well, which somebody may have opened since it closed.",
            )
            .inputs(["recovery", "plan", "restored", "swap", "inSyncAt"])
            .input_text("toward", "source")
            .timeout(105)
            .keep("confirmation")
            .keep_as("inSyncAt", "$exists($states.result.Payload.inSyncAt) ? $states.result.Payload.inSyncAt : null")
            .keep_as("confirmedAt", "$states.result.Payload.confirmed = true ? $now() : null")
            .next("IsSourceConfirmed")
            .fails_with("unconfirmedFailure", Vec::new(), "NoteUnconfirmed"),
        State::choice("IsSourceConfirmed")
            .comment(
                "Gives up one hour and twice the longest old TTL after the records were moved back; on a server that cannot be seen, or \
                 a name that leads elsewhere, after two minutes and that.",
            )
            .when_with(
                &format!("$confirmation.confirmed = true and {RESTORED_IS_OPEN}"),
                found("unconfirmedFailure", ErrorName::VerificationFailed, "ConfirmSource", "$confirmation.restoredOpen"),
                "NoteUnconfirmed",
            )
            // A wait for Route 53 that failed is told of, even where every name is right by now.
            .when("$confirmation.confirmed = true and $exists($unconfirmedFailure.Error)", "NoteUnconfirmed")
            .when_with(
                "$confirmation.confirmed = true",
                vec![set(
                    "undone",
                    "$append($undone, $append([], $append($map($append([], $confirmation.records), function($r) { $r.name & ' was seen \
                     to lead to ' & $plan.cluster & ' at ' & $confirmedAt }), $type($confirmation.restoredUnseen) = 'string' ? ['whether ' \
                     & $restored.cluster & ' is still fenced could not be seen: ' & $confirmation.restoredUnseen] : [])))",
                )],
                next,
            )
            .when_with(
                &format!(
                    "$count({NOT_THERE}) > 0 and $millis() - $toMillis($movedBackAt) > ({UNSEEN} + 2 * {OLD_TTL}) * 1000"
                ),
                found(
                    "unconfirmedFailure",
                    ErrorName::VerificationFailed,
                    "ConfirmSource",
                    &format!(
                        "'the records point at ' & $plan.cluster & ', and clients may not reach it by them: ' & $join({NOT_THERE}, '; ') & \
                         ({RESTORED_IS_OPEN} ? '; ' & $confirmation.restoredOpen : '') & '; next step: look at what is behind each name, \
                         and at the resolvers and caches in between'"
                    ),
                ),
                "NoteUnconfirmed",
            )
            .when_with(
                &format!(
                    "$millis() - $toMillis($movedBackAt) > ({} + 2 * {OLD_TTL}) * 1000",
                    hours(CONFIRMED)
                ),
                found(
                    "unconfirmedFailure",
                    ErrorName::VerificationFailed,
                    "ConfirmSource",
                    "'it is not known whether the DNS names lead to ' & $plan.cluster & ': ' & $string($confirmation.records) & '; next \
                     step: look at the resolvers and caches in between'",
                ),
                "NoteUnconfirmed",
            )
            .next("WaitForOldTtl"),
        State::wait("WaitForOldTtl", &pause("confirmation", "$swap.records", "$movedBackAt"))
            .progress("waits as long as resolvers may remember the old value")
            .comment("Until then a resolver may lead clients to the restored cluster, which stays fenced and refuses them.")
            .next("ConfirmSource"),
        State::pass("NoteUnconfirmed")
            .comment("The records have moved back, and nobody moves them once more for that: it goes into what the undo tells.")
            .assign("unconfirmed", explained("$substring($read($unconfirmedFailure), 0, 4000)"))
            .next("AnnounceUnconfirmed"),
        State::announce(
            "AnnounceUnconfirmed",
            &[(
                "Rewind Cutover Unconfirmed".into(),
                "{'recoveryId': $id, 'executionArn': $undo.executionArn, 'cluster': $plan.cluster, 'state': 'Running', 'at': $now(), \
                 'newCluster': $restored.cluster, 'cause': $unconfirmed}",
            )],
        )
        .progress("sends as an event what could not be confirmed")
        .comment("Pages: the records lead to the source, and somebody should look whether all clients are there.")
        .assign("undone", jsonata(NOTED))
        .next(next)
        // An event that cannot be sent stops no undo, and the note stays.
        .catch(&ANY, vec![set_to("undone", jsonata(NOTED))], next),
    ]
}

/// The note that comes with what was undone, as an expression.
const NOTED: &str = "$append($undone, 'NOT CONFIRMED that clients are on ' & $plan.cluster & ', and none on ' & $restored.cluster & ': ' & \
                     $unconfirmed & '; the records point at ' & $plan.cluster & ', and nothing was moved again')";
