//! The domain of aurora-rewind, pure: what a recovery is asked for, what it will do, and how it can fail.
//!
//! Nothing in this crate knows AWS, tokio or I/O.

mod clock;
mod error;

pub use clock::Clock;
pub use error::{ErrorName, StepError};
