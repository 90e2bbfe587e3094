//! Events of MySQL's event scheduler, which run on the writer as long as the scheduler is on.

use super::connection::MysqlConnection;
use super::quote::identifier;
use crate::engine::jobs::{Job, JobKind, JobOperations};
use crate::engine::{Connection, Row};
use crate::error::StatementError;

impl JobOperations for MysqlConnection {
    /// None: one connection sees the events of all schemas.
    async fn job_databases(&self, _: Option<&str>) -> Result<Vec<String>, StatementError> {
        Ok(Vec::new())
    }

    async fn enabled_jobs(&self) -> Result<Vec<Job>, StatementError> {
        // Those in `mysql` are RDS's own and keep its statistics.
        let rows = self
            .rows(
                "SELECT event_schema, event_name FROM information_schema.events \
                 WHERE status = 'ENABLED' AND event_schema NOT IN ('mysql', 'sys') ORDER BY 1, 2",
            )
            .await?;
        let read = |row: Row| {
            let [database, name] = <[_; 2]>::try_from(row).ok()?;
            Some(Job { kind: JobKind::Event, database: database?, name: name?, number: None })
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    /// None: the master user sees the events of all schemas.
    async fn hidden_jobs(&self) -> Result<Option<String>, StatementError> {
        Ok(None)
    }

    async fn idle_kinds(&self) -> Result<Vec<JobKind>, StatementError> {
        let scheduler = self.values("SELECT @@global.event_scheduler").await?;
        let is_off = scheduler.first().is_some_and(|value| value != "ON" && value != "1");
        Ok(is_off.then_some(JobKind::Event).into_iter().collect())
    }

    fn switch(&self, job: &Job, on: bool) -> String {
        let state = if on { "ENABLE" } else { "DISABLE" };
        format!("ALTER EVENT {}.{} {state}", identifier(&job.database), identifier(&job.name))
    }
}
