//! The checks run on the rewound data, and decide whether there is anything to go on with.

use crate::state::{Situation, State};
use crate::timeouts;

/// The states, in the order in which a recovery that works passes them.
pub(super) fn states() -> Vec<State> {
    vec![
        State::step("Verify")
            .progress("runs the checks on the rewound data, read-only")
            .situation(Situation::InstancesMayExist)
            .comment(
                "Reads the rewound data. If a check fails, the recovery ends with no traffic moved; in place, a \
                 backtrack forward returns the cluster to its state before the rewind.",
            )
            .inputs(["recovery", "plan", "restored"])
            .timeout(timeouts::VERIFY)
            .keep("report")
            .next("IsTrafficToMove")
            .undone_from("IsSourceChanged"),
        State::choice("IsTrafficToMove")
            .comment(
                "In place the traffic stays, and is admitted again. Beside the source and without records to move, \
                 the restored cluster is only handed over: nobody is asked and nothing is fenced.",
            )
            // In place people were asked before the fence, so nobody is asked a second time.
            .when("$plan.strategy = 'backtrack'", "LiftFence")
            .when("$count($plan.dns) = 0", "EndFenceWatch")
            .next("IsApprovalNeeded"),
    ]
}
