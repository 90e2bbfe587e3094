//! Compares the counters of ids on both sides: sequences on PostgreSQL, AUTO_INCREMENT on MySQL. The restored cluster issues again
//! what the source has issued since the target. It reads, and moves no counter on.

use crate::engine::{Counter, QueryOperations};
use crate::server::Server;
use crate::session::{Session, on_engine};
use rewind_clock::{OutOfTime, within};
use rewind_core::{StepError, timeouts};
use std::collections::BTreeMap;

/// A counter that has gone on since the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedCounter {
    /// The database; none where names hold it already.
    pub database: Option<String>,
    /// The name as it stands in SQL, with its schema.
    pub name: String,
    /// The value on the restored cluster.
    pub restored: Option<i128>,
    /// The value on the source.
    pub source: i128,
    /// The number of values issued since; at least 1.
    pub issued: i128,
}

/// The counters of both sides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ComparedCounters {
    /// The number of counters on the restored cluster.
    pub total: usize,
    /// Those that have gone on, the furthest first.
    pub moved: Vec<MovedCounter>,
    /// True if some were not compared: there are too many databases, or the time was used up.
    pub partial: bool,
}

/// The most databases whose sequences are compared: each takes a session on both sides.
const DATABASES_MAX: usize = 20;

/// Compares the counters of all databases, as far as they can be reached in the time for it.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] where a side does not respond.
pub async fn compare_counters(
    restored: &Server,
    source: &Server,
    first_database: &str,
) -> Result<ComparedCounters, StepError> {
    let mut compared = ComparedCounters::default();
    let done = within(timeouts::COUNTERS, Box::pin(compare_all(restored, source, first_database, &mut compared))).await;
    match done {
        Ok(done) => done?,
        Err(OutOfTime) => compared.partial = true,
    }
    compared.moved.sort_by(|a, b| (b.issued, &a.database, &a.name).cmp(&(a.issued, &b.database, &b.name)));
    Ok(compared)
}

async fn compare_all(
    restored: &Server,
    source: &Server,
    first_database: &str,
    compared: &mut ComparedCounters,
) -> Result<(), StepError> {
    let session = restored.open(first_database).await?;
    let databases = on_engine!(session, connection => connection.databases_with_counters().await?);
    session.close().await;
    // None on MySQL, where every session sees all databases.
    let names: Vec<Option<String>> = match databases {
        None => vec![None],
        Some(names) => names.into_iter().map(Some).collect(),
    };
    compared.partial = names.len() > DATABASES_MAX;
    for database in names.into_iter().take(DATABASES_MAX) {
        let name = database.as_deref().unwrap_or(first_database);
        let (on_restored, on_source) = tokio::join!(counters(restored, name), counters(source, name));
        // A database that one side lacks or closes has no counter to compare.
        let (Some(on_restored), Some(on_source)) = (on_restored, on_source) else { continue };
        compared.total += on_restored.len();
        compared.moved.extend(moved(database.as_deref(), &on_restored, on_source));
    }
    Ok(())
}

/// Reads the counters in `database`; none where it cannot be read.
async fn counters(server: &Server, database: &str) -> Option<Vec<Counter>> {
    let session: Session = server.open(database).await.ok()?;
    let found = on_engine!(session, connection => connection.counters().await);
    session.close().await;
    found.ok()
}

fn moved(database: Option<&str>, restored: &[Counter], source: Vec<Counter>) -> Vec<MovedCounter> {
    let before: BTreeMap<&str, &Counter> = restored.iter().map(|counter| (counter.name.as_str(), counter)).collect();
    let one = |now: Counter| {
        let then = before.get(now.name.as_str())?;
        let value = now.value?;
        let step = if now.increment == 0 { 1 } else { now.increment };
        // Towards its end: a counter that was set back issues nothing twice because of the restore.
        let issued = then.value.map_or(1, |then| value.saturating_sub(then) / step);
        (issued > 0).then(|| MovedCounter {
            database: database.map(ToOwned::to_owned),
            name: now.name.clone(),
            restored: then.value,
            source: value,
            issued,
        })
    };
    source.into_iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(name: &str, value: Option<i128>, increment: i128) -> Counter {
        Counter { name: name.to_owned(), value, increment }
    }

    #[test]
    fn only_what_has_gone_on_since_is_named() {
        let restored = [
            counter("a", Some(10), 1),
            counter("same", Some(10), 1),
            counter("down", Some(-10), -2),
            counter("unused", None, 1),
            counter("reset", Some(100), 1),
            counter("idle", None, 1),
        ];
        let source = vec![
            counter("a", Some(25), 1),
            counter("same", Some(10), 1),
            counter("down", Some(-20), -2),
            counter("unused", Some(1), 1),
            counter("reset", Some(1), 1),
            counter("idle", None, 1),
            counter("made since", Some(7), 1),
        ];
        let found: Vec<(String, i128)> =
            moved(Some("d"), &restored, source).into_iter().map(|m| (m.name, m.issued)).collect();
        assert_eq!(found, [("a".to_owned(), 15), ("down".to_owned(), 5), ("unused".to_owned(), 1)]);
    }
}
