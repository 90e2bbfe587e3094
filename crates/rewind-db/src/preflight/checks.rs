//! Every check of the request, prepared on the source and run there once within a bound.

use crate::engine::preflight::{Description, PreflightOperations, Refusal};
use crate::engine::{QueryLimits, QueryResult};
use crate::error::{DatabaseError, StatementError};
use crate::session::{Session, on_engine};
use rewind_core::{Check, Expectation, Finding, FindingCode, StepError, timeouts, type_fault};
use std::time::{Duration, Instant};

/// The bounds of one check's run on the source.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'a> {
    /// The time that the run gets; none to prepare the check alone.
    pub run_for: Option<Duration>,
    /// The time that it gets on the restored cluster.
    pub check_timeout: Duration,
    /// The server that it runs on, for people.
    pub server: &'a str,
}

/// Prepares `check` on the source and runs it once, within the bound of `trial`.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when the database does not respond.
pub async fn check_findings(session: &Session, check: &Check, trial: Trial<'_>) -> Result<Vec<Finding>, StepError> {
    on_engine!(session, connection => check_findings_on(connection, check, trial).await)
}

/// The finding about a database that the source does not have.
pub fn database_missing(check: &Check) -> Finding {
    Finding::warning(
        FindingCode::CheckDatabase,
        format!("check \"{}\": the database {} is not on the source now", check.name, check.database),
        "if the mistake dropped it, that is right; otherwise correct its name",
    )
}

/// The result of the run.
enum Run {
    Skipped,
    Answered(QueryResult, Duration),
    TooLong(Duration),
}

async fn check_findings_on<C: PreflightOperations>(
    connection: &C,
    check: &Check,
    trial: Trial<'_>,
) -> Result<Vec<Finding>, StepError> {
    if !connection.is_guarded(&check.sql) {
        return Ok(vec![wrong(
            check,
            "it is no query",
            "begin it with SELECT, WITH, VALUES, TABLE, SHOW or EXPLAIN".to_owned(),
        )]);
    }
    let statement = trial.run_for.unwrap_or(timeouts::CHECK_LOCK);
    connection.begin_read_only(QueryLimits { statement, lock: timeouts::CHECK_LOCK, row_security: true }).await?;
    let tried = try_out(connection, check, trial).await;
    connection.end_read_only().await?;
    match tried {
        Ok(findings) => Ok(findings),
        Err(StatementError::Refused(error)) => refused(connection, check, &error).await.map(|finding| vec![finding]),
        // The preparation alone took that long, so somebody holds a lock.
        Err(StatementError::TimedOut) => Ok(vec![locked(check)]),
        Err(StatementError::Disconnected(error)) => Err(error),
    }
}

async fn try_out<C: PreflightOperations>(
    connection: &C,
    check: &Check,
    trial: Trial<'_>,
) -> Result<Vec<Finding>, StatementError> {
    if let Some(denial) = connection.denial_of_database().await? {
        return Ok(vec![wrong(check, &denial, "name the function in CheckFunctions if it acts on nothing".to_owned())]);
    }
    let description = connection.describe(&check.sql).await?;
    let mut findings = described(check, &description);
    if findings.iter().any(Finding::is_blocking) {
        return Ok(findings);
    }
    if let Some(denial) = connection.denial(&check.sql).await? {
        return Ok(vec![wrong(check, &denial, "correct the check".to_owned())]);
    }
    let run = run(connection, check, trial).await?;
    findings.extend(run_findings(check, &run, trial));
    Ok(findings)
}

async fn run<C: PreflightOperations>(connection: &C, check: &Check, trial: Trial<'_>) -> Result<Run, StatementError> {
    let Some(limit) = trial.run_for else { return Ok(Run::Skipped) };
    let started = Instant::now();
    match connection.query_examined(&check.sql, 1, limit).await {
        Ok(result) => Ok(Run::Answered(result, started.elapsed())),
        Err(StatementError::TimedOut) => Ok(Run::TooLong(limit)),
        Err(error) => Err(error),
    }
}

