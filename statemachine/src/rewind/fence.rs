//! No write is acknowledged by the source from here on; the undo lifts the fence.

use crate::conclude::explained;
use crate::retry::ANY;
use crate::state::{Situation, State, of_recovery, set_to};
use crate::timeouts;
use crate::watch;

/// The reason for which nobody watches the fence.
const UNWATCHED: &str = "$substring($read({'Error': $states.errorOutput.Error, 'Cause': $states.errorOutput.Cause, 'state': \
    'WatchFence'}), 0, 500)";

/// The states, in the order in which a recovery that works passes them.
pub(super) fn states() -> Vec<State> {
    vec![
        watch::start("WatchFence")
            .comment(
                "A machine of its own pages when the fence stands for longer than the request says, whatever this one does \
                 meanwhile. Before the fence, so that none is up unwatched. A watch that cannot be started stops nothing, for the \
                 fence is lifted without it too: people are told, and watch it themselves.",
            )
            .next("FenceSource")
            .catch(&ANY, vec![set_to("unwatched", explained(UNWATCHED))], "AnnounceUnwatched"),
        State::announce(
            "AnnounceUnwatched",
            &[(
                "Rewind Fence Unwatched".into(),
                &of_recovery("'cluster': $plan.cluster, 'state': 'Running', 'at': $now(), 'cause': $unwatched"),
            )],
        )
        .progress("sends as an event that nobody watches the fence")
        .comment("Pages: a fence that stands for too long would not.")
        .next("FenceSource")
        .tolerated(),
        State::step("FenceSource")
            .progress("ends all writes on the source, and verifies that none gets in")
            .situation(Situation::SourceMayBeFenced)
            .comment(
                "From here on the source acknowledges no write. Clients have no database until SwapDns, in place \
                 until LiftFence.",
            )
            // The restored cluster too: its writes are counted before the outage begins.
            .inputs(["recovery", "plan", "restored"])
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
    ]
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
