//! The error for a request that cannot be carried out as written.

use rewind_core::{ErrorName, StepError};

/// The refusals of a request, collected: whoever is told one thing at a time starts again for each of them.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Vec<StepError>);

impl Refusals {
    /// Takes the value out of a result, or keeps its refusal. Any other error ends the step at once: it may be gone at the next
    /// attempt, and nothing else is known then.
    pub(crate) fn keep<T>(&mut self, result: Result<T, StepError>) -> Result<Option<T>, StepError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if matches!(error.name, ErrorName::InvalidRequest | ErrorName::OutsideWindow) => {
                self.0.push(error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Ends in all refusals as one, where there are any.
    pub(crate) fn refuse(self) -> Result<(), StepError> {
        StepError::joined(self.0).map_or(Ok(()), Err)
    }
}

pub(crate) fn invalid(happened: String) -> StepError {
    StepError::new(ErrorName::InvalidRequest, happened).changed("nothing was changed")
}
