//! Reading on MySQL: the transaction that can only read, and what the server says of itself.

use super::beginning::begins_as_a_query;
use super::connection::{MysqlConnection, OWN_MODE};
use super::errors::ABOUT_NAMES;
use super::quote::identifier;
use super::{Variant, called, rewritten};
use crate::engine::identity::ServerIdentity;
use crate::engine::queries::{TABLES_MAX, read_counters, read_estimates};
use crate::engine::{Connection, Counter, QueryLimits, QueryOperations, QueryResult, Row, Table};
use crate::error::StatementError;
use rewind_core::{DatabaseTables, StepError};
use std::collections::BTreeMap;
use std::time::Duration;

impl QueryOperations for MysqlConnection {
    async fn begin_read_only(&self, limits: QueryLimits) -> Result<(), StatementError> {
        let statement = self.statement_limit(limits.statement);
        // MySQL waits for locks by the second.
        let lock = limits.lock.as_millis().div_ceil(1000).max(1);
        // By session: MySQL has no settings of a transaction, and the next one sets them anew. The query is written for the mode of the
        // server.
        for sql in [
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
            &format!(
                "SET SESSION sql_mode = DEFAULT, {statement}, innodb_lock_wait_timeout = {lock}, lock_wait_timeout = {lock}"
            ),
            "START TRANSACTION READ ONLY",
        ] {
            self.execute(sql).await?;
        }
        Ok(())
    }

    async fn end_read_only(&self) -> Result<(), StatementError> {
        self.execute("ROLLBACK").await?;
        self.execute(OWN_MODE).await
    }

    /// Queries alone. The maintenance of tables returns columns too, and a read-only transaction does not hold it back:
    /// `OPTIMIZE TABLE` would rebuild a table.
    fn is_guarded(&self, sql: &str) -> bool {
        begins_as_a_query(sql)
    }

    async fn denial_of_text(&self, sql: &str) -> Result<Option<String>, StatementError> {
        called::denial(self, sql).await
    }

    /// None: MySQL shows no tree, and the text has told everything.
    async fn denial_of_tree(&self, _: &str) -> Result<Option<String>, StatementError> {
        Ok(None)
    }

    async fn query_examined(&self, sql: &str, keep: usize, limit: Duration) -> Result<QueryResult, StatementError> {
        self.query(sql, keep, limit).await.map_err(|error| error.without_rows(ABOUT_NAMES))
    }

    async fn tables_read_by(&self, sql: &str, limits: QueryLimits) -> Result<Vec<Table>, StepError> {
        rewritten::tables_read_by(self, sql, limits).await
    }

    async fn tables(&self) -> Result<Vec<Table>, StatementError> {
        self.listed_tables("ORDER BY 1, 2 LIMIT 10000").await
    }

    fn quoted(&self, table: &Table) -> String {
        format!("{}.{}", identifier(&table.schema), identifier(&table.name))
    }

    /// None: a database whose drop was interrupted is there, with the tables that are left.
    async fn invalid_databases(&self) -> Result<Vec<String>, StatementError> {
        Ok(Vec::new())
    }

    async fn databases_with_counters(&self) -> Result<Option<Vec<String>>, StatementError> {
        Ok(None)
    }

    async fn counters(&self) -> Result<Vec<Counter>, StatementError> {
        self.forget_statistics().await?;
        let rows = self
            .rows(
                "SELECT CONCAT('`', REPLACE(table_schema, '`', '``'), '`.`', REPLACE(table_name, '`', '``'), '`'), \
                 auto_increment, 1 FROM information_schema.tables WHERE auto_increment IS NOT NULL \
                 AND table_type = 'BASE TABLE' \
                 AND table_schema NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema') \
                 ORDER BY 1 LIMIT 10000",
            )
            .await?;
        Ok(read_counters(rows))
    }

    async fn user_databases(&self) -> Result<Vec<String>, StatementError> {
        self.values(
            "SELECT schema_name FROM information_schema.schemata \
             WHERE schema_name NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema') ORDER BY 1",
        )
        .await
    }

