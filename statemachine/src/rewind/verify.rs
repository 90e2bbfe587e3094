//! The checks run on the rewound data, and decide whether there is anything to go on with.

use crate::json::Json;
use crate::state::{Situation, State, found, set, set_to};
use crate::timeouts;
use rewind_core::ErrorName;

/// The reason that the report gives.
const FAILURE: &str = "$exists($report.failure) ? $report.failure : 'the checks did not pass'";

/// The states, in the order in which a recovery that works passes them.
pub(super) fn states() -> Vec<State> {
    vec![
        State::step("Verify")
            .progress("runs the checks on the rewound data, read-only")
            .situation(Situation::InstancesMayExist)
            .comment(
                "Reads the rewound data. What the checks found is in its output and nowhere else: a check that fails is \
                 no error of this state, whose cause would carry values to logs, the table, events and mail.",
            )
            .inputs(["recovery", "plan", "restored"])
            .timeout(timeouts::VERIFY)
            .keep("report")
            .next("IsVerified")
            .undone_from("IsSourceChanged"),
        State::choice("IsVerified")
            .comment(
                "If a check failed, the recovery ends with no traffic moved; in place, a backtrack forward returns the \
                 cluster to its state before the rewind. The failure names checks, and no value.",
            )
            .when_with(
                "$report.passed != true",
                {
                    let mut failed = found("failure", ErrorName::VerificationFailed, "Verify", FAILURE);
                    // Later states take a report for one that passed.
                    failed.push(set_to("report", Json::Null));
                    failed
                },
                "IsSourceChanged",
            )
            .next("IsTrafficToMove"),
        State::choice("IsTrafficToMove")
            .comment(
                "In place the traffic stays, and is admitted again. Beside the source and without records to move, \
                 the restored cluster is only handed over: nobody is asked and nothing is fenced.",
            )
            // In place people were asked before the fence, so nobody is asked a second time.
            .when("$plan.strategy = 'backtrack'", "NoteLift")
            .when("$count($plan.dns) = 0", "EndFenceWatch")
            .when_with(
                "$plan.compareSeconds > 0",
                vec![set("compareUntil", "$fromMillis($millis() + $plan.compareSeconds * 1000)")],
                "CompareTables",
            )
            .next("IsApprovalNeeded"),
    ]
}
