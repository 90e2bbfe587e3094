//! Compares tables between the server with the rewound data and the source: how many rows were inserted, updated and deleted on the
//! source since. It reads both, changes neither, and holds digests alone: 4,096 hashes of each side, and one row of each at a time.

use crate::engine::compare::{CompareOperations, Reading};
use crate::engine::{QueryLimits, QueryOperations, Row, Table};
use crate::error::{ConnectError, STOPPED, StatementError};
use crate::server::Server;
use crate::session::{EngineConnection, Session, on_engine};
use crate::sides::Side;
use rewind_core::comparison::{
    BUCKETS, Buckets, Column, ComparedRows, DigestedRow, Merge, Method, RowChanges, Suspects, TableComparison,
    TableName, TablePlan, TableShape, plan_comparison,
};
use rewind_core::{Clock, StepError, timeouts};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{Receiver, channel};

/// The most tables of one invocation: their results travel in one answer.
const TABLES_AT_ONCE: usize = 500;
/// The most tables of a database that are listed at once: their names are some megabytes.
const TABLES_LISTED: usize = 10_000;
/// The rows of each side that wait to be merged.
const ROWS_WAITING: usize = 256;

/// The time limits of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompareLimits {
    /// All tables of one invocation, and so the most for one table.
    pub budget: Duration,
    /// Waiting for a lock.
    pub lock: Duration,
    /// The most tables of a database that are listed at once, at least one.
    pub tables: usize,
}

impl Default for CompareLimits {
    fn default() -> Self {
        Self { budget: timeouts::COMPARING, lock: timeouts::CHECK_LOCK, tables: TABLES_LISTED }
    }
}

/// The tables to compare, and the time for it.
#[derive(Debug, Clone, Copy)]
pub struct CompareRequest<'a> {
    /// The database in which to ask for the others.
    pub first_database: &'a str,
    /// The first transaction id of the restored server that was not given out when nobody had written to it yet; none where that is not
    /// known, or somebody may have: then all values are compared.
    pub frontier: Option<u64>,
    /// The tables to compare, as [`TableName::is_named`] reads them; all where there are none.
    pub tables: &'a [String],
    /// The table that an earlier invocation came to.
    pub after: Option<&'a TableName>,
    /// The time for it.
    pub limits: CompareLimits,
}

/// The tables that were compared.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Compared {
    /// The tables, by name.
    pub tables: Vec<TableComparison>,
    /// The databases that were not compared, and why.
    pub notes: Vec<String>,
    /// The place in the order of tables up to which all is done, where others are left.
    pub after: Option<TableName>,
}

/// Reads the first transaction id that the server has not given out yet; none on MySQL, whose rows show none.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when the database does not respond.
pub async fn next_transaction(session: &Session) -> Result<Option<u64>, StepError> {
    Ok(on_engine!(session, connection => connection.next_transaction().await)?)
}

/// Compares the tables of people in all databases, one after the other, until all are done or the time is over.
///
/// A table that one side alone has is counted. What a database refuses about a table is the reason why it is not compared.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when a server does not respond.
pub async fn compare_tables(
    (restored, source): (&Server, &Server),
    request: &CompareRequest<'_>,
    clock: &impl Clock,
) -> Result<Compared, StepError> {
    let ends = Instant::now() + request.limits.budget;
    let mut work = Work { request, ends, clock, compared: Compared::default(), last: request.after.cloned() };
    let (on_restored, on_source) =
        tokio::try_join!(databases(restored, request.first_database), databases(source, request.first_database))?;
    // Of both sides, in one order: a database may be on one side alone, and the cursor relies on the order.
    let all: BTreeSet<String> = on_restored.iter().chain(&on_source).cloned().collect();
    for database in all {
        // Databases before the cursor's are done, on MySQL tables of all databases come in one list.
        let of_cursor = request.after.map(|after| after.database.as_str());
        if !database.is_empty() && of_cursor.is_some_and(|of_cursor| database.as_str() < of_cursor) {
            continue;
        }
        let name = if database.is_empty() { request.first_database } else { &database };
        let mut sides = (
            connect(restored, name, on_restored.contains(&database)).await?,
            connect(source, name, on_source.contains(&database)).await?,
        );
        let done = work.compare_database(&database, (&mut sides.0, &mut sides.1)).await;
        // Before an error is passed on, so that the sessions end in either case.
        tokio::join!(sides.0.close(), sides.1.close());
        if !done? {
            break;
        }
    }
    Ok(work.compared)
}

