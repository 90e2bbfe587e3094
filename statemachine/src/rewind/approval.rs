//! People are asked, in slices of a minute, and their approval is confirmed against what was shown.

use crate::json::{jsonata, object};
use crate::state::{Recoveries, Situation, State, found, hours, of_recovery, set, text};
use rewind_core::ErrorName;

/// Hours for which an approval waits until it can be seen that nothing has changed.
pub(crate) const CONFIRMABLE: u64 = 1;
/// The moment at which the time to decide ends, in milliseconds.
const DEADLINE: &str = "$toMillis($requestedAt) + $plan.approvalTimeoutSeconds * 1000";

/// The seconds of a slice: sixty, and the rest where no whole slice would be left after it.
// An approval that is confirmed as soon as that is possible has time beyond it. The last slice ends with the time to decide, and is long enough for its function to end within it.
const SLICE: &str = "( $left := $max([1, $ceil((DEADLINE - $millis()) / 1000)]); $left < 100 and $type($notYet) != 'object' ? $left : 60 )";

/// A decision as the item keeps it, as an expression: without its proof. Of one that is longer than any that our own commands send, its beginning.
// Whoever may answer for the function can send 256 KiB, with which the item would be larger than Step Functions reads.
const DECISION: &str = "$type($decision) != 'object' ? {'decision': $substring($string($decision), 0, 200)} : $length($string($decision)) > \
                        20000 ? {'decision': $substring($string($decision.decision), 0, 200), 'by': $substring($string($decision.by), 0, 200), \
                        'comment': $substring($string($decision.comment), 0, 4000)} : $sift($decision, function($value, $key) { $key != 'proof' })";

