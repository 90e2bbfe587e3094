//! A look at a cluster that was left behind: who is on it, and whether it is still closed. It changes nothing.

use super::{mysql, sessions, survey};
use crate::engine::Dialect;
use crate::session::Session;
use rewind_core::StepError;

/// Who is on a server, and who could be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inside {
    /// Everybody's sessions but our own and AWS's, and what replicates from or to the server.
    pub sessions: Vec<String>,
    /// What [`super::apply`] closes wherever it may, and is open.
    pub open: Vec<String>,
}

/// Looks who is on the server of this session.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when the database does not answer.
pub async fn look(session: &Session) -> Result<Inside, StepError> {
    let others = sessions::others(session, "").await?;
    let mut inside = Inside::default();
    for other in others {
        let database = if other.database.is_empty() { "no database" } else { &other.database };
        inside.sessions.push(format!("{} in {database} (process {})", other.user, other.pid));
    }
    let closed = survey(session).await?;
    if session.dialect() == Dialect::Postgres {
        let workers = session
            .rows(
                "SELECT DISTINCT a.datname FROM pg_catalog.pg_stat_activity a WHERE a.datid IS NOT NULL \
                 AND a.backend_type LIKE 'logical replication%' ORDER BY 1",
            )
            .await?;
        let databases = workers.into_iter().flatten().flatten();
        inside.sessions.extend(databases.map(|database| format!("a subscription's worker in {database}")));
        let open = closed.databases.iter().filter(|database| database.can_be_limited && database.connection_limit != 0);
        inside.open = open.map(|database| format!("the database {} takes connections", database.name)).collect();
    } else {
        inside.sessions.extend(mysql::replication(session).await?);
        inside.open = closed.accounts.iter().map(|account| format!("the account {account} is not locked")).collect();
    }
    Ok(inside)
}
