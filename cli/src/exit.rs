//! The exit codes of the command, which scripts can tell apart.

use rewind_client::ClientError;
use rewind_core::{Ending, StepError};
use std::process::ExitCode;

/// The exit codes, for `--help`.
pub(crate) const CODES: &str = "\
Exit codes:
  0    it was done; a recovery that was followed has ended in Recovered (or Undone)
  1    a call to AWS failed, or could not be made
  2    the arguments were not understood
  3    NothingChanged: it failed, and clients are where they were; or a dry run found what blocks the recovery
  4    NeedsOperator: it failed half-way, or was stopped from outside; a person must look
  5    refused: nothing was started or decided
  6    RolledBack: it failed after traffic had moved, and traffic is back on the source
  130  interrupted; a recovery goes on without being followed";

/// A command that was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Completion {
    /// The result was written.
    Done,
    /// The execution that was followed has ended.
    Ended(Ending),
    /// A dry run has ended, with a finding that would end the recovery.
    Blocked,
    /// Following was interrupted.
    Interrupted,
}

impl Completion {
    /// The exit code.
    pub(crate) fn code(self) -> ExitCode {
        match self {
            Self::Done | Self::Ended(Ending::Planned | Ending::Recovered | Ending::Undone) => ExitCode::SUCCESS,
            // As the recovery itself would end.
            Self::Ended(Ending::NothingChanged) | Self::Blocked => ExitCode::from(3),
            Self::Ended(Ending::RolledBack) => ExitCode::from(6),
            // A stopped execution undid nothing, so a person has to look, as after a failure half-way.
            Self::Ended(Ending::NeedsOperator | Ending::Stopped) => ExitCode::from(4),
            // 128 and the number of SIGINT, as shells report it.
            Self::Interrupted => ExitCode::from(130),
        }
    }
}

/// A command that was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// AWS failed, or this machine.
    Error(String),
    /// The arguments were parsed one by one, and do not go together.
    Usage(String),
    /// It was refused.
    Refused(String),
}

impl Failure {
    /// The message for a person.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Error(message) | Self::Usage(message) | Self::Refused(message) => message,
        }
    }

    /// The kind of failure, for scripts.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Error(_) => "trouble",
            Self::Usage(_) => "usage",
            Self::Refused(_) => "refused",
        }
    }

    /// The exit code.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Error(_) => 1,
            Self::Usage(_) => 2,
            Self::Refused(_) => 5,
        })
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            // A script may repeat the command after an error of AWS; a refusal would be the same again.
            ClientError::Aws(_) => Self::Error(error.to_string()),
            ClientError::Usage(_) => Self::Usage(error.to_string()),
            ClientError::Refused(_) | ClientError::Unknown(_) => Self::Refused(error.to_string()),
        }
    }
}

impl From<StepError> for Failure {
    fn from(error: StepError) -> Self {
        Self::Error(error.to_string())
    }
}
