//! Comparing tables on MySQL: by the values of their rows, for a row does not show who wrote it.
//!
//! Each value is digested by itself, and the digests together: a text of all values could be longer than the server builds
//! (`max_allowed_packet`), and NULL in its place would be equal on both sides.

use super::Variant;
use super::connection::MysqlConnection;
use super::errors::ABOUT_NAMES;
use super::quote::{identifier, literal};
use crate::engine::compare::{CompareOperations, Reading};
use crate::engine::{Connection, QueryLimits, QueryOperations, Row, Table};
use crate::error::StatementError;
use rewind_core::comparison::{BUCKETS, Column, Relation, TableShape};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc::Sender;

/// The most digests that are joined at once: with 64 characters each they fit the smallest `max_allowed_packet`.
const JOINED_MAX: usize = 12;

impl CompareOperations for MysqlConnection {
    async fn compared_tables(&self, after: Option<&Table>, most: usize) -> Result<Vec<Table>, StatementError> {
        let behind = after.map_or_else(String::new, |after| {
            format!(
                "AND (CAST(table_schema AS BINARY), CAST(table_name AS BINARY)) > (CAST({} AS BINARY), CAST({} AS BINARY))",
                literal(&after.schema),
                literal(&after.name)
            )
        });
        self.listed_tables(&format!(
            "{behind} ORDER BY CAST(table_schema AS BINARY), CAST(table_name AS BINARY) LIMIT {most}"
        ))
        .await
    }

    async fn shape(&self, table: &Table) -> Result<TableShape, StatementError> {
        let (schema, name) = (literal(&table.schema), literal(&table.name));
        let Some((kind, engine)) = self.kind_of(table).await? else { return Ok(TableShape::default()) };
        // Names are compared by their bytes too: the catalogue's own comparison may take one case for the other.
        let columns = self
            .rows(&format!(
                "SELECT column_name, column_type, extra FROM information_schema.columns WHERE table_schema = {schema} \
                 AND table_name = {name} AND CAST(table_schema AS BINARY) = CAST({schema} AS BINARY) \
                 AND CAST(table_name AS BINARY) = CAST({name} AS BINARY) ORDER BY ordinal_position"
            ))
            .await?;
        let indexes = self
            .rows(&format!(
                "SELECT index_name, column_name, sub_part, nullable FROM information_schema.statistics \
                 WHERE table_schema = {schema} AND table_name = {name} AND non_unique = 0 \
                 AND CAST(table_schema AS BINARY) = CAST({schema} AS BINARY) \
                 AND CAST(table_name AS BINARY) = CAST({name} AS BINARY) ORDER BY index_name, seq_in_index"
            ))
            .await?;
        let obstacle = (kind != BASE_TABLE || !engine.eq_ignore_ascii_case("InnoDB"))
            .then(|| format!("it is a {kind} of the engine {engine}: no backup is sure to hold its rows"));
        Ok(TableShape {
            columns: columns.into_iter().filter_map(column).collect(),
            keys: keys_of(indexes),
            relations: BTreeMap::from([(String::new(), Relation { layout: String::new(), obstacle })]),
            // Partitions are read with their table in any case.
            partitioned: false,
        })
    }

    /// None: a row does not show who wrote it.
    async fn history_id(&self) -> Result<Option<String>, StatementError> {
        Ok(None)
    }

    async fn next_transaction(&self) -> Result<Option<u64>, StatementError> {
        Ok(None)
    }

    async fn begin_comparing(&self, limits: QueryLimits) -> Result<(), StatementError> {
        // Zero would mean no limit.
        let statement = match self.variant {
            Variant::MySql => format!("max_execution_time = {}", limits.statement.as_millis().max(1)),
            Variant::MariaDb => format!("max_statement_time = {}", limits.statement.as_secs_f64().max(0.001)),
        };
        // MySQL waits for locks by the second.
        let lock = limits.lock.as_millis().div_ceil(1000).max(1);
        for sql in [
            // Before the transaction: one that has begun keeps its level.
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
            // With a mode of the server a CHAR may be padded, and without a zone of ours a TIMESTAMP is written in the server's.
            &format!(
                "SET SESSION sql_mode = '', time_zone = '+00:00', {statement}, innodb_lock_wait_timeout = {lock}, \
                 lock_wait_timeout = {lock}"
            ),
            "START TRANSACTION READ ONLY",
        ] {
            self.execute(sql).await?;
        }
        Ok(())
    }

