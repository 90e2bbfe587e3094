//! The trait of a step: one change, and its undo beside it.

use rewind_core::{Backtrack, StepError, Swap};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// One step of a recovery.
///
/// Both directions may run twice, and may find their work done, half done or not done at all.
pub trait Step: Send + Sync {
    /// The payload from the state machine (`docs/steps.md`).
    type Input: DeserializeOwned + Send;
    /// The result for the state machine.
    type Output: Serialize;

    /// Does the step.
    fn run(&self, input: Self::Input) -> impl Future<Output = Result<Self::Output, StepError>> + Send;

    /// Takes back what [`Step::run`] did, whatever part of it was done.
    ///
    /// A step that changes nothing has nothing to take back.
    fn undo(&self, _input: Self::Input) -> impl Future<Output = Result<Undone, StepError>> + Send {
        async { Ok(Undone::nothing()) }
    }
}

/// The direction of a step: `do` unless the payload has `"direction": "undo"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Do the step.
    #[default]
    Do,
    /// Undo the step.
    Undo,
}

/// The changes of an undo, one sentence each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// True if there was anything to undo.
    pub changed: bool,
    /// The changes, one sentence each.
    pub what: Vec<String>,
    /// The backtrack that undoes it, where that is how: it is still to be waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backtrack: Option<Backtrack>,
    /// The records as they were moved back, or were found at the source: that clients follow them is still to be confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap: Option<Swap>,
}

impl Undone {
    /// There was nothing to take back.
    pub fn nothing() -> Self {
        Self { changed: false, what: Vec::new(), backtrack: None, swap: None }
    }

    /// These things were undone.
    pub fn of(what: Vec<String>) -> Self {
        Self { changed: !what.is_empty(), what, backtrack: None, swap: None }
    }

    /// A backtrack undoes it.
    pub fn by(backtrack: Backtrack, what: String) -> Self {
        Self { changed: true, what: vec![what], backtrack: Some(backtrack), swap: None }
    }

    /// Adds the records as they lead to the source.
    #[must_use]
    pub fn with_swap(self, swap: Swap) -> Self {
        Self { swap: Some(swap), ..self }
    }
}
