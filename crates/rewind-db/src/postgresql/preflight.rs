//! The preflight's facts on PostgreSQL: what a query would answer, and which logins stay open.

use super::INVALID_DATABASE;
use super::connection::PostgresqlConnection;
use super::jobs::HAS_CRON;
use super::quote::literal;
use crate::engine::preflight::{
    Column, DatabaseFacts, Description, FACTS_MAX, PreflightOperations, ReadOnly, Refusal, Rights, ServerFacts,
    Unclosable, rows_if_readable,
};
use crate::engine::{Connection, LoginOperations};
use crate::error::{DatabaseError, StatementError};
use rewind_core::{ColumnKind, StepError};
use std::collections::BTreeSet;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

impl PreflightOperations for PostgresqlConnection {
    async fn describe(&self, sql: &str) -> Result<Description, StatementError> {
        let (columns, parameters) = self.prepare(sql).await?;
        let columns = columns
            .into_iter()
            .map(|column| Column { kind: kind_of(&column), type_name: column.name().to_owned() })
            .collect();
        Ok(Description { columns, parameters })
    }

    fn refusal(&self, error: &DatabaseError) -> Refusal {
        let is = |state: &SqlState| error.code == state.code();
        if is(&SqlState::UNDEFINED_TABLE) || is(&SqlState::INVALID_SCHEMA_NAME) {
            Refusal::ObjectMissing
        } else if is(&SqlState::UNDEFINED_COLUMN) {
            Refusal::ColumnMissing
        } else if is(&SqlState::LOCK_NOT_AVAILABLE) {
            Refusal::Locked
        } else {
            Refusal::Wrong
        }
    }

    /// PostgreSQL forgets the name of a dropped column and keeps its place.
    async fn may_have_lost_a_column(&self, sql: &str) -> Result<bool, StatementError> {
        let found = self
            .values(&format!(
                "SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
                 WHERE a.attisdropped AND c.relkind IN ('r', 'p') \
                 AND pg_catalog.strpos(pg_catalog.lower({}), pg_catalog.lower(c.relname)) > 0 LIMIT 1",
                literal(sql)
            ))
            .await?;
        Ok(!found.is_empty())
    }

    async fn unclosable(&self) -> Result<Unclosable, StepError> {
        let logins = self.read_logins().await?;
        let unlimited = logins.databases.iter().filter(|database| !database.can_be_limited);
        // Until PostgreSQL 15 CREATEROLE is enough. From 16 on it takes the ADMIN option on each role, held by this user
        // or by a role that it is a member of.
        let alterable = self
            .values(
                "SELECT r.oid FROM pg_catalog.pg_roles r, \
                 (SELECT rolcreaterole FROM pg_catalog.pg_roles WHERE rolname = current_user) me \
                 WHERE me.rolcreaterole AND (pg_catalog.current_setting('server_version_num')::int < 160000 \
                 OR EXISTS (SELECT FROM pg_catalog.pg_auth_members m WHERE m.roleid = r.oid AND m.admin_option \
                 AND pg_catalog.pg_has_role(current_user, m.member, 'MEMBER')))",
            )
            .await?;
        let alterable: BTreeSet<String> = alterable.into_iter().collect();
        Ok(Unclosable {
            // The fence verifies by connecting as this user, and takes what is closed to it alone for closed to nobody.
            logins_get_in: unlimited.clone().next().is_some(),
            databases: unlimited
                .filter(|database| database.takes_master)
                .map(|database| database.name.clone())
                .collect(),
            logins: logins
                .roles
                .into_iter()
                .filter(|role| !alterable.contains(&role.oid.to_string()))
                .map(|role| role.name)
                .collect(),
            ..Unclosable::default()
        })
    }

    async fn rights(&self) -> Result<Rights, StepError> {
        let all = self
            .values(
                "SELECT 1 FROM pg_catalog.pg_roles r WHERE (r.rolsuper OR r.rolname = 'rds_superuser') \
                 AND pg_catalog.pg_has_role(r.oid, 'MEMBER')",
            )
            .await?;
        let beyond_reading = self
            .values(
                // Rights that come with PUBLIC count as well: they are this user's.
                "(SELECT 'member of ' || r.rolname FROM pg_catalog.pg_roles r WHERE r.rolname IN ('pg_write_all_data', \
                 'pg_signal_backend', 'pg_execute_server_program', 'pg_write_server_files', 'pg_maintain', 'rds_replication') \
                 AND pg_catalog.pg_has_role(r.oid, 'MEMBER') ORDER BY 1) UNION ALL \
                 (SELECT 'may make roles' FROM pg_catalog.pg_roles r WHERE r.rolname = current_user AND r.rolcreaterole) \
                 UNION ALL (SELECT 'may write ' || n.nspname || '.' || c.relname FROM pg_catalog.pg_class c \
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'f') \
                 AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)' \
                 AND (pg_catalog.has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') \
                 OR pg_catalog.pg_has_role(c.relowner, 'MEMBER')) LIMIT 3)",
            )
            .await?;
        Ok(Rights { all: !all.is_empty(), beyond_reading })
    }

