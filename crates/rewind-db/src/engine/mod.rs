//! The operations that every engine implements, and the values that they exchange. No engine is known here.
//!
//! `postgresql` and `mysql` each implement its traits for their connection. Everything above them (checks, counts, the
//! fence) is written once, against the traits; [`crate::session::on_engine`] is the one place that chooses.

pub(crate) mod compare;
pub(crate) mod connection;
pub(crate) mod identity;
pub(crate) mod jobs;
pub mod login_state;
pub(crate) mod logins;
pub(crate) mod opening;
pub(crate) mod preflight;
pub(crate) mod queries;
pub mod record;
pub(crate) mod reserved;
pub(crate) mod sessions;
pub(crate) mod writes;

pub(crate) use connection::{Connection, QueryResult, Row};
pub(crate) use jobs::JobOperations;
pub(crate) use logins::LoginOperations;
pub(crate) use queries::{Counter, QueryLimits, QueryOperations, Table};
pub(crate) use sessions::{ClientSession, SessionOperations};
pub(crate) use writes::WriteOperations;

/// How a cluster of an engine is reached where nobody says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defaults {
    /// The port.
    pub port: u16,
    /// The master user.
    pub user: &'static str,
    /// The database to try a login in first: every cluster has it unless somebody dropped it.
    pub first_database: &'static str,
    /// The database that the fence works from and leaves open: every cluster has it, and nobody can drop it.
    pub maintenance_database: &'static str,
}
