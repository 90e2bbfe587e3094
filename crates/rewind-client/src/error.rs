//! Why an errand was not done.

use rewind_core::{ErrorName, StepError};

/// Why an errand was not done, for the person who asked for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// It was refused: nothing was started or decided by it.
    #[error("{0}")]
    Refused(String),
    /// There is no such recovery.
    #[error("there is no recovery {0}; nothing was changed; next step: list them, and mind the Region and the account")]
    Unknown(String),
    /// AWS did not do its part.
    #[error("{0}")]
    Aws(StepError),
}

impl From<StepError> for ClientError {
    fn from(error: StepError) -> Self {
        match error.name {
            ErrorName::InvalidRequest => Self::Refused(error.to_string()),
            _ => Self::Aws(error),
        }
    }
}
