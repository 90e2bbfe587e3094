//! The steps of a recovery, declared once: their order, what they are called with, what is kept of their answers, how
//! long each may take, which errors are retried and how, and the undo of each and where it leads.
//!
//! From it are made the definitions that are deployed (`statemachine/*.asl.json`), their pictures
//! (`docs/statemachine.md`), the sentences that people read while a recovery runs, and how long its lease lasts. It
//! is data: nothing here is run by a function, and nothing here decides what a step does.

mod budget;
mod cleanup;
mod conclude;
mod failed_function;
mod forward;
mod json;
mod lease;
mod machine;
mod names_back;
mod open;
mod picture;
mod records_back;
mod retry;
mod rewind;
mod state;
mod stopped;
mod stopped_opening;
mod timeouts;
mod undo;
mod undo_in_place;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

pub use json::Json;
pub use machine::Machine;
pub use picture::page;

/// All machines: of a recovery, of its undo, of the clean-up, of the watch over a fence, of a recovery that was stopped, and of what is
/// opened for reading.
pub fn machines() -> [Machine; 6] {
    [rewind::machine(), undo::machine(), cleanup::machine(), watch::machine(), stopped::machine(), open::machine()]
}

/// The stages of all machines with their states, by the machine's file (`stages.json`).
pub fn stages() -> String {
    let machines = machines().into_iter().map(|machine| (machine.file.to_owned(), machine.stages()));
    Json::Object(machines.collect()).pretty()
}

/// The sentence that people read while an execution is in `state`; `None` for a state that takes no time.
pub fn progress(state: &str) -> Option<&'static str> {
    // Asked at every look at an execution: the machines are built for it once.
    static SENTENCES: LazyLock<BTreeMap<&str, &str>> = LazyLock::new(|| {
        // A state of two machines keeps the sentence of the first.
        let states = machines().into_iter().rev().flat_map(|machine| machine.states);
        states.filter_map(|state| Some((state.name, state.progress?))).collect()
    });
    SENTENCES.get(state).copied()
}

/// True for a state that keeps a record, a lease or an event, and does nothing for the recovery itself.
pub fn is_plumbing(state: &str) -> bool {
    static NAMES: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
        let states = machines().into_iter().flat_map(|machine| machine.states);
        states
            .filter(|state| state.kind == state::Kind::Task && state.function.is_none())
            .map(|state| state.name)
            .collect()
    });
    NAMES.contains(state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn committed(path: &str) -> String {
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_default()
    }

    #[test]
    fn the_committed_definitions_and_pictures_are_those_of_the_declaration() {
        const AGAIN: &str = "is out of date: cargo run --locked -p rewind-statemachine";
        for machine in machines() {
            assert!(committed(machine.file) == machine.definition(), "{} {AGAIN}", machine.file);
        }
        assert!(committed("stages.json") == stages(), "stages.json {AGAIN}");
        assert!(committed("../docs/statemachine.md") == page(), "docs/statemachine.md {AGAIN}");
    }

    #[test]
    fn every_state_is_declared_once_and_every_way_leads_to_one() {
        for machine in machines() {
            let states: Vec<&str> = machine.states().collect();
            let names: BTreeSet<&str> = states.iter().copied().collect();
            assert_eq!(states.len(), names.len(), "{} declares a state twice", machine.file);
            for state in &machine.states {
                let choices = state.choices.iter().map(|choice| choice.next);
                let catchers = state.catchers.iter().map(|catcher| catcher.next);
                for next in choices.chain(catchers).chain(state.next) {
                    assert!(names.contains(next), "{} leads to {next}, which is not declared", state.name);
                }
            }
        }
    }

    #[test]
    fn every_state_can_be_reached() {
        for machine in machines() {
            let mut reached = BTreeSet::from([machine.start()]);
            for _ in 0..machine.states.len() {
                let from = machine.states.iter().filter(|state| reached.contains(state.name));
                let nexts = from.flat_map(|state| {
                    let choices = state.choices.iter().map(|choice| choice.next);
                    choices.chain(state.catchers.iter().map(|catcher| catcher.next)).chain(state.next)
                });
                reached = nexts.chain([machine.start()]).chain(reached.iter().copied()).collect();
            }
            let unreached: Vec<&str> = machine.states().filter(|name| !reached.contains(name)).collect();
            assert_eq!(unreached, [""; 0], "{}", machine.file);
        }
    }

    #[test]
    fn people_read_a_sentence_for_every_state_that_takes_time() {
        for machine in machines().iter().filter(|machine| machine.file != "cleanup.asl.json") {
            for state in &machine.states {
                let takes_time = matches!(state.kind, state::Kind::Task | state::Kind::Wait);
                assert_eq!(progress(state.name).is_some(), takes_time, "{}", state.name);
            }
        }
    }

    #[test]
    fn a_bug_of_a_step_is_never_undone() {
        let machine = rewind::machine();
        let steps = machine.states.iter().filter(|state| state.retries == retry::Retries::Function);
        // A tag that cannot be set changes no end: people are told so, and everything else is undone already. A cluster that cannot be
        // inspected is kept, and a fence whose records cannot be read stays.
        let exempt = ["KeepRestored", "InspectRestored", "ReadRecordsAgain"];
        for state in steps.filter(|state| !exempt.contains(&state.name)) {
            let nexts: Vec<&str> = state.catchers.iter().map(|catcher| catcher.next).collect();
            // An undo that fails, or a state after the work, whose failure is no more than a note.
            let is_undo = nexts == ["IsAnythingChanged"] || nexts == Vec::from_iter(state.next);
            assert!(is_undo || nexts.first() == Some(&"IsAnythingChanged"), "{} leads to {nexts:?}", state.name);
        }
    }
}
