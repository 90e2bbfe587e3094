//! The steps of a recovery as people count them: the states that take time, in the order of the plan's strategy.

use rewind_core::{Approval, Plan, Strategy};

/// The steps of one recovery, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steps {
    states: Vec<&'static str>,
    /// The number of the present step, from 1; 0 before the first.
    present: usize,
}

impl Steps {
    /// The steps that follow from a plan.
    pub fn of(plan: &Plan) -> Self {
        let mut states = vec!["ValidateWindow", "Preflight"];
        let asks = plan.approval == Approval::Required;
        match plan.strategy {
            Strategy::Backtrack => {
                states.extend(asks.then_some("RequestApproval"));
                states.extend(["FenceSource", "CloneSource", "AwaitRewind", "AddInstances", "AwaitInstances"]);
                states.extend(["InspectFence", "StartBacktrack", "AwaitRewind", "Verify", "LiftFence"]);
            }
            Strategy::Restore | Strategy::Auto => {
                states.extend(["StartRestore", "AwaitRewind", "AddInstances", "AwaitInstances", "HoldJobs", "Verify"]);
                if !plan.dns.is_empty() {
                    states.extend((plan.compare_seconds > 0).then_some("CompareTables"));
                    states.extend(asks.then_some("RequestApproval"));
                    states.extend(["FenceSource", "SwapDns", "ConfirmCutover"]);
                }
            }
        }
        states.push("Finish");
        Self { states, present: 0 }
    }

    /// Enters a state; returns its number and that of the last step, or none for a state that is no step of the way there.
    // A state that comes twice, such as the wait for the safety clone and for the backtrack, is the next one of its name.
    pub fn enter(&mut self, state: &str) -> Option<(usize, usize)> {
        let number =
            (self.present.max(1)..=self.states.len()).find(|number| self.states.get(number - 1) == Some(&state))?;
        self.present = number;
        Some((number, self.states.len()))
    }

    /// True while nothing of the source was changed and no traffic was moved: before the fence, where there is one.
    pub fn has_moved_nothing(&self) -> bool {
        let fence = self.states.iter().position(|state| *state == "FenceSource").map(|index| index + 1);
        fence.is_none_or(|fence| self.present < fence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_aws::fixtures::{in_place_plan, plan};

    #[test]
    fn every_step_is_a_state_that_people_read_a_sentence_about() {
        for state in Steps::of(&plan()).states.iter().chain(&Steps::of(&in_place_plan()).states) {
            assert!(crate::progress(state).is_some(), "{state}");
        }
    }

    #[test]
    fn a_comparison_is_a_step_however_often_it_is_entered() {
        let mut steps = Steps::of(&Plan { approval: Approval::Required, compare_seconds: 300, ..plan() });
        let found = ["Verify", "CompareTables", "CompareTables", "RequestApproval"].map(|state| steps.enter(state));
        assert_eq!(found, [Some((8, 14)), Some((9, 14)), Some((9, 14)), Some((10, 14))]);
    }

    #[test]
    fn a_recovery_that_moves_records_has_thirteen_steps_and_moves_something_from_the_tenth_on() {
        let mut steps = Steps::of(&Plan { approval: Approval::Required, ..plan() });
        assert_eq!(steps.enter("AwaitInstances"), Some((6, 13)));
        assert_eq!(steps.enter("RequestApproval"), Some((9, 13)));
        assert!(steps.has_moved_nothing());
        // Neither plumbing nor the way back has a number, and a slice of the approval has the one that it had.
        assert_eq!((steps.enter("RecordDecision"), steps.enter("UndoSwapDns")), (None, None));
        assert_eq!(steps.enter("RequestApproval"), Some((9, 13)));
        assert_eq!(steps.enter("FenceSource"), Some((10, 13)));
        assert!(!steps.has_moved_nothing());
    }

    #[test]
    fn without_records_nothing_is_moved_and_in_place_the_wait_comes_twice() {
        let mut beside = Steps::of(&Plan { dns: Vec::new(), ..plan() });
        assert_eq!(beside.enter("Finish"), Some((9, 9)));
        assert!(beside.has_moved_nothing());
        let mut in_place = Steps::of(&Plan { approval: Approval::None, ..in_place_plan() });
        assert_eq!(in_place.enter("AwaitRewind"), Some((5, 13)));
        assert_eq!(in_place.enter("AwaitRewind"), Some((5, 13)));
        in_place.enter("StartBacktrack");
        assert_eq!(in_place.enter("AwaitRewind"), Some((10, 13)));
    }
}
