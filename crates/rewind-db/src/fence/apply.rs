//! Closing the logins of a writer and ending its sessions. It changes nothing that is not in the record.

use super::FenceTimeouts;
use super::changes::{OnConflict, make_changes};
use super::summary::some_of;
use super::terminate::Termination;
use crate::engine::logins::{CloseAction, CloseLogin, Direction, LoginPath};
use crate::engine::record::LoginRecord;
use crate::engine::{LoginOperations, SessionOperations};
use crate::error::unavailable;
use crate::session::{Session, on_engine};
use rewind_core::{ErrorName, StepError, timeouts};
use std::collections::BTreeSet;
use tokio::time::sleep;

/// The outcome of a fence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fenced {
    /// Databases that take no more connections.
    pub databases: Vec<String>,
    /// Roles that may no longer log in.
    pub roles: Vec<String>,
    /// Accounts that are locked.
    pub accounts: Vec<String>,
    /// Login paths that could not be closed, with the reason.
    pub not_changed: Vec<String>,
    /// How many sessions were ended.
    pub sessions_ended: u64,
    /// How many of them were the master user's, where it cannot be locked out.
    pub master_sessions: u64,
    /// True if the master user's came back while the others stayed away.
    pub master_returned: bool,
    /// Writers that are left: no sessions, and out of the fence's reach.
    pub notes: Vec<String>,
}

/// Closes the logins in `recorded`, ends all sessions of others, and waits until none is left.
///
/// When it returns, nobody but superusers is in a database, and nobody who comes later gets into one that is in
/// [`Fenced::databases`], or into any other as a role in [`Fenced::roles`] or an account in [`Fenced::accounts`]; on
/// MySQL the master user's logins are not closed ([`Fenced::master_returned`]). What the server was still committing
/// has been committed or rolled back.
///
/// # Errors
///
/// - [`ErrorName::ClusterNotReady`]: a database or a role has appeared that is not in `recorded`. To be read, recorded and
///   applied again.
/// - [`ErrorName::Unavailable`]: sessions that do not end, or a database that does not respond. The logins may be closed.
pub async fn apply(session: &Session, recorded: &LoginRecord, timeouts: FenceTimeouts) -> Result<Fenced, StepError> {
    on_engine!(session, connection => apply_on(connection, recorded, timeouts).await)
}

/// Closes the logins in `recorded`, and nothing else: [`apply`] finds them closed. For the time in between, in which the sessions
/// on readers are ended that could write through the writer.
///
/// # Errors
///
/// [`ErrorName::Unavailable`]: a database that does not respond, or logins that other sessions hold.
pub async fn close_logins(session: &Session, recorded: &LoginRecord, timeouts: FenceTimeouts) -> Result<(), StepError> {
    on_engine!(session, connection => {
        let mut termination = Termination::new(connection, timeouts).await?;
        close_open(connection, &mut termination, recorded, &mut Fenced::default()).await
    })
}

/// Ends all sessions of others, and waits until none is left. It closes no login: on a reader those that [`apply`] closed
/// on the writer are closed too, and elsewhere the network has to be.
///
/// # Errors
///
/// [`ErrorName::Unavailable`]: sessions that do not end or come back, or a database that does not respond.
pub async fn terminate_sessions(session: &Session, timeouts: FenceTimeouts) -> Result<Fenced, StepError> {
    on_engine!(session, connection => {
        let mut fenced = Fenced::default();
        let mut termination = Termination::new(connection, timeouts).await?;
        terminate(connection, &mut termination, &mut fenced).await?;
        Ok(fenced)
    })
}

async fn apply_on<C>(connection: &C, recorded: &LoginRecord, timeouts: FenceTimeouts) -> Result<Fenced, StepError>
where
    C: LoginOperations + SessionOperations,
{
    let mut termination = Termination::new(connection, timeouts).await?;
    let mut fenced = Fenced::default();
    // Logins before sessions: one that is ended while its login is open is back at once.
    close_open(connection, &mut termination, recorded, &mut fenced).await?;
    terminate(connection, &mut termination, &mut fenced).await?;
    check_closed(connection, recorded, &mut fenced).await?;
    Ok(fenced)
}