    /// Our own SQL calls the system's functions alone, so only what the name leads to counts: a view could run anything. With the first
    /// statement on it the name stays what it is to the end of the transaction. The hint is for a table alone: a view is refused by it,
    /// where LIMIT 0 would not keep the server from evaluating one.
    async fn denial_of_reading(&self, table: &Table, _: &str) -> Result<Option<String>, StatementError> {
        self.execute(&format!("SELECT 1 FROM {} USE INDEX () LIMIT 0", self.quoted(table))).await?;
        Ok(match self.kind_of(table).await? {
            Some((kind, _)) if kind == BASE_TABLE => None,
            _ => Some("it is no table any more".to_owned()),
        })
    }

    fn hashes_of(&self, reading: &Reading<'_>) -> String {
        let values = digest_of(reading.columns, reading.salt);
        // CONV computes with 64 bits, which are 16 hexadecimal digits.
        format!(
            "SELECT CRC32({}) % {BUCKETS}, COUNT(*), SUM(CAST(CONV(LEFT({values}, 16), 16, 10) AS UNSIGNED)) \
             FROM {} t GROUP BY 1",
            identity(reading),
            self.quoted(reading.table),
        )
    }

    fn rows_of(&self, reading: &Reading<'_>, buckets: Option<&[u32]>) -> String {
        let (key, table) = (identity(reading), self.quoted(reading.table));
        let chosen = buckets.map(|buckets| {
            let numbers: Vec<String> = buckets.iter().map(ToString::to_string).collect();
            format!("WHERE CRC32({key}) % {BUCKETS} IN ({})", numbers.join(","))
        });
        let chosen = chosen.unwrap_or_default();
        // Hexadecimal digits have the same order in every collation as by bytes, which the merge compares.
        match reading.key {
            [] => format!("SELECT {key}, '', COUNT(*) FROM {table} t {chosen} GROUP BY 1 ORDER BY 1"),
            _ => format!(
                "SELECT {key}, {}, 1 FROM {table} t {chosen} ORDER BY 1",
                digest_of(reading.columns, reading.salt)
            ),
        }
    }

    fn count_of(&self, table: &Table, _: bool) -> String {
        format!("SELECT COUNT(*) FROM {}", self.quoted(table))
    }

    async fn read_compared(&self, sql: &str, keep: usize, limit: Duration) -> Result<Vec<Row>, StatementError> {
        Ok(self.query(sql, keep, limit).await.map_err(|error| error.without_rows(ABOUT_NAMES))?.rows)
    }

    async fn send_compared(&self, sql: &str, limit: Duration, rows: &Sender<Row>) -> Result<(), StatementError> {
        self.query_each(sql, limit, rows).await.map_err(|error| error.without_rows(ABOUT_NAMES))
    }
}

/// The kind of a table that is one, as the catalogue has it.
const BASE_TABLE: &str = "BASE TABLE";

impl MysqlConnection {
    /// The tables of people in all databases; `rest` follows the conditions of the statement.
    pub(super) async fn listed_tables(&self, rest: &str) -> Result<Vec<Table>, StatementError> {
        let rows = self
            .rows(&format!(
                "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = '{BASE_TABLE}' \
                 AND table_schema NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema') {rest}"
            ))
            .await?;
        let table = |row: Row| match <[_; 2]>::try_from(row) {
            Ok([Some(schema), Some(name)]) => Some(Table { schema, name }),
            _ => None,
        };
        Ok(rows.into_iter().filter_map(table).collect())
    }

    /// The kind and the engine of what bears the name; none where nothing does.
    async fn kind_of(&self, table: &Table) -> Result<Option<(String, String)>, StatementError> {
        let (schema, name) = (literal(&table.schema), literal(&table.name));
        let rows = self
            .rows(&format!(
                "SELECT table_type, engine FROM information_schema.tables WHERE table_schema = {schema} \
                 AND table_name = {name} AND CAST(table_schema AS BINARY) = CAST({schema} AS BINARY) \
                 AND CAST(table_name AS BINARY) = CAST({name} AS BINARY)"
            ))
            .await?;
        let kind = |row: Row| match <[_; 2]>::try_from(row) {
            Ok([Some(kind), engine]) => Some((kind, engine.unwrap_or_default())),
            _ => None,
        };
        Ok(rows.into_iter().next().and_then(kind))
    }
}