    async fn server_facts(&self) -> Result<ServerFacts, StepError> {
        let free = self
            .values(
                "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int \
                 - coalesce(current_setting('reserved_connections', true), '0')::int \
                 - coalesce(current_setting('rds.rds_superuser_reserved_connections', true), '0')::int \
                 - (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend')",
            )
            .await?;
        let me = self
            .rows(
                "SELECT current_user, current_database(), current_setting('default_transaction_read_only'), \
                 pg_catalog.pg_has_role('pg_signal_backend', 'USAGE') \
                 OR (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)",
            )
            .await?;
        let Some([Some(user), Some(database), Some(read_only), Some(signals)]) =
            me.into_iter().next().map(|row| <[_; 4]>::try_from(row).unwrap_or_default())
        else {
            return Err(StepError::bug("the database did not say who is logged in"));
        };
        Ok(ServerFacts {
            // What cannot be read is not a reason to refuse: then there is no number to compare.
            free_connections: free.first().and_then(|free| free.parse().ok()).unwrap_or(i64::MAX),
            read_only_by: (read_only == "on").then(|| ReadOnly {
                what: format!("default_transaction_read_only is on for {user} in {database}"),
                fix: format!(
                    "run `ALTER ROLE \"{user}\" RESET default_transaction_read_only` and `ALTER DATABASE \"{database}\" \
                     RESET default_transaction_read_only`, or turn it off in the parameter group"
                ),
            }),
            cannot_end_sessions: (signals != "t").then(|| {
                format!("{user} may not end sessions: it is no member of pg_signal_backend")
            }),
            runs_at_login: false,
            replication: self.slots().await?,
            subscriptions: self.subscriptions().await?,
            // RDS may set the database whether or not the library is loaded. Who may not see the libraries goes by that alone.
            scheduler: self
                .values(
                    "SELECT pg_catalog.current_setting('cron.database_name', true) WHERE coalesce((SELECT pg_catalog.strpos(s.setting, \
                     'pg_cron') > 0 FROM pg_catalog.pg_settings s WHERE s.name = 'shared_preload_libraries'), true)",
                )
                .await?
                .into_iter()
                .find(|database| !database.is_empty())
                .map(|database| format!("pg_cron, with its jobs in the database {database}")),
        })
    }

    async fn database_facts(&self) -> Result<DatabaseFacts, StepError> {
        let unlogged = rows_if_readable(
            self.values(&format!(
                "SELECT pg_catalog.current_database() || ': ' || n.nspname || '.' || c.relname \
                 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE c.relpersistence = 'u' AND c.relkind IN ('r', 'p', 'm') ORDER BY 1 LIMIT {FACTS_MAX} + 1"
            ))
            .await,
        )?;
        let cron = self.values(HAS_CRON).await?;
        let jobs = match cron.first() {
            None => Vec::new(),
            Some(_) => rows_if_readable(
                self.values(&format!(
                    "SELECT 'pg_cron job ' || jobid || ' in ' || database || ' (' || schedule || ')' FROM cron.job \
                     WHERE active ORDER BY jobid LIMIT {FACTS_MAX} + 1"
                ))
                .await,
            )?,
        };
        Ok(DatabaseFacts { jobs, unlogged })
    }

    async fn databases(&self) -> Result<Vec<String>, StepError> {
        Ok(self
            .values(&format!(
                "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate \
                 AND datconnlimit <> {INVALID_DATABASE} AND datname <> 'rdsadmin' ORDER BY 1"
            ))
            .await?)
    }
}

impl PostgresqlConnection {
    async fn slots(&self) -> Result<Vec<String>, StepError> {
        rows_if_readable(
            self.values(&format!(
                "SELECT 'replication slot ' || slot_name || coalesce(' of ' || database, '') \
                 FROM pg_catalog.pg_replication_slots WHERE NOT temporary ORDER BY 1 LIMIT {FACTS_MAX} + 1"
            ))
            .await,
        )
    }

    async fn subscriptions(&self) -> Result<Vec<String>, StepError> {
        rows_if_readable(
            self.values(&format!(
                "SELECT 'subscription ' || s.subname || ' in ' || d.datname \
                 || CASE WHEN s.subenabled THEN '' ELSE ', disabled now' END FROM pg_catalog.pg_subscription s \
                 JOIN pg_catalog.pg_database d ON d.oid = s.subdbid ORDER BY 1 LIMIT {FACTS_MAX} + 1"
            ))
            .await,
        )
    }
}

fn kind_of(column: &Type) -> ColumnKind {
    match *column {
        Type::BOOL => ColumnKind::Boolean,
        Type::INT2 | Type::INT4 | Type::INT8 | Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC | Type::OID => {
            ColumnKind::Number
        }
        Type::BYTEA => ColumnKind::Binary,
        Type::DATE | Type::TIME | Type::TIMETZ | Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::INTERVAL => {
            ColumnKind::Time
        }
        _ => ColumnKind::Other,
    }
}
