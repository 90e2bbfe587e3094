//! Why the story could not be told to its end: one sentence for a person, with its causes.

use std::error::Error;
use std::fmt::Display;

/// The story ends here.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Stop(String);

impl Stop {
    /// What happened, and what to do.
    pub fn new(message: impl Display) -> Self {
        Self(message.to_string())
    }
}

/// Says what was being done when an error came.
pub trait Because<T> {
    /// The error as a reason to stop, with everything that caused it.
    ///
    /// # Errors
    ///
    /// The reason.
    fn because(self, what: impl Display) -> Result<T, Stop>;
}

impl<T, E: Error + 'static> Because<T> for Result<T, E> {
    fn because(self, what: impl Display) -> Result<T, Stop> {
        self.map_err(|error| Stop(format!("{what}: {}", causes(&error))))
    }
}

/// An error with its causes: those of the AWS SDK and of tokio-postgres say little by themselves.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !said.ends_with(&text) {
            said = format!("{said}: {text}");
        }
        source = cause.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("db error")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn the_cause_below_a_vague_error_is_told() {
        let failed: Result<(), _> = Err(Outer(std::io::Error::other("no such table")));
        let stop = failed.because("the rows could not be read").unwrap_err();
        assert_eq!(stop.to_string(), "the rows could not be read: db error: no such table");
    }
}
