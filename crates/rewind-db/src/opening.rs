//! A way into a fenced server for one person who needs to read there: a login of its own with rights to read one database, one
//! connection at a time. The fence stays as it is for everybody else, and nothing that it recorded is changed.
//!
//! 1. [`databases_to_open`] names the databases that can be opened.
//! 2. [`open_login`] makes the login. It cannot be used before everything that it could write to has been looked for.
//! 3. [`close_login`] shuts it, ends its sessions and removes it, and closes the database again where the fence had closed it. A login
//!    that cannot be removed stays, shut, and holds up nothing. Nothing that a login owns is dropped: it may be people's.
//!
//! Each may be run again, whatever an earlier run got done. A password stands in no statement on PostgreSQL; MySQL writes none into
//! its logs.

pub use crate::engine::opening::ReadingLogin;
use crate::engine::opening::{OpeningOperations, ShutLogin};
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

/// Makes the login and lets it in. `session` is of the maintenance database of `server`. Returns a sentence for each kind of what it
/// does not read in its database.
///
/// # Errors
///
/// - [`ErrorName::RewindFailed`]: the login could do more than read, or there is one of its name that cannot be removed or owns
///   something. It was let in by no run.
/// - [`ErrorName::Unavailable`]: the database does not respond.
pub async fn open_login(server: &Server, session: &Session, login: &ReadingLogin) -> Result<Vec<String>, StepError> {
    on_engine!(session, connection => open_on(server, connection, login).await)
}

/// Shuts `user`, ends its sessions and removes it. Where `is_fenced`, `database` is closed again as the fence had it. Returns a sentence
/// for each change, and one for a login that is shut and cannot be removed: the next close or opening tries that again.
///
/// # Errors
///
/// [`ErrorName::Unavailable`] when the database does not respond, a session does not end, or something that is no session keeps the
/// login from being shut: the error says if somebody may get in still.
pub async fn close_login(
    server: &Server,
    session: &Session,
    user: &str,
    database: &str,
    is_fenced: bool,
) -> Result<Vec<String>, StepError> {
    on_engine!(session, connection => {
        let mut done = Vec::new();
        let room_in = is_fenced.then_some(database);
        match removed(server, connection, user, room_in).await? {
            Removed::Nothing => {}
            Removed::All => done.push(format!("the login {user} is removed, and its sessions have ended")),
            // No error: nobody logs in as it, and an undo must not wait for what keeps it there.
            Removed::Shut(why) => done.push(format!(
                "the login {user} is shut and its sessions have ended, but it is there still: {why}. How it is removed says \
                 docs/runbook.md#the-rows-that-were-written-since"
            )),
            Removed::Foreign(why) => done.push(format!(
                "a login {user} that no opening made is there and stays as it is: {why}. See who made it"
            )),
        }
        if is_fenced && connection.close_database(database).await? {
            done.push(format!("the database {database} takes no connections again"));
        }
        Ok(done)
    })
}

/// The end of an attempt to remove a login.
enum Removed {
    /// There was none.
    Nothing,
    /// It is gone, and its sessions have ended.
    All,
    /// Nobody logs in as it and its sessions have ended, but the server did not remove it, for this reason.
    Shut(String),
    /// It is as it was: the server does not let it be changed, for this reason.
    Foreign(String),
}

/// Shuts `user`, ends its sessions and removes it. `room_in` is the database that is closed, in which it may have something still.
async fn removed<C: OpeningOperations>(
    server: &Server,
    connection: &C,
    user: &str,
    room_in: Option<&str>,
) -> Result<Removed, StepError> {
    // Shut first: a client that reconnects by itself would be back before the login is removed.
    match connection.shut_login(server, user, room_in).await? {
        ShutLogin::Missing => return Ok(Removed::Nothing),
        ShutLogin::Foreign(why) => return Ok(Removed::Foreign(why)),
        ShutLogin::Shut => {}
    }
    // No engine ends the sessions of a login that is shut, or dropped.
    end_sessions(connection, user).await?;
    if let Some(database) = room_in {
        connection.make_room(database).await?;
    }
    Ok(connection.drop_login(server, user).await?.map_or(Removed::All, Removed::Shut))
}

async fn open_on<C: OpeningOperations>(
    server: &Server,
    connection: &C,
    login: &ReadingLogin,
) -> Result<Vec<String>, StepError> {
    connection.prepare_changes().await?;
    // Made anew on every run: one that is there may be of somebody who knew its name, with rights, members and sessions of its own.
    let room_in = Some(login.database.as_str());
    if let Removed::Shut(why) | Removed::Foreign(why) = removed(server, connection, &login.user, room_in).await? {
        return Err(StepError::new(
            ErrorName::RewindFailed,
            format!("there is a login {} already, and it cannot be removed: {why}", login.user),
        )
        .changed("nobody was let in, and nothing that it owns was dropped")
        .advice("see whose that is, remove the login as the master user, and open it again"));
    }
    // Without a way in first: what it could write to shows only once it is there.
    connection.make_room(&login.database).await?;
    let unread = connection.make_login(server, login).await?;
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
        .advice(
            "read there as the master user, or take these rights from PUBLIC and open it again; a trigger fires without EXECUTE on its \
             function",
        ));
    }
    connection.admit_login(login).await?;
    Ok(unread)
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
