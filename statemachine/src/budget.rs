//! How long a recovery may take, and how many events its history may get, by the declared bounds.
//!
//! A lease that ends before its recovery protects nothing, and AWS ends an execution at 25,000 events with nothing
//! undone. Both sums follow from the steps, so that a step that is added is in them.

use crate::retry::{Retries, WaitsOut};
use crate::state::{Bound, Kind, Recoveries, State, hours};
use std::collections::BTreeSet;

/// For calls that take their whole timeout again and again.
pub(crate) const RESERVE: u64 = hours(4);

/// The longest time that people may be given: `approvalTimeout` is no longer.
const APPROVAL: u64 = hours(24);

/// One round of a loop around await-rewind, which polls for nearly four minutes.
const POLLING_ROUND: u64 = 232;

/// One round of the loop around compare-tables, which returns sooner only where all tables are done.
const COMPARING_ROUND: u64 = 180;

/// One round of another loop: the TTL of a record is waited for.
const ROUND: u64 = 52;

/// The longest time in which people are waited for: also while an approval cannot be confirmed yet.
const SLICES: u64 = APPROVAL + hours(crate::rewind::CONFIRMABLE);

/// Events of one state that invokes a function, and of the question after it.
const ROUND_EVENTS: u64 = 7;

/// Events of an attempt that fails, and is followed by another.
const ATTEMPT_EVENTS: u64 = 3;

/// Events of a slice in which people are waited for.
const SLICE_EVENTS: u64 = 8;

/// For the states that are passed once, for answers to something else than was shown, and for the retries of minutes.
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
    /// The states that wait out an hour of what passes, and those of them that a loop calls again and again.
    pub(crate) hours: Vec<&'static str>,
    /// The rounds of all loops.
    rounds: u64,
    /// The attempts of the states in `hours`, if each waits for its hour.
    attempts: u64,
}

impl Budget {
    /// The budget of the recoveries `of` in `states`, of which the lease knows nothing yet.
    pub(crate) fn new(states: &[State], of: Recoveries) -> Self {
        // Its time is in the loop's own bound: an hour for it as well would be counted twice.
        let in_loop: BTreeSet<&str> = states.iter().filter_map(|state| looped(states, state)).collect();
        let passed = |state: &&State| state.recoveries.meet(of);
        let bounds = |state: &State| state.bounds.iter().filter(|Bound { recoveries, .. }| recoveries.meet(of)).count();
        let in_loops = states.iter().filter(passed).filter(|state| bounds(state) > 0);
        let loops: Vec<_> = in_loops
            .map(|state| {
                let bounds = state.bounds.iter().filter(|bound| bound.recoveries.meet(of));
                (state, bounds.map(|bound| bound.seconds).sum::<u64>())
            })
            .collect();
        let rounds = loops.iter().map(|(state, seconds)| {
            let called = looped(states, state).and_then(|name| states.iter().find(|state| state.name == name));
            let round = match called.and_then(|state| state.function) {
                Some("AwaitRewind") => POLLING_ROUND,
                Some("CompareTables") => COMPARING_ROUND,
                _ => ROUND,
            };
            seconds / round + 1
        });
        let calls = |state: &&State| matches!(state.retries, Retries::Function | Retries::Slice | Retries::Optional);
        let outlasting: Vec<&State> =
            states.iter().filter(passed).filter(calls).filter(|state| state.waits_out == WaitsOut::Hour).collect();
        let steps = states
            .iter()
            .filter(passed)
            .filter(calls)
            .filter(|state| state.waits_out == WaitsOut::Minutes && !in_loop.contains(state.name));
        Self {
            steps: steps.map(|state| state.name).collect(),
            hours: outlasting.iter().map(|state| state.name).collect(),
            rounds: rounds.sum(),
            attempts: outlasting.iter().map(|state| state.retries.attempts_of_an_hour()).sum(),
            loops: loops.into_iter().map(|(state, seconds)| (state.name, seconds)).collect(),
        }
    }

    /// The seconds that the recovery may take, without the time that people have and without the TTL of records.
    pub(crate) fn seconds(&self) -> u64 {
        let loops: u64 = self.loops.iter().map(|(_, seconds)| seconds).sum();
        // A loop's last round may begin just before its bound, and then wait for its hour: so those in loops count too.
        loops + step(WaitsOut::Minutes) * count(&self.steps) + step(WaitsOut::Hour) * count(&self.hours) + RESERVE
    }

    /// The events that its history may get.
    pub(crate) fn events(&self) -> u64 {
        // A slice of waiting for people lasts 60 seconds: docs/adr/0003-approval-in-slices.md.
        self.rounds * ROUND_EVENTS + SLICES / 60 * SLICE_EVENTS + self.attempts * ATTEMPT_EVENTS + OTHER_EVENTS
    }
}

