//! Records move to the restored cluster, and every name is followed there; the undo moves them back.

use crate::state::{Recoveries, Situation, State, found, hours};
use crate::timeouts;
use rewind_core::ErrorName;

/// Hours in which every name has to lead to the restored cluster, beside the TTL of the old records.
const CONFIRMED: u64 = 1;

/// The states, in the order in which a recovery that works passes them.
pub(super) fn states() -> Vec<State> {
    vec![
        State::step("SwapDns")
            .progress("moves the records, if they are still as planned")
            .situation(Situation::RecordsMayHaveMoved)
            .only(Recoveries::Restore)
            .comment("All records in one compare-and-swap batch.")
            .inputs(["recovery", "plan", "restored"])
            .timeout(timeouts::SWAP_DNS)
            .keep("swap")
            // One start for both loops below, so that together they stay within one bound.
            .keep_as("cutoverSince", "$now()")
            .starts_waiting_for_one(
                "change",
                "$exists($states.result.Payload.changeId) ? $states.result.Payload.changeId : null",
            )
            .next("AwaitInSync")
            .undone_from("IsTrafficPossiblyMoved"),
        State::waiting("AwaitInSync")
            .progress("waits until Route 53 is in sync")
            .situation(Situation::RecordsMayHaveMoved)
            .only(Recoveries::Restore)
            .comment(
                "Runs outside the VPC, because Route 53 need not be reachable from the subnets of \
                      ConfirmCutover.",
            )
            .keep_as("inSyncAt", "$exists($states.result.Payload.inSyncAt) ? $states.result.Payload.inSyncAt : null")
            .next("IsInSync")
            .undone_from("IsTrafficPossiblyMoved"),
        State::choice("IsInSync")
            .only(Recoveries::Restore)
            .comment("Gives up after one hour, which counts towards that of IsCutoverConfirmed.")
            // Zero, or the hour that it shares with IsCutoverConfirmed would be in the lease twice.
            .bounded(0, Recoveries::Restore)
            .when("$rewind.done = true", "ConfirmCutover")
            .when_with(
                &format!("$millis() - $toMillis($cutoverSince) > {} * 1000", hours(CONFIRMED)),
                found(
                    "failure",
                    ErrorName::VerificationFailed,
                    "AwaitInSync",
                    "'not all servers of Route 53 had the records of ' & $plan.newCluster & ' one hour after they \
                     were moved: ' & $string($rewind.status) & '; next step: look at the AWS Health Dashboard for \
                     Route 53, and start again'",
                ),
                "IsTrafficPossiblyMoved",
            )
            .next("AwaitInSync"),
        State::step("ConfirmCutover")
            .progress("resolves and connects by name")
            .situation(Situation::RecordsMayHaveMoved)
            .only(Recoveries::Restore)
            .inputs(["recovery", "plan", "restored", "swap", "inSyncAt"])
            .timeout(105)
            .keep("cutover")
            .keep_as("inSyncAt", "$exists($states.result.Payload.inSyncAt) ? $states.result.Payload.inSyncAt : null")
            .next("IsCutoverConfirmed")
            .undone_from("IsTrafficPossiblyMoved"),
        State::choice("IsCutoverConfirmed")
            .only(Recoveries::Restore)
            .comment("Gives up one hour and twice the longest old TTL after the records were moved.")
            .when("$cutover.confirmed = true", "ReleaseJobs")
            .bounded(hours(CONFIRMED), Recoveries::Restore)
            .when_with(
                &format!(
                    "$millis() - $toMillis($cutoverSince) > ({} + 2 * $max($append([0], $plan.dns.ttl))) * 1000",
                    hours(CONFIRMED)
                ),
                found(
                    "failure",
                    ErrorName::VerificationFailed,
                    "ConfirmCutover",
                    "'the DNS names did not lead to ' & $plan.newCluster & ' in time: ' & $string($cutover.records) & \
                     '; next step: look at the resolvers and caches in between, and start again'",
                ),
                "IsTrafficPossiblyMoved",
            )
            .next("WaitForOldTtl"),
        State::wait("WaitForOldTtl", "$max([1, $ceil($cutover.waitSeconds)])")
            .progress("waits as long as resolvers may remember the old value")
            .only(Recoveries::Restore)
            .comment("Resolvers may serve the old value until the old TTL is over.")
            .next("ConfirmCutover"),
    ]
}

/// The undo of them, last first.
pub(super) fn undo() -> Vec<State> {
    vec![
        State::choice("IsTrafficPossiblyMoved")
            .only(Recoveries::Restore)
            .comment(
                "A batch that was refused at the first try because a record had changed moved nothing. In every other \
                 case the restored cluster may have clients.",
            )
            .when(
                "$failure.state = 'SwapDns' and $failure.Error = 'RecordChanged' and $failure.retries = 0",
                "UndoFenceSource",
            )
            .next("FenceRestored"),
        State::step("FenceRestored")
            .function("FenceSource")
            .progress("ends writes on the restored cluster, before traffic moves back")
            .only(Recoveries::Restore)
            .comment(
                "Before the records go back: no write may be acknowledged by the restored cluster while clients \
                 return to the source.",
            )
            .inputs(["recovery"])
            .inputs(["plan"])
            .input_text("fence", "restored")
            .inputs(["restored"])
            .timeout(timeouts::FENCE_SOURCE)
            .next("UndoSwapDns")
            .undo_fails_to("IsAnythingChanged"),
        State::undo("UndoSwapDns", "SwapDns")
            .progress("moves the records back")
            .only(Recoveries::Restore)
            .comment(
                "The result of a retry does not say whether the call before it moved a record: then the records count \
                 as moved.",
            )
            .inputs(["restored"])
            .timeout(timeouts::SWAP_DNS)
            .keep_as("movedBack", "$states.result.Payload.changed = true or $states.context.State.RetryCount > 0")
            .keeps_what_was_undone()
            .next("UndoFenceSource")
            .undo_fails_to("IsAnythingChanged"),
    ]
}
