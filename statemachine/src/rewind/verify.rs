//! The checks run on the rewound data, and decide whether there is anything to go on with.

use crate::state::{Situation, State};

/// The states, in the order in which a recovery that works passes them.
pub(super) fn states() -> Vec<State> {
    vec![
        State::step("Verify")
            .progress("runs the checks on the rewound data, read-only")
            .situation(Situation::InstancesMayExist)
            .comment(
                "Reads the rewound data; a check that fails ends the recovery with nothing moved, and in place with \
                 all of it taken forward again.",
            )
            .inputs(["recovery", "plan", "restored"])
            .timeout(315)
            .keep("report")
            .next("IsTrafficToMove")
            .undone_from("IsSourceChanged"),
        State::choice("IsTrafficToMove")
            .comment(
                "In place the traffic stays, and gets in again. Beside the source and without records to move, the \
                 rewound cluster is handed over: nobody is asked and nothing is fenced.",
            )
            .when("$plan.strategy = 'backtrack'", "LiftFence")
            .when("$count($plan.dns) = 0", "Finish")
            .next("IsApprovalNeeded"),
    ]
}
