//! Reading on PostgreSQL: the transaction that can only read, and what the server says of itself.

use super::connection::PostgresqlConnection;
use super::quote::table_name;
use super::{INVALID_DATABASE, called, plan};
use crate::engine::identity::ServerIdentity;
use crate::engine::queries::{TABLES_MAX, read_counters, read_estimates};
use crate::engine::{Connection, Counter, QueryLimits, QueryOperations, QueryResult, Table};
use crate::error::StatementError;
use rewind_core::{DatabaseTables, StepError};
use std::time::Duration;

impl QueryOperations for PostgresqlConnection {
    async fn begin_read_only(&self, limits: QueryLimits) -> Result<(), StatementError> {
        // Zero would mean no limit.
        let milliseconds = |limit: Duration| limit.as_millis().max(1);
        let (statement, lock) = (milliseconds(limits.statement), milliseconds(limits.lock));
        let row_security = if limits.row_security { "on" } else { "off" };
        // Each statement sees the catalogue as the planner will: with one snapshot for all, what was planted after the first would be
        // hidden from the examination alone.
        // The query runs in the subtransaction of the savepoint: its parent is read-only, and that no statement and no
        // function within can change. SET LOCAL ends with the transaction.
        self.execute(&format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY; SET LOCAL statement_timeout = {statement}; \
             SET LOCAL lock_timeout = {lock}; SET LOCAL row_security = {row_security}; \
             {}; SAVEPOINT outside",
            self.login_path_first()
        ))
        .await
    }

    async fn end_read_only(&self) -> Result<(), StatementError> {
        self.execute("ROLLBACK").await?;
        self.forget_examined().await
    }

    /// Everything: a read-only transaction holds back every statement that writes.
    fn is_guarded(&self, _: &str) -> bool {
        true
    }

    /// From the database alone, whatever the text is: see [`called::denial_of_database`].
    async fn denial_of_text(&self, _: &str) -> Result<Option<String>, StatementError> {
        called::denial_of_database(self).await
    }

    async fn denial_of_tree(&self, sql: &str) -> Result<Option<String>, StatementError> {
        called::denial(self, sql).await
    }

    async fn query_examined(&self, sql: &str, keep: usize, limit: Duration) -> Result<QueryResult, StatementError> {
        called::query_examined(self, sql, keep, limit).await
    }

    async fn tables_read_by(&self, sql: &str, limits: QueryLimits) -> Result<Vec<Table>, StepError> {
        plan::tables_read_by(self, sql, limits).await
    }

    fn quoted(&self, table: &Table) -> String {
        table_name(table)
    }

    /// None: only Aurora MySQL can be backtracked, and compared with what it was before.
    async fn tables(&self) -> Result<Vec<Table>, StatementError> {
        Ok(Vec::new())
    }

    async fn invalid_databases(&self) -> Result<Vec<String>, StatementError> {
        self.values(&format!(
            "SELECT datname FROM pg_catalog.pg_database WHERE datconnlimit = {INVALID_DATABASE} ORDER BY 1"
        ))
        .await
    }

    async fn databases_with_counters(&self) -> Result<Option<Vec<String>>, StatementError> {
        self.values(&format!(
            "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate \
             AND datconnlimit <> {INVALID_DATABASE} AND datname <> 'rdsadmin' ORDER BY 1"
        ))
        .await
        .map(Some)
    }

    async fn counters(&self) -> Result<Vec<Counter>, StatementError> {
        let rows = self
            .rows(
                "SELECT pg_catalog.format('%I.%I', schemaname, sequencename), last_value::text, increment_by::text \
                 FROM pg_catalog.pg_sequences ORDER BY 1 LIMIT 10000",
            )
            .await?;
        Ok(read_counters(rows))
    }

    async fn user_databases(&self) -> Result<Vec<String>, StatementError> {
        self.databases_with_counters().await.map(Option::unwrap_or_default)
    }

    async fn table_estimates(&self, limit: Duration) -> Result<DatabaseTables, StatementError> {
        self.execute(&format!("SET statement_timeout = {}", limit.as_millis())).await?;
        // `reltuples` is in the catalogue, so a restore has it as it was at the target. The counter of live rows goes on with each commit,
        // but no restore and no reader has it: it counts only where its server has seen the table analysed or vacuumed, which sets it.
        // Never analysed is -1, before PostgreSQL 14 none of no pages. An unlogged table is empty after a restore, which the preflight
        // names, and a partitioned one has the rows of its partitions.
        let rows = self
            .rows(&format!(
                "SELECT n.nspname || '.' || c.relname, CASE WHEN c.relkind = 'p' THEN 0 \
                 WHEN coalesce(pg_catalog.pg_stat_get_last_analyze_time(c.oid), pg_catalog.pg_stat_get_last_autoanalyze_time(c.oid), \
                 pg_catalog.pg_stat_get_last_vacuum_time(c.oid), pg_catalog.pg_stat_get_last_autovacuum_time(c.oid)) IS NOT NULL \
                 THEN pg_catalog.pg_stat_get_live_tuples(c.oid) \
                 WHEN c.reltuples < 0 OR c.reltuples = 0 AND c.relpages = 0 \
                 AND pg_catalog.current_setting('server_version_num')::pg_catalog.int4 < 140000 THEN NULL \
                 ELSE pg_catalog.int8(c.reltuples) END \
                 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND n.nspname NOT IN ('pg_catalog', 'information_schema') \
                 ORDER BY 1 LIMIT {TABLES_MAX} + 1"
            ))
            .await?;
        Ok(read_estimates(rows))
    }

    async fn identity(&self) -> Result<ServerIdentity, StepError> {
        let rows = self
            .rows(
                // The address as the server sees it: through a proxy or a NAT it is not the one that was dialled.
                "SELECT coalesce(host(inet_server_addr()), 'local') || ':' || coalesce(inet_server_port(), 0), \
                 to_char(pg_postmaster_start_time() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), \
                 pg_is_in_recovery()",
            )
            .await?;
        match rows.into_iter().next().as_deref() {
            Some([Some(server), Some(started_at), Some(in_recovery)]) => Ok(ServerIdentity {
                server: server.clone(),
                started_at: started_at.clone(),
                in_recovery: in_recovery == "t",
            }),
            _ => Err(StepError::bug("the database did not say who it is")),
        }
    }
}
