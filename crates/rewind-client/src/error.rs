//! The errors of the client, for the person who asked.

use rewind_core::{ErrorName, MayPass, StepError};

/// An error of the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The request was refused: nothing was started or decided.
    #[error("{0}")]
    Refused(String),
    /// The arguments cannot be understood: nothing was started.
    #[error("{0}")]
    Usage(String),
    /// There is no recovery of that id.
    #[error(
        "there is no recovery {0}; nothing was changed; next step: rewind list shows those of this stack; mind the Region and the account"
    )]
    Unknown(String),
    /// A call to AWS failed.
    #[error("{0}")]
    Aws(StepError),
}

impl MayPass for ClientError {
    fn may_pass(&self) -> bool {
        matches!(self, Self::Aws(error) if error.may_pass())
    }
}

impl From<StepError> for ClientError {
    fn from(error: StepError) -> Self {
        match error.name {
            // A wrong request is for the person to correct, whichever part of the system found it.
            ErrorName::InvalidRequest => Self::Refused(error.to_string()),
            _ => Self::Aws(error),
        }
    }
}
