//! How long a recovery may take, and how many events its history may get, by the declared bounds.
//!
//! A lease that ends before its recovery protects nothing, and AWS ends an execution at 25,000 events with nothing
//! undone. Both sums follow from the steps, so that a step that is added is in them.

use crate::retry::Retries;
use crate::state::{Bound, Kind, Recoveries, State, hours};
use std::collections::BTreeSet;

/// The time of one step with all its retries: 20 minutes of `ClusterNotReady`, 10 of a function that is not ready,
/// and the rest.
pub(crate) const STEP: u64 = hours(1);

/// For calls that take their whole timeout again and again.
pub(crate) const RESERVE: u64 = hours(4);

/// The longest time that people may be given: `approvalTimeout` is no longer.
const APPROVAL: u64 = hours(24);

/// One round of a loop: the invocation polls for 50 seconds.
const ROUND: u64 = 52;

/// Events of one state that invokes a function, and of the question after it.
const ROUND_EVENTS: u64 = 7;

/// Events of a slice in which people are waited for.
const SLICE_EVENTS: u64 = 8;

/// For the states that are passed once, for answers to something else than was shown, and for retries: a retried
/// attempt has three events.
const OTHER_EVENTS: u64 = 3_000;

/// The events that AWS gives an execution.
pub(crate) const HISTORY: u64 = 25_000;

/// The parts of the time that one kind of recovery may take after its lease was extended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Budget {
    /// The questions that end loops, and after how many seconds they give up.
    pub(crate) loops: Vec<(&'static str, u64)>,
    /// The states that call a function once, on the way there and on the way back.
    pub(crate) steps: Vec<&'static str>,
}

impl Budget {
    /// The budget of the recoveries `of` in `states`, of which the lease knows nothing yet.
    pub(crate) fn new(states: &[State], of: Recoveries) -> Self {
        // Its time is in the loop's own bound: an hour for it as well would be counted twice.
        let looped: BTreeSet<&str> = states.iter().filter_map(|state| looped(states, state)).collect();
        let passed = |state: &&State| state.recoveries.meet(of);
        let bounds = |state: &State| state.bounds.iter().filter(|Bound { recoveries, .. }| recoveries.meet(of)).count();
        let loops = states.iter().filter(passed).filter(|state| bounds(state) > 0).map(|state| {
            let bounds = state.bounds.iter().filter(|bound| bound.recoveries.meet(of));
            (state.name, bounds.map(|bound| bound.seconds).sum())
        });
        let steps = states.iter().filter(passed).filter(|state| {
            matches!(state.retries, Retries::Function | Retries::Slice) && !looped.contains(state.name)
        });
        Self { loops: loops.collect(), steps: steps.map(|state| state.name).collect() }
    }

    /// The seconds that the recovery may take, without the time that people have and without the TTL of records.
    pub(crate) fn seconds(&self) -> u64 {
        let loops: u64 = self.loops.iter().map(|(_, seconds)| seconds).sum();
        loops + STEP * count(&self.steps) + RESERVE
    }

    /// The events that its history may get.
    pub(crate) fn events(&self) -> u64 {
        let rounds: u64 = self.loops.iter().map(|(_, seconds)| seconds / ROUND + 1).sum();
        // A slice of waiting for people lasts 60 seconds: docs/adr/0003-approval-in-slices.md.
        rounds * ROUND_EVENTS + APPROVAL / 60 * SLICE_EVENTS + OTHER_EVENTS
    }
}

/// The hours that a lease lasts beside the time that people have and twice the longest TTL: enough for either
/// strategy.
pub(crate) fn lease_hours(states: &[State]) -> u64 {
    let seconds = [Recoveries::Restore, Recoveries::Backtrack].map(|of| Budget::new(states, of).seconds());
    // The definition has one number for every recovery, whatever strategy its plan chooses.
    seconds.into_iter().max().unwrap_or_default().div_ceil(hours(1))
}

fn count(names: &[&str]) -> u64 {
    u64::try_from(names.len()).unwrap_or(u64::MAX)
}

/// The state that is called again and again until the question `state` gives up, if it ends a loop.
fn looped(states: &[State], state: &State) -> Option<&'static str> {
    let again = state.next.filter(|_| !state.bounds.is_empty())?;
    let pause = states.iter().find(|state| state.name == again && state.kind == Kind::Wait);
    // Where a Wait comes in between, the state behind it is the one that is called again.
    pause.map_or(Some(again), |pause| pause.next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budgets() -> [Budget; 2] {
        let machine = crate::rewind::machine();
        let after = machine.states.iter().position(|state| state.name == "ExtendLease").unwrap() + 1;
        [Recoveries::Restore, Recoveries::Backtrack].map(|of| Budget::new(&machine.states[after..], of))
    }

    #[test]
    fn every_wait_is_in_the_budget_of_the_recoveries_that_come_to_it() {
        let [restore, backtrack] = budgets();
        assert_eq!(
            restore.loops,
            [
                ("IsRewindDone", hours(12)),
                ("AreInstancesReady", hours(2)),
                ("IsInSync", 0),
                ("IsCutoverConfirmed", hours(1)),
                ("IsDeletionDone", hours(2)),
            ]
        );
        assert_eq!(
            backtrack.loops,
            [
                ("IsRewindDone", hours(12 + 2)),
                ("AreInstancesReady", hours(2)),
                ("IsForwardDone", hours(2)),
                ("IsDeletionDone", hours(2)),
            ]
        );
    }

    #[test]
    fn an_execution_ends_before_its_history_is_full() {
        for budget in budgets() {
            assert!(budget.events() < HISTORY, "{} events of {HISTORY}: {budget:?}", budget.events());
        }
    }

    #[test]
    fn the_pauses_between_all_attempts_of_a_step_fit_into_its_hour() {
        // Half of it is for the attempts themselves.
        assert!(Retries::Function.longest_pause() < STEP * 6 / 10, "{} s", Retries::Function.longest_pause());
    }

    #[test]
    fn one_loop_after_the_other_and_then_an_hour_a_step() {
        let loops = vec![("IsDone", hours(2)), ("IsGone", hours(3))];
        let budget = Budget { loops, steps: vec!["Start", "Verify"] };
        assert_eq!(budget.seconds(), hours(5 + 2) + RESERVE);
    }
}
