//! Jobs that a restored server would run by itself: listed, held, released. Events, jobs of pg_cron and subscriptions are
//! restored with the data, enabled as they were, and begin to write as soon as the server runs.
//!
//! In order: [`list_jobs`] reads them; the caller stores what it read **before** anything is changed; [`hold_job`] switches one
//! off, and [`release_job`] on again. Each may be run again.

use crate::engine::JobOperations;
use crate::error::{ConnectError, StatementError};
use crate::server::Server;
use crate::session::{Session, on_engine};
use rewind_core::{StepError, timeouts};

pub use crate::engine::jobs::{Job, JobKind};

/// The jobs of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Jobs {
    /// Those that are enabled.
    pub enabled: Vec<Job>,
    /// The kinds of which the server runs none: its event scheduler is off, or it was started to run none.
    pub idle: Vec<JobKind>,
    /// Reasons why some could not be seen.
    pub notes: Vec<String>,
}

/// A database without jobs. A server whose pg_cron is told that its jobs are there runs none, and jobs can be switched meanwhile:
/// where the library is not loaded, the table's trigger refuses that.
pub const NO_CRON_DATABASE: &str = "rdsadmin";

/// Lists the enabled jobs. `session` is in any database of `server`; `cron` is the database of pg_cron where the server was told of
/// [`NO_CRON_DATABASE`].
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when the database does not respond.
pub async fn list_jobs(server: &Server, session: &Session, cron: Option<&str>) -> Result<Jobs, StepError> {
    let mut jobs = on_engine!(session, connection => {
        Jobs {
            enabled: connection.enabled_jobs().await?,
            idle: connection.idle_kinds().await?,
            notes: Vec::new(),
        }
    });
    let databases = on_engine!(session, connection => connection.job_databases(cron).await?);
    for database in databases {
        match server.open(&database).await {
            Ok(session) => {
                let there = on_engine!(session, connection => match connection.enabled_jobs().await {
                    Ok(there) => connection.hidden_jobs().await.map(|hidden| (there, hidden)),
                    Err(error) => Err(error),
                });
                session.close().await;
                match there {
                    Ok((there, hidden)) => {
                        jobs.enabled.extend(there);
                        jobs.notes.extend(hidden);
                    }
                    // Whoever may not read them cannot switch them off either, and people have to know.
                    Err(StatementError::Refused(why)) => {
                        jobs.notes.push(format!("the jobs of pg_cron in {database} could not be read: {why}"));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            Err(ConnectError::Failed(error)) => return Err(error),
            Err(error) => {
                let why = StepError::from(error);
                jobs.notes.push(format!("the jobs of pg_cron in {database} could not be read: {why}"));
            }
        }
    }
    // Subscriptions are seen from every database.
    jobs.enabled.sort_unstable();
    jobs.enabled.dedup();
    Ok(jobs)
}

/// Switches a job off; returns the reason where the server refuses that.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when the database does not respond.
pub async fn hold_job(server: &Server, job: &Job) -> Result<Option<String>, StepError> {
    switch(server, job, false).await
}

/// Switches a job on again; returns the reason where the server refuses that.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when the database does not respond.
pub async fn release_job(server: &Server, job: &Job) -> Result<Option<String>, StepError> {
    switch(server, job, true).await
}

/// The statement that releases a job, for a person. It is run in the job's database.
pub fn release_statement(session: &Session, job: &Job) -> String {
    on_engine!(session, connection => connection.switch(job, true))
}

async fn switch(server: &Server, job: &Job, on: bool) -> Result<Option<String>, StepError> {
    let session = match server.open(&job.database).await {
        Ok(session) => session,
        Err(ConnectError::Failed(error)) => return Err(error),
        Err(error) => return Ok(Some(StepError::from(error).to_string())),
    };
    let switched = on_engine!(session, connection => {
        use crate::engine::Connection as _;
        connection.execute(&connection.switch(job, on)).await
    });
    session.close().await;
    match switched {
        Ok(()) => Ok(None),
        // A session that is lost is an error of the step, which is repeated; a refusal is for the report.
        Err(error) => error.into_reason(timeouts::STATEMENT).map(Some),
    }
}
