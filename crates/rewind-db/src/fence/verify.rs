//! Verifying that a fence holds. It changes nothing.
//!
//! On PostgreSQL the catalogue is the proof: every new backend reads its database's connection limit from the committed row that is
//! read here, those that had read it before have ended, and a limit of zero refuses everybody but superusers. Probing thousands of
//! databases would add minutes of downtime and no knowledge: the rule is one for all. Some of the closed ones are probed through the
//! network, as the user who could open any of them, so that the rule is seen at work on this very server.

use super::apply::Fenced;
use super::summary::some_of;
use crate::engine::login_state::{Account, DatabaseLimit};
use crate::engine::record::LoginRecord;
use crate::engine::{LoginOperations, SessionOperations};
use crate::error::{ConnectError, unavailable};
use crate::server::Server;
use crate::session::{Session, on_engine};
use futures_util::future::join_all;
use rewind_core::{StepError, timeouts};
use std::collections::BTreeSet;
use tokio::time::sleep;

/// The most databases that are probed. All at the same time: the server is empty by then, and has connections for them.
const PROBES: usize = 8;

/// The outcome of the verification.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// Login paths that are closed: databases whose limit refuses everybody but superusers, or that no user who may log in may
    /// connect to; accounts that the server shows as locked.
    pub closed: Vec<String>,
    /// Those of `closed` that refused a login just now.
    pub probed: Vec<String>,
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

/// Verifies who may still get in after `fenced` was done. On PostgreSQL it reads all databases again, and tries to connect to some of
/// those that are closed as the master user. On MySQL, where that user is never locked out, it reads the accounts again, and counts
/// the master user itself as open where a session of it that was not the fence's own was seen.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when the server neither lets in nor refuses: that verifies nothing.
pub async fn verify(
    server: &Server,
    session: &Session,
    recorded: &LoginRecord,
    fenced: &Fenced,
) -> Result<Verification, StepError> {
    on_engine!(session, connection => verify_on(server, connection, recorded, fenced).await)
}

async fn verify_on<C>(
    server: &Server,
    connection: &C,
    recorded: &LoginRecord,
    fenced: &Fenced,
) -> Result<Verification, StepError>
where
    C: LoginOperations + SessionOperations,
{
    let now = connection.read_logins().await?;
    let mut verification = Verification::default();
    let roles: Vec<&String> = now.roles.iter().map(|role| &role.name).collect();
    for database in &now.databases {
        match open_to(database, &roles, recorded) {
            None => verification.closed.push(database.name.clone()),
            Some(why) => verification.open.push(OpenLogin { name: database.name.clone(), why }),
        }
    }
    verification.probe(server).await?;
    let open: BTreeSet<&Account> = now.accounts.iter().collect();
    let locked = recorded.accounts().iter().filter(|account| !open.contains(account));
    verification.closed.extend(locked.map(ToString::to_string));
    for account in &now.accounts {
        let why =
            if recorded.has_account(account) { "it may log in" } else { "it was made after the logins were recorded" };
        verification.open.push(OpenLogin { name: account.to_string(), why: why.to_owned() });
    }
    // Sessions of the master user that were there show that somebody else has its password: they can come back any time.
    if fenced.master_sessions > 0 {
        let again = if fenced.master_returned { ", and they came back" } else { "" };
        verification.open.push(OpenLogin {
            name: connection.unlockable_users().await?.join(", "),
            why: format!("the master user, which cannot be locked: {} sessions ended{again}", fenced.master_sessions),
        });
    }
    Ok(verification)
}

/// The people to whom a database is open, in words; none where it is closed.
fn open_to(database: &DatabaseLimit, roles: &[&String], recorded: &LoginRecord) -> Option<String> {
    if database.connection_limit == 0 {
        return None;
    }
    let mut why = Vec::new();
    if database.takes_master {
        why.push("the master user gets in".to_owned());
    }
    if !roles.is_empty() {
        why.push(format!("{} may log in", some_of(roles, "nobody")));
    }
    if !recorded.has_database(database) {
        why.push("it was made after the logins were recorded".to_owned());
    }
    (!why.is_empty()).then(|| why.join(", "))
}

impl Verification {
    /// Probes closed databases, spread over all of them. One that lets somebody in is open, whatever the catalogue shows.
    async fn probe(&mut self, server: &Server) -> Result<(), StepError> {
        let step = self.closed.len().div_ceil(PROBES).max(1);
        let names: Vec<String> = self.closed.iter().step_by(step).cloned().collect();
        let probes = join_all(names.iter().map(|name| probe(server, name))).await;
        for (name, probe) in names.into_iter().zip(probes) {
            match probe? {
                Probe::Closed | Probe::DeniedToThisUser => self.probed.push(name),
                Probe::Open => {
                    self.closed.retain(|closed| *closed != name);
                    self.open
                        .push(OpenLogin { name, why: "the master user gets in, although it is closed".to_owned() });
                }
            }
        }
        Ok(())
    }
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
    // Clients that keep trying can take the last connection of the server for a moment.
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
            // A full server refuses before it has looked at the database: that verifies nothing.
            Err(ConnectError::ServerFull(why)) => last = Some(why),
            Err(ConnectError::Failed(error)) => return Err(error),
        }
        sleep(timeouts::FENCE_PROBE_RETRY).await;
    }
    Err(unavailable(format!("it cannot be verified that {database} is closed: {}", last.unwrap_or_default()))
        .changed("the logins are closed and the sessions ended; what was changed is in the record"))
}
