//! Putting back what a fence changed: exactly what was recorded, and nothing else.

use crate::engine::LoginOperations;
use crate::engine::logins::LoginState;
use crate::error::{StatementError, unavailable};
use crate::session::{Session, on_engine};
use rewind_core::{StepError, timeouts};
use tokio::time::sleep;

/// Puts the connection limits and the `LOGIN` flags of `recorded` back, or unlocks its accounts; returns a sentence a
/// change, and one for each account that is gone.
///
/// What is as it was recorded stays untouched, and so does what is gone, or was dropped and made again under the same
/// name. What the fence had no right to change it did not change, and is not tried here.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when something could not be restored; everything else has been.
pub async fn lift(session: &Session, recorded: &LoginState) -> Result<Vec<String>, StepError> {
    on_engine!(session, connection => lift_on(connection, recorded).await)
}

async fn lift_on<C: LoginOperations>(connection: &C, recorded: &LoginState) -> Result<Vec<String>, StepError> {
    // The undo is run again after a failure, so it begins by reading what is still to be restored.
    connection.prepare_changes().await?;
    let mut done = Vec::new();
    let mut left = Vec::new();
    for login in connection.restore_logins(recorded).await? {
        let refused = match &login.statement {
            Some(sql) => run(connection, sql).await?,
            None => None,
        };
        // One that cannot be restored must not keep the others closed.
        match refused {
            None => done.push(login.done),
            Some(why) => left.push(format!("{}: {why}", login.name)),
        }
    }
    if left.is_empty() {
        return Ok(done);
    }
    Err(unavailable(format!("not everything could be restored: {}", left.join("; ")))
        .changed(if done.is_empty() { "nothing was changed".to_owned() } else { done.join("; ") })
        .advice("put these back by hand as the master user"))
}

/// Makes one change, and returns the reason where the server refuses it. What is gone needs no change.
async fn run<C: LoginOperations>(connection: &C, sql: &str) -> Result<Option<String>, StepError> {
    // Here nobody is ended who is in the way: the clients that come back are what lifting is for.
    let mut attempts = 10;
    loop {
        match connection.execute(sql).await {
            Ok(()) => return Ok(None),
            Err(error) if connection.is_gone(&error) => return Ok(None),
            Err(error) if connection.is_conflict(&error) && attempts > 0 => {
                attempts -= 1;
                sleep(timeouts::FENCE_LOCK_RETRY).await;
            }
            Err(StatementError::Refused(error)) => return Ok(Some(error.to_string())),
            Err(error) => return Err(error.into()),
        }
    }
}