/// Compares the columns with what verify reads: the first one.
fn described(check: &Check, description: &Description) -> Vec<Finding> {
    let name = &check.name;
    if description.parameters > 0 {
        return vec![wrong(check, "it has placeholders", "write the values into the SQL".to_owned())];
    }
    let Some(first) = description.columns.first() else {
        return vec![Finding::blocking(
            FindingCode::CheckColumns,
            format!("check \"{name}\" answers no column"),
            "write one query that answers one value",
        )];
    };
    let mut findings: Vec<Finding> = type_fault(check, first.kind, &first.type_name).into_iter().collect();
    let columns = description.columns.len();
    if columns > 1 {
        findings.push(Finding::warning(
            FindingCode::CheckColumns,
            format!("check \"{name}\" answers {columns} columns, and only the first is compared"),
            "select the one value that is to be compared",
        ));
    }
    findings
}

fn run_findings(check: &Check, run: &Run, Trial { check_timeout, server, .. }: Trial<'_>) -> Vec<Finding> {
    let name = &check.name;
    let timeout = check_timeout.as_secs();
    let (result, took) = match run {
        Run::Skipped => {
            return vec![Finding::warning(
                FindingCode::CheckSlow,
                format!("check \"{name}\" was prepared and not run: the time for trying checks was used up"),
                format!("make sure that it ends within `checkTimeout`, {timeout} s"),
            )];
        }
        Run::TooLong(limit) => {
            return vec![Finding::warning(
                FindingCode::CheckSlow,
                format!("check \"{name}\" took longer than {} s on {server}, and was stopped there", limit.as_secs()),
                format!(
                    "it has {timeout} s on the restored cluster: make it faster, or give it a longer `checkTimeout`"
                ),
            )];
        }
        Run::Answered(result, took) => (result, took),
    };
    let mut findings = Vec::new();
    // The restored cluster has nothing in memory yet, so the same query is slower there.
    if *took > check_timeout / 2 {
        findings.push(Finding::warning(
            FindingCode::CheckSlow,
            format!(
                "check \"{name}\" took {:.1} s on {server}, of a `checkTimeout` of {timeout} s",
                took.as_secs_f64()
            ),
            "give it a longer `checkTimeout`: the restored cluster reads everything from storage first",
        ));
    }
    if result.total > 1 {
        findings.push(Finding::warning(
            FindingCode::CheckColumns,
            format!("check \"{name}\" answers {} rows on the source, and a check has one", result.total),
            "make sure that it answers one row on the restored cluster",
        ));
    }
    let value = result.rows.first().and_then(|row| row.first()).and_then(Option::as_ref);
    if let (Some(value), Expectation::AtLeast(_) | Expectation::AtMost(_)) = (value, &check.expectation)
        && let Err(Some(_)) = check.expectation.met_by(Some(value))
    {
        findings.push(Finding::blocking(
            FindingCode::CheckType,
            format!("check \"{name}\" has a bound ({}), and its answer on the source is no number", check.expectation),
            "select a number, such as `count(*)`, or write `expect`",
        ));
    }
    findings
}

async fn refused<C: PreflightOperations>(
    connection: &C,
    check: &Check,
    error: &DatabaseError,
) -> Result<Finding, StepError> {
    let (name, database) = (&check.name, &check.database);
    Ok(match connection.refusal(error) {
        // What the mistake dropped is missing here, and there again on the restored cluster.
        Refusal::ObjectMissing => Finding::warning(
            FindingCode::CheckObjectMissing,
            format!("check \"{name}\" reads what is not on the source now, in {database}: {error}"),
            "if the mistake dropped it, that is right; otherwise correct the check",
        ),
        Refusal::ColumnMissing if connection.may_have_lost_a_column(&check.sql).await? => Finding::warning(
            FindingCode::CheckObjectMissing,
            format!("check \"{name}\" reads a column that is not on the source now, in {database}: {error}"),
            "if the mistake dropped it, that is right; otherwise correct the check",
        ),
        Refusal::Locked => locked(check),
        Refusal::ColumnMissing => wrong(
            check,
            &error.to_string(),
            "correct the column; if the mistake dropped it, leave the check out and look at the restored cluster"
                .to_owned(),
        ),
        Refusal::Wrong => wrong(check, &error.to_string(), "correct the check".to_owned()),
    })
}

fn wrong(check: &Check, why: &str, fix: String) -> Finding {
    let what = format!("check \"{}\" cannot run in {}: {why}", check.name, check.database);
    Finding::blocking(FindingCode::CheckRefused, what, fix)
}

fn locked(check: &Check) -> Finding {
    Finding::warning(
        FindingCode::CheckSlow,
        format!("check \"{}\" could not be tried on the source: somebody holds a lock on what it reads", check.name),
        "see which session holds it; the restored cluster has no such lock",
    )
}
