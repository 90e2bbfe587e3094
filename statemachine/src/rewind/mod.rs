//! The machine of a recovery: a stage a file, each with the undo of its steps beside them.

mod approval;
mod backtrack;
mod comparison;
mod cutover;
mod failure;
mod fence;
mod finish;
mod hold_jobs;
mod instances;
mod keep;
mod lease;
mod plan;
mod preflight;
mod restore;
mod resume;
mod situation;
mod verify;
mod writer;

use crate::budget;
use crate::machine::Machine;
use crate::state::State;

pub(crate) use approval::CONFIRMABLE;
pub(crate) use cutover::{CONFIRMED, UNSEEN, pause};
#[cfg(test)]
pub(crate) use cutover::{ROUNDS_OF_A_TTL, events_of_names};

/// The machine of a recovery.
pub(crate) fn machine() -> Machine {
    let steps = [
        ("restore", restore::states()),
        ("scheduler", hold_jobs::scheduler()),
        ("instances", instances::states()),
        ("writer", writer::states()),
        ("jobs", hold_jobs::jobs()),
        ("verify", verify::states()),
        ("comparison", comparison::states()),
        ("approval", approval::states()),
        ("fence", fence::states()),
        ("backtrack", backtrack::states()),
        ("cutover", cutover::states()),
        ("release", hold_jobs::release()),
        ("finish", finish::states()),
    ];
    // What was done last is undone first. IsSourceChanged finds out where to begin.
    let undo = [
        ("failure", failure::states()),
        ("failed function", failure::of_functions()),
        ("backtrack undo", backtrack::undo()),
        ("cutover undo", cutover::undo()),
        ("fence undo", fence::undo()),
        ("keep undo", keep::states()),
        ("rejection undo", keep::rejected()),
        ("instances undo", instances::undo()),
        ("restore undo", restore::undo()),
        ("jobs undo", hold_jobs::undo()),
    ];
    let mut after: Vec<State> = steps.into_iter().chain(undo).flat_map(stage).map(waits_out).collect();
    // Last, because the ends describe what each declared step may have left behind.
    let ends = failure::ends(&after);
    after.extend(stage(("end", ends)));
    // Computed from the declared states, so that a step that is added makes the lease longer.
    let lease_hours = budget::lease_hours(&after);
    let mut plan = plan::states(lease_hours);
    // Between the plan and its announcement, so that what people see has the findings in it.
    plan.splice(1..1, preflight::states());
    let before = [("lease", lease::states()), ("resume", resume::states()), ("plan", plan)];
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

/// The stages in which clients have no database, or may have none. They are bounded by what people can bear, which is
/// minutes: the undo then opens the source again.
const INSIDE_THE_OUTAGE: [&str; 4] = ["fence", "backtrack", "cutover", "release"];

/// From the restore on a state waits out an hour of what passes by itself: giving up earlier would throw away hours of
/// restore. An undo does so too, for giving up would leave the source fenced.
fn waits_out(state: State) -> State {
    // By a rule and not state by state, so that a state that is added cannot be forgotten. In place some of these states
    // are passed inside the outage; there giving up means an undo that needs the same service.
    // People go on without a comparison. What is not seen within minutes before a rejected cluster is deleted keeps it, and so throws nothing away. While the restored
    // cluster is fenced with the records at it, giving up is what lets clients in again.
    let is_bounded = match state.name {
        "StartRestore" | "CompareTables" | "InspectRestored" | "ReadRecordsAgain" | "FenceRestored" | "UndoSwapDns"
        | "ReadRecordsBack" => true,
        // Nothing that follows would open the source.
        "LiftFence" => false,
        _ => INSIDE_THE_OUTAGE.contains(&state.stage),
    };
    if is_bounded { state } else { state.waits_an_hour() }
}
