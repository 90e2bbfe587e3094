//! The error for a request that cannot be carried out as written.

use rewind_core::{ErrorName, StepError};

pub(crate) fn invalid(happened: String) -> StepError {
    StepError::new(ErrorName::InvalidRequest, happened).changed("nothing was changed")
}
