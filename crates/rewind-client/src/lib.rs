//! What a person's front door does, whether it is a terminal or a chat: start a recovery, follow it, look at it, decide on
//! it, undo it. It never decides by itself, and never does what the state machine does.

mod decide;
mod error;
#[cfg(any(test, feature = "fakes"))]
pub mod fake;
mod follow;
mod look;
mod start;
mod undo;
mod window;

pub use decide::{Decision, Matter};
pub use error::ClientError;
pub use follow::{Follow, News};
pub use start::{Begun, Name};

/// What every errand answers.
pub type Answer<T> = Result<T, ClientError>;

/// The client, with its ways to AWS.
#[derive(Debug, Clone)]
pub struct RecoveryClient<E, R, F> {
    /// Executions.
    pub executions: E,
    /// The table.
    pub recoveries: R,
    /// Functions that people call.
    pub functions: F,
    /// What it works with.
    pub places: Places,
}

/// Where things are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The state machine of recoveries.
    pub machine: String,
    /// The state machine that takes a recovery back; none where it is not known.
    pub undo_machine: Option<String>,
    /// The function that reads and sets windows; none where it is not known.
    pub set_window: Option<String>,
}

impl Places {
    /// The ARN of a recovery's execution.
    pub fn recovery(&self, id: &str) -> String {
        Self::execution(&self.machine, id)
    }

    /// The ARN of an execution of a state machine.
    fn execution(machine: &str, name: &str) -> String {
        format!("{}:{name}", machine.replacen(":stateMachine:", ":execution:", 1))
    }
}

#[cfg(test)]
mod tests;
