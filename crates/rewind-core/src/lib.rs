//! The domain of aurora-rewind, pure: what a recovery is asked for, what it will do, and how it can fail.
//!
//! Nothing in this crate knows AWS, tokio or I/O.

mod check;
mod clock;
mod decimal;
mod engine;
mod error;
mod fields;
pub mod names;
mod outcome;
mod plan;
mod poll;
mod proposal;
mod reach;
mod record;
mod request;
mod strategy;
mod time;
pub mod timeouts;
mod window;

pub use check::{Answer, Check, CheckResult, Expectation, Login, Report, TableCount, Tls};
pub use clock::Clock;
pub use engine::{Engine, UnknownEngine};
pub use error::{ErrorName, StepError};
pub use outcome::{
    Ending, Fence, FenceLayer, KeepCommands, KeptSafetyClone, KeptSource, Outcome, Planned, Recovered, Undone,
    WritesNotCarriedOver,
};
pub use plan::{
    Backtrack, Difference, InPlacePlan, MovedRecord, Plan, PlannedInstance, PlannedRecord, Recovery, Restored, Swap,
    content_hash,
};
pub use poll::Polling;
pub use proposal::Proposal;
pub use reach::{Asked, BACKTRACK_WINDOW_MAX, RETENTION_MAX_DAYS, WindowRequest, format_reach};
pub use record::{CleanUpRecord, PendingApproval, RecordedDecision, RecoveryRecord, UndoRecord};
pub use request::{APPROVAL_TIMEOUT_MAX, Approval, Endpoint, InPlace, RecordRequest, Request, Strategy};
pub use strategy::{Chosen, Facts, FenceGroups, choose};
pub use time::{Target, format_duration, parse_duration};
pub use window::{Moment, Window};
