//! Which server answered: what tells a connection by name from a connection to the server that was meant.

use crate::Session;
use rewind_core::StepError;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A running database server. Two sessions that see the same one are on the same server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// The server's own address and port, as it sees them.
    pub server: String,
    /// When it was started, to the microsecond: two servers behind one address differ in this.
    pub started_at: String,
    /// Whether it is a reader.
    pub in_recovery: bool,
}

impl Identity {
    /// Whether both are the same running server, whatever its role was when each was asked.
    pub fn is_same_server(&self, other: &Self) -> bool {
        self.server == other.server && self.started_at == other.started_at
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = if self.in_recovery { "reader" } else { "writer" };
        write!(f, "{role} at {}, up since {}", self.server, self.started_at)
    }
}

/// Asks the server of `session` who it is.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when it does not answer.
pub async fn identity(session: &Session) -> Result<Identity, StepError> {
    let rows = session
        .rows(
            "SELECT coalesce(host(inet_server_addr()), 'local') || ':' || coalesce(inet_server_port(), 0), \
             to_char(pg_postmaster_start_time() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), \
             pg_is_in_recovery()",
        )
        .await?;
    match rows.into_iter().next().as_deref() {
        Some([Some(server), Some(started_at), Some(in_recovery)]) => {
            Ok(Identity { server: server.clone(), started_at: started_at.clone(), in_recovery: in_recovery == "t" })
        }
        _ => Err(StepError::bug("the database did not say who it is")),
    }
}
