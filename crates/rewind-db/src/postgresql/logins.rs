//! The fence's logins on PostgreSQL: every database's connection limit, and the `LOGIN` of the application's roles.

use super::INVALID_DATABASE;
use super::connection::PostgresqlConnection;
use super::quote::{identifier, literal, literals};
use crate::engine::login_state::{DatabaseLimit, LoginRole, LoginState};
use crate::engine::logins::{CloseAction, CloseLogin, Direction, LoginOperations, LoginPath, RestoreLogin};
use crate::engine::record::LoginRecord;
use crate::engine::{Connection, Row, reserved};
use crate::error::StatementError;
use rewind_core::StepError;
use std::collections::{BTreeMap, BTreeSet};
use tokio_postgres::error::SqlState;

impl LoginOperations for PostgresqlConnection {
    async fn prepare_changes(&self) -> Result<(), StatementError> {
        // The record says that a login is closed from here on: it must be so after a crash of the server too, whatever the
        // cluster's own setting of synchronous_commit is. And the owner of a database may have set its sessions to read only.
        self.execute(
            "SET lock_timeout = '1s'; SET statement_timeout = '20s'; SET synchronous_commit = on; SET default_transaction_read_only = off",
        )
        .await
    }

    async fn read_logins(&self) -> Result<LoginState, StepError> {
        // The master user keeps its login, although the secret may be another user's: people lift a fence as it.
        let master = self.master_user.as_deref().map_or_else(|| "current_user".to_owned(), literal);
        // One whose drop was interrupted is closed to everybody, superusers too, and its limit cannot be changed.
        let databases = self
            .rows(&format!(
                "SELECT oid, datname, datconnlimit, pg_catalog.pg_has_role(datdba, 'USAGE'), \
                 pg_catalog.has_database_privilege(oid, 'CONNECT') OR EXISTS (SELECT FROM pg_catalog.pg_roles r \
                 WHERE r.rolname = {master} AND pg_catalog.has_database_privilege(r.oid, d.oid, 'CONNECT')) \
                 FROM pg_catalog.pg_database d WHERE datallowconn AND datconnlimit <> {INVALID_DATABASE} \
                 AND datname <> pg_catalog.current_database() ORDER BY oid"
            ))
            .await?;
        let roles = self
            .rows(&format!(
                "SELECT oid, rolname FROM pg_catalog.pg_roles WHERE rolcanlogin AND NOT rolsuper AND NOT rolreplication \
                 AND rolname <> session_user AND rolname <> current_user AND rolname <> {master} \
                 AND rolname NOT IN ({}) ORDER BY oid",
                literals(reserved::postgresql_logins())
            ))
            .await?;
        Ok(LoginState {
            databases: databases.into_iter().map(read_database).collect::<Option<_>>().ok_or_else(unreadable)?,
            roles: roles.into_iter().map(read_role).collect::<Option<_>>().ok_or_else(unreadable)?,
            accounts: Vec::new(),
        })
    }

    /// Databases first: their limit holds for every role, the master user included.
    async fn close_logins(&self, open: &LoginState, recorded: &LoginRecord) -> Result<Vec<CloseLogin>, StepError> {
        let databases = open.databases.iter().filter(|database| recorded.has_database(database));
        let databases = databases.map(|database| CloseLogin {
            path: LoginPath::Database,
            name: database.name.clone(),
            action: if !database.can_be_limited {
                CloseAction::NotPermitted("belongs to a role that the master user is no member of")
            } else if database.connection_limit == 0 {
                CloseAction::AlreadyClosed
            } else {
                CloseAction::Run(format!("ALTER DATABASE {} CONNECTION LIMIT 0", identifier(&database.name)))
            },
        });
        let roles = open.roles.iter().filter(|role| recorded.has_role(role));
        let roles = roles.map(|role| CloseLogin {
            path: LoginPath::Role,
            name: role.name.clone(),
            action: CloseAction::Run(format!("ALTER ROLE {} NOLOGIN", identifier(&role.name))),
        });
        // Closed by an earlier attempt, and so not among those that are open. The record has no names.
        let still_open: BTreeSet<u32> = open.roles.iter().map(|role| role.oid).collect();
        let closed: BTreeSet<u32> = recorded.roles().filter(|oid| !still_open.contains(oid)).collect();
        let names = match closed.is_empty() {
            true => BTreeMap::new(),
            false => settings(self, "SELECT oid, rolname, rolcanlogin FROM pg_catalog.pg_roles").await?,
        };
        let closed = closed.iter().filter_map(|oid| names.get(oid)).map(|(name, _)| CloseLogin {
            path: LoginPath::Role,
            name: name.clone(),
            action: CloseAction::AlreadyClosed,
        });
        Ok(databases.chain(roles).chain(closed).collect())
    }

