//! The checks of a recovery, run on the rewound data and on the source side by side. The source is shown, never judged.

use crate::engine::{QueryLimits, Table};
use crate::error::STOPPED;
use crate::server::Server;
use crate::sides::{Side, Sides};
use futures_util::{StreamExt, stream};
use rewind_core::{Check, CheckResult, QueryResult, StepError, TableCount, timeouts};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time limits of checks and counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckLimits {
    /// Each check.
    pub check: Duration,
    /// Each check on the source, which is only shown: it must not hold up what is judged.
    pub source_check: Duration,
    /// All checks: what is left then has failed, with that as its reason.
    pub all_checks: Duration,
    /// The number of checks that run side by side.
    pub at_once: usize,
    /// The same on the source, which has clients.
    pub source_at_once: usize,
    /// Waiting for a lock.
    pub lock: Duration,
    /// Counting one table.
    pub count: Duration,
    /// Counting all tables: what is left then is reported as not counted.
    pub all_counts: Duration,
}

impl CheckLimits {
    /// Limits with so much time for each check on the rewound data.
    #[must_use]
    pub fn with_check(check: Duration) -> Self {
        let limits = Self::default();
        Self { check, source_check: limits.source_check.min(check), ..limits }
    }

    /// Limits for a report that depends on the source too: it gets the time that the rewound data gets.
    #[must_use]
    pub fn for_equal_sides(self) -> Self {
        Self { source_check: self.check, source_at_once: self.at_once, ..self }
    }
}

impl Default for CheckLimits {
    fn default() -> Self {
        Self {
            check: timeouts::CHECK,
            source_check: timeouts::CHECK_ON_SOURCE,
            all_checks: timeouts::CHECKING,
            at_once: timeouts::CHECKS_AT_ONCE,
            source_at_once: timeouts::CHECKS_AT_ONCE_ON_SOURCE,
            lock: timeouts::CHECK_LOCK,
            count: timeouts::COUNT,
            all_counts: timeouts::COUNTING,
        }
    }
}

/// The results of checks and counts on both sides.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    /// The checks, in the order they were given.
    pub checks: Vec<CheckResult>,
    /// The tables that the checks read.
    pub tables: Vec<TableCount>,
    /// Problems with the source as a whole.
    pub notes: Vec<String>,
}

/// Runs the checks on the rewound data and, where it is given, on the source: several at a time on each.
///
/// Nothing about the source is an error: it may be what the recovery is for.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when the server with the rewound data does not respond.
pub async fn run_checks(
    restored: &Server,
    source: Option<&Server>,
    checks: &[Check],
    limits: &CheckLimits,
) -> Result<Findings, StepError> {
    let deadline = Instant::now() + limits.all_checks;
    let run = |check: Duration, at_once: usize| Run { check, at_once, lock: limits.lock, deadline };
    // Each side at its own pace: the source has clients, and must not hold up what is judged.
    let (on_restored, on_source) = tokio::join!(ask_all(restored, checks, run(limits.check, limits.at_once)), async {
        match source {
            Some(server) => ask_all(server, checks, run(limits.source_check, limits.source_at_once)).await,
            None => Answers::default(),
        }
    });
    let mut notes = Vec::new();
    let mut lost = BTreeMap::new();
    let mut on_source = on_source.into_iter();
    let mut results = Vec::new();
    for (check, answer) in checks.iter().zip(on_restored) {
        let found = answer.map_err(Lost::into_error)?;
        let source = on_source.next().map(|answer| match answer {
            Ok(found) => found,
            Err(Lost { doing, reason, error }) => {
                notes.push(format!("the source {doing} in {}: {error}", check.database));
                lost.insert(check.database.clone(), reason.to_owned());
                unasked(reason)
            }
        });
        results.push(CheckResult::judge(check, with_advice(found), source));
    }
    // After all checks: counts are shown beside them, and must not take their time.
    let mut sides = Sides::new(restored, source, lost);
    let tables = count_tables(&mut sides, checks, limits).await?;
    notes.extend(sides.close().await);
    Ok(Findings { checks: results, tables, notes })
}

/// Counts all tables of people on either side of a backtrack, as far as the time for it goes: for data that has to be the same on both
/// where no check has compared anything. Both are entered by `database`.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when a server does not respond.
pub async fn count_all_tables(
    restored: &Server,
    source: &Server,
    database: &str,
    limits: &CheckLimits,
) -> Result<(Vec<TableCount>, Vec<String>), StepError> {
    let deadline = Instant::now() + limits.all_counts;
    let mut sides = Sides::new(restored, Some(source), BTreeMap::new());
    let pair = sides.database(database).await?;
    let (on_restored, on_source) = (pair.restored.tables().await?, pair.source.tables().await?);
    // A table that one side lacks is counted on the other alone, which is a difference.
    let tables: BTreeSet<Table> = on_restored.into_iter().chain(on_source).collect();
    let mut counts = Vec::new();
    for table in &tables {
        if time_left(deadline).is_zero() {
            sides.note(format!("{} tables were not counted: the time for it was used up", tables.len() - counts.len()));
            break;
        }
        let counted = count_table(&mut sides, database, table, limits, deadline).await?;
        // A session on MySQL sees all databases, and a schema is one.
        counts.push(TableCount { database: table.schema.clone(), ..counted });
    }
    Ok((counts, sides.close().await))
}

/// The bounds of all checks on one server.
#[derive(Clone, Copy)]
struct Run {
    check: Duration,
    lock: Duration,
    at_once: usize,
    deadline: Instant,
}

