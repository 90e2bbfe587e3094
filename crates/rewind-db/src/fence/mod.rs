//! The fence around an old writer: logins closed, sessions ended, and the proof that nobody gets in any more.
//!
//! Done with a master user's rights: no superuser is needed, and none is stopped (on RDS those are AWS's own). In order:
//!
//! 1. [`survey`] reads what is about to be changed. The caller stores it, merged with what an earlier attempt stored
//!    ([`LoginState::keeping`]), **before** anything is changed.
//! 2. [`apply`] closes the logins and ends the sessions that got in before, until none is left. On PostgreSQL every
//!    database's connection limit becomes zero and the application's roles lose `LOGIN`; on MySQL the application's
//!    accounts are locked.
//! 3. [`prove`] looks whether somebody still gets in.
//! 4. [`lift`] puts back exactly what was recorded.
//!
//! Where the network alone is the fence, [`empty`] ends the sessions and nothing else, and [`writers_without_session`] says
//! what would go on writing. [`look`] sees, days later, whether the fence still stands.
//!
//! Each may be run again, whatever an earlier run got done. All of them speak from the engine's maintenance database
//! ([`crate::Defaults::maintenance_database`]), which stays open, for the way back leads through it.
//!
//! What the fence cannot stop it reports: background workers, subscriptions, events, prepared transactions.

mod apply;
mod lift;
mod look;
mod mysql;
mod prove;
mod sessions;
mod state;

pub use apply::{Fenced, Patience, apply, empty};
pub use lift::lift;
pub use look::{Inside, look};
pub use prove::{OpenDoor, Proof, prove};
pub use sessions::writers_without_session;
pub use state::{Account, DatabaseLimit, LoginRole, LoginState, survey};