/// A column; none for one that is computed when it is read, and so follows from the others.
fn column(row: Row) -> Option<Column> {
    let [Some(name), Some(kind), extra] = <[Option<String>; 3]>::try_from(row).ok()? else { return None };
    let computed = extra.unwrap_or_default().to_ascii_uppercase().contains("VIRTUAL GENERATED");
    (!computed).then_some(Column { name, kind })
}

/// The unique indexes over whole columns that are never NULL, the primary key first.
fn keys_of(rows: Vec<Row>) -> Vec<Vec<String>> {
    let mut indexes: BTreeMap<(bool, String), Option<Vec<String>>> = BTreeMap::new();
    for row in rows {
        let Ok([Some(index), column, part, nullable]) = <[Option<String>; 4]>::try_from(row) else { continue };
        // False comes before true, and so the primary key before all others.
        let columns = indexes.entry((index != "PRIMARY", index)).or_insert_with(|| Some(Vec::new()));
        // Without a name it is an expression.
        match (column, part, nullable.as_deref()) {
            (Some(column), None, None | Some("" | "NO")) => {
                if let Some(columns) = columns {
                    columns.push(column);
                }
            }
            _ => *columns = None,
        }
    }
    indexes.into_values().flatten().collect()
}

/// The digest by which a row is the same on both sides: that of its key, or of the whole row.
fn identity(reading: &Reading<'_>) -> String {
    digest_of(if reading.key.is_empty() { reading.columns } else { reading.key }, reading.salt)
}

/// The digest of values, in which NULL is no text. Of each value it is one for which nobody knows two values that are alike: with
/// the salt before it, a value may be longer than the server builds. The salt is for the digests, whose sums somebody could choose.
fn digest_of(columns: &[Column], salt: u64) -> String {
    let mut digests: Vec<String> =
        columns.iter().map(|column| format!("IFNULL(SHA2({}, 256), '-')", value(column))).collect();
    // At least once: the digest of one value may be the sign for NULL, and all digests shall be of the same length.
    loop {
        digests =
            digests.chunks(JOINED_MAX).map(|some| format!("MD5(CONCAT('{salt:016x}', {}))", some.join(", "))).collect();
        if digests.len() <= 1 {
            return digests.pop().unwrap_or_default();
        }
    }
}

/// The value of a column, written so that two that differ are written differently.
fn value(column: &Column) -> String {
    let name = format!("t.{}", identifier(&column.name));
    let kind = column.kind.to_ascii_lowercase();
    match kind.split(['(', ' ']).next().unwrap_or_default() {
        // As text a FLOAT has six digits: two that differ behind them would be equal.
        "float" => format!("({name} + 0e0)"),
        "bit" => format!("HEX({name})"),
        // WKB leaves the SRID out, and the same coordinates in two systems are two places.
        "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring" | "multipolygon"
        | "geometrycollection" | "geomcollection" => {
            format!("CONCAT(ST_SRID({name}), ':', SHA2(ST_AsWKB({name}), 256))")
        }
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_index_over_whole_columns_without_null_is_a_key() {
        let row = |index: &str, column: Option<&str>, part: Option<&str>, nullable: &str| {
            vec![Some(index.to_owned()), column.map(str::to_owned), part.map(str::to_owned), Some(nullable.to_owned())]
        };
        let rows = vec![
            row("a_unique", Some("x"), None, ""),
            row("a_unique", Some("y"), None, ""),
            row("b_prefix", Some("x"), Some("4"), ""),
            row("c_null", Some("x"), None, ""),
            row("c_null", Some("z"), None, "YES"),
            row("d_expression", None, None, ""),
            row("PRIMARY", Some("id"), None, ""),
        ];
        assert_eq!(keys_of(rows), [vec!["id".to_owned()], vec!["x".to_owned(), "y".to_owned()]]);
    }

    #[test]
    fn no_text_of_digests_is_longer_than_the_smallest_packet() {
        let column = |n: usize| Column { name: format!("c{n}"), kind: "int".to_owned() };
        let columns: Vec<Column> = (0..1_000).map(column).collect();
        let sql = digest_of(&columns, 1);
        let joined = sql.matches("MD5(CONCAT(").count();
        assert!(joined >= 1_000 / JOINED_MAX && 16 + JOINED_MAX * 64 < 1_024, "{joined}");
        assert_eq!(digest_of(&columns[..1], 10), "MD5(CONCAT('000000000000000a', IFNULL(SHA2(t.`c0`, 256), '-')))");
    }
}
