//! Putting back what a fence changed: exactly what was recorded, and nothing else.

use super::apply::{is_gone, is_in_the_way, settle};
use super::mysql;
use super::state::LoginState;
use crate::engine::{Dialect, INVALID};
use crate::error::{Failure, unavailable};
use crate::quote::identifier;
use crate::session::Session;
use rewind_core::{StepError, timeouts};
use std::collections::BTreeMap;
use tokio::time::sleep;

/// Puts the connection limits and the `LOGIN` flags of `state` back, or unlocks its accounts; answers a sentence a change,
/// and one for each account that is gone.
///
/// What is as it was recorded stays untouched, and so does what is gone, or was dropped and made again under the same
/// name. What the fence had no right to change it did not change, and is not tried here.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when something could not be put back; everything else has been.
pub async fn lift(session: &Session, state: &LoginState) -> Result<Vec<String>, StepError> {
    settle(session).await?;
    let (did, left) = match session.dialect() {
        Dialect::Postgres => lift_postgres(session, state).await?,
        Dialect::MySql | Dialect::MariaDb => lift_mysql(session, state).await?,
    };
    if left.is_empty() {
        return Ok(did);
    }
    Err(unavailable(format!("not everything could be put back: {}", left.join("; ")))
        .changed(if did.is_empty() { "nothing was changed".to_owned() } else { did.join("; ") })
        .advice("put these back by hand as the master user"))
}

/// What was put back, and what could not be.
type Lifted = (Vec<String>, Vec<String>);

async fn lift_mysql(session: &Session, state: &LoginState) -> Result<Lifted, StepError> {
    let mut did = Vec::new();
    let mut left = Vec::new();
    let now = mysql::accounts(session).await?;
    for account in &state.accounts {
        match now.iter().find(|(known, _)| known == account) {
            None => did.push(format!("{account} was dropped meanwhile: nothing to put back")),
            Some((_, false)) => {}
            Some(_) => match change(session, &mysql::lock(account, false)).await? {
                None => did.push(format!("{account} may log in again")),
                Some(why) => left.push(format!("ACCOUNT UNLOCK of {account}: {why}")),
            },
        }
    }
    Ok((did, left))
}

async fn lift_postgres(session: &Session, state: &LoginState) -> Result<Lifted, StepError> {
    let mut did = Vec::new();
    let mut left = Vec::new();
    let limits = catalogue(session, "SELECT oid, datname, datconnlimit FROM pg_catalog.pg_database").await?;
    for database in state.databases.iter().filter(|database| database.can_be_limited) {
        let Some((name, limit)) = limits.get(&database.oid) else { continue };
        let recorded = database.connection_limit;
        if *limit == recorded.to_string() {
            continue;
        }
        if *limit == INVALID.to_string() {
            did.push(format!("the drop of {name} was interrupted meanwhile: nothing to put back"));
            continue;
        }
        match change(session, &format!("ALTER DATABASE {} CONNECTION LIMIT {recorded}", identifier(name))).await? {
            None => did.push(format!("connection limit of {name} put back to {recorded}")),
            Some(why) => left.push(format!("connection limit {recorded} of {name}: {why}")),
        }
    }
    let logins = catalogue(session, "SELECT oid, rolname, rolcanlogin FROM pg_catalog.pg_roles").await?;
    for role in &state.roles {
        let Some((name, can_login)) = logins.get(&role.oid) else { continue };
        if can_login == "t" {
            continue;
        }
        match change(session, &format!("ALTER ROLE {} LOGIN", identifier(name))).await? {
            None => did.push(format!("{name} may log in again")),
            Some(why) => left.push(format!("LOGIN of {name}: {why}")),
        }
    }
    Ok((did, left))
}

/// Names and present settings, by object id.
async fn catalogue(session: &Session, sql: &str) -> Result<BTreeMap<u32, (String, String)>, StepError> {
    let read = |row: Vec<Option<String>>| match <[_; 3]>::try_from(row) {
        Ok([Some(oid), Some(name), Some(setting)]) => Some((oid.parse().ok()?, (name, setting))),
        _ => None,
    };
    Ok(session.rows(sql).await?.into_iter().filter_map(read).collect())
}

/// Makes one change; answers why the server refused it. What is gone needs no change.
async fn change(session: &Session, sql: &str) -> Result<Option<String>, StepError> {
    let mut attempts = 10;
    loop {
        match session.run(sql).await {
            Ok(()) => return Ok(None),
            Err(failure) if is_gone(&failure) => return Ok(None),
            Err(failure) if is_in_the_way(&failure) && attempts > 0 => {
                attempts -= 1;
                sleep(timeouts::FENCE_LOCK_RETRY).await;
            }
            Err(Failure::Refused(refusal)) => return Ok(Some(refusal.to_string())),
            Err(failure) => return Err(failure.into()),
        }
    }
}
