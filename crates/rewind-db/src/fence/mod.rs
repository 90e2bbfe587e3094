//! The fence around a writer that is left behind: logins closed, sessions ended, and verification that nobody gets in.
//!
//! Done with a master user's rights: no superuser is needed, and none is stopped (on RDS those are AWS's own). In order:
//!
//! 1. [`read_logins`] reads what is about to be changed. The caller stores it as a [`LoginRecord`], with what an earlier
//!    attempt stored ([`LoginRecord::and`]), **before** anything is changed.
//! 2. [`apply`] closes the logins and ends the sessions that got in before, until none is left. On PostgreSQL every
//!    database's connection limit becomes zero and the application's roles lose `LOGIN`; on MySQL the application's
//!    accounts are locked.
//! 3. [`verify`] reads every login path again, and probes some of those that are closed.
//! 4. [`lift`] restores exactly what was recorded.
//!
//! If the network alone is the fence, [`terminate_sessions`] ends the sessions and nothing else, and
//! [`writers_without_session`] names what would go on writing. [`inspect`] shows, days later, whether the fence still holds.
//!
//! Thousands of databases and roles take no longer than seconds: changes are made in batches, and no step asks for each of them by
//! itself.
//!
//! Each may be run again, whatever an earlier run got done. All of them work from the engine's maintenance database
//! ([`crate::Defaults::maintenance_database`]), which stays open, for lifting the fence needs a login too.
//!
//! What the fence cannot stop it reports: background workers, subscriptions, events, prepared transactions.

mod apply;
mod changes;
mod inspect;
mod lift;
mod summary;
mod terminate;
mod verify;

use crate::engine::{LoginOperations, SessionOperations};
use crate::session::{Session, on_engine};
use rewind_core::{StepError, timeouts};
use std::time::Duration;

pub use crate::engine::login_state::{Account, DatabaseLimit, LoginRole, LoginState};
pub use crate::engine::record::LoginRecord;
pub use apply::{Fenced, apply, close_logins, terminate_sessions};
pub use inspect::{Inspection, inspect};
pub use lift::lift;
pub use summary::{cut, some_of};
pub use verify::{OpenLogin, Verification, verify};

/// The time limits of a fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FenceTimeouts {
    /// Everything together.
    pub total: Duration,
    /// The pause between two looks for sessions.
    pub poll: Duration,
    /// How many looks in a row have to find none.
    pub quiet_polls: u32,
}

impl Default for FenceTimeouts {
    fn default() -> Self {
        // One look is not enough: a pool that was cut off comes back within milliseconds, if it can come back at all.
        Self { total: timeouts::FENCE_SESSIONS, poll: timeouts::FENCE_POLL, quiet_polls: 5 }
    }
}

/// Reads who may log in where now. It changes nothing.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when the database does not respond.
pub async fn read_logins(session: &Session) -> Result<LoginState, StepError> {
    on_engine!(session, connection => connection.read_logins().await)
}

/// Names what writes without a session: on MySQL replication from elsewhere, and events. No fence ends it, and what it writes
/// between the clone of a cluster and its backtrack would be on neither.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when the database does not respond.
pub async fn writers_without_session(session: &Session) -> Result<Vec<String>, StepError> {
    Ok(on_engine!(session, connection => connection.writers_without_session().await)?)
}
