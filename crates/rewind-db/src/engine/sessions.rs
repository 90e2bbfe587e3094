//! Sessions of others on a server, and writers without a session.

use super::connection::Connection;
use crate::error::StatementError;
use rewind_core::StepError;
use std::collections::BTreeSet;

/// The number of writers of one kind that a note names, which is enough to find out whose they are. The others are counted: notes have to
/// fit into a report.
pub(crate) const NAMED: usize = 20;

/// A session: a process id is used again, its start is not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClientSession {
    pub(crate) pid: String,
    pub(crate) started: String,
    /// True for a session of a user that cannot be locked out (MySQL): the one that the fence works as, and the master user.
    pub(crate) master: bool,
    pub(crate) user: String,
    /// Empty where the session is in no database.
    pub(crate) database: String,
}

/// Backends that are being started, by process id.
pub(crate) type StartingSessions = BTreeSet<String>;

/// The sessions of an engine: listed and ended, with the writers beside them.
pub(crate) trait SessionOperations: Connection {
    /// The name of the user that the session logged in as.
    fn own_user(&self) -> impl Future<Output = Result<String, StepError>> + Send;

    /// The users whose logins no fence may close, because the fence itself or a person needs them to lift it; none where closing
    /// holds for everybody.
    fn unlockable_users(&self) -> impl Future<Output = Result<Vec<String>, StepError>> + Send;

    /// Connections that are being made, and may have been let in before the logins were closed. To be read before
    /// [`SessionOperations::client_sessions`]: one that is in neither has read the logins as they are now.
    fn starting_sessions(&self) -> impl Future<Output = Result<StartingSessions, StatementError>> + Send;

    /// Everybody else who can write, without AWS's own sessions; `unlockable` is [`SessionOperations::unlockable_users`].
    fn client_sessions(
        &self,
        unlockable: &[String],
    ) -> impl Future<Output = Result<Vec<ClientSession>, StatementError>> + Send;

    /// Tells sessions to end, and returns those that this user may not end. The others have ended when
    /// [`SessionOperations::client_sessions`] no longer shows them.
    fn terminate(
        &self,
        sessions: &[ClientSession],
    ) -> impl Future<Output = Result<Vec<ClientSession>, StatementError>> + Send;

    /// Names what replicates from the server or to it, for a person.
    fn replication(&self) -> impl Future<Output = Result<Vec<String>, StatementError>> + Send;

    /// Names what writes without a session, which no fence ends: between the clone of a cluster and its backtrack that would
    /// be on neither.
    fn writers_without_session(&self) -> impl Future<Output = Result<Vec<String>, StatementError>> + Send;

    /// Names what may still write when every session has ended, and prepared transactions, for the report.
    fn unfenced_writers(&self) -> impl Future<Output = Result<Vec<String>, StatementError>> + Send;
}
