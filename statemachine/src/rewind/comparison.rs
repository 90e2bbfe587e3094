//! All tables are compared with the source before people are asked: what is not carried over is a part of what they approve. Nothing that
//! fails here ends a recovery, and nothing keeps it waiting beyond its time.

use crate::conclude::{printable, reading};
use crate::json::Json;
use crate::retry::ANY;
use crate::state::{Recoveries, Situation, State, set_to};
use crate::timeouts;
use rewind_core::COMPARE_MAX;

/// The reason why nothing was added to the summary.
const WHY: &str = "'not compared any further: ' & $substring($read({'Error': $states.errorOutput.Error, 'Cause': \
    $states.errorOutput.Cause, 'state': 'CompareTables'}), 0, 500)";

/// The summary so far with that reason.
fn failed() -> (String, Json) {
    let so_far = "$type($comparison) = 'object'";
    let value = format!(
        "$merge([{so_far} ? $sift($comparison, function($value, $key) {{ $key != 'after' }}) : {{}}, {{'notes': \
         $append({so_far} and $exists($comparison.notes) ? $comparison.notes : [], [{}])}}])",
        printable(WHY)
    );
    set_to("comparison", reading(&value))
}

/// The states, in the order in which a recovery that works passes them.
pub(super) fn states() -> Vec<State> {
    vec![
        State::step("CompareTables")
            .progress("compares all tables with the source, read-only")
            .situation(Situation::InstancesMayExist)
            .only(Recoveries::Restore)
            .comment(
                "The rows of each table that are not carried over, within the time that the request gives it: the function returns when \
                 that is over, with what it has. A failure is a note in the proposal.",
            )
            .optional()
            .inputs(["recovery", "plan"])
            .input_as("frontier", "$exists($report.frontier) ? $report.frontier : null")
            .input_as("until", "$compareUntil")
            .input_as("soFar", "$comparison")
            .timeout(timeouts::COMPARE_TABLES)
            .keep("comparison")
            .next("IsComparisonDone")
            .catch(&ANY, vec![failed()], "IsApprovalNeeded"),
        State::choice("IsComparisonDone")
            .only(Recoveries::Restore)
            .comment("Each call goes on after the table that the last one came to. When the time is over, nothing is left to go on with.")
            .when("$not($exists($comparison.after))", "IsApprovalNeeded")
            .bounded(COMPARE_MAX.as_secs().unsigned_abs(), Recoveries::Restore)
            .next("CompareTables"),
    ]
}
