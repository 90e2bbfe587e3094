//! Who may log in where: what the fence changes, as it was before. It changes nothing itself.

use super::mysql;
use crate::engine::{Dialect, INVALID};
use crate::session::{Row, Session};
use rewind_core::StepError;
use serde::{Deserialize, Serialize};

/// What the fence is about to change, as it was before. Serialisable: it has to outlive the step.
///
/// PostgreSQL has the first two, MySQL the third.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoginState {
    /// The databases that take connections, without the one that the fence works from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<DatabaseLimit>,
    /// The roles that may log in: neither the master user nor RDS's own, superusers or replication roles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<LoginRole>,
    /// The accounts that may log in: neither the master user's nor RDS's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<Account>,
}

/// An account of MySQL's that may log in. It has no number: one that was dropped and made again is the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Account {
    /// The user.
    pub user: String,
    /// Where it may connect from: a pattern.
    pub host: String,
}

impl std::fmt::Display for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.user, self.host)
    }
}

/// A database and its connection limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseLimit {
    /// Its object id: a database that was dropped and made again is another one.
    pub oid: u32,
    /// Its name.
    pub name: String,
    /// `datconnlimit`: -1 is no limit.
    pub connection_limit: i32,
    /// Whether the master user may change that: as its owner, or as a member of its owner.
    pub can_be_limited: bool,
}

/// A role that may log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoginRole {
    /// Its object id.
    pub oid: u32,
    /// Its name.
    pub name: String,
}

impl LoginState {
    /// What `recorded` holds, and beside it what only `fresh` knows.
    ///
    /// A survey of a cluster that is fenced already, or half, sees limits of zero, no roles and no accounts: what an earlier attempt
    /// recorded is how it was before, and must not be overwritten with that.
    #[must_use]
    pub fn keeping(recorded: &Self, fresh: &Self) -> Self {
        let mut merged = recorded.clone();
        for database in &fresh.databases {
            match merged.databases.iter_mut().find(|known| known.oid == database.oid) {
                Some(known) => {
                    known.name.clone_from(&database.name);
                    known.can_be_limited = database.can_be_limited;
                }
                None => merged.databases.push(database.clone()),
            }
        }
        for role in &fresh.roles {
            match merged.roles.iter_mut().find(|known| known.oid == role.oid) {
                Some(known) => known.name.clone_from(&role.name),
                None => merged.roles.push(role.clone()),
            }
        }
        for account in &fresh.accounts {
            if !merged.accounts.contains(account) {
                merged.accounts.push(account.clone());
            }
        }
        merged
    }

    /// Whether there is nothing to put back.
    pub fn is_empty(&self) -> bool {
        self.databases.is_empty() && self.roles.is_empty() && self.accounts.is_empty()
    }

    pub(crate) fn database(&self, oid: u32) -> Option<&DatabaseLimit> {
        self.databases.iter().find(|database| database.oid == oid)
    }

    pub(crate) fn role(&self, oid: u32) -> Option<&LoginRole> {
        self.roles.iter().find(|role| role.oid == oid)
    }
}

/// Reads who may log in where.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when the database does not answer.
pub async fn survey(session: &Session) -> Result<LoginState, StepError> {
    if session.dialect() != Dialect::Postgres {
        let accounts = mysql::open(session).await?.into_iter().collect();
        return Ok(LoginState { accounts, ..LoginState::default() });
    }
    // One whose drop was interrupted is closed to everybody, superusers too, and its limit cannot be changed.
    let databases = session
        .rows(&format!(
            "SELECT oid, datname, datconnlimit, pg_catalog.pg_has_role(datdba, 'USAGE') FROM pg_catalog.pg_database \
             WHERE datallowconn AND datconnlimit <> {INVALID} AND datname <> pg_catalog.current_database() ORDER BY oid"
        ))
        .await?;
    // RDS keeps names that begin with rds_ to itself, and has a few of its own beside them.
    let roles = session
        .rows(
            "SELECT oid, rolname FROM pg_catalog.pg_roles WHERE rolcanlogin AND NOT rolsuper AND NOT rolreplication \
             AND rolname <> session_user AND rolname <> current_user AND rolname !~ '^rds_' \
             AND rolname NOT IN ('rdsadmin', 'rdsrepladmin', 'rdstopmgr', 'rdswriteforwarduser', 'rdsproxyadmin') \
             ORDER BY oid",
        )
        .await?;
    Ok(LoginState {
        databases: databases.into_iter().map(read_database).collect::<Option<_>>().ok_or_else(unreadable)?,
        roles: roles.into_iter().map(read_role).collect::<Option<_>>().ok_or_else(unreadable)?,
        accounts: Vec::new(),
    })
}

fn unreadable() -> StepError {
    StepError::bug("the catalogue of databases and roles has a row that cannot be read")
}

fn read_database(row: Row) -> Option<DatabaseLimit> {
    let [Some(oid), Some(name), Some(limit), Some(owned)] = <[_; 4]>::try_from(row).ok()? else { return None };
    Some(DatabaseLimit {
        oid: oid.parse().ok()?,
        name,
        connection_limit: limit.parse().ok()?,
        can_be_limited: owned == "t",
    })
}

fn read_role(row: Row) -> Option<LoginRole> {
    let [Some(oid), Some(name)] = <[_; 2]>::try_from(row).ok()? else { return None };
    Some(LoginRole { oid: oid.parse().ok()?, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(oid: u32, limit: i32) -> DatabaseLimit {
        DatabaseLimit { oid, name: format!("d{oid}"), connection_limit: limit, can_be_limited: true }
    }

    fn role(oid: u32) -> LoginRole {
        LoginRole { oid, name: format!("r{oid}") }
    }

    fn account(user: &str) -> Account {
        Account { user: user.to_owned(), host: "%".to_owned() }
    }

    #[test]
    fn a_survey_of_a_fenced_cluster_does_not_overwrite_how_it_was_before() {
        let recorded = LoginState {
            databases: vec![database(1, -1), database(2, 50)],
            roles: vec![role(10)],
            accounts: vec![account("app")],
        };
        let fresh = LoginState {
            databases: vec![database(1, 0), database(2, 0), database(3, 7)],
            roles: vec![role(11)],
            accounts: vec![account("app"), account("late")],
        };
        let merged = LoginState::keeping(&recorded, &fresh);
        assert_eq!(merged.databases, [database(1, -1), database(2, 50), database(3, 7)]);
        assert_eq!(merged.roles, [role(10), role(11)]);
        assert_eq!(merged.accounts, [account("app"), account("late")]);
    }

    #[test]
    fn the_state_survives_the_table_it_is_kept_in() {
        let postgres = LoginState { databases: vec![database(1, -1)], roles: vec![role(10)], ..LoginState::default() };
        let mysql = LoginState { accounts: vec![account("app")], ..LoginState::default() };
        for state in [postgres, mysql, LoginState::default()] {
            let stored = serde_json::to_string(&state).unwrap();
            assert_eq!(serde_json::from_str::<LoginState>(&stored).unwrap(), state);
        }
    }

    #[test]
    fn a_note_from_before_there_was_mysql_is_read() {
        let note = r#"{"databases":[{"oid":1,"name":"d1","connectionLimit":-1,"canBeLimited":true}],"roles":[]}"#;
        assert_eq!(serde_json::from_str::<LoginState>(note).unwrap().databases, [database(1, -1)]);
    }
}
