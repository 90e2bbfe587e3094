//! The work is done: tags, output, record, event, and the lease is released.

use crate::json::{jsonata, object};
use crate::lease::release;
use crate::state::{State, of_recovery, text};
use crate::watch;

/// The states, in the order in which a recovery that works passes them.
pub(super) fn states() -> Vec<State> {
    vec![
        watch::end("EndFenceWatch")
            .comment("Clients have a database. A watch that is not ended pages without need.")
            .next("Finish")
            .tolerated(),
        State::step("Finish")
            .progress("tags what is kept, and writes the output")
            .comment("The work is done: a failure here rolls nothing back and calls a person.")
            .inputs([
                "recovery",
                "plan",
                "restored",
                "report",
                "differences",
                "comparison",
                "fence",
                "swap",
                "safetyClone",
                "heldJobs",
                "unconfirmed",
                "unwatched",
                "sourceUnseen",
                "timings",
            ])
            .timeout(45)
            .keep("outcome")
            .next("RecordRecovered")
            // Never undone: clients write to the rewound data by now, and moving them back would take those writes
            // from them.
            .undone_from("IsAnythingChanged"),
        State::table("RecordRecovered", "updateItem")
            .waits_half_an_hour()
            .progress("writes the end into the table")
            .comment("The recovery is done, even if this record fails.")
            .argument("Key", object([("id", text("'recovery#' & $recovery.id"))]))
            .argument(
                "UpdateExpression",
                "SET #state = :state, #outcome = :outcome, timings = :timings, endedAt = :now REMOVE approval".into(),
            )
            .argument("ExpressionAttributeNames", object([("#state", "state".into()), ("#outcome", "outcome".into())]))
            .argument(
                "ExpressionAttributeValues",
                object([
                    (":state", object([("S", "Recovered".into())])),
                    (":outcome", text("$string($outcome)")),
                    (":timings", text("$string($timings)")),
                    (":now", text("$now()")),
                ]),
            )
            .next("AnnounceRecovered")
            .tolerated(),
        State::announce(
            "AnnounceRecovered",
            &[(
                "Rewind Recovered".into(),
                &of_recovery(
                    "'cluster': $plan.cluster, 'state': 'Recovered', 'at': $now(), 'outcome': {'strategy': \
                     $outcome.strategy, 'rewoundTo': $outcome.rewoundTo, 'newCluster': $outcome.newCluster, \
                     'writerEndpoint': $outcome.writerEndpoint, 'readerEndpoint': $outcome.readerEndpoint, 'dns': \
                     $append([], $outcome.dns.name), 'lost': $outcome.lost, 'source': $outcome.source, 'timings': \
                     $outcome.timings}, 'outage': $exists($outcome.outageSeconds) ? $string($round($outcome.outageSeconds, 1)) & ' s at \
                     most' : $fenceBegunAt = 'none' ? 'none' : 'unknown since ' & $fenceBegunAt, 'outageSeconds': \
                     $exists($outcome.outageSeconds) ? $outcome.outageSeconds : null",
                ),
            )],
        )
        .progress("sends the end as an event")
        .comment("Sends the output of the execution, without the values of checks and tables.")
        .next("ReleaseLease")
        .tolerated(),
        release("ReleaseLease", "recovery")
            .comment("Builds the output of the execution. A lease that cannot be released expires by itself.")
            .output(jsonata("$outcome"))
            .next("Recovered")
            .tolerated_with_output(),
        State::succeed("Recovered").comment("The data is back, approved, and clients reach it."),
    ]
}
