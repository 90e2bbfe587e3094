//! The proof that a fence holds: it knocks at every door as the user who could open it. It changes nothing.

use super::state::{LoginState, survey};
use crate::error::{ConnectError, unavailable};
use crate::network::Server;
use crate::session::Session;
use rewind_core::StepError;
use std::time::Duration;
use tokio::time::sleep;

/// What knocking found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// Databases that refused the master user: then they refuse everybody but superusers.
    pub refused: Vec<String>,
    /// Databases that somebody may still get into.
    pub open: Vec<OpenDoor>,
}

/// A database that is not closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenDoor {
    /// Its name.
    pub database: String,
    /// Who gets in, for a person.
    pub why: String,
}

impl Proof {
    /// Whether every database refused.
    pub fn is_complete(&self) -> bool {
        self.open.is_empty()
    }
}

/// Tries to connect to every database of `state` as the master user, and reports which refused.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when the server does not say yes or no: no answer proves nothing.
pub async fn prove(server: &Server, session: &Session, state: &LoginState) -> Result<Proof, StepError> {
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
            proof.open.push(OpenDoor { database: name.clone(), why: why.join(", ") });
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
            Err(ConnectError::DatabaseFull(_) | ConnectError::DatabaseMissing(_)) => return Ok(Knock::Full),
            Err(ConnectError::NotAllowed(_) | ConnectError::LoginRefused(_)) => return Ok(Knock::NotForThisUser),
            // Others who keep knocking can take the last connection of the server for a moment: no proof of anything.
            Err(ConnectError::ServerFull(why)) => last = Some(why),
            Err(ConnectError::Failed(error)) => return Err(error),
        }
        sleep(Duration::from_millis(100)).await;
    }
    Err(unavailable(format!("it cannot be proven that {database} is closed: {}", last.unwrap_or_default()))
        .changed("the logins are closed and the sessions ended; what was changed is in the record"))
}
