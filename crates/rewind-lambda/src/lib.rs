//! The part that all functions share: the [`Step`] trait, start-up, logs, and errors as Step Functions sees them.
//!
//! A function's `main` builds its step once, with the clients in it, and hands it to [`start`], to [`start_in_dry_runs`] where it changes nothing and dry runs have it
//! too, or to [`start_unplanned`] where it follows no plan. The same step value runs
//! in unit tests over fakes.

mod admission;
mod approved;
mod start;
mod step;

pub use approved::{Approved, ToApprove};
pub use rewind_clock::SystemClock;
pub use start::{init_logging, start, start_in_dry_runs, start_unplanned, within_deadline};
pub use step::{Direction, Step, Undone};
