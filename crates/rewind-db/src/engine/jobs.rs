//! Jobs that a server runs by itself, without anybody being connected: events, jobs of pg_cron, subscriptions.

use super::connection::Connection;
use crate::error::StatementError;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The kind of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum JobKind {
    /// An event of MySQL's event scheduler.
    Event,
    /// A job of pg_cron.
    Cron,
    /// A subscription of PostgreSQL's logical replication.
    Subscription,
}

impl JobKind {
    /// The word for it in a report.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Cron => "cron",
            Self::Subscription => "subscription",
        }
    }
}

/// A job that is enabled.
// It is recorded before it is held, so that whoever releases it knows which jobs ran before and leaves the others off.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// The kind.
    pub kind: JobKind,
    /// The database in which it is changed; on MySQL its schema.
    pub database: String,
    /// The name; of a cron job without a name its number.
    pub name: String,
    /// The number of a cron job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<i64>,
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            JobKind::Event => write!(f, "{}.{}", self.database, self.name),
            JobKind::Cron | JobKind::Subscription => write!(f, "{} in {}", self.name, self.database),
        }
    }
}

/// The jobs of an engine. All of it can be done with a master user's rights, and is repeated without harm.
pub(crate) trait JobOperations: Connection {
    /// The databases in which jobs may be, besides the one of this connection; none where one connection sees all.
    /// `cron` is the database of pg_cron where the server is told of another.
    fn job_databases(&self, cron: Option<&str>) -> impl Future<Output = Result<Vec<String>, StatementError>> + Send;

    /// The jobs that are enabled, as far as this connection sees them.
    fn enabled_jobs(&self) -> impl Future<Output = Result<Vec<Job>, StatementError>> + Send;

    /// The reason why jobs of this connection's database may be hidden from it; none where it sees all.
    fn hidden_jobs(&self) -> impl Future<Output = Result<Option<String>, StatementError>> + Send;

    /// The kinds of which the server has been told to run none, whatever each job says.
    fn idle_kinds(&self) -> impl Future<Output = Result<Vec<JobKind>, StatementError>> + Send;

    /// The statement that switches a job on or off, in the job's database.
    fn switch(&self, job: &Job, on: bool) -> String;
}