/// The databases that people have; one without a name where every session sees all.
async fn databases(server: &Server, first: &str) -> Result<BTreeSet<String>, StepError> {
    let session = server.open(first).await?;
    let names = on_engine!(session, connection => connection.databases_with_counters().await);
    session.close().await;
    Ok(names?.map_or_else(|| BTreeSet::from([String::new()]), BTreeSet::from_iter))
}

async fn connect(server: &Server, database: &str, exists: bool) -> Result<Side, StepError> {
    if !exists {
        return Ok(Side::Absent);
    }
    match server.open(database).await {
        // A fence closes the databases of PostgreSQL to everybody but superusers, whom RDS gives to nobody.
        Err(ConnectError::DatabaseFull(why)) => Ok(Side::Unavailable(format!("{why}; a fence closes it like that"))),
        Ok(session) => Ok(Side::Connected(Box::new(session))),
        Err(_) => Side::connect(server, database).await,
    }
}

/// A comparison under way.
struct Work<'a, K> {
    request: &'a CompareRequest<'a>,
    ends: Instant,
    clock: &'a K,
    compared: Compared,
    last: Option<TableName>,
}

impl<K: Clock> Work<'_, K> {
    /// Compares the tables of one database; false where some are left.
    async fn compare_database(&mut self, database: &str, sides: (&mut Side, &mut Side)) -> Result<bool, StepError> {
        for (side, which) in [(&*sides.0, "the restored cluster"), (&*sides.1, "the source")] {
            if let Side::Unavailable(why) = side {
                // A note and no error: one closed database is no reason to leave the others uncompared.
                self.compared.notes.push(format!("the database {database} was not compared: on {which} {why}"));
                return Ok(true);
            }
        }
        let (restored, source) = (session_of(sides.0), session_of(sides.1));
        let behind = self.request.after.filter(|after| database.is_empty() || after.database == database);
        let behind =
            behind.map(|TableName { schema, table, .. }| Table { schema: schema.clone(), name: table.clone() });
        let list = async |session| list(session, behind.as_ref(), self.request.limits.tables.max(1)).await;
        let (on_restored, on_source) = tokio::try_join!(list(restored), list(source))?;
        let end = [on_restored.end, on_source.end].into_iter().flatten().min();
        let (on_restored, on_source) = (on_restored.tables, on_source.tables);
        // Without a frontier the history decides nothing, so nobody asks for it.
        let history = match (restored, source) {
            (Some(restored), Some(source)) => {
                self.request.frontier.is_some() && share_history(restored, source).await?
            }
            _ => false,
        };
        let all: BTreeSet<&Table> = on_restored.iter().chain(&on_source).collect();
        for table in all {
            // Behind the end of the shorter list nobody knows whether that side has the table.
            if end.as_ref().is_some_and(|end| table > end) {
                break;
            }
            let name = name_of(database, table);
            if !self.request.tables.is_empty() && !self.request.tables.iter().any(|asked| name.is_named(asked)) {
                continue;
            }
            let left = self.ends.saturating_duration_since(Instant::now());
            // One table is tried in any case: an invocation that compares none would end where it began, and so would the next.
            let is_first = self.compared.tables.is_empty();
            if !is_first && (left < timeouts::COMPARE_AT_LEAST || self.compared.tables.len() >= TABLES_AT_ONCE) {
                self.compared.after.clone_from(&self.last);
                return Ok(false);
            }
            let started = Instant::now();
            let present =
                (restored.filter(|_| on_restored.contains(table)), source.filter(|_| on_source.contains(table)));
            let limits = QueryLimits { statement: left, lock: self.request.limits.lock, row_security: false };
            let frontier = self.request.frontier.filter(|_| history);
            let found = compare_table(present, table, frontier, limits).await?;
            // In the next invocation it has all of the time.
            if matches!(found, Err(Halt::OutOfTime(_))) && !is_first {
                self.compared.after.clone_from(&self.last);
                return Ok(false);
            }
            let (rows, not_compared, notes) = match found {
                Ok((rows, notes)) => (Some(rows), None, notes),
                Err(Halt::OutOfTime(why) | Halt::Refused(why)) => (None, Some(why), Vec::new()),
            };
            let (seconds, at) = (started.elapsed().as_secs_f64(), self.clock.now());
            // A table that could not be compared is done as well: otherwise no later invocation would get past it.
            self.last = Some(name.clone());
            self.compared.tables.push(TableComparison { name, rows, not_compared, notes, seconds, at });
        }
        // The next invocation lists the rest, although none of these tables may have been one to compare.
        self.compared.after = end.map(|end| name_of(database, &end));
        Ok(self.compared.after.is_none())
    }
}

