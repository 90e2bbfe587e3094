//! The rewound data and the source, asked the same questions side by side. The source is shown, never judged.

use crate::checks::{Bounds, ask};
use crate::engine::{Dialect, INVALID};
use crate::error::ConnectError;
use crate::network::Server;
use crate::session::Session;
use crate::tables::{Table, count, tables_of};
use rewind_core::{Check, CheckResult, QueryResult, StepError, TableCount, timeouts};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long the questions may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Each check.
    pub statement: Duration,
    /// Each check on the source, which is only shown: it must not hold up what is judged.
    pub shown: Duration,
    /// All checks: what is left then has failed, with that as its reason.
    pub checking: Duration,
    /// Waiting for a lock.
    pub lock: Duration,
    /// Counting one table.
    pub count: Duration,
    /// Counting all tables: what is left then is reported as not counted.
    pub counting: Duration,
}

impl Limits {
    /// The source is judged by too: it gets the time that the rewound data gets.
    #[must_use]
    pub fn alike() -> Self {
        let limits = Self::default();
        Self { shown: limits.statement, ..limits }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            statement: timeouts::CHECK,
            shown: timeouts::CHECK_ON_SOURCE,
            checking: timeouts::CHECKING,
            lock: timeouts::CHECK_LOCK,
            count: timeouts::COUNT,
            counting: timeouts::COUNTING,
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    /// The checks, in the order they were given.
    pub checks: Vec<CheckResult>,
    /// The tables that the checks read.
    pub tables: Vec<TableCount>,
    /// What went wrong with the source as a whole.
    pub notes: Vec<String>,
}

/// Asks the rewound data and, where there is one, the source.
///
/// Nothing about the source is an error: it may be what the recovery is for.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when the server with the rewound data does not answer.
pub async fn examine(
    restored: &Server,
    source: Option<&Server>,
    checks: &[Check],
    limits: &Limits,
) -> Result<Findings, StepError> {
    let mut sides = Sides { restored, source, open: BTreeMap::new(), notes: Vec::new() };
    let deadline = Instant::now() + limits.checking;
    let mut results = Vec::new();
    for check in checks {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.as_millis() == 0 {
            let used_up =
                QueryResult { value: Err("the time for all checks was used up before it".to_owned()), seconds: 0.0 };
            results.push(CheckResult::judge(check, used_up, None));
            continue;
        }
        let bounds = |most: Duration| Bounds { statement: most.min(left), lock: limits.lock, filtered: true };
        let pair = sides.at(&check.database).await?;
        let (restored, source) = tokio::join!(
            pair.restored.ask(&check.sql, bounds(limits.statement)),
            pair.source.ask(&check.sql, bounds(limits.shown))
        );
        let source = sides.shown(&check.database, source);
        results.push(CheckResult::judge(check, restored?.unwrap_or_else(unasked), source));
    }
    let tables = sides.count(checks, limits).await?;
    let notes = sides.close().await;
    Ok(Findings { checks: results, tables, notes })
}

/// The databases that somebody began to drop, and was interrupted: a moment in the middle of a drop has such a one. A
/// MySQL has none: there a database whose drop was interrupted is there, with the tables that are left.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when the database does not answer.
pub async fn invalid_databases(session: &Session) -> Result<Vec<String>, StepError> {
    if session.dialect() != Dialect::Postgres {
        return Ok(Vec::new());
    }
    let marked = format!("SELECT datname FROM pg_catalog.pg_database WHERE datconnlimit = {INVALID} ORDER BY 1");
    Ok(session.rows(&marked).await?.into_iter().flatten().flatten().collect())
}

/// The note about such a database.
pub fn half_dropped(database: &str) -> String {
    format!(
        "the database {database} was being dropped at that moment: nobody can connect to it, and it can only be dropped"
    )
}

fn unasked() -> QueryResult {
    QueryResult { value: Err("it was not asked".to_owned()), seconds: 0.0 }
}

/// Both servers, and the sessions that are open in them.
struct Sides<'a> {
    restored: &'a Server,
    source: Option<&'a Server>,
    open: BTreeMap<String, Pair>,
    notes: Vec<String>,
}

/// One database on both servers.
struct Pair {
    restored: Side,
    source: Side,
}

/// One database on one server.
enum Side {
    Open(Box<Session>),
    /// Why it cannot be asked.
    Closed(String),
    /// There is no such server.
    Absent,
}

impl Side {
    /// A database that a server does not have is a finding; a server that does not answer is an error.
    async fn open(server: &Server, database: &str) -> Result<Self, StepError> {
        match server.open(database).await {
            Ok(session) => Ok(Self::Open(Box::new(session))),
            Err(ConnectError::DatabaseMissing(_)) => Ok(Self::Closed(format!("the database {database} is missing"))),
            Err(ConnectError::DatabaseInvalid(_)) => {
                Ok(Self::Closed(format!("it is not to be had: {}", half_dropped(database))))
            }
            Err(ConnectError::NotAllowed(why) | ConnectError::LoginRefused(why)) => Ok(Self::Closed(why)),
            Err(error) => Err(error.into()),
        }
    }

