//! The tables of all databases on both clusters, with the servers' own estimates of their rows: catalogues alone, so that it takes moments
//! whatever the tables hold. It counts nothing, and judges nothing.

use crate::engine::QueryOperations;
use crate::error::ConnectError;
use crate::server::Server;
use crate::session::{defaults, on_engine};
use futures_util::{StreamExt, stream};
use rewind_clock::{OutOfTime, within};
use rewind_core::{ComparedTables, DatabaseTables, Estimates, StepError, timeouts};
use std::collections::BTreeSet;

/// Databases of two clusters, as far as they were read within the time for it.
#[derive(Default)]
struct Reading {
    /// The databases that both have, before any of them was read.
    both: usize,
    missing_on_restored: Vec<String>,
    missing_on_source: Vec<String>,
    compared: Vec<ComparedTables>,
    /// The databases that could not be read, each with its reason.
    refused: Vec<(String, String)>,
}

/// Reads the tables of all databases of two clusters, `restored` and `source`, several databases at a time. What cannot be read, or not
/// within the time for it, is a note.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] where a side does not name its databases.
pub async fn estimate_rows(
    (restored, restored_name): (&Server, &str),
    (source, source_name): (&Server, &str),
) -> Result<Estimates, StepError> {
    // Not a part of what is bounded: what was read is there when the time is over.
    let mut reading = Reading::default();
    let read = within(timeouts::ESTIMATING, Box::pin(read_all(restored, source, &mut reading))).await;
    let mut notes = Vec::new();
    match read {
        Ok(read) => read?,
        Err(OutOfTime) => notes.push(match reading.both.checked_sub(reading.compared.len() + reading.refused.len()) {
            Some(left) if reading.both > 0 => {
                format!("{left} of {} databases were not read: the time for it was used up", reading.both)
            }
            _ => "no database was read: the time for it was used up".to_owned(),
        }),
    }
    let Reading { both, missing_on_restored, missing_on_source, compared, mut refused } = reading;
    // Several are read at a time, and fail in another order each time.
    refused.sort();
    if let Some((database, why)) = refused.first() {
        notes.push(format!(
            "{} of {both} databases could not be read, the first of them {database}: {why}",
            refused.len()
        ));
    }
    Ok(Estimates::of((restored_name, source_name), (missing_on_restored, missing_on_source), compared, notes))
}

async fn read_all(restored: &Server, source: &Server, reading: &mut Reading) -> Result<(), StepError> {
    // Both to their end: giving one up for the other's error would leave its session unclosed.
    let (on_restored, on_source) = tokio::join!(databases(restored), databases(source));
    let (on_restored, on_source) = (on_restored?, on_source?);
    reading.missing_on_restored = on_source.difference(&on_restored).cloned().collect();
    reading.missing_on_source = on_restored.difference(&on_source).cloned().collect();
    let both: Vec<String> = on_restored.intersection(&on_source).cloned().collect();
    reading.both = both.len();
    let reads = stream::iter(both).map(|database| async move {
        let (on_restored, on_source) = tokio::join!(tables(restored, &database), tables(source, &database));
        let compared = on_restored.and_then(|on_restored| Ok(ComparedTables::of(&database, on_restored, on_source?)));
        compared.map_err(|why| (database, why.to_string()))
    });
    let mut reads = std::pin::pin!(reads.buffer_unordered(timeouts::ESTIMATES_AT_ONCE));
    while let Some(read) = reads.next().await {
        match read {
            Ok(compared) => reading.compared.push(compared),
            Err(refused) => reading.refused.push(refused),
        }
    }
    Ok(())
}

/// The databases of people on a server.
async fn databases(server: &Server) -> Result<BTreeSet<String>, StepError> {
    let session = server.open(defaults(server.target().engine).maintenance_database).await?;
    let found = on_engine!(session, connection => connection.user_databases().await);
    session.close().await;
    Ok(found?.into_iter().collect())
}

/// The tables of one database on a server.
async fn tables(server: &Server, database: &str) -> Result<DatabaseTables, ConnectError> {
    let session = server.open(database).await?;
    let found = on_engine!(session, connection => connection.table_estimates(timeouts::ESTIMATES_OF_DATABASE).await);
    session.close().await;
    found.map_err(|error| ConnectError::Failed(error.into()))
}
