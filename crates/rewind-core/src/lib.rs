//! The domain of aurora-rewind, pure: what a recovery is asked for, what it will do, and how it can fail.
//!
//! Nothing in this crate knows AWS, tokio or I/O.

mod check;
mod clock;
mod decimal;
mod error;
pub mod names;
mod plan;
mod poll;
mod request;
mod time;
mod window;

pub use check::{Answer, Check, CheckResult, Expectation, Login, Report, TableCount, Tls};
pub use clock::Clock;
pub use error::{ErrorName, StepError};
pub use plan::{Difference, MovedRecord, Plan, PlannedInstance, PlannedRecord, Recovery, Restored, Swap, content_hash};
pub use poll::Polling;
pub use request::{APPROVAL_TIMEOUT_MAX, Approval, Endpoint, InPlace, RecordRequest, Request, Strategy};
pub use time::{Target, parse_duration, say_duration};
pub use window::{Moment, Window};
