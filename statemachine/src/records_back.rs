//! After a move of the records back that failed, or whose answer was lost: where they lead decides which fence is lifted.

use crate::state::{Recoveries, State};
use crate::timeouts;

/// The states of either machine. `open` lifts the fence of the restored cluster, and `bugs_to` leads a bug to a person.
pub(crate) fn states(open: &'static str, bugs_to: impl FnOnce(State) -> State) -> Vec<State> {
    let read = State::step("ReadRecordsBack")
        .function("SwapDns")
        .progress("reads from the zone whether the records were moved back")
        .only(Recoveries::Restore)
        .comment(
            "The fence of a cluster that records lead to is the one to lift. Where they cannot be read, it is that of the restored \
             cluster, to which they led before.",
        )
        .inputs(["recovery", "plan", "restored"])
        .input_as("readOnly", "true")
        .timeout(timeouts::SWAP_DNS)
        .keep_as("movedBack", "$states.result.Payload.records = 'planned'")
        .keep_as(
            "undone",
            "$states.result.Payload.records = 'planned' ? $append($undone, $states.result.Payload.what) : $undone",
        )
        .next("AreRecordsBack");
    vec![
        bugs_to(read).tolerated(),
        State::choice("AreRecordsBack")
            .only(Recoveries::Restore)
            .comment("All at the source again: the answer that was lost is none that matters.")
            .when("$movedBack = true", "UndoFenceSource")
            .next(open),
    ]
}
