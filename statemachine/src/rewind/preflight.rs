//! The preflight: what would fail later is tried before anything is changed.

use crate::json::jsonata;
use crate::state::{State, failure_of, set_to};
use crate::timeouts;
use rewind_core::ErrorName;

/// The states, in the order in which a recovery that works passes them.
pub(super) fn states() -> Vec<State> {
    vec![
        State::step("Preflight")
            .progress("tries the login, every check and every record; nothing is changed")
            .comment(
                "Runs in the network of the databases. Its findings become a part of the plan, which people see and \
                 approve.",
            )
            .inputs(["recovery", "plan"])
            .timeout(timeouts::PREFLIGHT)
            .keep_as("plan", "$merge([$plan, {'findings': $append([], $states.result.Payload.findings)}])")
            .keep_as("blocking", "$exists($states.result.Payload.blocking) ? $states.result.Payload.blocking : null")
            .next("IsBlocked")
            .undone_from("ConcludeNothingChanged"),
        State::choice("IsBlocked")
            .comment(
                "A finding that blocks ends the recovery here, with all of them in the cause. A dry run shows them with \
                 its plan.",
            )
            .when_with(
                "$type($blocking) = 'string' and $not($plan.dryRun = true)",
                vec![set_to("failure", failure_of(ErrorName::InvalidRequest, "Preflight", jsonata("$blocking")))],
                "ConcludeNothingChanged",
            )
            .next("AnnouncePlan"),
    ]
}
