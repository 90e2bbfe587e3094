//! The writes of MySQL: rows that were written, and statements that change definitions.
//!
//! The transaction id counter of InnoDB is no measure: a fence locks accounts, which are rows of InnoDB tables too.

use super::connection::MysqlConnection;
use super::threads::{Thread, threads};
use crate::engine::reserved;
use crate::engine::writes::Visits;
use crate::engine::{Connection, WriteOperations};
use crate::error::StatementError;
use rewind_core::timeouts;
use std::collections::BTreeMap;
use tokio::time::sleep;

/// Rows written to tables of people; InnoDB counts those of `mysql` apart.
const ROWS: [&str; 3] = ["innodb_rows_inserted", "innodb_rows_updated", "innodb_rows_deleted"];

/// Statements that write rows, where the server does not count the rows.
const STATEMENTS: [&str; 9] = [
    "com_insert",
    "com_insert_select",
    "com_replace",
    "com_replace_select",
    "com_update",
    "com_update_multi",
    "com_delete",
    "com_delete_multi",
    "com_load",
];

/// The beginnings of the names of statements that change definitions.
const DEFINITIONS: [&str; 8] =
    ["com_create_", "com_drop_", "com_alter_", "com_rename_", "com_truncate", "com_import", "com_grant", "com_revoke"];

/// The one of these with which a fence locks accounts.
const OF_THE_FENCE: &str = "com_alter_user";

impl WriteOperations for MysqlConnection {
    /// True: the counters are in the server's memory.
    fn counts_per_server(&self) -> bool {
        true
    }

    async fn writes(&self) -> Result<Option<u64>, StatementError> {
        let rows = self.rows("SHOW GLOBAL STATUS").await?;
        let counters = rows.into_iter().filter_map(|row| match <[_; 2]>::try_from(row) {
            Ok([Some(name), Some(value)]) => Some((name.to_ascii_lowercase(), value.parse().ok()?)),
            _ => None,
        });
        let counted = count(&counters.collect());
        // After the count, so that whatever it holds has ended by now, or is seen here.
        Ok(if self.has_open_writes().await? { None } else { counted })
    }

    /// None: the rows are counted by themselves.
    async fn visits(&self) -> Result<Option<Visits>, StatementError> {
        Ok(None)
    }

    /// None: locking an account is not counted.
    fn writes_of_closing(&self, _: u64) -> u64 {
        0
    }
}

impl MysqlConnection {
    /// True if others have begun what the count holds already, and may commit it later: rows of a transaction, a prepared one
    /// too, and a statement that runs, for a change of definitions is counted at its beginning.
    async fn has_open_writes(&self) -> Result<bool, StatementError> {
        // The server answers from a copy of the transactions that is up to so old.
        sleep(timeouts::TRANSACTIONS_ARE_COPIED).await;
        let open = self
            .values(
                "SELECT trx_id FROM information_schema.innodb_trx WHERE trx_rows_modified > 0 \
                 AND trx_mysql_thread_id <> connection_id() LIMIT 1",
            )
            .await?;
        let runs = |thread: &Thread| {
            thread.is_client() && thread.command != "Sleep" && !reserved::is_mysql_session(&thread.user)
        };
        Ok(!open.is_empty() || threads(self).await?.iter().any(runs))
    }
}

/// Adds up what counts as a write; none if the server counts neither rows nor statements.
fn count(counters: &BTreeMap<String, u64>) -> Option<u64> {
    let sum = |names: &[&str]| -> Option<u64> { names.iter().map(|name| counters.get(*name)).sum() };
    let written = sum(&ROWS).or_else(|| sum(&STATEMENTS))?;
    let is_definition = |name: &str| DEFINITIONS.iter().any(|begins| name.starts_with(begins)) && name != OF_THE_FENCE;
    let defined: u64 = counters.iter().filter(|(name, _)| is_definition(name)).map(|(_, value)| value).sum();
    Some(written + defined)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(values: &[(&str, u64)]) -> BTreeMap<String, u64> {
        values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    #[test]
    fn rows_and_definitions_count_and_the_lock_of_an_account_does_not() {
        let mut all = counters(&[
            ("innodb_rows_inserted", 5),
            ("innodb_rows_updated", 3),
            ("innodb_rows_deleted", 1),
            ("com_select", 1_000),
            ("com_insert", 70),
            ("com_alter_user", 9),
            ("com_kill", 4),
        ]);
        assert_eq!(count(&all), Some(9));
        for statement in ["com_alter_table", "com_create_table", "com_drop_user", "com_truncate", "com_grant"] {
            all.insert(statement.to_owned(), 1);
        }
        assert_eq!(count(&all), Some(14));
    }

    #[test]
    fn without_a_count_of_rows_the_statements_count_and_without_either_nothing_is_known() {
        let statements: Vec<(&str, u64)> = STATEMENTS.iter().map(|name| (*name, 1)).collect();
        assert_eq!(count(&counters(&statements)), Some(9));
        // A sum of what is there would be too small, and a write would not show.
        assert_eq!(count(&counters(&statements[1..])), None);
        assert_eq!(count(&counters(&[])), None);
    }
}
