//! Between the failure of a change inside the outage and its undo: a function whose answer was lost may still be at work, and would
//! make its change behind the undo.

use crate::retry::still_running;
use crate::state::{State, set};

/// The states, in the order in which a recovery passes them whose fence, backtrack or swap failed.
pub(super) fn states() -> Vec<State> {
    vec![
        State::choice("IsFailedFunctionOver")
            .comment(
                "A function that answered with an error has ended. One whose answer was lost, now or before a retry, may run \
                 until its timeout, and what it did then would be undone by nobody.",
            )
            .when("$stillRunning > 0", "WaitForFailedFunction")
            .when("$undoFailure.state = 'FenceRestored'", "LiftRestoredFence")
            .when("$failure.state = 'SwapDns'", "IsTrafficPossiblyMoved")
            .when("$failure.state = 'StartBacktrack'", "UndoStartBacktrack")
            .when("$failure.state = 'StartRestore'", "IsSourceChanged")
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
        let over = vec![set("stillRunning", &still_running(longest))];
        self.bugs_to("IsAnythingChanged").fails_with("failure", over, "IsFailedFunctionOver")
    }

    /// The same for an undo, whose own failure is kept beside the one that it was to undo.
    pub(super) fn undo_lifted_when_over(self, longest: u64) -> Self {
        let over = vec![set("stillRunning", &still_running(longest))];
        self.undo_bugs_to("IsAnythingChanged").fails_with("undoFailure", over, "IsFailedFunctionOver")
    }
}
