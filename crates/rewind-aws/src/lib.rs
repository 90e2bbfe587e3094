//! The only crate that names aws-sdk types: narrow ports, their adapters, and what AWS's errors mean to a recovery.
//!
//! A step depends on the traits here; `main` gives it the adapters, a test gives it fakes (feature `fakes`).

pub mod caller;
pub mod chat;
mod classify;
mod environment;
pub mod executions;
pub mod fence_periods;
pub mod fence_records;
#[cfg(feature = "fakes")]
pub mod fixtures;
pub mod invoke;
pub mod metrics;
pub mod opening_secrets;
pub mod plan_key;
#[cfg(feature = "chain")]
pub mod price_list;
pub mod prices;
pub mod rds;
pub mod records;
pub mod recoveries;
pub mod route53;
mod route53_role;
pub mod secret_form;
pub mod secret_target;
pub mod secrets;
#[cfg(feature = "chain")]
pub mod stacks;
pub mod topic;
pub mod wake;
pub mod zone_facts;

pub use environment::Aws;

/// The result of every call of AWS: a value, or an error that the state machine knows.
pub type AwsResult<T> = Result<T, rewind_core::StepError>;
