//! The checks of a recovery, run on the rewound data and on the source side by side. The source is shown, never judged.

use crate::engine::{QueryLimits, Table};
use crate::server::Server;
use crate::sides::Sides;
use rewind_core::{Check, CheckResult, QueryResult, StepError, TableCount, timeouts};
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
    /// Waiting for a lock.
    pub lock: Duration,
    /// Counting one table.
    pub count: Duration,
    /// Counting all tables: what is left then is reported as not counted.
    pub all_counts: Duration,
}

impl CheckLimits {
    /// Limits for a report that depends on the source too: it gets the time that the rewound data gets.
    #[must_use]
    pub fn for_equal_sides() -> Self {
        let limits = Self::default();
        Self { source_check: limits.check, ..limits }
    }
}

impl Default for CheckLimits {
    fn default() -> Self {
        Self {
            check: timeouts::CHECK,
            source_check: timeouts::CHECK_ON_SOURCE,
            all_checks: timeouts::CHECKING,
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

/// Runs the checks on the rewound data and, where it is given, on the source.
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
    let mut sides = Sides::new(restored, source);
    let deadline = Instant::now() + limits.all_checks;
    let mut results = Vec::new();
    for check in checks {
        let left = time_left(deadline);
        if left.is_zero() {
            results.push(CheckResult::judge(check, unasked("the time for all checks was used up before it"), None));
            continue;
        }
        let bounded =
            |limit: Duration| QueryLimits { statement: limit.min(left), lock: limits.lock, row_security: true };
        let pair = sides.database(&check.database).await?;
        // At the same time: both then see the application at the same moment, and the source costs no time of its own.
        let (restored, source) = tokio::join!(
            pair.restored.query_one(&check.sql, bounded(limits.check)),
            pair.source.query_one(&check.sql, bounded(limits.source_check))
        );
        let source = sides.source_result(&check.database, source);
        results.push(CheckResult::judge(check, restored?.unwrap_or_else(|| unasked("it was not asked")), source));
    }
    // After all checks: counts are shown beside them, and must not take their time.
    let tables = count_tables(&mut sides, checks, limits).await?;
    let notes = sides.close().await;
    Ok(Findings { checks: results, tables, notes })
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
