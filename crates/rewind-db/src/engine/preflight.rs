//! The facts of a server that decide, before anything is changed, if a recovery can be carried out.

use super::{LoginOperations, QueryOperations};
use crate::error::{DatabaseError, StatementError};
use rewind_core::{ColumnKind, StepError};

/// The result that a query would have, from its preparation alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) columns: Vec<Column>,
    /// The number of placeholders, for which a check has no values.
    pub(crate) parameters: usize,
}

/// One column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) kind: ColumnKind,
    /// The name of the type, for people.
    pub(crate) type_name: String,
}

/// The meaning of a refusal of somebody's query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A table, schema or database is not there: the mistake may have dropped it.
    ObjectMissing,
    /// A column is not there.
    ColumnMissing,
    /// Somebody else holds a lock.
    Locked,
    /// The query itself is wrong, or not permitted.
    Wrong,
}

/// The logins of a server that the fence could not close.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Unclosable {
    /// Databases that this user gets into, without a limit that it may set.
    pub(crate) databases: Vec<String>,
    /// True if a login that cannot be closed gets into something: a database that stays open, or all of them.
    pub(crate) logins_get_in: bool,
    /// The sessions of this user, which is never locked out where that would lock out the fence itself.
    pub(crate) own_sessions: Option<String>,
    /// Roles and accounts that this user may not alter.
    pub(crate) logins: Vec<String>,
    /// The right that this user lacks for all of them.
    pub(crate) missing_right: Option<String>,
}

/// Facts of a server, in words for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ServerFacts {
    /// The number of connections that are left for this user.
    pub(crate) free_connections: i64,
    /// The setting that lets this user only read; none where it may write.
    pub(crate) read_only_by: Option<ReadOnly>,
    /// The right that ending sessions needs, where this user lacks it.
    pub(crate) cannot_end_sessions: Option<String>,
    /// True if the server runs statements of its administrator in each session of a login without special rights.
    pub(crate) runs_at_login: bool,
    /// Replication from or to the server, a sentence each.
    pub(crate) replication: Vec<String>,
    /// Subscriptions, which would apply changes on the restored cluster as well. Disabled ones count: at the target time they may
    /// not have been.
    pub(crate) subscriptions: Vec<String>,
    /// The scheduler that runs jobs by itself whatever is scheduled now, where the engine has jobs that only their database shows.
    pub(crate) scheduler: Option<String>,
}

/// A setting that lets a session only read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReadOnly {
    pub(crate) what: String,
    pub(crate) fix: String,
}

/// The rights of a session's user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    /// True if it may do what the cluster's master user may.
    pub all: bool,
    /// The first few rights that go beyond reading, a phrase each.
    pub beyond_reading: Vec<String>,
}

/// The number of facts of one kind that are read. One more shows that there are more.
pub(crate) const FACTS_MAX: usize = 1000;

/// Facts of one database, or of all where the engine keeps them together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DatabaseFacts {
    /// Jobs that run by themselves.
    pub(crate) jobs: Vec<String>,
    /// Tables that a restore leaves empty.
    pub(crate) unlogged: Vec<String>,
}

/// The preflight's side of an engine. All of it reads.
pub(crate) trait PreflightOperations: QueryOperations + LoginOperations {
    /// Prepares one statement without running it.
    fn describe(&self, sql: &str) -> impl Future<Output = Result<Description, StatementError>> + Send;

    /// Sorts the server's refusal of a query.
    fn refusal(&self, error: &DatabaseError) -> Refusal;

    /// True if a column of a table that `sql` names was dropped at some time, so that a missing one may have been there.
    fn may_have_lost_a_column(&self, sql: &str) -> impl Future<Output = Result<bool, StatementError>> + Send;

    /// Reads the logins that this user could not close.
    fn unclosable(&self) -> impl Future<Output = Result<Unclosable, StepError>> + Send;

    /// Reads the rights of this user that go beyond reading, in the database of this connection.
    fn rights(&self) -> impl Future<Output = Result<Rights, StepError>> + Send;

    /// Reads the facts of the server.
    fn server_facts(&self) -> impl Future<Output = Result<ServerFacts, StepError>> + Send;

    /// Reads the facts of the database of this connection.
    fn database_facts(&self) -> impl Future<Output = Result<DatabaseFacts, StepError>> + Send;

    /// The databases that have facts of their own.
    fn databases(&self) -> impl Future<Output = Result<Vec<String>, StepError>> + Send;
}

/// The rows of a catalogue; none where this user may not read it, or the server does not have it.
pub(crate) fn rows_if_readable<T: Default>(read: Result<T, StatementError>) -> Result<T, StepError> {
    match read {
        Ok(rows) => Ok(rows),
        // A fact that cannot be read is no reason to refuse a recovery that does not need it.
        Err(StatementError::Refused(_) | StatementError::TimedOut) => Ok(T::default()),
        Err(StatementError::Disconnected(error)) => Err(error),
    }
}
