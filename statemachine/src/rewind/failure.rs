//! From a failure to the end: where undoing begins, how things stand, and which of the two ends it is.

use super::plan::OWN_RECORD;
use super::situation;
use crate::conclude::{needs_operator, nothing_changed, rolled_back};
use crate::failed_function::{self, still_running, still_running_where};
use crate::json::{jsonata, object};
use crate::lease::release;
use crate::state::{State, of_recovery, text};

/// The end of a sentence about a failure: the restored cluster that is kept, until when, and the way on.
const KEPT: &str = "($type($inUse) = 'string' ? '; it is not deleted, though it was rejected: ' & $inUse : '') & ($type($kept) = 'object' and $exists($kept.what) ? '; ' & $kept.what : $exists($keepFailure.Error) ? \
                    '; the restored cluster ' & $plan.newCluster & ($failure.state in ['StartRestore', 'AwaitRewind'] ? ', if there is one,' : '') & \
                    ' is kept with its instances until the time in its tag \
                    aurora-rewind:keep-until, because an earlier one could not be set: ' & $read($keepFailure) & '; next step: ' & \
                    ($type($restoredFence) = 'object' ? 'when no client can be led to it any more, lift its fence as docs/runbook.md says for RolledBack, and ' : '') & \
                    'rewind resume ' & $recovery.id & ' goes on with it' : '')";

/// The cluster of the recovery, as an expression. A request that was refused may hold any text in its place, which people would read in chat
/// and in pages, and shells complete.
const CLUSTER: &str = "$exists($plan.cluster) ? $plan.cluster : $type($request) = 'object' and $type($request.cluster) = 'string' and \
                       $contains($request.cluster, /^[A-Za-z][A-Za-z0-9-]{0,62}(?![\\s\\S])/) ? $request.cluster : 'unknown'";

/// True where the recovery itself lifted its fence, and knows how long clients had no database. Where records may have moved and a person is
/// called, some clients may have none still.
const OUTAGE_IS_OVER: &str =
    "$fenceLiftedAt != 'none' and ($ending.state != 'NeedsOperator' or $plan.strategy = 'backtrack')";

/// The outage of a recovery that failed as text for people: `none`, so many seconds at most, or since when it is unknown.
fn outage() -> String {
    format!(
        "$fenceBegunAt = 'none' ? 'none' : {OUTAGE_IS_OVER} ? $string($round({OUTAGE_SECONDS}, 1)) & ' s at most' : 'unknown since ' & \
         $fenceBegunAt"
    )
}

/// The seconds between, once both are known.
const OUTAGE_SECONDS: &str = "(($toMillis($fenceLiftedAt) - $toMillis($fenceBegunAt)) / 1000)";

/// The part of the record that `rewind undo` reads where a recovery has no output: records and endpoints. Empty unless `condition` holds and
/// the recovery has records to move.
pub(super) fn moved(condition: &str) -> String {
    format!(
        "{condition} and $type($restored) = 'object' and $type($report) = 'object' and $count($plan.dns) > 0 ? $string({{'strategy': \
         $plan.strategy, 'newCluster': $restored.cluster, 'writerEndpoint': $restored.writerEndpoint, 'readerEndpoint': \
         $restored.readerEndpoint, 'rewoundTo': $restored.rewoundTo, 'dns': $append([], $map($plan.dns, function($r) {{ {{'name': \
         $r.name, 'from': $r.from, 'to': $r.endpoint = 'reader' ? $restored.readerEndpoint : $restored.writerEndpoint, 'ttl': $r.ttl}} \
         }}))}}) : '{{}}'"
    )
}

/// The states, in the order in which a recovery that works passes them.
pub(super) fn states() -> Vec<State> {
    vec![
        State::choice("IsSourceChanged")
            .comment(
                "The results that exist by now say what has been done. In place and before the fence, nothing has.",
            )
            // The latest change first: each undo leads on to that of the change before it.
            .when("$type($backtrack) = 'object'", "UndoStartBacktrack")
            .when("$type($fence) = 'object'", "UndoFenceSource")
            .when("$plan.strategy = 'backtrack'", "ConcludeNothingChanged")
            .next("IsRestoredClusterKept"),
    ]
}

