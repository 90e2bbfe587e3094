//! A difference between the restored cluster and the source, with what a person does about it.

use serde::{Deserialize, Serialize};

/// A setting in which the restored cluster differs from the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The setting.
    pub what: String,
    /// The value on the source.
    pub source: String,
    /// The value on the restored cluster.
    pub restored: String,
    /// An action for a person.
    pub todo: String,
}

impl Difference {
    /// Makes a difference of its four parts.
    pub fn new(
        what: impl Into<String>,
        source: impl Into<String>,
        restored: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self { what: what.into(), source: source.into(), restored: restored.into(), todo: todo.into() }
    }
}
