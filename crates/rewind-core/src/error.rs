//! The errors of a recovery: a closed list of names for the state machine, and a message for people.
//!
//! The names are the only strings that a state's `ErrorEquals` may hold besides the platform's own. Each has a page in
//! `docs/errors/`. This module never decides what to retry: the state machine does, by name.

use crate::cut::cut;
use crate::printable::printable;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The most bytes of the first part of a message.
const HAPPENED_MAX: usize = 24 * 1024;

/// Every name under which a step can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ErrorName {
    /// The request cannot be carried out as written. Nothing was changed.
    InvalidRequest,
    /// The moment asked for cannot be reached. Nothing was changed.
    OutsideWindow,
    /// Another recovery of the same cluster is under way. Nothing was changed.
    LeaseHeld,
    /// The cluster is in a state in which AWS refuses the call for now.
    ClusterNotReady,
    /// The service asked to be called less often.
    Throttled,
    /// The service or the database did not answer a read, or refused to for now.
    Unavailable,
    /// A change was sent and no answer came: it may or may not have been made.
    OutcomeUnknown,
    /// AWS says that the rewind failed.
    RewindFailed,
    /// The rewound data is not what the checks expect.
    VerificationFailed,
    /// A person said no, or nobody answered in time.
    NotApproved,
    /// A DNS record is not what was planned.
    RecordChanged,
    /// An invariant of this program broke.
    Bug,
}

impl ErrorName {
    /// All names, in the order of `docs/errors/`.
    pub const ALL: [ErrorName; 12] = [
        Self::InvalidRequest,
        Self::OutsideWindow,
        Self::LeaseHeld,
        Self::ClusterNotReady,
        Self::Throttled,
        Self::Unavailable,
        Self::OutcomeUnknown,
        Self::RewindFailed,
        Self::VerificationFailed,
        Self::NotApproved,
        Self::RecordChanged,
        Self::Bug,
    ];

    /// The name as Step Functions sees it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "InvalidRequest",
            Self::OutsideWindow => "OutsideWindow",
            Self::LeaseHeld => "LeaseHeld",
            Self::ClusterNotReady => "ClusterNotReady",
            Self::Throttled => "Throttled",
            Self::Unavailable => "Unavailable",
            Self::OutcomeUnknown => "OutcomeUnknown",
            Self::RewindFailed => "RewindFailed",
            Self::VerificationFailed => "VerificationFailed",
            Self::NotApproved => "NotApproved",
            Self::RecordChanged => "RecordChanged",
            Self::Bug => "Bug",
        }
    }
}

impl fmt::Display for ErrorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The error of a step: a name for the state machine, sentences for a person, and a detail for the log alone.
///
/// ```
/// use rewind_core::{ErrorName, StepError};
///
/// let error = StepError::new(ErrorName::OutsideWindow, "2020-01-01T00:00:00Z is before the earliest restorable time")
///     .changed("nothing was changed")
///     .advice("ask for a time after 2026-11-16T02:00:00Z");
/// assert_eq!(
///     error.to_string(),
///     "2020-01-01T00:00:00Z is before the earliest restorable time; nothing was changed; \
///      next step: ask for a time after 2026-11-16T02:00:00Z"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct StepError {
    /// The name that the state machine matches.
    pub name: ErrorName,
    happened: String,
    changed: Option<String>,
    advice: Option<String>,
    detail: Option<String>,
}

impl StepError {
    /// Makes an error. `happened` is a lowercase fragment without a full stop.
    pub fn new(name: ErrorName, happened: impl Into<String>) -> Self {
        Self { name, happened: happened.into(), changed: None, advice: None, detail: None }
    }

    /// Makes the error of a broken invariant of this program.
    pub fn bug(happened: impl Into<String>) -> Self {
        // The history holds the inputs and outputs of all states, which is what it takes to find a bug.
        Self::new(ErrorName::Bug, happened).advice("report it with the execution's history")
    }

    /// Joins errors into one with the name of the first, so that a person reads all of them at once; none where there are none.
    pub fn joined(mut errors: Vec<Self>) -> Option<Self> {
        if errors.len() < 2 {
            return errors.pop();
        }
        let part = |(number, error): (usize, &Self)| {
            let advice = error.advice.as_ref().map(|advice| format!(" ({advice})")).unwrap_or_default();
            format!("{number}. {}{advice}", error.happened)
        };
        let parts: Vec<String> = (1..).zip(&errors).map(part).collect();
        let first = errors.swap_remove(0);
        Some(Self {
            happened: format!("{} things are wrong: {}", parts.len(), parts.join("; ")),
            advice: Some("correct all of them and start again".to_owned()),
            ..first
        })
    }

    /// Adds what was changed and what was not.
    #[must_use]
    pub fn changed(mut self, changed: impl Into<String>) -> Self {
        self.changed = Some(changed.into());
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Adds a detail for the log. It never reaches the execution history, which more people may read than the log.
    #[must_use]
    pub fn detail(mut self, detail: impl fmt::Display) -> Self {
        self.detail = Some(detail.to_string());
        self
    }

    /// The detail for the log.
    pub fn for_log(&self) -> Option<&str> {
        self.detail.as_deref()
    }
}

/// An error of a read that may be gone when the read is repeated.
pub trait MayPass {
    /// True if the service asked to wait or did not answer: the same read may work a moment later.
    fn may_pass(&self) -> bool;
}

impl MayPass for StepError {
    fn may_pass(&self) -> bool {
        matches!(self.name, ErrorName::Throttled | ErrorName::Unavailable)
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One line of fragments: Step Functions shows the cause in a single line, and mail and chat put it into sentences.
        // A database may answer with a page: Step Functions cuts a cause at 32,768 characters, and what to do stands at its end.
        f.write_str(&cut(&printable(&self.happened), HAPPENED_MAX))?;
        if let Some(changed) = &self.changed {
            write!(f, "; {}", printable(changed))?;
        }
        if let Some(advice) = &self.advice {
            write!(f, "; next step: {}", printable(advice))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_stands_at_the_end_of_the_longest_message() {
        let error = StepError::new(ErrorName::RewindFailed, "x".repeat(1 << 20)).changed("nothing").advice("go on");
        let text = error.to_string();
        // Step Functions cuts a cause at 32,768 characters.
        assert!(text.len() < 32_768 && text.ends_with("; nothing; next step: go on"), "{} bytes", text.len());
    }
}
