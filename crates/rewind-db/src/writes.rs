//! Finds out whether anybody wrote to a server between two moments. It reads a counter, and decides nothing that it did not
//! read.

use crate::engine::WriteOperations;
use crate::engine::writes::WritePosition;
use crate::session::{Session, on_engine, server_identity};
use rewind_core::StepError;

/// Reads the position of the writes of a session's server.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when the database does not respond.
pub async fn write_position(session: &Session) -> Result<WritePosition, StepError> {
    let per_server = on_engine!(session, connection => connection.counts_per_server());
    let server = if per_server { Some(server_identity(session).await?) } else { None };
    let visits = on_engine!(session, connection => connection.visits().await)?;
    let count = on_engine!(session, connection => connection.writes().await)?;
    Ok(WritePosition { count, server, visits })
}

/// The least number of counted writes that closing so many logins takes: databases and roles of PostgreSQL, accounts of MySQL.
pub fn writes_of_closing(session: &Session, logins: u64) -> u64 {
    on_engine!(session, connection => connection.writes_of_closing(logins))
}
