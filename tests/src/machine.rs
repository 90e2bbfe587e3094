//! The state machines as the tests see them: their states, where they lead, and the expressions in them.

use crate::files;
use serde_json::Value;
use serde_yaml_ng::Value as Yaml;
use std::collections::BTreeSet;

pub(crate) struct Machine {
    /// The name of the machine's resource in the template. That of its role ends in `Role`.
    pub(crate) resource: &'static str,
    /// The path of the definition.
    pub(crate) path: &'static str,
    definition: Value,
}

/// A way from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The state did its work, or a question was answered.
    Goes,
    /// It failed, or the answer is a failure of the recovery.
    Fails,
}

impl Machine {
    /// The machine of a recovery.
    pub(crate) fn rewind() -> Self {
        Self::read("Rewind", "statemachine/rewind.asl.json")
    }

    /// The machine that takes a recovery back.
    pub(crate) fn undo() -> Self {
        Self::read("Undo", "statemachine/undo.asl.json")
    }

    /// The machine that deletes what recoveries kept.
    pub(crate) fn clean_up() -> Self {
        Self::read("CleanUpMachine", "statemachine/cleanup.asl.json")
    }

    /// The machine that watches a fence.
    pub(crate) fn watch() -> Self {
        Self::read("FenceWatch", "statemachine/watch.asl.json")
    }

    /// The machine that finds a recovery which was stopped.
    pub(crate) fn stopped() -> Self {
        Self::read("Stopped", "statemachine/stopped.asl.json")
    }

    /// The machine that opens what a recovery left behind.
    pub(crate) fn open() -> Self {
        Self::read("Open", "statemachine/open.asl.json")
    }

    /// Every machine.
    pub(crate) fn all() -> [Self; 6] {
        [Self::rewind(), Self::undo(), Self::clean_up(), Self::watch(), Self::stopped(), Self::open()]
    }

    fn read(resource: &'static str, path: &'static str) -> Self {
        let definition = serde_json::from_str(&files::read(path)).expect("a definition is JSON before substitution");
        Self { resource, path, definition }
    }

    pub(crate) fn definition(&self) -> &Value {
        &self.definition
    }

    pub(crate) fn state(&self, name: &str) -> &Value {
        &self.definition["States"][name]
    }

    pub(crate) fn start(&self) -> &str {
        self.definition["StartAt"].as_str().unwrap()
    }

    pub(crate) fn states(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.definition["States"].as_object().unwrap().iter().map(|(name, state)| (name.as_str(), state))
    }

    /// The states that a recovery can come to without a failure.
    pub(crate) fn reached_without_a_failure(&self) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut waiting = vec![self.start()];
        while let Some(name) = waiting.pop() {
            if reached.insert(name) {
                let goes =
                    Self::ways(&self.definition["States"][name]).into_iter().filter(|(_, way)| *way == Way::Goes);
                // Who holds a lease is read only after it was refused.
                waiting.extend(goes.map(|(to, _)| to).filter(|to| *to != "ReadLease"));
            }
        }
        reached
    }

    pub(crate) fn tasks(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.states().filter(|(_, state)| state["Type"] == "Task")
    }

    /// The tasks that invoke a function, with the stem of it: `StartRestore` for `${StartRestoreFunctionArn}`.
    pub(crate) fn invocations(&self) -> impl Iterator<Item = (&str, &Value, &str)> {
        self.tasks().filter_map(|(name, state)| {
            let function = state["Arguments"]["FunctionName"].as_str()?;
            let function = function.strip_prefix("${").and_then(|f| f.strip_suffix("FunctionArn}"));
            Some((name, state, function.unwrap_or_else(|| panic!("{name} names its function otherwise"))))
        })
    }

    /// The states to which a state leads.
    pub(crate) fn ways(state: &Value) -> Vec<(&str, Way)> {
        // The first value of the variables is no failure.
        let given = |value: Option<&Value>| value.is_some_and(|value| value != &serde_json::json!({}));
        let fails = |at: &Value| given(at["Assign"].get("failure")) || given(at["Assign"].get("undoFailure"));
        let way = |at: &Value| if fails(at) { Way::Fails } else { Way::Goes };
        let mut ways = Vec::new();
        for choice in state["Choices"].as_array().into_iter().flatten() {
            ways.push((choice["Next"].as_str().unwrap(), way(choice)));
        }
        for catch in state["Catch"].as_array().into_iter().flatten() {
            ways.push((catch["Next"].as_str().unwrap(), way(catch)));
        }
        ways.extend(state["Default"].as_str().map(|to| (to, way(state))));
        ways.extend(state["Next"].as_str().map(|to| (to, way(state))));
        ways
    }

    /// All strings of a value that are expressions, without their brackets.
    pub(crate) fn expressions(value: &Value) -> Vec<&str> {
        match value {
            Value::String(text) => text.strip_prefix("{%").and_then(|t| t.strip_suffix("%}")).into_iter().collect(),
            Value::Array(items) => items.iter().flat_map(Self::expressions).collect(),
            Value::Object(fields) => fields.values().flat_map(Self::expressions).collect(),
            _ => Vec::new(),
        }
    }

    /// All `Assign` blocks with their state's name, the lines as they are written: JSON is YAML, whose reader keeps them so.
    pub(crate) fn assigns_as_written(&self) -> Vec<(String, Vec<(String, Value)>)> {
        let definition: Yaml = serde_yaml_ng::from_str(&files::read(self.path)).expect("JSON is YAML");
        let mut found = Vec::new();
        for (name, state) in definition["States"].as_mapping().unwrap() {
            let nested = ["Choices", "Catch"];
            let nested =
                nested.into_iter().flat_map(|at| state.get(at).and_then(Yaml::as_sequence).into_iter().flatten());
            for assign in nested.chain([state]).filter_map(|at| at.get("Assign")?.as_mapping()) {
                let lines = assign.iter().map(|(variable, value)| {
                    (variable.as_str().unwrap().to_owned(), serde_json::to_value(value).unwrap())
                });
                found.push((name.as_str().unwrap().to_owned(), lines.collect()));
            }
        }
        found
    }

    /// All `Assign` blocks of a state: its own, its choices' and its catchers'.
    pub(crate) fn assigns(state: &Value) -> Vec<&serde_json::Map<String, Value>> {
        // A variable may be set on the way out of a state as well, by the choice or the catcher that was taken.
        let nested = ["Choices", "Catch"].into_iter().flat_map(|at| state[at].as_array().into_iter().flatten());
        nested.chain([state]).filter_map(|at| at["Assign"].as_object()).collect()
    }
}
