//! The fence around an old writer: logins closed, sessions ended, and the proof that nobody gets in any more.
//!
//! Done with a master user's rights: no superuser is needed, and none is stopped (on RDS those are AWS's own). In order:
//!
//! 1. [`survey`] reads what is about to be changed. The caller stores it, merged with what an earlier attempt stored
//!    ([`LoginState::keeping`]), **before** anything is changed.
//! 2. [`apply`] sets every database's connection limit to zero, takes `LOGIN` from the application's roles, and ends the
//!    sessions that got in before, until none is left.
//! 3. [`prove`] tries to get in.
//! 4. [`lift`] puts back exactly what was recorded.
//!
//! Each may be run again, whatever an earlier run got done. All of them speak from [`MAINTENANCE_DATABASE`], the one
//! database that stays open, for the way back leads through it.
//!
//! What the fence cannot stop it reports: background workers, subscriptions, prepared transactions.

mod apply;
mod lift;
mod prove;
mod sessions;
mod state;

pub use apply::{Fenced, Patience, apply, empty_reader};
pub use lift::lift;
pub use prove::{OpenDoor, Proof, prove};
pub use state::{DatabaseLimit, LoginRole, LoginState, survey};

/// The database that the fence works from and leaves open: every cluster has it, and no application lives in it.
pub const MAINTENANCE_DATABASE: &str = "template1";