/// The states that a recovery passes whose restore, fence, backtrack or swap failed, or the undo of a swap.
pub(super) fn of_functions() -> Vec<State> {
    let ways = [
        ("$undoFailure.state = 'FenceRestored'", "LiftRestoredFence"),
        ("$undoFailure.state = 'UndoSwapDns'", "ReadRecordsBack"),
        ("$failure.state = 'SwapDns'", "ReadMoveNote"),
        ("$failure.state = 'StartBacktrack'", "UndoStartBacktrack"),
        ("$failure.state in ['StartRestore', 'AddInstances']", "IsSourceChanged"),
    ];
    failed_function::states(&ways, "UndoFenceSource")
}

impl State {
    /// A failure is undone as soon as the function cannot be at work any more. A bug undoes nothing.
    pub(super) fn undone_when_over(self, longest: u64) -> Self {
        let failed = self.bugs_to("IsAnythingChanged");
        failed.fails_with("failure", still_running(longest), "IsFailedFunctionOver")
    }

    /// The same, but that nobody waits beside the source.
    pub(super) fn undone_when_over_in_place(self, longest: u64) -> Self {
        let failed = self.bugs_to("IsAnythingChanged");
        failed.fails_with(
            "failure",
            still_running_where("$plan.strategy = 'backtrack'", longest),
            "IsFailedFunctionOver",
        )
    }

    /// The same for an undo, whose own failure is kept beside the one that it was to undo.
    pub(super) fn undo_ended_when_over(self, longest: u64) -> Self {
        let failed = self.undo_bugs_to("IsAnythingChanged");
        failed.fails_with("undoFailure", still_running(longest), "IsFailedFunctionOver")
    }
}

