//! How the command ends: the codes that scripts can tell apart.

use rewind_client::ClientError;
use rewind_core::StepError;
use rewind_ui::Ending;
use std::process::ExitCode;

/// The codes, for `--help`.
pub(crate) const CODES: &str = "\
Exit codes:
  0    it was answered; a recovery that was followed has ended in Recovered (or Undone)
  1    AWS could not be asked, or answered an error
  2    the words were not understood
  3    NothingChanged: it failed, and everything is as it was before
  4    NeedsOperator: it failed half-way, or was stopped from outside; a person must look
  5    refused: nothing was started or decided
  130  interrupted; a recovery goes on without its follower";

/// An errand that was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// It was answered.
    Answered,
    /// What was followed has ended.
    Ended(Ending),
    /// Following was interrupted.
    Interrupted,
}

impl Done {
    /// Its code.
    pub(crate) fn code(self) -> ExitCode {
        match self {
            Self::Answered | Self::Ended(Ending::Planned | Ending::Recovered | Ending::Undone) => ExitCode::SUCCESS,
            Self::Ended(Ending::NothingChanged) => ExitCode::from(3),
            Self::Ended(Ending::NeedsOperator | Ending::Stopped) => ExitCode::from(4),
            Self::Interrupted => ExitCode::from(130),
        }
    }
}

/// An errand that was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// AWS, or this machine.
    Trouble(String),
    /// The words were understood one by one, and do not go together.
    Usage(String),
    /// Somebody or something said no.
    Refused(String),
}

impl Failure {
    /// What happened.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Trouble(message) | Self::Usage(message) | Self::Refused(message) => message,
        }
    }

    /// What kind it is, for scripts.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Trouble(_) => "trouble",
            Self::Usage(_) => "usage",
            Self::Refused(_) => "refused",
        }
    }

    /// Its code.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Trouble(_) => 1,
            Self::Usage(_) => 2,
            Self::Refused(_) => 5,
        })
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Aws(_) => Self::Trouble(error.to_string()),
            ClientError::Refused(_) | ClientError::Unknown(_) => Self::Refused(error.to_string()),
        }
    }
}

impl From<StepError> for Failure {
    fn from(error: StepError) -> Self {
        Self::Trouble(error.to_string())
    }
}
