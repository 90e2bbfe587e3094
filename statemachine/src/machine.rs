//! A state machine: its states in order, and the definition that is made from them.

use crate::json::{Json, object};
use crate::state::State;

/// A state machine as it is declared.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The file of its definition in `statemachine/`.
    pub file: &'static str,
    /// The heading over its picture.
    pub(crate) title: &'static str,
    pub(crate) comment: &'static str,
    pub(crate) states: Vec<State>,
}

impl Machine {
    /// The definition in Amazon States Language, as it is committed and deployed. `${…}` in it are the template's
    /// substitutions.
    pub fn definition(&self) -> String {
        let states = self.states.iter().map(|state| (state.name.to_owned(), state.to_json())).collect();
        object([
            ("Comment", self.comment.into()),
            ("QueryLanguage", "JSONata".into()),
            ("StartAt", self.start().into()),
            ("States", Json::Object(states)),
        ])
        .pretty()
    }

    /// The stages and their states in order, and what each state passes to its function: what the tests of paths are
    /// made of.
    pub fn stages(&self) -> Json {
        let mut stages: Vec<(String, Json)> = Vec::new();
        for state in &self.states {
            match stages.last_mut() {
                Some((stage, Json::List(states))) if stage == state.stage => states.push(state.name.into()),
                _ => stages.push((state.stage.to_owned(), [state.name].into())),
            }
        }
        let passed = self.states.iter().filter(|state| state.function.is_some()).map(|state| {
            let names = state.payload.iter().map(|(name, _)| Json::from(name.as_str()));
            (state.name.to_owned(), Json::List(names.collect()))
        });
        // Payloads too: the tests of paths compare them with what each function was really passed.
        object([("stages", Json::Object(stages)), ("payloads", Json::Object(passed.collect()))])
    }

    /// The names of the states, in order.
    pub fn states(&self) -> impl Iterator<Item = &'static str> {
        self.states.iter().map(|state| state.name)
    }

    /// The state at which an execution begins: the first that is declared.
    pub(crate) fn start(&self) -> &'static str {
        self.states.first().map_or("", |state| state.name)
    }
}
