//! Inspecting a cluster that was left behind: who is on it, and whether it is still closed. It changes nothing.

use super::summary::cut;
use crate::engine::{LoginOperations, SessionOperations};
use crate::session::{Session, on_engine};
use rewind_core::StepError;

/// The sessions on a server, and the logins that are open. Long lists are cut, with the number of the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Everybody's sessions but our own and AWS's, and what replicates from or to the server.
    pub sessions: Vec<String>,
    /// True if one of them is of another user than this session's, or replicates.
    pub clients: bool,
    /// Login paths that [`super::apply`] closes wherever it may, and that are open.
    pub open: Vec<String>,
}

/// Reads who is on the server of this session, and who could be.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when the database does not respond.
pub async fn inspect(session: &Session) -> Result<Inspection, StepError> {
    on_engine!(session, connection => inspect_on(connection).await)
}

async fn inspect_on<C: LoginOperations + SessionOperations>(connection: &C) -> Result<Inspection, StepError> {
    let mut inspection = Inspection::default();
    let own = connection.own_user().await?;
    for session in connection.client_sessions(&[]).await? {
        let database = if session.database.is_empty() { "no database" } else { &session.database };
        inspection.clients |= session.user != own;
        inspection.sessions.push(format!("{} in {database} (process {})", session.user, session.pid));
    }
    let replication = connection.replication().await?;
    inspection.clients |= !replication.is_empty();
    inspection.sessions.extend(replication);
    let logins = connection.read_logins().await?;
    // A database that the master user may not limit was never closed: whoever fenced the cluster was told so.
    let databases =
        logins.databases.iter().filter(|database| database.can_be_limited && database.connection_limit != 0);
    let databases = databases.map(|database| format!("the database {} takes connections", database.name));
    let accounts = logins.accounts.iter().map(|account| format!("the account {account} is not locked"));
    inspection.open = cut(databases.chain(accounts).collect(), "logins are open");
    inspection.sessions = cut(inspection.sessions, "sessions");
    Ok(inspection)
}
