//! No write is acknowledged by the source from here on; the undo lifts the fence.

use crate::state::{Situation, State};
use crate::timeouts;
use crate::watch;

/// The states, in the order in which a recovery that works passes them.
pub(super) fn states() -> Vec<State> {
    let watched = watch::start("FenceSource");
    let fenced = [
        State::step("FenceSource")
            .progress("ends all writes on the source, and verifies that none gets in")
            .situation(Situation::SourceMayBeFenced)
            .comment(
                "From here on the source acknowledges no write. Clients have no database until SwapDns, in place \
                 until LiftFence.",
            )
            // The restored cluster too: its writes are counted before the outage begins.
            .inputs(["recovery", "plan", "restored", "approval"])
            .timeout(timeouts::FENCE_SOURCE)
            .keep("fence")
            .next("IsDataRewound")
            .undone_when_over(timeouts::FENCE_SOURCE),
        State::choice("IsDataRewound")
            .comment(
                "Beside the source the data is restored by now. In place it is not rewound yet: the safety clone \
                 comes first, inside the fence. docs/adr/0014-in-place.md says why.",
            )
            .when("$plan.strategy = 'backtrack'", "CloneSource")
            .next("SwapDns"),
    ];
    watched.into_iter().chain(fenced).collect()
}

/// The undo of them, last first.
pub(super) fn undo() -> Vec<State> {
    vec![
        State::undo("UndoFenceSource", "FenceSource")
            .progress("lifts the fence of the source")
            .comment("Restores exactly what the fence recorded before it changed anything.")
            .timeout(timeouts::FENCE_SOURCE)
            .keeps_what_was_undone()
            .next("EndFenceWatchAfterUndo")
            .undo_fails_to("IsAnythingChanged"),
        watch::end("EndFenceWatchAfterUndo")
            .comment("Clients are in again. A watch that is not ended pages without need.")
            .next("IsRestoredClusterKept")
            .tolerated(),
    ]
}