    async fn ask(&self, sql: &str, bounds: Bounds) -> Result<Option<QueryResult>, StepError> {
        match self {
            Self::Open(session) => ask(session, sql, bounds).await.map(Some),
            Self::Closed(reason) => Ok(Some(QueryResult { value: Err(reason.clone()), seconds: 0.0 })),
            Self::Absent => Ok(None),
        }
    }

    async fn tables(&self, sql: &str, bounds: Bounds) -> Result<Vec<Table>, StepError> {
        match self {
            Self::Open(session) => tables_of(session, sql, bounds).await,
            Self::Closed(_) | Self::Absent => Ok(Vec::new()),
        }
    }

    async fn count(&self, table: &Table, bounds: Bounds) -> Result<Option<Result<u64, String>>, StepError> {
        match self {
            Self::Open(session) => count(session, table, bounds).await.map(Some),
            Self::Closed(reason) => Ok(Some(Err(reason.clone()))),
            Self::Absent => Ok(None),
        }
    }

    async fn close(self) {
        if let Self::Open(session) = self {
            session.close().await;
        }
    }
}

impl Sides<'_> {
    /// The sessions in `database`, opened when it is first asked for.
    async fn at(&mut self, database: &str) -> Result<&Pair, StepError> {
        if !self.open.contains_key(database) {
            let source = async {
                match self.source {
                    Some(server) => Side::open(server, database).await,
                    None => Ok(Side::Absent),
                }
            };
            let (restored, source) = tokio::join!(Side::open(self.restored, database), source);
            let restored = restored?;
            let source = source.unwrap_or_else(|error| {
                self.notes.push(format!("the source could not be asked in {database}: {error}"));
                Side::Closed("it does not answer".to_owned())
            });
            self.open.insert(database.to_owned(), Pair { restored, source });
        }
        self.open.get(database).ok_or_else(|| StepError::bug("a session that was just opened is not there"))
    }

    /// The source's answer; when its session broke, that is noted once and it is asked no more.
    fn shown<T>(&mut self, database: &str, answer: Result<Option<T>, StepError>) -> Option<T> {
        answer.unwrap_or_else(|error| {
            self.notes.push(format!("the source stopped answering in {database}: {error}"));
            if let Some(pair) = self.open.get_mut(database) {
                pair.source = Side::Closed("it stopped answering".to_owned());
            }
            None
        })
    }

    /// Counts the tables that the checks read: by the rewound data's word, or the source's where it alone can tell.
    async fn count(&mut self, checks: &[Check], limits: &Limits) -> Result<Vec<TableCount>, StepError> {
        let deadline = Instant::now() + limits.counting;
        let mut counts: Vec<TableCount> = Vec::new();
        for check in checks {
            // Finding the tables is a part of counting them: a plan can take long too.
            let left = deadline.saturating_duration_since(Instant::now());
            // The database counts in whole milliseconds.
            if left.as_millis() == 0 {
                self.notes
                    .push(format!("the tables of \"{}\" were not counted: the time for it was used up", check.name));
                continue;
            }
            let plan = Bounds { statement: limits.count.min(left), lock: limits.lock, filtered: true };
            let pair = self.at(&check.database).await?;
            let mut tables = pair.restored.tables(&check.sql, plan).await?;
            if tables.is_empty() {
                // A broken session shows when the tables are counted.
                tables = pair.source.tables(&check.sql, plan).await.unwrap_or_default();
            }
            for table in tables {
                let name = table.display();
                if counts.iter().any(|count| count.database == check.database && count.table == name) {
                    continue;
                }
                counts.push(self.count_table(&check.database, &table, limits, deadline).await?);
            }
        }
        Ok(counts)
    }

    async fn count_table(
        &mut self,
        database: &str,
        table: &Table,
        limits: &Limits,
        deadline: Instant,
    ) -> Result<TableCount, StepError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut counted = TableCount {
            database: database.to_owned(),
            table: table.display(),
            restored: None,
            source: None,
            note: None,
        };
        if left.as_millis() == 0 {
            counted.note = Some("not counted: the time for counting was used up".to_owned());
            return Ok(counted);
        }
        let bounds = Bounds { statement: limits.count.min(left), lock: limits.lock, filtered: false };
        let pair = self.at(database).await?;
        let (restored, source) = tokio::join!(pair.restored.count(table, bounds), pair.source.count(table, bounds));
        let source = self.shown(database, source);
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

    async fn close(self) -> Vec<String> {
        for pair in self.open.into_values() {
            tokio::join!(pair.restored.close(), pair.source.close());
        }
        self.notes
    }
}
