//! The machine of a recovery: a stage a file, each with the undo of its steps beside them.

mod approval;
mod backtrack;
mod cutover;
mod failure;
mod fence;
mod finish;
mod instances;
mod lease;
mod plan;
mod preflight;
mod restore;
mod situation;
mod verify;

use crate::budget;
use crate::machine::Machine;
use crate::state::State;

/// The machine of a recovery.
pub(crate) fn machine() -> Machine {
    let steps = [
        ("restore", restore::states()),
        ("instances", instances::states()),
        ("verify", verify::states()),
        ("approval", approval::states()),
        ("fence", fence::states()),
        ("backtrack", backtrack::states()),
        ("cutover", cutover::states()),
        ("finish", finish::states()),
    ];
    // What was done last is undone first. IsSourceChanged finds out where to begin.
    let undo = [
        ("failure", failure::states()),
        ("backtrack undo", backtrack::undo()),
        ("cutover undo", cutover::undo()),
        ("fence undo", fence::undo()),
        ("instances undo", instances::undo()),
        ("restore undo", restore::undo()),
    ];
    let mut after: Vec<State> = steps.into_iter().chain(undo).flat_map(stage).collect();
    // Last, because the ends describe what each declared step may have left behind.
    let ends = failure::ends(&after);
    after.extend(stage(("end", ends)));
    // Computed from the declared states, so that a step that is added makes the lease longer.
    let lease_hours = budget::lease_hours(&after);
    let mut plan = plan::states(lease_hours);
    // Between the plan and its announcement, so that what people see has the findings in it.
    plan.splice(1..1, preflight::states());
    let before = [("lease", lease::states()), ("plan", plan)];
    Machine {
        file: "rewind.asl.json",
        title: "A recovery",
        comment: "aurora-rewind: brings an Aurora cluster back to a moment and verifies that the data is back: beside \
                  the source, then asks a person and moves the traffic; or in place, which it asks for first. Its \
                  input is a request; examples: statemachine/inputs. Payloads: docs/steps.md. Errors: docs/errors. \
                  Picture: docs/statemachine.md. Item recovery#<execution name> of the table tells how a recovery \
                  stands.",
        states: before.into_iter().flat_map(stage).chain(after).collect(),
    }
}

fn stage((name, states): (&'static str, Vec<State>)) -> impl Iterator<Item = State> {
    states.into_iter().map(move |state| state.of_stage(name))
}