/// The tables of people in a database.
#[derive(Default)]
struct TableList {
    tables: BTreeSet<Table>,
    /// The last table of the list, where it was cut.
    end: Option<Table>,
}

/// Lists the first `most` tables behind `after`; none where the side lacks the database.
async fn list(session: Option<&Session>, after: Option<&Table>, most: usize) -> Result<TableList, StepError> {
    let Some(session) = session else { return Ok(TableList::default()) };
    // One more than wanted shows that there are others.
    let mut tables = on_engine!(session, connection => connection.compared_tables(after, most + 1).await)?;
    let is_cut = tables.len() > most;
    tables.truncate(most);
    let end = is_cut.then(|| tables.last().cloned()).flatten();
    Ok(TableList { tables: tables.into_iter().collect(), end })
}

fn session_of(side: &Side) -> Option<&Session> {
    match side {
        Side::Connected(session) => Some(session),
        Side::Unavailable(_) | Side::Absent => None,
    }
}

fn name_of(database: &str, table: &Table) -> TableName {
    let database = if database.is_empty() { table.schema.clone() } else { database.to_owned() };
    TableName { database, schema: table.schema.clone(), table: table.name.clone() }
}

/// True if the data of one server was copied from the other, so that transactions before the frontier are the same.
async fn share_history(restored: &Session, source: &Session) -> Result<bool, StepError> {
    let id = async |session: &Session| on_engine!(session, connection => connection.history_id().await);
    let (restored, source) = (id(restored).await?, id(source).await?);
    // A cluster that was deleted and made anew has the name of the old one, and transactions of its own.
    Ok(restored.is_some() && restored == source)
}

/// Why a table has no comparison.
enum Halt {
    /// The time was over; with how far it came.
    OutOfTime(String),
    /// Something about the table is in the way.
    Refused(String),
}

/// The rows of a table, and notes.
type Found = Result<(ComparedRows, Vec<String>), Halt>;

async fn compare_table(
    present: (Option<&Session>, Option<&Session>),
    table: &Table,
    frontier: Option<u64>,
    limits: QueryLimits,
) -> Result<Found, StepError> {
    match present {
        (Some(restored), Some(source)) => match (restored.connection(), source.connection()) {
            (EngineConnection::Postgresql(restored), EngineConnection::Postgresql(source)) => {
                compare_both((restored, source), table, frontier, limits).await
            }
            (EngineConnection::Mysql(restored), EngineConnection::Mysql(source)) => {
                compare_both((restored, source), table, frontier, limits).await
            }
            _ => Err(StepError::bug("the two clusters are of two engines")),
        },
        (Some(restored), None) => {
            Ok(on_engine!(restored, connection => count(connection, table, limits).await)?.map(|rows| {
                let changes = RowChanges { deleted: rows, ..RowChanges::default() };
                let found = ComparedRows { changes, method: Method::Counted, restored: rows, source: 0 };
                (found, vec!["the source has no such table any more".to_owned()])
            }))
        }
        (None, Some(source)) => {
            Ok(on_engine!(source, connection => count(connection, table, limits).await)?.map(|rows| {
                let changes = RowChanges { inserted: rows, ..RowChanges::default() };
                let found = ComparedRows { changes, method: Method::Counted, restored: 0, source: rows };
                (found, vec!["the source alone has this table".to_owned()])
            }))
        }
        (None, None) => Err(StepError::bug("a table that neither side has was to be compared")),
    }
}

/// Counts the rows of a table that one side alone has.
async fn count<C: CompareOperations>(
    connection: &C,
    table: &Table,
    limits: QueryLimits,
) -> Result<Result<u64, Halt>, StepError> {
    let shape = connection.shape(table).await?;
    // Rows that no backup holds, or that lie elsewhere, would be counted as if people had inserted or deleted them.
    if let Some(obstacle) = shape.relations.values().find_map(|relation| relation.obstacle.as_ref()) {
        return Ok(Err(Halt::Refused(obstacle.clone())));
    }
    let sql = connection.count_of(table, shape.partitioned);
    let rows = match read(connection, table, &sql, 1, limits).await? {
        Ok(rows) => rows,
        Err(halt) => return Ok(Err(halt)),
    };
    let count = rows.into_iter().next().and_then(|row| row.into_iter().next().flatten());
    Ok(count
        .and_then(|count| count.parse().ok())
        .ok_or_else(|| Halt::Refused("its count could not be read".to_owned())))
}

