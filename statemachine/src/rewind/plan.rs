//! The request becomes a plan, which is shown, recorded and from then on followed.

use crate::json::{jsonata, object};
use crate::lease::{held, until};
use crate::retry::CONDITION_FAILED;
use crate::state::{State, found, number, of_recovery, set_to, text};
use rewind_core::ErrorName;

/// The condition under which the record of this id is the recovery's own, or nobody's.
pub(super) const OWN_RECORD: &str = "attribute_not_exists(startedAt) OR startedAt = :started";

/// The states, in the order in which a recovery that works passes them. `lease_hours` outlast all states after them.
pub(super) fn states(lease_hours: u64) -> Vec<State> {
    vec![
        State::step("ValidateWindow")
            .progress("checks the request against cluster, window, records and secret; nothing is changed")
            .comment("Refuses a request that cannot be carried out, and makes the plan that every later step follows.")
            .inputs(["recovery", "request", "resumed"])
            .timeout(75)
            .keep("plan")
            .next("Preflight")
            .undone_from("ConcludeNothingChanged"),
        State::announce(
            "AnnouncePlan",
            &[
                (
                    "Rewind Started".into(),
                    &of_recovery("'cluster': $plan.cluster, 'state': 'Running', 'at': $recovery.startedAt"),
                ),
                (
                    // Lists and sentences are cut: EventBridge refuses an entry that is too large, and nobody would
                    // get any of it.
                    "Rewind Plan Ready".into(),
                    &of_recovery(
                        "'cluster': $plan.cluster, 'state': $plan.dryRun = true ? 'Planned' : 'Running', 'at': \
                         $now(), 'plan': {'strategy': $plan.strategy, 'target': $plan.target, 'newCluster': \
                         $plan.newCluster, 'dns': $append([], $plan.dns.name), 'approval': $plan.approval, 'dryRun': \
                         $plan.dryRun, 'willDo': $append([], $plan.willDo[[0..19]].$substring($, 0, 500)), \
                         'warnings': $append([], $plan.warnings[[0..19]].$substring($, 0, 500))}",
                    ),
                ),
            ],
        )
        .progress("sends the plan as an event")
        .comment(
            "Sends events: docs/events.md. An event that cannot be sent stops nothing, here and in every state that \
             sends one.",
        )
        .next("IsDryRun")
        .tolerated(),
        State::choice("IsDryRun")
            .comment("A dry run ends with its plan.")
            .when("$plan.dryRun = true", "Planned")
            .next("RecordPlan"),
        State::pass("Planned")
            .comment("The end of a dry run. A Pass, so that the output is the same on every interpreter.")
            .output(object([
                ("outcome", "Planned".into()),
                ("recoveryId", jsonata("$recovery.id")),
                ("plan", jsonata("$plan")),
            ])),
        State::table("RecordPlan", "putItem")
            .progress("writes the plan into the table")
            .comment(
                "Stores the plan, so that people and commands need no execution history to see it. Step Functions frees a name \
                 after 90 days, and the record of whoever had it then stays.",
            )
            .argument(
                "Item",
                object([
                    ("id", text("'recovery#' & $recovery.id")),
                    ("recoveryId", text("$recovery.id")),
                    ("state", object([("S", "Running".into())])),
                    ("cluster", text("$plan.cluster")),
                    ("newCluster", text("$plan.newCluster")),
                    ("executionArn", text("$recovery.executionArn")),
                    ("startedAt", text("$recovery.startedAt")),
                    ("plan", text("$string($plan)")),
                    // What a recovery that resumes this one starts from.
                    ("request", text("$string($request)")),
                    // A note of swap-dns in JSON: no record was sent to be moved.
                    ("recordsSentAt", object([("S", "null".into())])),
                ]),
            )
            .argument("ConditionExpression", OWN_RECORD.into())
            .argument("ExpressionAttributeValues", object([(":started", text("$recovery.startedAt"))]))
            .next("ExtendLease")
            .catch(
                &CONDITION_FAILED,
                found(
                    "failure",
                    ErrorName::InvalidRequest,
                    "RecordPlan",
                    "'there is a record of an earlier recovery ' & $recovery.id & '; nothing was changed; next step: start again under \
                     another name'",
                ),
                "ConcludeNothingChanged",
            )
            .undone_from("ConcludeNothingChanged"),
        extend_lease(lease_hours),
        State::choice("IsInPlace")
            .comment(
                "In place, people are asked and writes are ended before anything is created; beside the source, after \
                 the restored cluster is verified.",
            )
            .when("$plan.strategy = 'backtrack'", "IsApprovalNeeded")
            .when("$type($plan.adopted) = 'object'", "RecordResumed")
            .next("StartRestore"),
    ]
}

fn extend_lease(hours: u64) -> State {
    let seconds = format!("{hours} * 3600 + $plan.approvalTimeoutSeconds + 2 * $max($append([0], $plan.dns.ttl))");
    let values =
        [(":until", number(&format!("$string($floor($millis() / 1000) + {seconds})"))), (":me", text("$recovery.id"))];
    let taken = held(
        "ExtendLease",
        "'the lease ' & $leaseKey & ' was taken away while the plan was made; nothing was changed; next step: find \
         out who deleted or took the item of table ${TableName}, then start again under another name'",
    );
    State::table("ExtendLease", "updateItem")
        .progress("makes the lease outlast the recovery")
        .comment(format!(
            "The lease outlasts everything that follows, by its own bounds, which are {hours} h together; the time \
             people have to approve; and the old TTL, waited for at most twice. docs/statemachine.md has the sum."
        ))
        .argument("Key", object([("id", text("$leaseKey"))]))
        .argument("UpdateExpression", "SET expiresAt = :until".into())
        // Only the own lease is extended: a person may have deleted it, and another recovery taken it.
        .argument("ConditionExpression", "recoveryId = :me".into())
        .argument("ExpressionAttributeValues", object(values))
        .keep_as("leaseUntil", &until(&seconds))
        .next("IsInPlace")
        .catch(&CONDITION_FAILED, vec![taken, set_to("leaseKey", "none".into())], "ConcludeNothingChanged")
        .undone_from("ConcludeNothingChanged")
}