/// The results on one server, in the order of the checks.
type Answers = Vec<Result<QueryResult, Lost>>;

/// A server that did not answer a check.
struct Lost {
    doing: &'static str,
    reason: &'static str,
    error: StepError,
}

impl Lost {
    fn into_error(self) -> StepError {
        self.error
    }
}

async fn ask_all(server: &Server, checks: &[Check], run: Run) -> Answers {
    let lost = Mutex::new(BTreeSet::new());
    let lost = &lost;
    // Owned, because the stream's work may borrow nothing that lives shorter than itself.
    let asked = stream::iter(checks.to_vec()).map(|check| async move { ask(server, &check, run, lost).await });
    asked.buffered(run.at_once.max(1)).collect().await
}

/// Runs one check in a session of its own. Databases in `lost` did not answer before, and are not asked again.
async fn ask(server: &Server, check: &Check, run: Run, lost: &Mutex<BTreeSet<String>>) -> Result<QueryResult, Lost> {
    const SILENT: &str = "it does not answer";
    let left = time_left(run.deadline);
    if left.is_zero() {
        return Ok(unasked("the time for all checks was used up before it"));
    }
    // Otherwise each further check would wait its whole time for a server that is gone.
    if lost.lock().unwrap_or_else(PoisonError::into_inner).contains(&check.database) {
        return Ok(unasked(SILENT));
    }
    let side = match Side::connect(server, &check.database).await {
        Ok(side) => side,
        Err(error) => {
            let is_first = lost.lock().unwrap_or_else(PoisonError::into_inner).insert(check.database.clone());
            // Several may have been connecting at the same time: one of them reports it.
            return match is_first {
                true => Err(Lost { doing: "could not be asked", reason: SILENT, error }),
                false => Ok(unasked(SILENT)),
            };
        }
    };
    let limits = QueryLimits { statement: run.check.min(left), lock: run.lock, row_security: true };
    let answer = side.query_one(&check.sql, limits).await;
    side.close().await;
    match answer {
        Ok(found) => Ok(found.unwrap_or_else(|| unasked("it was not asked"))),
        Err(error) => Err(Lost { doing: "stopped answering", reason: "it stopped answering", error }),
    }
}

/// Names the field of the request that gives a check more time, where it took too long.
fn with_advice(found: QueryResult) -> QueryResult {
    let value = found.value.map_err(|reason| match reason.starts_with(STOPPED) {
        true => format!("{reason}: `checkTimeout` gives it longer, up to 10m"),
        false => reason,
    });
    QueryResult { value, ..found }
}

/// The time until `deadline`, in the whole milliseconds that a database counts in: less is none.
fn time_left(deadline: Instant) -> Duration {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.as_millis() == 0 { Duration::ZERO } else { left }
}

fn unasked(reason: &str) -> QueryResult {
    QueryResult { value: Err(reason.to_owned()), seconds: 0.0 }
}

/// Counts the tables that the checks read: those that the rewound data names, or the source where it alone can tell.
async fn count_tables(
    sides: &mut Sides<'_>,
    checks: &[Check],
    limits: &CheckLimits,
) -> Result<Vec<TableCount>, StepError> {
    let deadline = Instant::now() + limits.all_counts;
    let mut counts: Vec<TableCount> = Vec::new();
    for check in checks {
        // Finding the tables is a part of counting them: a plan can take long too.
        let left = time_left(deadline);
        if left.is_zero() {
            sides.note(format!("the tables of \"{}\" were not counted: the time for it was used up", check.name));
            continue;
        }
        let plan = QueryLimits { statement: limits.count.min(left), lock: limits.lock, row_security: true };
        let pair = sides.database(&check.database).await?;
        let mut tables = pair.restored.tables_read_by(&check.sql, plan).await?;
        if tables.is_empty() {
            // A broken session shows when the tables are counted.
            tables = pair.source.tables_read_by(&check.sql, plan).await.unwrap_or_default();
        }
        for table in tables {
            let name = table.display();
            if counts.iter().any(|count| count.database == check.database && count.table == name) {
                continue;
            }
            counts.push(count_table(sides, &check.database, &table, limits, deadline).await?);
        }
    }
    Ok(counts)
}

async fn count_table(
    sides: &mut Sides<'_>,
    database: &str,
    table: &Table,
    limits: &CheckLimits,
    deadline: Instant,
) -> Result<TableCount, StepError> {
    let left = time_left(deadline);
    let mut counted =
        TableCount { database: database.to_owned(), table: table.display(), restored: None, source: None, note: None };
    if left.is_zero() {
        counted.note = Some("not counted: the time for counting was used up".to_owned());
        return Ok(counted);
    }
    // Without row security: a count of the rows that this user may see would be taken for the number there are.
    let limits = QueryLimits { statement: limits.count.min(left), lock: limits.lock, row_security: false };
    let pair = sides.database(database).await?;
    let (restored, source) =
        tokio::join!(pair.restored.count_rows(table, limits), pair.source.count_rows(table, limits));
    let source = sides.source_result(database, source);
    let mut notes = Vec::new();
    match restored? {
        Some(Ok(rows)) => counted.restored = Some(rows),
        Some(Err(why)) => notes.push(format!("restored: {why}")),
        None => {}
    }
    match source {
        Some(Ok(rows)) => counted.source = Some(rows),
        Some(Err(why)) => notes.push(format!("source: {why}")),
        None => notes.push("source: not asked".to_owned()),
    }
    counted.note = (!notes.is_empty()).then(|| notes.join("; "));
    Ok(counted)
}
