//! The only crate that names aws-sdk types: narrow ports, their adapters, and what AWS's errors mean to a recovery.
//!
//! A step depends on the traits here; `main` gives it the adapters, a test gives it fakes (feature `fakes`).

#[cfg(feature = "chat")]
pub mod chat;
mod classify;
mod environment;
#[cfg(feature = "executions")]
pub mod executions;
#[cfg(feature = "fakes")]
pub mod fixtures;
#[cfg(feature = "invoke")]
pub mod invoke;
#[cfg(feature = "rds")]
pub mod rds;
#[cfg(feature = "records")]
pub mod records;
#[cfg(feature = "recoveries")]
pub mod recoveries;
#[cfg(feature = "route53")]
pub mod route53;
#[cfg(feature = "route53")]
mod route53_role;
#[cfg(feature = "secrets")]
pub mod secrets;
#[cfg(feature = "topic")]
pub mod topic;

pub use environment::Aws;

/// What every port answers.
pub type Answer<T> = Result<T, rewind_core::StepError>;
