//! Between the failure of a change inside the outage and its undo: a function whose answer was lost may still be at work, and would
//! make its change behind the undo.

use crate::retry::UNANSWERED;
use crate::state::{State, set};

/// Seconds for which the function that failed may still run, as an expression. `longest` is the time after which none does.
///
/// After a retry nobody knows when the earlier attempt lost its answer, so the longest time is waited.
pub(super) fn still_running(longest: u64) -> String {
    let unanswered = UNANSWERED.map(|error| format!("'{error}'")).join(", ");
    format!(
        "$states.context.State.RetryCount > 0 ? {longest} : $states.errorOutput.Error in [{unanswered}] ? $max([0, \
         $ceil({longest} - ($millis() - $toMillis($states.context.State.EnteredTime)) / 1000)]) : 0"
    )
}

/// The states, in the order in which a recovery passes them whose fence, backtrack or swap failed.
pub(super) fn states() -> Vec<State> {
    vec![
        State::choice("IsFailedFunctionOver")
            .comment(
                "A function that answered with an error has ended. One whose answer was lost, now or before a retry, may run \
                 until its timeout, and what it did then would be undone by nobody.",
            )
            .when("$stillRunning > 0", "WaitForFailedFunction")
            .when("$failure.state = 'SwapDns'", "IsTrafficPossiblyMoved")
            .when("$failure.state = 'StartBacktrack'", "UndoStartBacktrack")
            .next("UndoFenceSource"),
        State::wait("WaitForFailedFunction", "$stillRunning")
            .progress("waits until the function whose answer was lost cannot run any more")
            .comment("Three minutes at most. By the clock, and not by what the function does: nobody hears of its end.")
            .assign("stillRunning", 0.into())
            .next("IsFailedFunctionOver"),
    ]
}

impl State {
    /// A failure is undone as soon as the function cannot be at work any more. A bug undoes nothing.
    pub(super) fn undone_when_over(self, longest: u64) -> Self {
        self.bugs_to("IsAnythingChanged")
            .fails_with(vec![set("stillRunning", &still_running(longest))], "IsFailedFunctionOver")
    }
}