async fn compare_both<C: CompareOperations>(
    (restored, source): (&C, &C),
    table: &Table,
    frontier: Option<u64>,
    limits: QueryLimits,
) -> Result<Found, StepError> {
    let started = Instant::now();
    let shapes = tokio::try_join!(restored.shape(table), source.shape(table))?;
    let plan = match plan_comparison(&shapes.0, &shapes.1) {
        Ok(plan) => plan,
        Err(why) => return Ok(Err(Halt::Refused(why))),
    };
    // Without a key a row is found by all of its values, so that who wrote it saves no reading.
    let settled_before = frontier.filter(|_| plan.same_layout && !plan.key.is_empty());
    let method = match (settled_before, plan.key.is_empty()) {
        (Some(_), _) => Method::History,
        (None, false) => Method::Values,
        (None, true) => Method::WholeRows,
    };
    let (of_restored, of_source) = (OnSide::new(&plan, &shapes.0), OnSide::new(&plan, &shapes.1));
    let salt = salt()?;
    let readings = (of_restored.reading(table, settled_before, salt), of_source.reading(table, settled_before, salt));
    // The hashes are one row for each bucket, however large the table is.
    let keep = usize::try_from(BUCKETS).unwrap_or(usize::MAX);
    let hashes = (restored.hashes_of(&readings.0), source.hashes_of(&readings.1));
    let (on_restored, on_source) =
        tokio::try_join!(read(restored, table, &hashes.0, keep, limits), read(source, table, &hashes.1, keep, limits))?;
    let buckets = on_restored.and_then(|on_restored| Ok((on_restored, on_source?)));
    let buckets = buckets.and_then(|(on_restored, on_source)| {
        Ok((Buckets::read(on_restored).map_err(Halt::Refused)?, Buckets::read(on_source).map_err(Halt::Refused)?))
    });
    let (on_restored, on_source) = match buckets {
        Ok(buckets) => buckets,
        Err(halt) => return Ok(Err(halt)),
    };
    let suspects = Suspects::of(&on_restored, &on_source);
    let mut changes = suspects.known_beside_reading();
    // Buckets of one side alone are counted already: only those with rows on both are read again.
    if !suspects.differing.is_empty() {
        // Both readings share the time of the table.
        let left = QueryLimits { statement: limits.statement.saturating_sub(started.elapsed()), ..limits };
        let chosen = suspects.to_read();
        let sql = (restored.rows_of(&readings.0, chosen), source.rows_of(&readings.1, chosen));
        let read = merge((restored, source), table, (&sql.0, &sql.1), left).await?;
        let read = match read {
            Ok(read) => read,
            Err(Halt::OutOfTime(why)) => {
                return Ok(Err(Halt::OutOfTime(so_far(&why, &suspects, &on_restored, &on_source))));
            }
            Err(refused) => return Ok(Err(refused)),
        };
        changes.inserted += read.inserted;
        changes.updated += read.updated;
        changes.deleted += read.deleted;
    }
    let rows = ComparedRows { changes, method, restored: on_restored.rows(), source: on_source.rows() };
    Ok(Ok((rows, plan.notes)))
}

/// A number that nobody knows before.
fn salt() -> Result<u64, StepError> {
    getrandom::u64().map_err(|error| StepError::bug(format!("the system gives no random numbers: {error}")))
}

fn so_far(why: &str, suspects: &Suspects, restored: &Buckets, source: &Buckets) -> String {
    format!(
        "{why}: it has {} rows on the restored cluster and {} on the source, and what differs is among {} rows of both, which were \
         not read to their end",
        restored.rows(),
        source.rows(),
        suspects.rows
    )
}

/// The columns of a plan with the types that they have on one side.
struct OnSide {
    partitioned: bool,
    columns: Vec<Column>,
    key: Vec<Column>,
}

impl OnSide {
    fn new(plan: &TablePlan, shape: &TableShape) -> Self {
        // With the type of this side: on MySQL the SQL for a value depends on it.
        let there = |columns: &[Column]| {
            columns
                .iter()
                .filter_map(|column| shape.columns.iter().find(|there| there.name == column.name))
                .cloned()
                .collect()
        };
        Self { partitioned: shape.partitioned, columns: there(&plan.columns), key: there(&plan.key) }
    }

    fn reading<'a>(&'a self, table: &'a Table, settled_before: Option<u64>, salt: u64) -> Reading<'a> {
        Reading { table, partitioned: self.partitioned, columns: &self.columns, key: &self.key, settled_before, salt }
    }
}

