//! The domain of aurora-rewind: requests, plans, checks and errors, as pure values and functions.
//!
//! Nothing in this crate knows AWS, tokio or I/O.

mod approval;
mod check;
mod clock;
pub mod comparison;
mod content_hash;
mod cut;
mod decimal;
mod difference;
mod engine;
mod error;
mod estimates;
mod fields;
mod findings;
mod identity;
mod inventory;
mod jobs;
pub mod names;
mod opening;
mod outcome;
mod patterns;
mod people;
mod plan;
mod poll;
mod printable;
mod proposal;
mod record;
mod refusals;
mod report_size;
mod request;
mod same_source;
mod signature;
mod standing;
mod strategy;
mod time;
pub mod timeouts;
mod window;
mod window_request;

pub use approval::{SignApprovals, VerifyApprovals, approval_digest, approvers_digest};
pub use check::{Check, CheckResult, Expectation, Login, QueryResult, Report, TableCount, Tls};
pub use clock::Clock;
pub use content_hash::content_hash;
pub use cut::cut;
pub use difference::Difference;
pub use engine::{Engine, UnknownEngine};
pub use error::{ErrorName, MayPass, StepError};
pub use estimates::{
    ComparedTables, DatabaseEstimates, DatabaseTables, Estimates, MissingTable, Named, RowEstimates, TableEstimate,
};
pub use findings::{ColumnKind, Finding, FindingCode, Severity, arrange, blocking_cause, type_fault};
pub use identity::ResourceIds;
pub use inventory::{
    AsOf, BilledInstances, ClusterRole, ClusterUse, Connections, FinalSnapshot, FoundCluster, FoundInstance, Inventory,
    Measured, Metered, Prices, RecoveryCluster, Removal, RemovedBy, SERVERLESS,
};
pub use jobs::{EVENT_SCHEDULER, JobsToHold, LOGICAL_REPLICATION, is_switched_off};
pub use opening::{
    OPEN_FOR, OPEN_FOR_LEAST, OPEN_FOR_MOST, OpenedAt, Opening, block_of, one_address, opened_secret, opened_user,
};
pub use outcome::{
    Ending, Fence, FenceLayer, KeepCommands, KeptSafetyClone, KeptSource, Outcome, Planned, Recovered, Undone,
    WritesNotCarriedOver,
};
pub use patterns::{CheckDatabases, OpenDatabases, is_exactly_like, is_like};
pub use people::{
    Agreeing, Agreement, CallerProof, Identity, People, STARTED_BY, TwoPeople, VerifyCallers, approve_act,
    request_digest, request_of, start_act,
};
pub use plan::{
    Adopted, Backtrack, HeldJob, InPlacePlan, MovedRecord, Plan, PlannedInstance, PlannedRecord, Recovery, Restored,
    Swap,
};
pub use poll::Polling;
pub use printable::{HIDDEN, printable, printable_json, printable_lines};
pub use proposal::Proposal;
pub use record::{
    CancelNote, CleanUpRecord, LiftNote, PendingApproval, PossiblyMoved, RecordedDecision, RecoveryRecord, UndoRecord,
};
pub use refusals::{Undoing, kept_after_all};
pub use report_size::{PLAN_MAX, REPORT_MAX};
pub use request::{
    APPROVAL_TIMEOUT_MAX, Approval, Asked, CHECK_TIMEOUT_MAX, COMPARE_MAX, Endpoint, InPlace, RecordRequest, Request,
    Strategy, TTL_ACCEPTED, Unverified,
};
pub use signature::{JsonDigest, SignPlans, VerifyPlans, json_digest, plan_digest};
pub use standing::{
    ClusterSeen, FencesSeen, LeadsTo, LeaseSeen, Listed, RecordSeen, SafeCommand, Seen, Standing, World, open_command,
};
pub use strategy::{ClusterFacts, FenceGroups, StrategyChoice, choose_strategy};
pub use time::{Target, format_duration, format_moment, format_time, format_time_in, parse_duration};
pub use window::{Moment, Window};
pub use window_request::{BACKTRACK_WINDOW_MAX, RETENTION_MAX_DAYS, RequestedWindow, WindowRequest, format_reach};
