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

    /// The names of the states, in order.
    pub fn states(&self) -> impl Iterator<Item = &'static str> {
        self.states.iter().map(|state| state.name)
    }

    /// The state at which an execution begins: the first that is declared.
    pub(crate) fn start(&self) -> &'static str {
        self.states.first().map_or("", |state| state.name)
    }
}
