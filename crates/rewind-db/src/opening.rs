//! A way into a fenced server for one person who needs to read there: a login of its own with rights to read one database, one
//! connection at a time. The fence stays as it is for everybody else, and nothing that it recorded is changed.
//!
//! 1. [`databases_to_open`] names the databases that can be opened.
//! 2. [`open_login`] makes the login. It cannot be used before everything that it could write to has been looked for.
//! 3. [`close_login`] ends its sessions and removes it, and closes the database again where the fence had closed it.
//!
//! Each may be run again, whatever an earlier run got done. A password stands in no statement on PostgreSQL; MySQL writes none into
//! its logs.

use crate::engine::opening::OpeningOperations;
pub use crate::engine::opening::ReadingLogin;
use crate::error::unavailable;
use crate::fence::some_of;
use crate::server::Server;
use crate::session::{Session, on_engine};
use rewind_core::{ErrorName, StepError, timeouts};
use tokio::time::{Instant, sleep};

/// Names the databases that can be opened, in their order.
///
/// # Errors
///
/// [`ErrorName::Unavailable`] when the database does not respond.
pub async fn databases_to_open(session: &Session) -> Result<Vec<String>, StepError> {
    on_engine!(session, connection => connection.databases_to_open().await)
}

/// Makes the login and lets it in. `session` is of the maintenance database of `server`.
///
/// # Errors
///
/// - [`ErrorName::RewindFailed`]: the login could do more than read, or the engine has no such right. It was let in by no run.
/// - [`ErrorName::Unavailable`]: the database does not respond.
pub async fn open_login(server: &Server, session: &Session, login: &ReadingLogin) -> Result<(), StepError> {
    on_engine!(session, connection => open_on(server, connection, login).await)
}

/// Ends the sessions of `user` and removes it. Where `is_fenced`, `database` is closed again as the fence had it. Returns a sentence
/// for each change.
///
/// # Errors
///
/// [`ErrorName::Unavailable`] when the database does not respond, or a session does not end: nobody gets in any more, and the
/// login may be there still.
pub async fn close_login(
    server: &Server,
    session: &Session,
    user: &str,
    database: &str,
    is_fenced: bool,
) -> Result<Vec<String>, StepError> {
    on_engine!(session, connection => {
        let mut done = Vec::new();
        // Shut first: a client that reconnects by itself would be back before the login is removed.
        if connection.shut_login(user).await? {
            // No engine ends the sessions of a login that is shut, or dropped.
            end_sessions(connection, user).await?;
            connection.drop_login(server, user, database).await?;
            done.push(format!("the login {user} is removed, and its sessions have ended"));
        }
        if is_fenced && connection.close_database(database).await? {
            done.push(format!("the database {database} takes no connections again"));
        }
        Ok(done)
    })
}

async fn open_on<C: OpeningOperations>(server: &Server, connection: &C, login: &ReadingLogin) -> Result<(), StepError> {
    connection.prepare_changes().await?;
    // Without a way in first: what it could write to shows only once it is there.
    connection.make_login(login).await?;
    let writable = connection.writable_by(server, login).await?;
    if !writable.is_empty() {
        return Err(StepError::new(
            ErrorName::RewindFailed,
            format!(
                "a login that may only read {} could write there all the same, by rights that everybody has: {}",
                login.database,
                some_of(&writable, "nothing")
            ),
        )
        .changed("nobody was let in")
        .advice("read there as the master user, or take these rights from PUBLIC and open it again"));
    }
    connection.admit_login(login).await
}

async fn end_sessions<C: OpeningOperations>(connection: &C, user: &str) -> Result<(), StepError> {
    let deadline = Instant::now() + timeouts::FENCE_READER_SESSIONS;
    loop {
        // Until none is left: one that was just logging in is not among the first that are found.
        let mut sessions = connection.client_sessions(&[]).await?;
        sessions.retain(|session| session.user == user);
        if sessions.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(unavailable(format!("sessions of {user} do not end"))
                .changed(format!("nobody gets in as {user} any more; the login is there still")));
        }
        connection.terminate(&sessions).await?;
        sleep(timeouts::FENCE_POLL).await;
    }
}
