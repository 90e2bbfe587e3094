//! Subscriptions and the jobs of pg_cron, which PostgreSQL runs in the background as soon as it has started.

use super::connection::PostgresqlConnection;
use super::quote::{identifier, literal};
use crate::engine::jobs::{Job, JobKind, JobOperations};
use crate::engine::{Connection, Row};
use crate::error::StatementError;
use crate::jobs::NO_CRON_DATABASE;

/// Answers a row where this database has the jobs of pg_cron. A table that somebody else named so is none: reading it as the master
/// user would run what its owner put behind the name, and so would switching its rows.
pub(super) const HAS_CRON: &str = "SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles o ON o.oid = c.relowner \
    WHERE c.oid = pg_catalog.to_regclass('cron.job') AND c.relkind = 'r' \
    AND (o.rolsuper OR o.rolname = current_user OR EXISTS (SELECT FROM pg_catalog.pg_depend d \
    JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass \
    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e' \
    AND e.extname = 'pg_cron'))";

/// Answers a sentence where row-level security shows the user some jobs of pg_cron alone: by its own policy those that the user
/// scheduled. Of the others it gives no error, and no sign.
pub(super) const HIDDEN_CRON: &str = "SELECT 'pg_cron jobs in ' || pg_catalog.current_database() || ' that users other than ' \
    || current_user || ' scheduled: row-level security of cron.job hides them' FROM pg_catalog.pg_class c \
    WHERE c.oid = pg_catalog.to_regclass('cron.job') AND pg_catalog.row_security_active(c.oid)";

impl JobOperations for PostgresqlConnection {
    /// The database of pg_cron alone: subscriptions are seen from any.
    async fn job_databases(&self, cron: Option<&str>) -> Result<Vec<String>, StatementError> {
        // The setting is there where the library is loaded; without it nothing runs the jobs.
        self.values(&format!(
            "SELECT d.datname FROM pg_catalog.pg_database d WHERE d.datallowconn AND d.datconnlimit <> -2 \
             AND d.datname IN (nullif(pg_catalog.current_setting('cron.database_name', true), ''), {}) AND d.datname <> {}",
            cron.map_or_else(|| "NULL".to_owned(), literal),
            literal(NO_CRON_DATABASE),
        ))
        .await
    }

    async fn enabled_jobs(&self) -> Result<Vec<Job>, StatementError> {
        let mut jobs = Vec::new();
        let subscriptions = self
            .rows(
                "SELECT d.datname, s.subname FROM pg_catalog.pg_subscription s \
                 JOIN pg_catalog.pg_database d ON d.oid = s.subdbid WHERE s.subenabled ORDER BY 1, 2",
            )
            .await?;
        let read = |row: Row| {
            let [database, name] = <[_; 2]>::try_from(row).ok()?;
            Some(Job { kind: JobKind::Subscription, database: database?, name: name?, number: None })
        };
        jobs.extend(subscriptions.into_iter().filter_map(read));
        // Asked for first: the table is there only where the extension was created.
        if self.values(HAS_CRON).await?.is_empty() {
            return Ok(jobs);
        }
        let crons = self
            .rows(
                "SELECT pg_catalog.current_database(), coalesce(nullif(j.jobname, ''), 'job ' || j.jobid), j.jobid \
                 FROM cron.job j WHERE j.active ORDER BY j.jobid",
            )
            .await?;
        let read = |row: Row| {
            let [database, name, number] = <[_; 3]>::try_from(row).ok()?;
            Some(Job { kind: JobKind::Cron, database: database?, name: name?, number: number?.parse().ok() })
        };
        jobs.extend(crons.into_iter().filter_map(read));
        Ok(jobs)
    }

    async fn hidden_jobs(&self) -> Result<Option<String>, StatementError> {
        if self.values(HAS_CRON).await?.is_empty() {
            return Ok(None);
        }
        Ok(self.values(HIDDEN_CRON).await?.into_iter().next())
    }

    /// By settings that are read at the start alone.
    async fn idle_kinds(&self) -> Result<Vec<JobKind>, StatementError> {
        let idle = self
            .values(&format!(
                "SELECT 'subscription' WHERE pg_catalog.current_setting('max_logical_replication_workers') = '0' \
                 UNION ALL SELECT 'cron' WHERE pg_catalog.current_setting('cron.database_name', true) = {}",
                literal(NO_CRON_DATABASE)
            ))
            .await?;
        let kinds = [JobKind::Subscription, JobKind::Cron].into_iter();
        Ok(kinds.filter(|kind| idle.iter().any(|word| word == kind.word())).collect())
    }

    fn switch(&self, job: &Job, on: bool) -> String {
        match job.kind {
            JobKind::Cron => format!("UPDATE cron.job SET active = {on} WHERE jobid = {}", job.number.unwrap_or(-1)),
            JobKind::Subscription | JobKind::Event => {
                let state = if on { "ENABLE" } else { "DISABLE" };
                format!("ALTER SUBSCRIPTION {} {state}", identifier(&job.name))
            }
        }
    }
}