/// The states, in the order in which a recovery that works passes them.
pub(super) fn states() -> Vec<State> {
    vec![
        State::choice("IsApprovalNeeded")
            .comment("The time to decide begins here, once.")
            .when_with("$plan.approval = 'required'", vec![set("requestedAt", "$now()")], "AnnounceApproval")
            .next("NoteFence"),
        State::announce(
            "AnnounceApproval",
            &[(
                "Rewind Approval Requested".into(),
                &of_recovery(
                    "'cluster': $plan.cluster, 'state': 'AwaitingApproval', 'at': $requestedAt, 'expiresAt': \
                     $fromMillis($toMillis($requestedAt) + $plan.approvalTimeoutSeconds * 1000), 'strategy': \
                     $plan.strategy, 'target': $plan.target, 'newCluster': $plan.newCluster, 'rewoundTo': \
                     $type($restored) = 'object' ? $restored.rewoundTo : null, 'passed': $type($report) = 'object' ? \
                     $report.passed : null",
                ),
            )],
        )
        .progress("sends the request for approval as an event")
        .comment("Once a recovery, however many slices follow.")
        .next("RequestApproval")
        .tolerated(),
        State::step("RequestApproval")
            .progress("waits for a person")
            .situation(Situation::InstancesMayExist)
            .comment(
                "Waits for a person in slices of 60 seconds, each with a new task token that the function stores in \
                 the table; people are asked once. The last slice ends with the time to decide. In place there is only \
                 the plan to show. docs/adr/0003-approval-in-slices.md says why.",
            )
            // Without TimeoutSeconds a task token is waited for a year.
            .wait_for_task_token()
            .inputs(["recovery"])
            .inputs(["plan"])
            .inputs(["restored"])
            .inputs(["report"])
            .inputs(["differences"])
            .inputs(["comparison"])
            .input_as("taskToken", "$states.context.Task.Token")
            .inputs(["requestedAt"])
            .input_as("lastRefused", "$type($confirmed) = 'object' ? $confirmed.why : null")
            .input_as(
                "rejectableUntil",
                &format!(
                    "$type($notYet) = 'object' ? $fromMillis($toMillis($notYet.since) + {} * 1000) : null",
                    hours(CONFIRMABLE)
                ),
            )
            .timeout_by(&SLICE.replace("DEADLINE", DEADLINE))
            .keep_as("decision", "$states.result")
            .next("IsApprovalToConfirm")
            .catch(&["States.Timeout"], Vec::new(), "IsApprovalExpired")
            .undone_from("IsSourceChanged"),
        // By the clock, and not by counting slices: a retry or a slow start makes a slice longer.
        State::choice("IsApprovalExpired")
            .comment(
                "Nobody decided within this slice, or somebody approved something else: is there time for another \
                 slice? An approval that could not be confirmed yet is tried again, however long people had.",
            )
            .when_with("$type($notYet) = 'object'", vec![set("decision", "$notYet.decision")], "ConfirmApproval")
            .when_with(
                &format!("$millis() >= {DEADLINE}"),
                found(
                    "failure",
                    ErrorName::NotApproved,
                    "RequestApproval",
                    "'nobody answered within ' & $string($plan.approvalTimeoutSeconds) & ' seconds of ' & \
                     $requestedAt & '; ' & ($plan.strategy = 'backtrack' ? 'nothing was changed' : 'no traffic was \
                     moved') & '; next step: start again, with a longer approvalTimeout or with people who watch for \
                     the request'",
                ),
                "IsSourceChanged",
            )
            .next("RequestApproval"),
        State::choice("IsApprovalToConfirm")
            .comment(
                "A rejection needs no confirmation. Nothing that is sent after the time to decide counts, by whatever way it \
                 came: not even a rejection, which would delete the restored cluster.",
            )
            .when_with(
                &format!("$type($notYet) != 'object' and $millis() >= {DEADLINE}"),
                found(
                    "failure",
                    ErrorName::NotApproved,
                    "RequestApproval",
                    &format!(
                        "($type($decision) = 'object' and $exists($decision.by) ? $string($decision.by) : 'somebody who left \
                         no name') & ' answered too late: the time to decide ended at ' & $fromMillis({DEADLINE}) & '; ' & \
                         ($plan.strategy = 'backtrack' ? 'nothing was changed' : 'no traffic was moved') & '; next step: \
                         start again, with a longer approvalTimeout'"
                    ),
                ),
                "IsSourceChanged",
            )
            .when("$type($decision) = 'object' and $decision.decision = 'approved'", "ConfirmApproval")
            .next("RecordDecision"),
        State::step("ConfirmApproval")
            .progress("checks that nothing has changed since people were asked")
            .situation(Situation::InstancesMayExist)
            .comment(
                "An approval is valid only for the plan and report that were shown, only while cluster, records and \
                 report are unchanged, and only if it is another person's than whoever started the recovery.",
            )
            .inputs(["recovery", "plan", "restored", "report", "differences", "comparison", "requestedAt", "decision", "approvers", "approval"])
            .timeout(45)
            .keep("confirmed")
            .keep_as("approvers", "$append([], $states.result.Payload.approvers)")
            .keep_as("approval", "$exists($states.result.Payload.approval) ? $states.result.Payload.approval : null")
            .keep_as(
                "invalidApprovals",
                "$states.result.Payload.verdict in ['valid', 'notYet'] ? $invalidApprovals : $invalidApprovals + 1",
            )
            .keep_as(
                "notYet",
                "$states.result.Payload.verdict = 'notYet' and $type($notYet) != 'object' ? {'decision': $decision, 'since': \
                 $now()} : $notYet",
            )
            .next("IsApprovalValid")
            .undone_from("IsSourceChanged"),
        State::choice("IsApprovalValid")
            .comment(
                "An approval of something else, or of one person alone, is not enough, and the recovery goes on waiting. It gives up after \
                 twenty of them, so that the history does not fill up. One that cannot be confirmed yet, for RDS is at work on a \
                 cluster, waits for an hour in further slices, in which it can be rejected.",
            )
            .bounded(hours(CONFIRMABLE), Recoveries::Any)
            .when("$confirmed.verdict = 'valid'", "RecordDecision")
            .when_with(
                &format!(
                    "$confirmed.verdict = 'notYet' and $millis() - $toMillis($notYet.since) > {} * 1000",
                    hours(CONFIRMABLE)
                ),
                found(
                    "failure",
                    ErrorName::ClusterNotReady,
                    "ConfirmApproval",
                    "'the approval could not be confirmed for an hour, the last time because ' & $string($confirmed.why)",
                ),
                "IsSourceChanged",
            )
            .when("$confirmed.verdict = 'notYet'", "RequestApproval")
            .when_with(
                "$invalidApprovals >= 20",
                found(
                    "failure",
                    ErrorName::NotApproved,
                    "ConfirmApproval",
                    "'twenty approvals were not enough, the last because ' & $string($confirmed.why) & '; ' \
                     & ($plan.strategy = 'backtrack' ? 'nothing was changed' : 'no traffic was moved') & '; next \
                     step: correct whatever answers, and start again'",
                ),
                "IsSourceChanged",
            )
            .next("IsApprovalExpired"),
        State::table("RecordDecision", "updateItem")
            .progress("writes down who decided")
            .comment(
                "Stores who approved or rejected, and when. A failure here stops nothing: the decision is in the \
                 execution's history as well.",
            )
            .argument("Key", object([("id", text("'recovery#' & $recovery.id"))]))
            .argument("UpdateExpression", "SET #state = :running, decision = :decision REMOVE approval".into())
            .argument("ExpressionAttributeNames", object([("#state", "state".into())]))
            .argument(
                "ExpressionAttributeValues",
                object([
                    (":running", object([("S", "Running".into())])),
                    (
                        ":decision",
                        text(&format!("$string($merge([{DECISION}, {{'at': $now(), 'approvers': $approvers, 'approval': $approval}}]))")),
                    ),
                ]),
            )
            .next("IsApproved")
            .tolerated(),
        State::choice("IsApproved")
            .comment("Anything but \"approved\" moves no traffic. \"rejected\" deletes the restored cluster as well.")
            .assign(
                "failure",
                object([
                    ("Error", "NotApproved".into()),
                    ("state", "RequestApproval".into()),
                    // Only a person's no deletes the restored cluster: what is neither yes nor no keeps it.
                    ("rejected", jsonata("$type($decision) = 'object' and $decision.decision = 'rejected'")),
                    (
                        "Cause",
                        jsonata(
                            "( $by := $type($decision) = 'object' and $exists($decision.by) ? $string($decision.by) : \
                             'somebody who left no name'; $comment := $type($decision) = 'object' and \
                             $exists($decision.comment) ? ': ' & $string($decision.comment) : ''; $by & ' rejected \
                             it' & $comment & '; ' & ($plan.strategy = 'backtrack' ? 'nothing was changed' : 'no \
                             traffic was moved') & '; next step: talk to them, and start again')",
                        ),
                    ),
                ]),
            )
            .when("$type($decision) = 'object' and $decision.decision = 'approved'", "NoteFence")
            .next("IsSourceChanged"),
    ]
}
