//! The proof that a fence holds: it knocks at every door as the user who could open it. It changes nothing.

use super::apply::Fenced;
use super::mysql;
use super::state::{LoginState, survey};
use crate::engine::Dialect;
use crate::error::{ConnectError, unavailable};
use crate::network::Server;
use crate::session::Session;
use rewind_core::{StepError, timeouts};
use tokio::time::sleep;

/// What knocking found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// What is closed. PostgreSQL: databases that refused the master user, and so everybody but superusers. MySQL:
    /// accounts that are locked, by the server's word.
    pub refused: Vec<String>,
    /// Where somebody may still get in.
    pub open: Vec<OpenDoor>,
}

/// A database or an account that is not closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenDoor {
    /// Its name.
    pub name: String,
    /// Who gets in, for a person.
    pub why: String,
}

impl Proof {
    /// Whether nothing is open.
    pub fn is_complete(&self) -> bool {
        self.open.is_empty()
    }
}

/// Looks who may still get in after `fenced` was done. On PostgreSQL it tries to connect to every database as the master
/// user. On MySQL, where that user is never locked out, it reads the accounts again, and counts the master user itself as
/// open where a session of it that was not the fence's own was seen.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when the server does not say yes or no: no answer proves nothing.
pub async fn prove(
    server: &Server,
    session: &Session,
    state: &LoginState,
    fenced: &Fenced,
) -> Result<Proof, StepError> {
    match session.dialect() {
        Dialect::Postgres => prove_postgres(server, session, state).await,
        Dialect::MySql | Dialect::MariaDb => prove_mysql(session, state, fenced).await,
    }
}

async fn prove_mysql(session: &Session, state: &LoginState, fenced: &Fenced) -> Result<Proof, StepError> {
    let open = mysql::open(session).await?;
    let locked = state.accounts.iter().filter(|account| !open.contains(account));
    let mut proof = Proof { refused: locked.map(ToString::to_string).collect(), open: Vec::new() };
    for account in open {
        let late = !state.accounts.contains(&account);
        let why = if late { "it was made after the survey" } else { "it may log in" };
        proof.open.push(OpenDoor { name: account.to_string(), why: why.to_owned() });
    }
    if fenced.master_sessions > 0 {
        let again = if fenced.master_returned { ", and they came back" } else { "" };
        proof.open.push(OpenDoor {
            name: mysql::own_user(session).await?,
            why: format!("the master user, which cannot be locked: {} sessions ended{again}", fenced.master_sessions),
        });
    }
    Ok(proof)
}

async fn prove_postgres(server: &Server, session: &Session, state: &LoginState) -> Result<Proof, StepError> {
    let now = survey(session).await?;
    let mut proof = Proof::default();
    for database in &now.databases {
        let name = &database.name;
        let mut why = match knock(server, name).await? {
            Knock::Full => {
                proof.refused.push(name.clone());
                continue;
            }
            Knock::NotForThisUser => Vec::new(),
            Knock::Open => vec!["the master user gets in".to_owned()],
        };
        // Only a connection limit holds for everybody; a door that is closed to the master user alone is closed to
        // others only where no other may log in at all.
        why.extend(now.roles.iter().map(|role| format!("{} may log in", role.name)));
        if state.database(database.oid).is_none() {
            why.push("it was made after the survey".to_owned());
        }
        if why.is_empty() {
            proof.refused.push(name.clone());
        } else {
            proof.open.push(OpenDoor { name: name.clone(), why: why.join(", ") });
        }
    }
    Ok(proof)
}

enum Knock {
    /// The connection limit refused it.
    Full,
    /// This user may not connect there; nothing is said of others.
    NotForThisUser,
    Open,
}

async fn knock(server: &Server, database: &str) -> Result<Knock, StepError> {
    let mut last = None;
    for _ in 0..20 {
        match server.open(database).await {
            Ok(session) => {
                session.close().await;
                return Ok(Knock::Open);
            }
            Err(
                ConnectError::DatabaseFull(_) | ConnectError::DatabaseMissing(_) | ConnectError::DatabaseInvalid(_),
            ) => return Ok(Knock::Full),
            Err(ConnectError::NotAllowed(_) | ConnectError::LoginRefused(_)) => return Ok(Knock::NotForThisUser),
            // Others who keep knocking can take the last connection of the server for a moment: no proof of anything.
            Err(ConnectError::ServerFull(why)) => last = Some(why),
            Err(ConnectError::Failed(error)) => return Err(error),
        }
        sleep(timeouts::FENCE_PROBE_RETRY).await;
    }
    Err(unavailable(format!("it cannot be proven that {database} is closed: {}", last.unwrap_or_default()))
        .changed("the logins are closed and the sessions ended; what was changed is in the record"))
}
