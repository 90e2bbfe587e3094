//! Records that may have moved: the note that none was sent, and, after a move back that failed or whose answer was lost, the look into the
//! zone that decides which fence is lifted.

use crate::state::{Recoveries, State};
use crate::timeouts;

/// No record was ever sent to be moved, by the item of the recovery: `RecordPlan` writes the note, and swap-dns another value. An item
/// without it is of an earlier version.
pub(crate) const NONE_SENT: &str = "$states.result.Item.recordsSentAt.S = 'null'";

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
