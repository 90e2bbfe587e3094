//! Between the failure of a change and its undo: a function whose answer was lost may still be at work, and would make its change behind
//! the undo.

use crate::retry::UNANSWERED;
use crate::state::{Assign, State, set};

/// The states that wait until the function that failed cannot be at work any more. `ways` are conditions, each with the state that follows
/// where it holds.
pub(crate) fn states(ways: &[(&str, &'static str)], otherwise: &'static str) -> Vec<State> {
    let question = State::choice("IsFailedFunctionOver")
        .comment(
            "A function that answered with an error has ended. One whose answer was lost, now or before a retry, may run until its \
             timeout, and what it did then would be undone by nobody.",
        )
        .when("$stillRunning > 0", "WaitForFailedFunction");
    vec![
        ways.iter().fold(question, |question, (condition, next)| question.when(condition, next)).next(otherwise),
        State::wait("WaitForFailedFunction", "$stillRunning")
            .progress("waits until the function whose answer was lost cannot run any more")
            .comment("Three minutes at most. By the clock, and not by what the function does: nobody hears of its end.")
            .assign("stillRunning", 0.into())
            .next("IsFailedFunctionOver"),
    ]
}

/// Keeps for how long the function that failed may still run. `longest` is the number of seconds after which none does.
pub(crate) fn still_running(longest: u64) -> Assign {
    vec![set("stillRunning", &seconds(longest))]
}

/// The same where `condition` holds, and otherwise that nobody waits for it.
pub(crate) fn still_running_where(condition: &str, longest: u64) -> Assign {
    vec![set("stillRunning", &format!("{condition} ? ({}) : 0", seconds(longest)))]
}

fn seconds(longest: u64) -> String {
    let unanswered = UNANSWERED.map(|error| format!("'{error}'")).join(", ");
    // After a retry nobody knows when the earlier attempt lost its answer, so the longest time is waited.
    format!(
        "$states.context.State.RetryCount > 0 ? {longest} : $states.errorOutput.Error in [{unanswered}] ? {} : 0",
        left(&longest.to_string(), "$states.context.State.EnteredTime")
    )
}

/// The seconds for which a function of an execution that is over may still run, as an expression over its description. One that ended by
/// itself had none at work. `longest` is an expression too.
pub(crate) fn still_running_after_stop(longest: &str) -> String {
    format!("$states.result.Status in ['ABORTED', 'TIMED_OUT'] ? {} : 0", left(longest, "$states.result.StopDate"))
}

/// The seconds until nothing can be at work that was begun before `since`; both are expressions.
pub(crate) fn left(longest: &str, since: &str) -> String {
    format!("$max([0, $ceil({longest} - ($millis() - $toMillis({since})) / 1000)])")
}
