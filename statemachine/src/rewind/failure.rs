//! From a failure to the end: where undoing begins, how things stand, and which of the two ends it is.

use crate::conclude::{error_name, explained};
use crate::json::{jsonata, object};
use crate::lease::release;
use crate::state::{Assign, State, of_recovery, set, set_to, text};

/// The states, in the order in which a recovery that works passes them.
pub(super) fn states() -> Vec<State> {
    vec![
        State::choice("IsSourceChanged")
            .comment(
                "What has been answered by now tells what has been done. In place and not yet fenced, that is \
                 nothing.",
            )
            .when("$type($backtrack) = 'object'", "UndoStartBacktrack")
            .when("$type($fence) = 'object'", "UndoFenceSource")
            .when("$plan.strategy = 'backtrack'", "ConcludeNothingChanged")
            .next("UndoAddInstances"),
    ]
}

/// From the end of undoing to the ends of the execution.
pub(super) fn ends() -> Vec<State> {
    vec![
        State::pass("ConcludeNothingChanged")
            .comment(
                "Failed before anything was changed, or all of it was undone. The first failure is what is reported, \
                 as a sentence.",
            )
            .assign(
                "ending",
                object([
                    ("state", "NothingChanged".into()),
                    ("error", error_name()),
                    (
                        "cause",
                        explained(
                            "$text := $read($failure) & ($count($undone) > 0 ? '; undone: ' & $join($undone, '; ') : \
                             ''); $substring($text, 0, 30000)",
                        ),
                    ),
                ]),
            )
            .next("RecordFailure"),
        State::choice("IsAnythingChanged")
            .comment(
                "Which way things stand when a person has to look: by the undo that failed, or else by the step. \
                 Without a match nothing was changed.",
            )
            .when_with(
                "$plan.strategy = 'backtrack' and $undoFailure.state in ['UndoAddInstances', 'UndoStartRestore', \
                 'AwaitDeletion']",
                situation(
                    "'now: ' & $plan.cluster & ' is as it was, and clients reach it; the safety clone ' & \
                     $plan.newCluster & ' or part of it may be left: delete it'",
                ),
                "ConcludeNeedsOperator",
            )
            .when_with(
                "$plan.strategy = 'backtrack' and ($undoFailure.state = 'UndoFenceSource' or $failure.state in \
                 ['FenceSource', 'CloneSource', 'AddInstances', 'AwaitInstances'] or $failure.state = 'AwaitRewind' \
                 and $type($backtrack) != 'object')",
                situation_fenced(
                    "'now: ' & $plan.cluster & ' holds what it held before, and may be fenced; the safety clone ' & \
                     $plan.newCluster & ' may exist'",
                ),
                "ConcludeNeedsOperator",
            )
            .when_with(
                "$undoFailure.state = 'VerifyForward'",
                situation_fenced(
                    "'now: ' & ($type($awaiting.identifier) = 'string' ? $plan.cluster & ' was taken forward to ' & \
                     $restored.rewoundTo : $type($restored) = 'object' ? $plan.cluster & ' was rewound to ' & \
                     $restored.rewoundTo & ', and RDS knows of no backtrack to take it forward from' : 'no backtrack \
                     of ' & $plan.cluster & ' was begun, as far as RDS knows') & ', and that it holds what it held \
                     before is not proven; it is still fenced, and the safety clone ' & $plan.newCluster & ' is kept: \
                     compare them'",
                ),
                "ConcludeNeedsOperator",
            )
            .when_with(
                "$undoFailure.state in ['UndoStartBacktrack', 'AwaitForward'] and $type($restored) = 'object'",
                situation_fenced(
                    "'now: ' & $plan.cluster & ' was rewound to ' & $restored.rewoundTo & ', and whether it was taken \
                     forward from there is not known: ask aws rds describe-db-cluster-backtracks \
                     --db-cluster-identifier ' & $plan.cluster & '; it is still fenced, and the safety clone ' & \
                     $plan.newCluster & ' is kept'",
                ),
                "ConcludeNeedsOperator",
            )
            .when_with(
                "$undoFailure.state in ['UndoStartBacktrack', 'AwaitForward'] or $failure.state = 'StartBacktrack' or \
                 $failure.state = 'AwaitRewind' and $type($backtrack) = 'object'",
                situation_fenced(
                    "'now: whether ' & $plan.cluster & ' is as it was or rewound to ' & $plan.target & ' is not \
                     known: ask aws rds describe-db-cluster-backtracks --db-cluster-identifier ' & $plan.cluster & '; \
                     it is still fenced, and the safety clone ' & $plan.newCluster & ' is kept'",
                ),
                "ConcludeNeedsOperator",
            )
            .when_with(
                "$plan.strategy = 'backtrack' and $failure.state = 'Verify'",
                situation_fenced(
                    "'now: ' & $plan.cluster & ' is rewound to ' & $restored.rewoundTo & ' and not verified; it is \
                     still fenced, and the safety clone ' & $plan.newCluster & ' is kept'",
                ),
                "ConcludeNeedsOperator",
            )
            .when_with(
                "$failure.state = 'LiftFence'",
                situation_fenced(
                    "'now: ' & $plan.cluster & ' is rewound to ' & $restored.rewoundTo & ' and verified: only its \
                     fence may still be up; the safety clone ' & $plan.newCluster & ' is kept'",
                ),
                "ConcludeNeedsOperator",
            )
            .when_with(
                "$plan.strategy = 'backtrack' and $failure.state = 'Finish'",
                situation(
                    "'now: ' & $plan.cluster & ' is rewound to ' & $restored.rewoundTo & ' and verified, and clients \
                     reach it: the recovery is done but for its tags and its report; the safety clone ' & \
                     $plan.newCluster & ' is kept'",
                ),
                "ConcludeNeedsOperator",
            )
            .when_with(
                "$failure.state in ['StartRestore', 'AwaitRewind']",
                situation(
                    "'before any undoing: the restored cluster ' & $plan.newCluster & ' may exist, the source is \
                     untouched'",
                ),
                "ConcludeNeedsOperator",
            )
            .when_with(
                "$failure.state in ['AddInstances', 'AwaitInstances', 'Verify'] or $failure.state in \
                 ['RequestApproval', 'ConfirmApproval'] and $plan.strategy != 'backtrack'",
                situation(
                    "'before any undoing: the restored cluster ' & $plan.newCluster & ' and its instances may exist, \
                     traffic is on the source ' & $plan.cluster & ', which is untouched'",
                ),
                "ConcludeNeedsOperator",
            )
            .when_with(
                "$failure.state = 'FenceSource'",
                situation(
                    "'before any undoing: the restored cluster ' & $plan.newCluster & ' and its instances may exist, \
                     the source ' & $plan.cluster & ' may be fenced, the DNS records are as they were'",
                ),
                "ConcludeNeedsOperator",
            )
            .when_with(
                "$failure.state in ['SwapDns', 'AwaitInSync', 'ConfirmCutover']",
                situation(
                    "'before any undoing: the restored cluster ' & $plan.newCluster & ' and its instances may exist, \
                     the source ' & $plan.cluster & ' may be fenced, the DNS records may point at either'",
                ),
                "ConcludeNeedsOperator",
            )
            .when_with(
                "$failure.state = 'Finish' and $count($plan.dns) = 0",
                situation(
                    "'now: the restored cluster ' & $plan.newCluster & ' is verified and beside the source ' & \
                     $plan.cluster & ', which keeps its traffic: the recovery is done but for its report'",
                ),
                "ConcludeNeedsOperator",
            )
            .when_with(
                "$failure.state = 'Finish'",
                situation(
                    "'now: traffic is on the restored cluster ' & $plan.newCluster & ', the source ' & $plan.cluster \
                     & ' is fenced and kept: the recovery is done but for its tags and its report'",
                ),
                "ConcludeNeedsOperator",
            )
            .next("ConcludeNeedsOperator"),
        State::pass("ConcludeNeedsOperator")
            .comment(
                "A bug, an undo that failed, or a failure after the work was done: says what happened, what was \
                 undone, which way things stand, and what to do about a fence.",
            )
            .assign(
                "ending",
                object([
                    ("state", "NeedsOperator".into()),
                    ("error", error_name()),
                    (
                        "cause",
                        explained(
                            "$undo := $exists($undoFailure.Error) ? '; then undoing failed: ' & $read($undoFailure) : \
                             '; nothing was undone'; $done := $count($undone) > 0 ? '; undone before that: ' & \
                             $join($undone, '; ') : ''; $lift := $fenceIsUp ? '; to let clients in when it is right: \
                             aws rds modify-db-cluster --db-cluster-identifier ' & $plan.cluster & ' \
                             --apply-immediately --vpc-security-group-ids ' & $join($plan.backtrack.securityGroups, ' \
                             ') : ''; $lease := $type($situation) != 'string' or $leaseKey = 'none' ? '' : '; ' & \
                             $leaseKey & ' is kept until ' & $leaseUntil & ' so that nobody starts another recovery \
                             of it meanwhile: delete that item of table ${TableName} when it is put in order'; $text \
                             := $read($failure) & $undo & $done & '; ' & ($type($situation) = 'string' ? $situation : \
                             'nothing was changed') & $lift & $lease; $substring($text, 0, 30000)",
                        ),
                    ),
                ]),
            )
            .next("RecordFailure"),
        State::table("RecordFailure", "updateItem")
            .progress("writes the failure into the table")
            .comment("A failure here hides nothing: the execution ends with the same error and cause.")
            .argument("Key", object([("id", text("'recovery#' & $recovery.id"))]))
            .argument(
                "UpdateExpression",
                "SET recoveryId = :id, #cluster = :cluster, executionArn = :execution, startedAt = :started, #state = \
                 :state, #error = :error, cause = :cause, timings = :timings, endedAt = :now REMOVE approval"
                    .into(),
            )
            .argument(
                "ExpressionAttributeNames",
                object([("#state", "state".into()), ("#error", "error".into()), ("#cluster", "cluster".into())]),
            )
            .argument(
                "ExpressionAttributeValues",
                object([
                    (":id", text("$recovery.id")),
                    (
                        ":cluster",
                        text(
                            "$exists($plan.cluster) ? $plan.cluster : $type($request) = 'object' and \
                             $type($request.cluster) = 'string' ? $request.cluster : 'unknown'",
                        ),
                    ),
                    (":execution", text("$recovery.executionArn")),
                    (":started", text("$recovery.startedAt")),
                    (":state", text("$ending.state")),
                    (":error", text("$ending.error")),
                    (":cause", text("$ending.cause")),
                    (":timings", text("$string($timings)")),
                    (":now", text("$now()")),
                ]),
            )
            .next("AnnounceFailure")
            .tolerated(),
        State::announce(
            "AnnounceFailure",
            &[(
                jsonata("$ending.state = 'NeedsOperator' ? 'Rewind Needs Operator' : 'Rewind Nothing Changed'"),
                &of_recovery(
                    "'cluster': ($exists($plan.cluster) ? $plan.cluster : $type($request) = 'object' and \
                     $type($request.cluster) = 'string' ? $substring($request.cluster, 0, 255) : 'unknown'), 'state': \
                     $ending.state, 'at': $now(), 'error': $ending.error, 'cause': $substring($ending.cause, 0, 4000)",
                ),
            )],
        )
        .progress("sends the end as an event")
        .comment("Which of the two ends it is, and why.")
        .next("IsLeaseKept")
        .tolerated(),
        State::choice("IsLeaseKept")
            .comment(
                "Nobody should start another recovery of a half-changed cluster: there the lease stays until it \
                 expires or a person deletes it. Without a lease there is none to release.",
            )
            .when("$leaseKey = 'none'", "IsOperatorNeeded")
            .when("$ending.state = 'NeedsOperator' and $type($situation) = 'string'", "IsOperatorNeeded")
            .next("ReleaseLeaseAfterFailure"),
        release("ReleaseLeaseAfterFailure", "recovery")
            .comment("A lease that cannot be released expires by itself.")
            .next("IsOperatorNeeded")
            .tolerated(),
        State::choice("IsOperatorNeeded")
            .comment("The two ways to fail.")
            .when("$ending.state = 'NeedsOperator'", "NeedsOperator")
            .next("NothingChanged"),
        State::fail("NothingChanged", "$ending.error", "$ending.cause")
            .comment("Failed with everything as it was before."),
        State::fail("NeedsOperator", "$ending.error", "$ending.cause")
            .comment("A person must look: the only end that pages."),
    ]
}

/// How things stand for whoever has to look.
fn situation(expression: &str) -> Assign {
    vec![set("situation", expression)]
}

/// The same where the fence is still up: people are told how to lift it.
fn situation_fenced(expression: &str) -> Assign {
    vec![set("situation", expression), set_to("fenceIsUp", true.into())]
}
