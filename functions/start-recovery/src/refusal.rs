//! The error for an event that starts no recovery.

use rewind_core::{ErrorName, StepError};

pub(crate) fn refused(happened: String) -> StepError {
    StepError::new(ErrorName::InvalidRequest, happened).changed("nothing was started")
}
