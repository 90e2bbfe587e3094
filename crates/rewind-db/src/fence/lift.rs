//! Putting back what a fence changed: exactly what was recorded, and nothing else.

use super::changes::{OnConflict, make_changes};
use super::summary::{cut, some_of};
use crate::engine::LoginOperations;
use crate::engine::logins::Direction;
use crate::engine::record::LoginRecord;
use crate::error::unavailable;
use crate::session::{Session, on_engine};
use rewind_core::{StepError, timeouts};
use tokio::time::sleep;

/// Puts the connection limits and the `LOGIN` flags of `recorded` back, or unlocks its accounts; returns a sentence a
/// change, and one for each account that is gone. Very many are cut to the first, with the number of the others.
///
/// What is as it was recorded stays untouched, and so does what is gone, or was dropped and made again under the same
/// name. What the fence had no right to change it did not change, and is not tried here.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when something could not be restored; everything else has been.
pub async fn lift(session: &Session, recorded: &LoginRecord) -> Result<Vec<String>, StepError> {
    on_engine!(session, connection => lift_on(connection, recorded).await)
}

async fn lift_on<C: LoginOperations>(connection: &C, recorded: &LoginRecord) -> Result<Vec<String>, StepError> {
    // The undo is run again after a failure, so it begins by reading what is still to be restored.
    connection.prepare_changes().await?;
    let logins = connection.restore_logins(recorded).await?;
    let changes: Vec<String> = logins.iter().filter_map(|login| login.change.clone()).collect();
    let refused = make_changes(connection, Direction::Restore, &changes, &mut Wait::default()).await?;
    let mut refused = refused.into_iter();
    let (mut done, mut left) = (Vec::new(), Vec::new());
    for login in logins {
        // One that cannot be restored must not keep the others closed.
        match login.change.and_then(|_| refused.next().flatten()) {
            None => done.push(login.done),
            Some(why) => left.push(format!("{}: {why}", login.name)),
        }
    }
    let done = cut(done, "logins are as they were");
    if left.is_empty() {
        return Ok(done);
    }
    Err(unavailable(format!("not everything could be restored: {}", some_of(&left, "nothing")))
        .changed(if done.is_empty() { "nothing was changed".to_owned() } else { done.join("; ") })
        .advice("put these back by hand as the master user"))
}

/// Waits for others, ten times for each statement. Here nobody is ended who is in the way: the clients that come back are what
/// lifting is for.
#[derive(Default)]
struct Wait {
    attempts: u32,
}

impl OnConflict for Wait {
    async fn make_way(&mut self, _: &[String]) -> Result<bool, StepError> {
        self.attempts += 1;
        sleep(timeouts::FENCE_LOCK_RETRY).await;
        Ok(!self.attempts.is_multiple_of(10))
    }
}
