//! Logins as a fence finds them, and the changes that close and restore them.

use super::connection::Connection;
use super::record::LoginRecord;
use crate::error::StatementError;
use rewind_core::StepError;
use serde::{Deserialize, Serialize};

/// The logins that are open, of those that a fence closes.
///
/// PostgreSQL has the first two, MySQL the third.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoginState {
    /// The databases that take connections, without the one that the fence works from.
    pub databases: Vec<DatabaseLimit>,
    /// The roles that may log in: neither the master user nor RDS's own, superusers or replication roles.
    pub roles: Vec<LoginRole>,
    /// The accounts that may log in: neither the master user's nor RDS's own.
    pub accounts: Vec<Account>,
}

/// An account of MySQL that may log in. It has no number: one that was dropped and made again is the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Account {
    /// The user.
    pub user: String,
    /// The hosts that it may connect from: a pattern.
    pub host: String,
}

impl std::fmt::Display for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.user, self.host)
    }
}

/// A database and its connection limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseLimit {
    /// The object id: a database that was dropped and made again is another one.
    pub oid: u32,
    /// The name.
    pub name: String,
    /// `datconnlimit`: -1 is no limit.
    pub connection_limit: i32,
    /// True if the master user may change that: as the owner, or as a member of the owner.
    pub can_be_limited: bool,
    /// True if the master user may connect to it, as far as permissions go.
    #[serde(skip)]
    pub takes_master: bool,
}

/// A role that may log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoginRole {
    /// The object id.
    pub oid: u32,
    /// The name.
    pub name: String,
}

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
