//! The machine that deletes what recoveries kept, every hour: what is due is found, checked, deleted into a snapshot,
//! and people are told.

use crate::conclude::{error_name, explained, printable};
use crate::json::{Json, jsonata, object};
use crate::machine::Machine;
use crate::retry::{ANY, CONDITION_FAILED};
use crate::state::{State, found, number, set, set_to, text};
use crate::timeouts;
use rewind_core::ErrorName;

/// True where the rule starts the clean-up every hour, as an expression.
const HOURLY: &str = "'${CleanUp}' = 'ENABLED'";

/// The machine.
pub(crate) fn machine() -> Machine {
    Machine {
        file: "cleanup.asl.json",
        title: "The clean-up of what recoveries kept",
        comment: "aurora-rewind, every hour: deletes what recoveries kept, once the time is past until which they \
                  kept it and nobody uses it: the fenced source, the safety clone, or the restored cluster of one that \
                  failed or was stopped. Each gets a final snapshot, and people are told. Input: none, or {\"cluster\": \"<name>\"} for that \
                  one alone. docs/adr/0019-clean-up.md says when it does nothing.",
        states: states(),
    }
}

/// The states, in the order in which they are passed.
fn states() -> Vec<State> {
    vec![
        State::pass("Begin")
            .comment(
                "Gives every variable its first value. The input may name one cluster, whose removal somebody asked for: nothing else is \
                 looked at then. That of the hourly rule names none.",
            )
            .keep_as("began", "$millis()")
            .keep_as(
                "only",
                "$type($states.input) = 'object' and $type($states.input.cluster) = 'string' ? $states.input.cluster : null",
            )
            // Where the rule is off nothing starts by itself, and nobody may be promised that it does.
            .keep_as("hourly", HOURLY)
            .keep_as(
                "again",
                &format!(
                    "{HOURLY} ? 'it is looked at again every hour, and told of once a day' : 'nothing looks at it again by itself, because \
                     CleanUp of the stack is DISABLED'"
                ),
            )
            .assign("due", Json::List(Vec::new()))
            .assign("next", 0.into())
            .assign("item", object([]))
            .assign("records", object([]))
            .assign("check", object([]))
            .assign("since", 0.into())
            .assign("deletion", object([]))
            .assign("failure", object([]))
            .assign("failed", object([]))
            .assign("noticeKey", "none".into())
            .assign("subject", "none".into())
            .assign("message", "none".into())
            .next("FindDue"),
        State::invoke("FindDue")
            .function("CleanUp")
            .comment(
                "Finds the clusters whose keep-until tag is past, the oldest first. Takes back the notes of deletions whose clusters people \
                 keep since: with the note nobody could go on from them.",
            )
            .inputs([])
            .input_text("what", "find")
            .input_as("cluster", "$only")
            .input_as("executionArn", "$states.context.Execution.Id")
            .timeout(timeouts::CLEAN_UP)
            .keep_as("due", "$append([], $states.result.Payload.due)")
            .next("IsAnyDue")
            .fails_to("ConcludeNotFound"),
        State::choice("IsAnyDue")
            .comment(
                "One cluster after another. None is begun after 50 minutes or after a hundred, so that the history \
                 does not fill up: the next execution goes on.",
            )
            .when_with(
                "$next < $min([$count($due), 100]) and $millis() - $began < 50 * 60 * 1000",
                vec![set("item", "$due[$next]"), set("next", "$next + 1")],
                "FindRecords",
            )
            .when("$exists($failed.Error)", "NotCleanedUp")
            .next("CleanedUp"),
        find_records("FindRecords")
            .comment(
                "Finds records that point at the cluster. It runs outside the VPC, because Route 53 need not be \
                 reachable from the subnets of clean-up.",
            )
            .next("CheckUnused")
            .fails_to("ConcludeFailed"),
        clean_up("CheckUnused", "check")
            .comment(
                "A cluster that somebody uses, or that is not as the recovery left it, is not deleted. This check \
                 changes no cluster, and takes no lease but to take back the note of an earlier deletion.",
            )
            .keep("check")
            .next("IsUnused")
            .fails_to("ConcludeFailed"),
        State::choice("IsUnused")
            .comment("Anything but true keeps the cluster, and people are told why.")
            .keep_as("noticeKey", "'kept#' & $item.recoveryId")
            .keep_as("subject", "$substring('kept: ' & $item.cluster, 0, 80)")
            .keep_as(
                "message",
                &printable(
                    "($why := $append([], $check.why); $text := $item.cluster & ' (' & ($item.kind = 'safetyClone' ? 'the safety clone' : $item.kind = 'restored' ? 'the restored cluster' : 'the source') & ' of recovery ' & $item.recoveryId & ') was to be kept until ' & \
                 $item.keepUntil & ', and is not deleted: ' & ($count($why) > 0 ? $join($why, '; ') : 'it is not \
                 certain that nobody uses it') & '; nothing was changed; next step: end what needs it, and ' & \
                 ($hourly ? 'it is deleted within the hour' : 'remove it again: rewind clusters --remove ' & $item.cluster) & '; or keep it longer: aws rds add-tags-to-resource --resource-name ' & \
                 $item.clusterArn & ' --tags Key=aurora-rewind:keep-until,Value=<a later time>; or for good, without \
                 that tag: aws rds remove-tags-from-resource --resource-name ' & $item.clusterArn & ' --tag-keys \
                 aurora-rewind:keep-until; ' & $again; $substring($text, 0, 30000))",
                ),
            )
            .when_with("$check.unused = true", vec![set("since", "$millis()")], "FindRecordsAgain")
            .next("RecordNotice"),
        // Only a failed condition skips the message. Where the table fails otherwise, a message too many is better
        // than none.
        State::table("RecordNotice", "putItem")
            .comment(
                "The conditional put fails within 23 hours of the last one, so people hear of one cluster once a day. Whoever has asked for \
                 the removal of one hears of each.",
            )
            .argument(
                "Item",
                object([
                    ("id", text("$noticeKey")),
                    ("cluster", text("$item.cluster")),
                    ("expiresAt", number("$string($floor($millis() / 1000) + 23 * 3600)")),
                ]),
            )
            .argument("ConditionExpression", "attribute_not_exists(id) OR expiresAt < :over".into())
            .argument(
                "ExpressionAttributeValues",
                // For whoever has asked, an earlier notice is over in any case: it lasts for less than a day.
                object([(":over", number("$string($floor($millis() / 1000) + ($type($only) = 'string' ? 24 * 3600 : 0))"))]),
            )
            .next("SendNotice")
            .catch(&CONDITION_FAILED, Vec::new(), "IsAnyDue")
            .tolerated(),
        find_records("FindRecordsAgain")
            .comment(
                "Looks again just before each call that deletes: a record that points at the cluster meanwhile stops \
                 the deletion.",
            )
            .next("CleanUp")
            .fails_to("ConcludeFailed"),
        clean_up("CleanUp", "delete")
            .comment(
                "Deletes the instances, then the cluster, into a final snapshot, under the lease. It checks \
                 all but the records again first, and tags and table before every change. It is called until the \
                 cluster is gone.",
            )
            .keep("deletion")
            .next("IsDeleted")
            // A recovery works on the cluster: no failure, for the next hour looks again.
            .catch(&["LeaseHeld"], Vec::new(), "IsAskedFor")
            .fails_to("ConcludeFailed"),
        State::choice("IsAskedFor")
            .comment("The hourly run tells nobody that it comes again in an hour. Whoever has asked for the removal waits for its end.")
            .when_with(
                "$type($only) = 'string'",
                vec![
                    set("noticeKey", "'kept#' & $item.recoveryId"),
                    set("subject", "$substring('kept: ' & $item.cluster, 0, 80)"),
                    set(
                        "message",
                        "$item.cluster & ' was to be removed, and stays for now: a recovery, an undo or another clean-up works on it, or on \
                         the source that it was restored from; this run deleted nothing; next step: wait for that to end, and remove it \
                         again' & ($hourly ? ', or leave it to the hourly run' : '')",
                    ),
                ],
                "RecordNotice",
            )
            .next("IsAnyDue"),
        State::choice("IsDeleted")
            .comment(
                "Gives up after two hours: the next execution finds a deletion that is under way. There is no \
                 snapshot if somebody else deleted the cluster.",
            )
            .when_with(
                "$deletion.done = true",
                vec![
                    set("subject", "$substring('deleted: ' & $item.cluster, 0, 80)"),
                    set(
                        "message",
                        "$item.cluster & ' (' & ($item.kind = 'safetyClone' ? 'the safety clone' : $item.kind = 'restored' ? 'the restored cluster' : 'the source') & ' \
                         of recovery ' & $item.recoveryId & ') was kept until ' & $item.keepUntil & ', and nobody \
                         used it: ' & $string($deletion.status) & ($type($deletion.snapshot) = 'string' ? '; its \
                         automated backups are kept as long as they would have been; the recovery cannot be ' & ($item.kind = 'restored' ? 'resumed' : 'undone') & ' \
                         any more; to have the data again: aws rds restore-db-cluster-from-snapshot \
                         --snapshot-identifier ' & $deletion.snapshot & ' …; to be rid of it: aws rds \
                         delete-db-cluster-snapshot --db-cluster-snapshot-identifier ' & $deletion.snapshot : '')",
                    ),
                ],
                "SendNotice",
            )
            .when_with(
                "$millis() - $since > 2 * 3600 * 1000",
                found(
                    "failure",
                    ErrorName::Unavailable,
                    "CleanUp",
                    "$item.cluster & ' was still being deleted after 2 hours: ' & $string($deletion.status)",
                ),
                "ConcludeFailed",
            )
            .next("FindRecordsAgain"),
        State::pass("ConcludeFailed")
            .comment(
                "This cluster could not be cleaned up. The others still are, and the next execution finds it again.",
            )
            .assign(
                "failed",
                object([
                    ("Error", error_name()),
                    (
                        "Cause",
                        jsonata(
                            "$item.cluster & ' could not be cleaned up, in ' & $failure.state & '; people were told \
                             why'",
                        ),
                    ),
                ]),
            )
            .keep_as("noticeKey", "'failed#' & $item.recoveryId")
            .keep_as("subject", "$substring('not cleaned up: ' & $item.cluster, 0, 80)")
            .assign(
                "message",
                explained(
                    "$substring($item.cluster & ' (' & ($item.kind = 'safetyClone' ? 'the safety clone' : $item.kind = 'restored' ? \
                     'the restored cluster' : 'the source') & ' of recovery ' & $item.recoveryId & ', kept until ' & $item.keepUntil & \
                     ') could not be cleaned up: ' & $read($failure) & '; next step: mend what that names; ' & $again, 0, 30000)",
                ),
            )
            .next("RecordNotice"),
        State::pass("ConcludeNotFound")
            .comment("The clusters that are due could not be listed.")
            .assign(
                "failed",
                object([
                    ("Error", error_name()),
                    ("Cause", "what recoveries kept could not be looked for; people were told why".into()),
                ]),
            )
            // RecordNotice stores a cluster with each notice, and here none was found.
            .assign("item", object([("cluster", "*".into())]))
            .assign("noticeKey", "failed#".into())
            .assign("subject", "nothing was cleaned up".into())
            .assign(
                "message",
                explained(
                    "$substring('what recoveries kept could not be looked for: ' & $read($failure) & '; nothing was changed; next \
                     step: mend what that names; ' & $again, 0, 30000)",
                ),
            )
            .next("RecordNotice"),
        State::publish("SendNotice")
            .comment("A message that cannot be sent stops nothing, but the execution fails at its end, which pages.")
            .argument("Subject", jsonata("'aurora-rewind: ' & $subject"))
            .argument("Message", jsonata("$message"))
            .next("IsAnyDue")
            .catch(
                &ANY,
                vec![set_to(
                    "failed",
                    object([
                        ("Error", "Unavailable".into()),
                        ("Cause", jsonata("'nobody could be told this: ' & $substring($message, 0, 4000)")),
                    ]),
                )],
                "IsAnyDue",
            ),
        State::succeed("CleanedUp").comment("Every cluster that is due was deleted, or is still used."),
        State::fail("NotCleanedUp", "$failed.Error", "$failed.Cause")
            .comment("A cluster could not be checked or deleted, or people could not be told. The rest was done."),
    ]
}

/// A state that finds the records which point at the present item.
fn find_records(name: &'static str) -> State {
    State::invoke(name)
        .function("FindRecords")
        .input_as("cluster", "$item.cluster")
        .input_as("recoveryId", "$item.recoveryId")
        .input_as("executionArn", "$states.context.Execution.Id")
        .timeout(timeouts::FIND_RECORDS)
        .keep("records")
}

/// A state that passes the present item, and the records that were found, to clean-up.
fn clean_up(name: &'static str, what: &str) -> State {
    State::invoke(name)
        .function("CleanUp")
        .input_text("what", what)
        .input_as("cluster", "$item.cluster")
        .input_as("clusterArn", "$item.clusterArn")
        .input_as("recoveryId", "$item.recoveryId")
        .input_as("keepUntil", "$item.keepUntil")
        .input_as("kind", "$item.kind")
        .inputs(["records"])
        .input_as("executionArn", "$states.context.Execution.Id")
        .timeout(timeouts::CLEAN_UP)
}