/// The time of one step with all its retries, in whole hours. The pauses are six tenths of it at most; the rest is for
/// the attempts themselves.
pub(crate) fn step(waits_out: WaitsOut) -> u64 {
    hours((Retries::Function.longest_pause(waits_out) * 10 / 6).div_ceil(hours(1)))
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
    use crate::rewind::{ROUNDS_OF_A_TTL, events_of_names};

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
                ("IsComparisonDone", 1_200),
                ("IsApprovalValid", hours(1)),
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
                ("IsApprovalValid", hours(1)),
                ("IsBacktrackStarted", hours(1)),
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

    /// In seconds. The last one is the longest that a request can accept.
    const TTLS: [u64; 7] = [5, 60, 600, 3_600, 86_400, 172_800, 7 * 86_400];

    #[test]
    fn names_are_asked_for_until_the_longest_ttl_is_over_and_the_history_is_not_full() {
        for ttl in TTLS {
            let [restore, _] = budgets();
            // The loop's own bound is in the budget with rounds of its own. In place no name is followed.
            let counted = (hours(crate::rewind::CONFIRMED) / ROUND + 1) * ROUND_EVENTS;
            let events = restore.events() - counted + events_of_names(ttl);
            assert!(events < HISTORY, "{events} events with a TTL of {ttl} s");
            let undo = Budget::new(&crate::undo::machine().states, Recoveries::Restore);
            // Nobody is asked for an approval by an undo.
            let asked = SLICES / 60 * SLICE_EVENTS;
            let events = undo.events() - asked + events_of_names(ttl);
            assert!(events < HISTORY, "{events} events of an undo with a TTL of {ttl} s");
        }
    }

    #[test]
    fn the_pause_before_a_name_is_asked_for_again_grows_with_the_ttl() {
        for (machine, answer, records, since) in [
            (crate::rewind::machine(), "cutover", "$plan.dns", "$cutoverSince"),
            (crate::undo::machine(), "confirmation", "$swap.records", "$movedBackAt"),
        ] {
            let waits = machine.states.iter().find(|state| state.name == "WaitForOldTtl").unwrap();
            let expected = crate::rewind::pause(answer, records, since);
            assert!(expected.contains("$floor($ttl / 60)"), "{expected}");
            assert_eq!(waits.seconds, Some(crate::json::jsonata(expected)));
        }
        assert_eq!(ROUNDS_OF_A_TTL, 60);
    }

    #[test]
    fn the_time_of_a_step_follows_from_its_pauses() {
        // 20 minutes of ClusterNotReady, 10 of a function that is not ready, and the rest.
        assert_eq!(step(WaitsOut::Minutes), hours(1));
        // Two hours where every draw of the jitter is the longest, one of ClusterNotReady, and the calls.
        assert_eq!(step(WaitsOut::Hour), hours(6));
    }

    #[test]
    fn a_state_is_in_the_budget_with_its_minutes_its_hours_or_its_loop() {
        for budget in budgets() {
            for name in &budget.hours {
                assert!(!budget.steps.contains(name), "{name} counts twice");
            }
            // The attempts of an hour are in the history's sum for each of them.
            assert_eq!(budget.attempts, 125 * count(&budget.hours));
        }
        let [restore, backtrack] = budgets();
        // Inside the outage nobody waits for an hour: it is minutes until the source is opened again, or the restored cluster.
        for name in ["StartRestore", "FenceSource", "SwapDns", "FenceRestored", "UndoSwapDns"] {
            assert!(restore.steps.contains(&name), "{name} is not in {:?}", restore.steps);
        }
        for name in ["AwaitRewind", "AddInstances", "Verify", "RequestApproval", "UndoFenceSource"] {
            assert!(restore.hours.contains(&name), "{name} is not in {:?}", restore.hours);
        }
        // Unless giving up would leave clients without a database.
        assert!(backtrack.hours.contains(&"LiftFence"), "LiftFence is not in {:?}", backtrack.hours);
    }

    #[test]
    fn one_loop_after_the_other_and_then_the_steps() {
        let loops = vec![("IsDone", hours(2)), ("IsGone", hours(3))];
        let budget = Budget { loops, steps: vec!["Start"], hours: vec!["Verify"], rounds: 10, attempts: 125 };
        assert_eq!(budget.seconds(), hours(5 + 1 + 6) + RESERVE);
        assert_eq!(budget.events(), 10 * 7 + 25 * 60 * 8 + 125 * 3 + OTHER_EVENTS);
    }
}