/// From the end of undoing to the ends of the execution. `steps` are all before them.
pub(super) fn ends(steps: &[State]) -> Vec<State> {
    vec![
        nothing_changed(KEPT)
            .comment(
                "Failed with clients where they were all the time. Reports the first failure as a sentence, and what \
                 is kept.",
            )
            .next("RecordFailure"),
        rolled_back(&format!(
            "'; traffic had moved to ' & $plan.newCluster & ', and was moved back to ' & \
                     $plan.cluster & ': nothing was written to the restored cluster meanwhile; it is fenced' & {KEPT}"
        ))
        .comment("Failed after traffic had moved, and traffic is back. Says why, and what is kept.")
        .next("RecordFailure"),
        situation::choice(steps),
        needs_operator(
            "$undo := $exists($undoFailure.Error) ? '; then undoing failed: ' & $read($undoFailure) : \
                             $count($undone) = 0 ? '; nothing was undone' : ''; $done := $count($undone) > 0 ? \
                             ($undo = '' ? '; undone: ' : '; undone before that: ') & $join($undone, '; ') : ''; $back := $not($fenceIsUp) ? '' : $failure.state = 'LiftFence' ? '; \
                             to let clients in, with the data as it is now: rewind undo ' & $recovery.id : '; to have it as it was: rewind undo \
                             ' & $recovery.id; $lift := $fenceIsUp ? '; to let clients in by hand when it is right: \
                             aws rds modify-db-cluster --db-cluster-identifier ' & $plan.cluster & ' \
                             --vpc-security-group-ids ' & $join($plan.backtrack.securityGroups, ' \
                             ') : ''; $snapshot := $undoFailure.state = 'UndoStartRestore' ? '; if ' & $plan.newCluster & ' is gone, its last \
                             state is in a snapshot: aws rds describe-db-cluster-snapshots --db-cluster-identifier ' & \
                             $plan.newCluster : ''; $lease := $type($situation) != 'string' or $leaseKey = 'none' ? '' : '; ' & \
                             $leaseKey & ' is kept until ' & $leaseUntil & ' so that nobody starts another recovery \
                             of it meanwhile: delete that item of table ${TableName} when it is put in order'; $text \
                             := $read($failure) & $undo & $done & '; ' & ($type($situation) = 'string' ? $situation : \
                             'nothing was changed') & $snapshot & $back & $lift & $lease; $substring($text, 0, 30000)",
        )
        .comment(
            "A bug, an undo that failed, or a failure after the work was done. Says what happened, what was \
                 undone, how the clusters stand, and how to lift a fence.",
        )
        .next("RecordFailure"),
        State::table("RecordFailure", "updateItem")
            .waits_half_an_hour()
            .progress("writes the failure into the table")
            .comment("A failure here hides nothing: the execution ends with the same error and cause.")
            .argument("Key", object([("id", text("'recovery#' & $recovery.id"))]))
            .argument(
                "UpdateExpression",
                "SET recoveryId = :id, #cluster = :cluster, executionArn = :execution, startedAt = :started, #state = \
                 :state, #error = :error, cause = :cause, timings = :timings, moved = :moved, endedAt = :now REMOVE \
                 approval"
                    .into(),
            )
            .argument("ConditionExpression", OWN_RECORD.into())
            .argument(
                "ExpressionAttributeNames",
                object([("#state", "state".into()), ("#error", "error".into()), ("#cluster", "cluster".into())]),
            )
            .argument(
                "ExpressionAttributeValues",
                object([
                    (":id", text("$recovery.id")),
                    (":cluster", text(CLUSTER)),
                    (":execution", text("$recovery.executionArn")),
                    (":started", text("$recovery.startedAt")),
                    (":state", text("$ending.state")),
                    (":error", text("$ending.error")),
                    (":cause", text("$ending.cause")),
                    (":timings", text("$string($timings)")),
                    (":moved", text(&moved("$ending.state = 'NeedsOperator' and $plan.strategy = 'restore'"))),
                    (":now", text("$now()")),
                ]),
            )
            .next("AnnounceFailure")
            .tolerated(),
        State::announce(
            "AnnounceFailure",
            &[(
                jsonata(
                    "$ending.state = 'NeedsOperator' ? 'Rewind Needs Operator' : $ending.state = 'RolledBack' ? \
                     'Rewind Rolled Back' : 'Rewind Nothing Changed'",
                ),
                &format!(
                    "($outage := {}; {})",
                    outage(),
                    of_recovery(&format!(
                        "'cluster': {CLUSTER}, 'state': $ending.state, 'at': $now(), 'error': $ending.error, 'cause': \
                         $substring($ending.cause, 0, 3900) & ($outage = 'none' ? '' : '; outage: ' & $outage), 'outage': $outage, \
                         'outageSeconds': {OUTAGE_IS_OVER} ? {OUTAGE_SECONDS} : null"
                    ))
                ),
            )],
        )
        .progress("sends the end as an event")
        .comment("Sends which of the three ends it is, why, and how long clients had no database. The pages have the cause alone, so that ends with it.")
        .next("IsLeaseKept")
        .tolerated(),
        State::choice("IsLeaseKept")
            .comment(
                "Nobody should start another recovery of a half-changed cluster: its lease stays until it expires or \
                 a person deletes it. If the recovery holds no lease, there is none to release.",
            )
            // A recovery that was refused the lease has none to release: the item is that of the recovery that holds
            // it.
            .when("$leaseKey = 'none'", "IsOperatorNeeded")
            .when("$ending.state = 'NeedsOperator' and $type($situation) = 'string'", "IsOperatorNeeded")
            .next("ReleaseLeaseAfterFailure"),
        release("ReleaseLeaseAfterFailure", "recovery")
            .comment("A lease that cannot be released expires by itself.")
            .next("IsOperatorNeeded")
            .tolerated(),
        State::choice("IsOperatorNeeded")
            .comment("The three ways to fail.")
            .when("$ending.state = 'NeedsOperator'", "NeedsOperator")
            .when("$ending.state = 'RolledBack'", "RolledBack")
            .next("NothingChanged"),
        State::fail("NothingChanged", "$ending.error", "$ending.cause")
            .comment("Failed with clients where they were all the time."),
        State::fail("RolledBack", "$ending.error", "$ending.cause")
            .comment("Failed after traffic had moved, and traffic is back on the source. This end pages."),
        State::fail("NeedsOperator", "$ending.error", "$ending.cause").comment("A person must look. This end pages."),
    ]
}