    async fn table_estimates(&self, limit: Duration) -> Result<DatabaseTables, StatementError> {
        self.forget_statistics().await?;
        self.execute(&format!("SET SESSION {}", self.statement_limit(limit))).await?;
        let rows = self
            .rows(&format!(
                "SELECT table_name, table_rows FROM information_schema.tables WHERE table_schema = DATABASE() \
                 AND table_type = 'BASE TABLE' ORDER BY 1 LIMIT {}",
                TABLES_MAX + 1
            ))
            .await?;
        Ok(read_estimates(rows))
    }

    /// Servers differ in which of these names they have; those that they have tell them apart.
    async fn identity(&self) -> Result<ServerIdentity, StepError> {
        let unknown = || StepError::bug("the database did not say who it is");
        let rows = self
            .rows(
                "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('aurora_server_id', 'server_uuid', 'server_id', \
                 'report_host', 'hostname', 'port', 'bind_address', 'datadir', 'read_only', 'innodb_read_only')",
            )
            .await?;
        let pair = |row: Row| match <[_; 2]>::try_from(row) {
            Ok([Some(name), Some(value)]) if !value.is_empty() => Some((name, value)),
            _ => None,
        };
        let variables: BTreeMap<String, String> = rows.into_iter().filter_map(pair).collect();
        let all = |names: &[&str]| -> Vec<&str> {
            names.iter().filter_map(|&name| variables.get(name)).map(String::as_str).collect()
        };
        let name = *all(&["aurora_server_id", "report_host", "hostname"]).first().ok_or_else(unknown)?;
        let port = variables.get("port").ok_or_else(unknown)?;
        // More than the name: two servers on a laptop have the same host name.
        let numbers = all(&["server_uuid", "server_id", "hostname", "bind_address", "datadir"]).join(", ");
        let is_on = |name: &str| variables.get(name).is_some_and(|value| value.eq_ignore_ascii_case("on"));
        Ok(ServerIdentity {
            server: format!("{name}:{port} ({numbers})"),
            started_at: self.started_at().await?.ok_or_else(unknown)?,
            // Aurora's readers have the first, MySQL's and MariaDB's replicas the second.
            in_recovery: is_on("innodb_read_only") || is_on("read_only"),
        })
    }
}

impl MysqlConnection {
    /// The setting that bounds each query of the session.
    fn statement_limit(&self, limit: Duration) -> String {
        // Zero would mean no limit.
        match self.variant {
            Variant::MySql => format!("max_execution_time = {}", limit.as_millis().max(1)),
            Variant::MariaDb => format!("max_statement_time = {}", limit.as_secs_f64().max(0.001)),
        }
    }

    /// Has the session read what the engine knows of tables now: otherwise MySQL answers what it knew up to a day ago.
    async fn forget_statistics(&self) -> Result<(), StatementError> {
        match self.variant {
            // MySQL 5.7 and MariaDB keep nothing, and do not have the setting.
            Variant::MySql if self.version >= (8, 0, 0) => {
                self.execute("SET SESSION information_schema_stats_expiry = 0").await
            }
            Variant::MySql | Variant::MariaDb => Ok(()),
        }
    }

    /// The start of the server, RFC 3339 in UTC.
    async fn started_at(&self) -> Result<Option<String>, StatementError> {
        let schema = match self.variant {
            Variant::MySql => "performance_schema",
            Variant::MariaDb => "information_schema",
        };
        // Both are the whole second at which this one statement began, so their difference is exactly the start.
        let started = self
            .values(&format!(
                "SELECT UTC_TIMESTAMP() - INTERVAL VARIABLE_VALUE SECOND FROM {schema}.global_status \
                 WHERE VARIABLE_NAME = 'Uptime'"
            ))
            .await?;
        Ok(started.first().map(|at| format!("{}Z", at.replace(' ', "T"))))
    }
}