/// Runs one of our queries on a table in a transaction of its own, and keeps the first rows of its result.
async fn read<C: CompareOperations>(
    connection: &C,
    table: &Table,
    sql: &str,
    keep: usize,
    limits: QueryLimits,
) -> Result<Result<Vec<Row>, Halt>, StepError> {
    let work = connection.read_compared(sql, keep, limits.statement);
    guarded(connection, table, sql, limits, work).await
}

/// Does `work`, which reads `table` by `sql`, in a transaction that can only read, if nothing planted would run by it.
async fn guarded<C: CompareOperations, T>(
    connection: &C,
    table: &Table,
    sql: &str,
    limits: QueryLimits,
    work: impl Future<Output = Result<T, StatementError>>,
) -> Result<Result<T, Halt>, StepError> {
    if limits.statement.as_millis() == 0 {
        return Ok(Err(Halt::OutOfTime(format!("{STOPPED} its time"))));
    }
    // What was examined is run in the same transaction: on MySQL the lock that keeps a name what it is ends with it.
    connection.begin_comparing(limits).await?;
    let result = match connection.denial_of_reading(table, sql).await {
        Ok(None) => work.await.map_err(|error| halt(error, limits)),
        Ok(Some(denial)) => Err(Ok(Halt::Refused(denial))),
        Err(error) => Err(halt(error, limits)),
    };
    match result {
        Ok(found) => {
            connection.end_read_only().await?;
            Ok(Ok(found))
        }
        Err(Ok(halt)) => {
            connection.end_read_only().await?;
            Ok(Err(halt))
        }
        // The session is lost, and its transaction with it: there is nothing to end.
        Err(Err(error)) => Err(error),
    }
}

/// The meaning of an error for the table, or for the whole comparison where the session is lost.
fn halt(error: StatementError, limits: QueryLimits) -> Result<Halt, StepError> {
    let is_late = matches!(error, StatementError::TimedOut);
    let why = error.into_reason(limits.statement);
    match why {
        Ok(why) if is_late => Ok(Halt::OutOfTime(why)),
        Ok(why) => Ok(Halt::Refused(why)),
        Err(error) => Err(error),
    }
}

/// Reads the rows of both sides at once, in the order of their keys, and counts what differs.
async fn merge<C: CompareOperations>(
    (restored, source): (&C, &C),
    table: &Table,
    (of_restored, of_source): (&str, &str),
    limits: QueryLimits,
) -> Result<Result<RowChanges, Halt>, StepError> {
    // Bounded, so that the faster side waits for the other instead of filling the memory of the function.
    let (send_restored, from_restored) = channel(ROWS_WAITING);
    let (send_source, from_source) = channel(ROWS_WAITING);
    // Each sender ends with its reading: that is the end of the rows for whoever merges them.
    let read_restored = async move {
        let work = restored.send_compared(of_restored, limits.statement, &send_restored);
        guarded(restored, table, of_restored, limits, work).await
    };
    let read_source = async move {
        let work = source.send_compared(of_source, limits.statement, &send_source);
        guarded(source, table, of_source, limits, work).await
    };
    // All three at once: a side that is read alone would fill its channel and wait for ever.
    let (on_restored, on_source, merged) =
        tokio::join!(read_restored, read_source, merge_rows(from_restored, from_source));
    // First the readings: where one broke off, what was merged is no comparison.
    Ok(on_restored?.and(on_source?).and(merged.map_err(Halt::Refused)))
}

async fn merge_rows(mut restored: Receiver<Row>, mut source: Receiver<Row>) -> Result<RowChanges, String> {
    let repeated = |_| "its key does not tell its rows apart".to_owned();
    let mut merge = Merge::default();
    let mut needed = (true, true);
    while needed != (false, false) {
        if needed.0 {
            merge.take_restored(restored.recv().await.map(digested).transpose()?).map_err(repeated)?;
        }
        if needed.1 {
            merge.take_source(source.recv().await.map(digested).transpose()?).map_err(repeated)?;
        }
        needed = merge.advance();
    }
    Ok(merge.changes())
}

fn digested(row: Row) -> Result<DigestedRow, String> {
    let unreadable = || "the digests of its rows could not be read".to_owned();
    let [Some(key), Some(values), Some(count)] = <[Option<String>; 3]>::try_from(row).map_err(|_| unreadable())? else {
        return Err(unreadable());
    };
    Ok(DigestedRow { key, values, count: count.parse().map_err(|_| unreadable())? })
}
