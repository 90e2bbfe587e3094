//! The sessions of others on a server, for whoever has to know that there are none. It ends none of them.

use crate::engine::SessionOperations;
use crate::session::{Session, on_engine};
use rewind_core::StepError;
use std::fmt;

/// A session of somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherSession {
    /// The user who is logged in.
    pub user: String,
    /// The database; empty where it is in none.
    pub database: String,
    /// The id of the process or thread.
    pub pid: String,
    /// True for the user that this session is of too: on MySQL the one that no fence can lock out.
    pub own_user: bool,
}

impl fmt::Display for OtherSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = if self.database.is_empty() { "no database" } else { &self.database };
        write!(f, "{} in {database} (process {})", self.user, self.pid)
    }
}

/// Lists everybody's sessions but this one and AWS's own. What replicates from the server is none of them: it writes nothing.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when the database does not respond.
pub async fn other_sessions(session: &Session) -> Result<Vec<OtherSession>, StepError> {
    on_engine!(session, connection => {
        let own = connection.unlockable_users().await?;
        let sessions = connection.client_sessions(&own).await?;
        Ok(sessions
            .into_iter()
            .map(|other| OtherSession {
                user: other.user,
                database: other.database,
                pid: other.pid,
                own_user: other.master,
            })
            .collect())
    })
}