    async fn restore_logins(&self, recorded: &LoginRecord) -> Result<Vec<RestoreLogin>, StepError> {
        let limits = settings(self, "SELECT oid, datname, datconnlimit FROM pg_catalog.pg_database").await?;
        let logins = settings(self, "SELECT oid, rolname, rolcanlogin FROM pg_catalog.pg_roles").await?;
        let databases = recorded.limits().filter_map(|(oid, recorded)| restore_limit(recorded, limits.get(&oid)?));
        let roles = recorded.roles().filter_map(|oid| {
            let (name, can_login) = logins.get(&oid)?;
            (can_login != "t").then(|| RestoreLogin {
                change: Some(format!("ALTER ROLE {} LOGIN", identifier(name))),
                done: format!("{name} may log in again"),
                name: format!("LOGIN of {name}"),
            })
        });
        Ok(databases.chain(roles).collect())
    }

    /// One transaction of the simple protocol: a kill in the middle of it leaves everything as it was.
    fn changes_at_once(&self) -> usize {
        1_000
    }

    fn statement(&self, _: Direction, changes: &[String]) -> String {
        changes.join("; ")
    }

    fn is_conflict(&self, error: &StatementError) -> bool {
        // `tuple concurrently updated` comes as an internal error: two sessions changed the same row of the catalogue.
        matches!(error, StatementError::TimedOut)
            || [SqlState::LOCK_NOT_AVAILABLE, SqlState::INTERNAL_ERROR, SqlState::T_R_SERIALIZATION_FAILURE]
                .iter()
                .any(|state| error.has_code(state.code()))
    }

    fn is_gone(&self, error: &StatementError) -> bool {
        error.has_code(SqlState::INVALID_CATALOG_NAME.code()) || error.has_code(SqlState::UNDEFINED_OBJECT.code())
    }
}

/// The change that restores a recorded limit; none where it is as it was.
fn restore_limit(recorded: i32, (name, limit): &(String, String)) -> Option<RestoreLogin> {
    if *limit == recorded.to_string() {
        return None;
    }
    // The mark must stay: PostgreSQL takes a database without it for a whole one, and its files may be half gone.
    let is_invalid = *limit == INVALID_DATABASE.to_string();
    let change = format!("ALTER DATABASE {} CONNECTION LIMIT {recorded}", identifier(name));
    Some(RestoreLogin {
        change: (!is_invalid).then_some(change),
        done: if is_invalid {
            format!("the drop of {name} was interrupted meanwhile: nothing to restore")
        } else {
            format!("connection limit of {name} restored to {recorded}")
        },
        name: format!("connection limit {recorded} of {name}"),
    })
}

/// Names and present settings, by object id.
async fn settings(
    connection: &PostgresqlConnection,
    sql: &str,
) -> Result<BTreeMap<u32, (String, String)>, StatementError> {
    let read = |row: Row| match <[_; 3]>::try_from(row) {
        Ok([Some(oid), Some(name), Some(setting)]) => Some((oid.parse().ok()?, (name, setting))),
        _ => None,
    };
    Ok(connection.rows(sql).await?.into_iter().filter_map(read).collect())
}

fn unreadable() -> StepError {
    StepError::bug("the catalogue of databases and roles has a row that cannot be read")
}

fn read_database(row: Row) -> Option<DatabaseLimit> {
    let [Some(oid), Some(name), Some(limit), Some(owned), Some(takes_master)] = <[_; 5]>::try_from(row).ok()? else {
        return None;
    };
    Some(DatabaseLimit {
        oid: oid.parse().ok()?,
        name,
        connection_limit: limit.parse().ok()?,
        can_be_limited: owned == "t",
        takes_master: takes_master == "t",
    })
}

fn read_role(row: Row) -> Option<LoginRole> {
    let [Some(oid), Some(name)] = <[_; 2]>::try_from(row).ok()? else { return None };
    Some(LoginRole { oid: oid.parse().ok()?, name })
}
