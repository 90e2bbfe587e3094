//! Comparing tables on PostgreSQL: rows by the transaction that wrote them, where both sides share it, and by their values.
//!
//! A row as a whole is written as text by `ROW(…)::text`: it quotes, tells NULL from an empty text, and calls the output functions of
//! the types, which are the system's or a superuser's. A cast of a single value could be one that somebody planted.

use super::called;
use super::connection::{EXAMINED, OWN_PATH, PostgresqlConnection};
use super::quote::{identifier, literal, table_name};
use crate::engine::compare::{CompareOperations, Reading};
use crate::engine::{Connection, QueryLimits, Row, Table};
use crate::error::StatementError;
use rewind_core::comparison::{BUCKETS, Column, Relation, TableShape};
use std::time::Duration;
use tokio::sync::mpsc::Sender;

/// Transaction ids as a row shows them begin again after this many.
const XIDS: u64 = 1 << 32;

/// The kinds of tables, as the catalogue has them.
const PARTITIONED: &str = "p";
const FOREIGN: &str = "f";
const UNLOGGED: &str = "u";

impl CompareOperations for PostgresqlConnection {
    async fn compared_tables(&self, after: Option<&Table>, most: usize) -> Result<Vec<Table>, StatementError> {
        let behind = after.map_or_else(String::new, |after| {
            format!(
                " AND (n.nspname::text COLLATE \"C\", c.relname::text COLLATE \"C\") > ({}, {})",
                literal(&after.schema),
                literal(&after.name)
            )
        });
        let rows = self
            .rows(&format!(
                "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c \
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') \
                 AND NOT c.relispartition AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' \
                 AND n.nspname <> 'information_schema' AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d \
                 WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e'){behind} \
                 ORDER BY n.nspname::text COLLATE \"C\", c.relname::text COLLATE \"C\" LIMIT {most}"
            ))
            .await?;
        let table = |row: Row| match <[_; 2]>::try_from(row) {
            Ok([Some(schema), Some(name)]) => Some(Table { schema, name }),
            _ => None,
        };
        Ok(rows.into_iter().filter_map(table).collect())
    }

    async fn shape(&self, table: &Table) -> Result<TableShape, StatementError> {
        let (schema, name) = (literal(&table.schema), literal(&table.name));
        let found = self
            .rows(&format!(
                "SELECT c.oid, c.relkind FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE n.nspname = {schema} AND c.relname = {name} AND c.relkind IN ('r', 'p')"
            ))
            .await?;
        let Some([Some(id), Some(kind)]) = found.first().map(Vec::as_slice) else { return Ok(TableShape::default()) };
        // A column that was dropped stays in the catalogue, under a name that nobody gave it.
        let columns = self
            .rows(&format!(
                "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod) FROM pg_catalog.pg_attribute a \
                 WHERE a.attrelid = {id} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
            ))
            .await?;
        // Deferrable ones let several rows have the same key for a while, within one transaction, which nobody else sees.
        let keys = self
            .rows(&format!(
                "SELECT i.indexrelid, a.attname FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid \
                 CROSS JOIN LATERAL pg_catalog.generate_series(0, i.indnkeyatts - 1) AS p(place) \
                 JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[p.place] \
                 WHERE i.indrelid = {id} AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL \
                 AND NOT EXISTS (SELECT 1 FROM pg_catalog.generate_series(0, i.indnkeyatts - 1) AS q(place) \
                 JOIN pg_catalog.pg_attribute b ON b.attrelid = i.indrelid AND b.attnum = i.indkey[q.place] \
                 WHERE NOT b.attnotnull) ORDER BY i.indisprimary DESC, x.relname COLLATE \"C\", p.place"
            ))
            .await?;
        // With the numbers of the columns: one that was dropped and added again has its old name and a new number.
        let relations = self
            .rows(&format!(
                "WITH RECURSIVE part(id) AS (SELECT {id}::pg_catalog.oid UNION SELECT i.inhrelid FROM part p \
                 JOIN pg_catalog.pg_class c ON c.oid = p.id AND c.relkind = 'p' \
                 JOIN pg_catalog.pg_inherits i ON i.inhparent = p.id) \
                 SELECT c.oid, c.relkind, c.relpersistence, pg_catalog.quote_ident(c.relname), \
                 (SELECT pg_catalog.string_agg(pg_catalog.format('%s %s %s', a.attnum, pg_catalog.quote_ident(a.attname), \
                 pg_catalog.format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum) \
                 FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) \
                 FROM part p JOIN pg_catalog.pg_class c ON c.oid = p.id"
            ))
            .await?;
        Ok(TableShape {
            columns: columns.into_iter().filter_map(column).collect(),
            keys: keys_of(keys),
            relations: relations.into_iter().filter_map(relation).collect(),
            partitioned: kind == PARTITIONED,
        })
    }

