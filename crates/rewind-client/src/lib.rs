//! The client of recoveries: starts one, follows it, reads its record, decides on it and undoes it, for a terminal and for
//! chat alike. It never decides by itself, and never does the work of the state machine.

mod clusters;
mod compare;
mod complete;
mod decide;
mod error;
#[cfg(any(test, feature = "fakes"))]
pub mod fake;
mod follow;
mod foremost;
mod listed;
mod meter;
mod moment;
mod open;
mod resume;
mod standing;
mod start;
mod status;
mod undo;
mod window;

pub use clusters::{RemovedCluster, removable};
pub use decide::{ApprovalRequest, Decision};
pub use error::ClientError;
pub use follow::{ExecutionFollower, ProgressEvent};
pub use meter::meter_clusters;
pub use moment::{TypedAt, echoed_moment};
pub use open::{AskedOpening, OpenedNow};
pub use rewind_core::Undoing;
pub use start::{RecoveryName, StartedExecution};

/// The result of every method of the client.
pub type ClientResult<T> = Result<T, ClientError>;

/// The client, generic over its ports to AWS: Step Functions, the table, and functions that people call.
#[derive(Debug, Clone)]
pub struct RecoveryClient<E, R, F> {
    /// Executions of the state machines.
    pub executions: E,
    /// Records of recoveries.
    pub recoveries: R,
    /// Functions that people call.
    pub functions: F,
    /// The deployed stack.
    pub deployment: Deployment,
}

/// The resources of the deployed stack that the client uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// The ARN of the state machine of recoveries.
    pub state_machine: String,
    /// The ARN of the state machine that undoes recoveries; none where it is not configured.
    pub undo_state_machine: Option<String>,
    /// The name of the function that reads and sets windows; none where it is not configured.
    pub set_window_function: Option<String>,
    /// The name of the function that compares tables; none where it is not configured.
    pub compare_tables_function: Option<String>,
    /// The ARN of the state machine that deletes what recoveries kept; none where it is not configured.
    pub clean_up_state_machine: Option<String>,
    /// True if a rule starts that one every hour; none where it is not known.
    pub cleans_up: Option<bool>,
    /// The ARN of the state machine that opens what recoveries left behind; none where it is not configured.
    pub open_state_machine: Option<String>,
}

impl Deployment {
    /// Derives the ARN of a recovery's execution.
    pub fn recovery_arn(&self, id: &str) -> String {
        Self::execution_arn(&self.state_machine, id)
    }

    /// Derives the ARN of an execution of a state machine.
    // Step Functions builds it in the same way, so a recovery that the table does not have yet can be described without
    // listing executions, which would be slow, eventually consistent, and need another permission.
    fn execution_arn(state_machine: &str, name: &str) -> String {
        format!("{}:{name}", state_machine.replacen(":stateMachine:", ":execution:", 1))
    }
}

#[cfg(test)]
mod tests;
