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
mod restore;
mod verify;

use crate::budget;
use crate::machine::Machine;
use crate::state::State;

/// The machine of a recovery.
pub(crate) fn machine() -> Machine {
    let steps = [
        restore::states(),
        instances::states(),
        verify::states(),
        approval::states(),
        fence::states(),
        backtrack::states(),
        cutover::states(),
        finish::states(),
    ];
    // What was done last is undone first. IsSourceChanged finds out where to begin.
    let undo = [
        failure::states(),
        backtrack::undo(),
        cutover::undo(),
        fence::undo(),
        instances::undo(),
        restore::undo(),
        failure::ends(),
    ];
    let after_the_plan: Vec<State> = steps.into_iter().chain(undo).flatten().collect();
    let before = [lease::states(), plan::states(budget::lease_hours(&after_the_plan))];
    Machine {
        file: "rewind.asl.json",
        title: "A recovery",
        comment: "aurora-rewind: brings an Aurora cluster back to a moment and verifies that the data is back: beside \
                  the source, then asks a person and moves the traffic; or in place, which it asks for first. Its \
                  input is a request; examples: statemachine/inputs. Payloads: docs/steps.md. Errors: docs/errors. \
                  Picture: docs/statemachine.md. Item recovery#<execution name> of the table tells how a recovery \
                  stands.",
        states: before.into_iter().flatten().chain(after_the_plan).collect(),
    }
}