async fn close_open<C: LoginOperations + SessionOperations>(
    connection: &C,
    termination: &mut Termination<'_, C>,
    recorded: &LoginRecord,
    fenced: &mut Fenced,
) -> Result<(), StepError> {
    connection.prepare_changes().await?;
    let open = connection.read_logins().await?;
    let logins = connection.close_logins(&open, recorded).await?;
    close(connection, termination, logins, fenced).await
}

async fn terminate<C: SessionOperations>(
    connection: &C,
    termination: &mut Termination<'_, C>,
    fenced: &mut Fenced,
) -> Result<(), StepError> {
    termination.until_none_is_left().await?;
    fenced.sessions_ended = termination.ended();
    fenced.master_sessions = termination.master_ended();
    fenced.master_returned = termination.master_returned;
    fenced.notes = connection.unfenced_writers().await?;
    Ok(())
}

/// Closes the login paths, and notes what became of each. Sessions that are in the way are ended.
async fn close<C: LoginOperations + SessionOperations>(
    connection: &C,
    termination: &mut Termination<'_, C>,
    logins: Vec<CloseLogin>,
    fenced: &mut Fenced,
) -> Result<(), StepError> {
    let changes = logins.iter().filter_map(|login| match &login.action {
        CloseAction::Run(change) => Some(change.clone()),
        CloseAction::AlreadyClosed | CloseAction::NotPermitted(_) => None,
    });
    let changes: Vec<String> = changes.collect();
    let mut refused = make_changes(connection, Direction::Close, &changes, termination).await?.into_iter();
    for CloseLogin { path, name, action } in logins {
        let refused = match action {
            CloseAction::AlreadyClosed => None,
            CloseAction::NotPermitted(why) => {
                fenced.not_changed.push(format!("{path} {name} {why}"));
                continue;
            }
            CloseAction::Run(_) => refused.next().flatten(),
        };
        match (refused, path) {
            (Some(why), _) => fenced.not_changed.push(format!("{path} {name}: {why}")),
            (None, LoginPath::Database) => fenced.databases.push(name),
            (None, LoginPath::Role) => fenced.roles.push(name),
            (None, LoginPath::Account) => fenced.accounts.push(name),
        }
    }
    Ok(())
}

impl<C: SessionOperations> OnConflict for Termination<'_, C> {
    async fn make_way(&mut self, changes: &[String]) -> Result<bool, StepError> {
        if self.is_over() {
            return Err(unavailable(format!(
                "other sessions were in the way too long: {}",
                some_of(changes, "nothing")
            ))
            .changed("some logins may be closed; what was changed is in the record"));
        }
        // Whoever holds the lock is to leave anyway, and would otherwise hold up the fence for as long as it likes.
        self.terminate_all().await?;
        sleep(timeouts::FENCE_POLL).await;
        Ok(true)
    }
}

/// With nobody left who could change it back, makes sure that what was to be closed is.
async fn check_closed<C: LoginOperations>(
    connection: &C,
    recorded: &LoginRecord,
    fenced: &mut Fenced,
) -> Result<(), StepError> {
    let now = connection.read_logins().await?;
    // On MySQL success says little: `ALTER USER IF EXISTS` succeeds for an account that is gone, which may be made anew.
    let open_accounts: BTreeSet<String> = now.accounts.iter().map(ToString::to_string).collect();
    fenced.accounts.retain(|name| !open_accounts.contains(name));
    let accounts = now.accounts.iter().filter(|account| !recorded.has_account(account));
    let closed: BTreeSet<&String> = fenced.databases.iter().collect();
    let databases = now.databases.iter().filter(|database| {
        !recorded.has_database(database) || closed.contains(&database.name) && database.connection_limit != 0
    });
    let new_roles = now.roles.iter().filter(|role| !recorded.has_role(role));
    let open: Vec<String> = databases
        .map(|database| format!("database {}", database.name))
        .chain(new_roles.map(|role| format!("role {}", role.name)))
        .chain(accounts.map(|account| format!("account {account}")))
        .collect();
    if open.is_empty() {
        return Ok(());
    }
    // Retried: the next run records what is new, and closes it. Closing it here would change what is in no record.
    Err(StepError::new(
        ErrorName::ClusterNotReady,
        format!("made or changed while the fence was raised: {}", some_of(&open, "none")),
    )
    .changed("other logins are closed; what was changed is in the record")
    .advice("read the logins, record them and fence again"))
}
