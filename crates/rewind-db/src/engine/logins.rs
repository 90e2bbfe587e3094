//! Logins as a fence finds them, and the changes that close and restore them.

use super::connection::Connection;
use super::login_state::LoginState;
use super::record::LoginRecord;
use crate::error::StatementError;
use rewind_core::StepError;

/// A way to log in that a fence closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoginPath {
    /// A database of PostgreSQL's, by its connection limit.
    Database,
    /// A role of PostgreSQL's, by its `LOGIN`.
    Role,
    /// An account of MySQL's, by its lock.
    Account,
}

impl std::fmt::Display for LoginPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Database => "database",
            Self::Role => "role",
            Self::Account => "account",
        })
    }
}

/// One login path that is to be closed.
pub(crate) struct CloseLogin {
    pub(crate) path: LoginPath,
    pub(crate) name: String,
    pub(crate) action: CloseAction,
}

/// The way to close a login path.
pub(crate) enum CloseAction {
    /// A change, as [`LoginOperations::statement`] takes it.
    Run(String),
    /// Nothing: an earlier attempt closed it.
    AlreadyClosed,
    /// Nothing that this user has a right to: the reason, as the end of a sentence that begins with the path.
    NotPermitted(&'static str),
}

/// One login path that is to be as it was recorded.
pub(crate) struct RestoreLogin {
    /// A change, as [`LoginOperations::statement`] takes it; none where nothing can be restored, and `done` says why.
    pub(crate) change: Option<String>,
    /// The sentence for the report once it is done.
    pub(crate) done: String,
    /// The name of the change in the error where the server refuses it.
    pub(crate) name: String,
}

/// The direction of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// The login is closed.
    Close,
    /// It is as it was recorded again.
    Restore,
}

/// The logins of an engine: read, closed and restored.
pub(crate) trait LoginOperations: Connection {
    /// Sets the connection up for changes of logins: durable, and never waiting long for somebody else's.
    fn prepare_changes(&self) -> impl Future<Output = Result<(), StatementError>> + Send;

    /// Reads who may log in where now.
    fn read_logins(&self) -> impl Future<Output = Result<LoginState, StepError>> + Send;

    /// The changes that close what is `open` now and stands in `recorded`, in the order to make them.
    fn close_logins(
        &self,
        open: &LoginState,
        recorded: &LoginRecord,
    ) -> impl Future<Output = Result<Vec<CloseLogin>, StepError>> + Send;

    /// The changes that restore what is not as it was recorded. What is gone, or was made anew under the same name, stays
    /// as it is.
    fn restore_logins(
        &self,
        recorded: &LoginRecord,
    ) -> impl Future<Output = Result<Vec<RestoreLogin>, StepError>> + Send;

    /// The most changes that one statement makes.
    fn changes_at_once(&self) -> usize;

    /// The statement that makes these changes: all of them, or none where the engine can.
    fn statement(&self, direction: Direction, changes: &[String]) -> String;

    /// True if a change failed for another transaction that is changing the same: over when that one is.
    fn is_conflict(&self, error: &StatementError) -> bool;

    /// True if a change failed because what it was to change is gone.
    fn is_gone(&self, error: &StatementError) -> bool;
}
