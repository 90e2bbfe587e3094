//! Verifying that a fence holds: every login path is probed as the user who could open it. It changes nothing.

use super::apply::Fenced;
use crate::engine::logins::{DatabaseLimit, LoginState};
use crate::engine::{LoginOperations, SessionOperations};
use crate::error::{ConnectError, unavailable};
use crate::server::Server;
use crate::session::{Session, on_engine};
use rewind_core::{StepError, timeouts};
use tokio::time::sleep;

/// The outcome of the probes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// Login paths that are closed. PostgreSQL: databases that refused the master user, and so everybody but superusers.
    /// MySQL: accounts that the server shows as locked.
    pub closed: Vec<String>,
    /// Login paths by which somebody may still get in.
    pub open: Vec<OpenLogin>,
}

/// A database or an account that is not closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenLogin {
    /// The name.
    pub name: String,
    /// The users who get in, for a person.
    pub why: String,
}

impl Verification {
    /// True if nothing is open.
    pub fn is_complete(&self) -> bool {
        self.open.is_empty()
    }
}

/// Verifies who may still get in after `fenced` was done. On PostgreSQL it tries to connect to every database as the master
/// user. On MySQL, where that user is never locked out, it reads the accounts again, and counts the master user itself as
/// open where a session of it that was not the fence's own was seen.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when the server neither lets in nor refuses: that verifies nothing.
pub async fn verify(
    server: &Server,
    session: &Session,
    recorded: &LoginState,
    fenced: &Fenced,
) -> Result<Verification, StepError> {
    on_engine!(session, connection => verify_on(server, connection, recorded, fenced).await)
}

async fn verify_on<C>(
    server: &Server,
    connection: &C,
    recorded: &LoginState,
    fenced: &Fenced,
) -> Result<Verification, StepError>
where
    C: LoginOperations + SessionOperations,
{
    let now = connection.read_logins().await?;
    let mut verification = Verification::default();
    for database in &now.databases {
        let name = database.name.clone();
        match open_to(server, database, &now, recorded).await? {
            None => verification.closed.push(name),
            Some(why) => verification.open.push(OpenLogin { name, why }),
        }
    }
    let locked = recorded.accounts.iter().filter(|account| !now.accounts.contains(account));
    verification.closed.extend(locked.map(ToString::to_string));
    for account in &now.accounts {
        let why = if recorded.accounts.contains(account) {
            "it may log in"
        } else {
            "it was made after the logins were recorded"
        };
        verification.open.push(OpenLogin { name: account.to_string(), why: why.to_owned() });
    }
    // Sessions of the master user that were there show that somebody else has its password: they can come back any time.
    if fenced.master_sessions > 0 {
        let again = if fenced.master_returned { ", and they came back" } else { "" };
        verification.open.push(OpenLogin {
            name: connection.unlockable_user().await?.unwrap_or_default(),
            why: format!("the master user, which cannot be locked: {} sessions ended{again}", fenced.master_sessions),
        });
    }
    Ok(verification)
}

/// The people to whom a database is open, in words; none where it is closed.
async fn open_to(
    server: &Server,
    database: &DatabaseLimit,
    now: &LoginState,
    recorded: &LoginState,
) -> Result<Option<String>, StepError> {
    let mut why = match probe(server, &database.name).await? {
        Probe::Closed => return Ok(None),
        Probe::DeniedToThisUser => Vec::new(),
        Probe::Open => vec!["the master user gets in".to_owned()],
    };
    // Only a connection limit holds for everybody; a database that is closed to the master user alone is closed to others
    // only where no other may log in at all.
    why.extend(now.roles.iter().map(|role| format!("{} may log in", role.name)));
    if recorded.database(database.oid).is_none() {
        why.push("it was made after the logins were recorded".to_owned());
    }
    Ok((!why.is_empty()).then(|| why.join(", ")))
}

/// The outcome of one attempt to log in.
enum Probe {
    /// The connection limit refused it, which it does to everybody, or there is nothing to connect to.
    Closed,
    /// This user may not connect there; nothing is known of others.
    DeniedToThisUser,
    Open,
}

async fn probe(server: &Server, database: &str) -> Result<Probe, StepError> {
    let mut last = None;
    for _ in 0..20 {
        match server.open(database).await {
            Ok(session) => {
                session.close().await;
                return Ok(Probe::Open);
            }
            // DatabaseFull comes only after the password was accepted: it speaks for the limit, and not for the login.
            Err(
                ConnectError::DatabaseFull(_) | ConnectError::DatabaseMissing(_) | ConnectError::DatabaseInvalid(_),
            ) => return Ok(Probe::Closed),
            Err(ConnectError::NotAllowed(_) | ConnectError::LoginRefused(_)) => return Ok(Probe::DeniedToThisUser),
            // Clients that keep trying can take the last connection of the server for a moment: that verifies nothing.
            Err(ConnectError::ServerFull(why)) => last = Some(why),
            Err(ConnectError::Failed(error)) => return Err(error),
        }
        sleep(timeouts::FENCE_PROBE_RETRY).await;
    }
    Err(unavailable(format!("it cannot be verified that {database} is closed: {}", last.unwrap_or_default()))
        .changed("the logins are closed and the sessions ended; what was changed is in the record"))
}