    async fn history_id(&self) -> Result<Option<String>, StatementError> {
        match self.values("SELECT system_identifier FROM pg_catalog.pg_control_system()").await {
            Ok(id) => Ok(id.into_iter().next()),
            // A server may not have the function, or not for this user: then values are compared.
            Err(StatementError::Refused(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn next_transaction(&self) -> Result<Option<u64>, StatementError> {
        // With its epoch, and by the names that every version has.
        let next = self.values("SELECT pg_catalog.txid_snapshot_xmax(pg_catalog.txid_current_snapshot())").await?;
        Ok(next.first().and_then(|next| next.parse().ok()))
    }

    async fn begin_comparing(&self, limits: QueryLimits) -> Result<(), StatementError> {
        // Zero would mean no limit.
        let milliseconds = |limit: Duration| limit.as_millis().max(1);
        let (statement, lock) = (milliseconds(limits.statement), milliseconds(limits.lock));
        // All that decides how a value is written is set here: a role or a database may have settings of its own on one side.
        // Without row security a query that it would hide rows from is refused. Each statement has a snapshot of its own: with one for
        // all, what was planted meanwhile would be hidden from the examination alone.
        self.execute(&format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY; {OWN_PATH}; SET LOCAL statement_timeout = {statement}; \
             SET LOCAL lock_timeout = {lock}; SET LOCAL row_security = off; SET LOCAL TimeZone = 'UTC'; \
             SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'postgres'; SET LOCAL extra_float_digits = 3; \
             SET LOCAL bytea_output = 'hex'; SET LOCAL lc_monetary = 'C'; SET LOCAL quote_all_identifiers = off; \
             SET LOCAL work_mem = '32MB'; SET LOCAL jit = off"
        ))
        .await
    }

    async fn denial_of_reading(&self, _: &Table, sql: &str) -> Result<Option<String>, StatementError> {
        called::denial_on_own_path(self, sql).await
    }

    fn hashes_of(&self, reading: &Reading<'_>) -> String {
        let (buckets, of_key, of_row) = (BUCKETS - 1, seed(reading.salt), seed(!reading.salt));
        // OFFSET 0 keeps the planner from merging the subquery, which would compute the key for each of its uses. A sum of int8 is numeric,
        // which does not overflow.
        format!(
            "SELECT pg_catalog.hashtextextended(r.k COLLATE pg_catalog.\"C\", {of_key}) & {buckets}, pg_catalog.count(*), \
             pg_catalog.sum(pg_catalog.hashtextextended((r.k || r.f) COLLATE pg_catalog.\"C\", {of_row})) \
             FROM (SELECT {} AS k, {} AS f FROM {} OFFSET 0) r GROUP BY 1",
            identity(reading),
            fingerprint(reading),
            relation_of(reading.table, reading.partitioned),
        )
    }

    fn rows_of(&self, reading: &Reading<'_>, buckets: Option<&[u32]>) -> String {
        let (key, relation) = (identity(reading), relation_of(reading.table, reading.partitioned));
        let chosen = buckets.map(|buckets| {
            let numbers: Vec<String> = buckets.iter().map(ToString::to_string).collect();
            format!(
                "WHERE pg_catalog.hashtextextended({key} COLLATE pg_catalog.\"C\", {}) & {} = ANY ('{{{}}}'::pg_catalog.int8[])",
                seed(reading.salt),
                BUCKETS - 1,
                numbers.join(",")
            )
        });
        let chosen = chosen.unwrap_or_default();
        // By bytes, as the merge compares: the two servers may have different versions of a collation.
        let salt = reading.salt;
        let digest = format!("pg_catalog.md5('{salt:016x}' || {key}) COLLATE pg_catalog.\"C\"");
        match reading.key {
            [] => format!("SELECT {digest}, '', pg_catalog.count(*) FROM {relation} {chosen} GROUP BY 1 ORDER BY 1"),
            _ => format!(
                "SELECT {digest}, pg_catalog.md5('{salt:016x}' || {}), 1 FROM {relation} {chosen} ORDER BY 1",
                row(reading.columns)
            ),
        }
    }

    fn count_of(&self, table: &Table, partitioned: bool) -> String {
        format!("SELECT pg_catalog.count(*) FROM {}", relation_of(table, partitioned))
    }

    async fn read_compared(&self, _: &str, keep: usize, limit: Duration) -> Result<Vec<Row>, StatementError> {
        // The prepared tree and not the text: a name in the text could lead elsewhere since it was examined.
        let result = self.query(&format!("EXECUTE {EXAMINED}"), keep, limit).await;
        Ok(result.map_err(called::without_rows)?.rows)
    }

    async fn send_compared(&self, _: &str, limit: Duration, rows: &Sender<Row>) -> Result<(), StatementError> {
        self.query_each(&format!("EXECUTE {EXAMINED}"), limit, rows).await.map_err(called::without_rows)
    }
}

fn column(row: Row) -> Option<Column> {
    match <[_; 2]>::try_from(row) {
        Ok([Some(name), Some(kind)]) => Some(Column { name, kind }),
        _ => None,
    }
}

/// Groups the columns of indexes, which come one after the other.
fn keys_of(rows: Vec<Row>) -> Vec<Vec<String>> {
    let (mut keys, mut last) = (Vec::<Vec<String>>::new(), None);
    for row in rows {
        let Ok([Some(index), Some(column)]) = <[Option<String>; 2]>::try_from(row) else { continue };
        match keys.last_mut() {
            Some(key) if last.as_ref() == Some(&index) => key.push(column),
            _ => keys.push(vec![column]),
        }
        last = Some(index);
    }
    keys
}

fn relation(row: Row) -> Option<(String, Relation)> {
    let [Some(id), Some(kind), Some(persistence), Some(name), layout] = <[Option<String>; 5]>::try_from(row).ok()?
    else {
        return None;
    };
    let obstacle = match (kind.as_str(), persistence.as_str()) {
        (FOREIGN, _) => Some(format!("{name} is a foreign table, whose rows are elsewhere")),
        (_, UNLOGGED) => Some(format!("{name} is unlogged: no backup holds its rows")),
        _ => None,
    };
    Some((id, Relation { layout: layout.unwrap_or_default(), obstacle }))
}

/// The table as it stands in FROM. Tables that inherit from one are tables of their own, and partitions are not.
fn relation_of(table: &Table, partitioned: bool) -> String {
    format!("{}{} t", if partitioned { "" } else { "ONLY " }, table_name(table))
}

/// The salt as a seed of a hash, which is an int8.
fn seed(salt: u64) -> String {
    format!("'{}'::pg_catalog.int8", salt.cast_signed())
}

/// Values as one text.
fn row(columns: &[Column]) -> String {
    let names: Vec<String> = columns.iter().map(|column| format!("t.{}", identifier(&column.name))).collect();
    format!("ROW({})::pg_catalog.text", names.join(", "))
}

/// The text by which a row is the same on both sides: that of its key, or of the whole row.
fn identity(reading: &Reading<'_>) -> String {
    row(if reading.key.is_empty() { reading.columns } else { reading.key })
}

/// The text that tells the state of a row from every other of the same key.
///
/// A transaction before the frontier is on both sides or was over on neither, so a row that it wrote, and that is there on both sides
/// under the same key, is the same. All others are told by their values. A row shows the lower half of a transaction's id alone: what
/// lies between the frontier and the newest id of the side counts as new, whichever epoch it is of.
fn fingerprint(reading: &Reading<'_>) -> String {
    if reading.key.is_empty() {
        return "''".to_owned();
    }
    let values = row(reading.columns);
    let Some(settled_before) = reading.settled_before else { return format!("'v' || {values}") };
    let id = "t.xmin::pg_catalog.text::pg_catalog.int8";
    let low = settled_before % XIDS;
    // Ids up to 2 are those of no transaction: none, the server's first rows, and frozen ones of old servers. The relation's id is in it,
    // because a table that was attached as a partition may hold the same key by the same transaction.
    format!(
        "CASE WHEN {id} > 2 AND ({id} - {low} + {XIDS}) % {XIDS} >= \
         (SELECT pg_catalog.txid_snapshot_xmax(pg_catalog.txid_current_snapshot())) - {settled_before} \
         THEN 'x' || t.xmin::pg_catalog.text || '.' || t.tableoid::pg_catalog.text ELSE 'v' || {values} END"
    )
}
