//! Logins as a fence finds them, and the statements that close them and put them back.

use super::connection::Connection;
use crate::error::StatementError;
use rewind_core::StepError;
use serde::{Deserialize, Serialize};

/// The logins that a fence is about to close, as they were before. Serialisable: it has to outlive the step.
///
/// PostgreSQL has the first two, MySQL the third.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
// Defaults for all: a record that an earlier version wrote lacks the fields of later engines.
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

/// An account of MySQL that may log in. It has no number: one that was dropped and made again is the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Account {
    /// The user.
    pub user: String,
    /// The hosts that it may connect from: a pattern.
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
    /// The object id: a database that was dropped and made again is another one.
    pub oid: u32,
    /// The name.
    pub name: String,
    /// `datconnlimit`: -1 is no limit.
    pub connection_limit: i32,
    /// True if the master user may change that: as the owner, or as a member of the owner.
    pub can_be_limited: bool,
}

/// A role that may log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoginRole {
    /// The object id.
    pub oid: u32,
    /// The name.
    pub name: String,
}

impl LoginState {
    /// Adds to `recorded` what only `fresh` holds.
    ///
    /// A cluster that is fenced already, or half, shows limits of zero, no roles and no accounts: what an earlier attempt
    /// recorded is how it was before, and must not be overwritten with that.
    #[must_use]
    pub fn merge(recorded: &Self, fresh: &Self) -> Self {
        let mut merged = recorded.clone();
        for database in &fresh.databases {
            match merged.databases.iter_mut().find(|known| known.oid == database.oid) {
                Some(known) => {
                    // All but the limit, which `fresh` may have read after the fence set it to zero.
                    known.name.clone_from(&database.name);
                    known.can_be_limited = database.can_be_limited;
                }
                None => merged.databases.push(database.clone()),
            }
        }
        // By object id: a role that was renamed meanwhile is the same one, and its record must not be doubled.
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

    /// True if there is nothing to restore.
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

/// A way to log in that a fence closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoginPath {
    /// A database of PostgreSQL's, by its connection limit.
    Database,
    /// A role of PostgreSQL's, by its `LOGIN`.
    Role,
    /// An account of MySQL's, by its lock.
    Account,
}

impl std::fmt::Display for LoginPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Database => "database",
            Self::Role => "role",
            Self::Account => "account",
        })
    }
}

/// One login path that is to be closed.
pub(crate) struct CloseLogin {
    pub(crate) path: LoginPath,
    pub(crate) name: String,
    pub(crate) action: CloseAction,
}

/// The way to close a login path.
pub(crate) enum CloseAction {
    /// A statement.
    Run(String),
    /// Nothing: an earlier attempt closed it.
    AlreadyClosed,
    /// Nothing that this user has a right to: the reason, as the end of a sentence that begins with the path.
    NotPermitted(&'static str),
}

/// One login path that is to be as it was recorded.
pub(crate) struct RestoreLogin {
    /// The statement; none where nothing can be restored, and `done` says why.
    pub(crate) statement: Option<String>,
    /// The sentence for the report once it is done.
    pub(crate) done: String,
    /// The name of the change in the error where the server refuses it.
    pub(crate) name: String,
}

/// The logins of an engine: read, closed and restored.
pub(crate) trait LoginOperations: Connection {
    /// Sets the connection up for changes of logins: durable, and never waiting long for somebody else's.
    fn prepare_changes(&self) -> impl Future<Output = Result<(), StatementError>> + Send;

    /// Reads who may log in where now.
    fn read_logins(&self) -> impl Future<Output = Result<LoginState, StepError>> + Send;

    /// The changes that close what is `open` now and stands in `recorded`, in the order to make them.
    fn close_logins(&self, open: &LoginState, recorded: &LoginState) -> Vec<CloseLogin>;

    /// The changes that restore what is not as it was recorded. What is gone, or was made anew under the same name, stays
    /// as it is.
    fn restore_logins(
        &self,
        recorded: &LoginState,
    ) -> impl Future<Output = Result<Vec<RestoreLogin>, StepError>> + Send;

    /// True if a change failed for another transaction that is changing the same: over when that one is.
    fn is_conflict(&self, error: &StatementError) -> bool;

    /// True if a change failed because what it was to change is gone.
    fn is_gone(&self, error: &StatementError) -> bool;
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
    fn logins_read_from_a_fenced_cluster_do_not_overwrite_how_they_were_before() {
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
        let merged = LoginState::merge(&recorded, &fresh);
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
