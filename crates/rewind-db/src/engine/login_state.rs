//! Logins as a fence finds them: databases, roles and accounts.

use serde::{Deserialize, Serialize};

/// The logins that are open, of those that a fence closes.
///
/// PostgreSQL has the first two, MySQL the third.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoginState {
    /// The databases that take connections, without the one that the fence works from.
    pub databases: Vec<DatabaseLimit>,
    /// The roles that may log in: neither the master user nor RDS's own, superusers or replication roles.
    pub roles: Vec<LoginRole>,
    /// The accounts that may log in: neither the master user's nor RDS's own.
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
    /// True if the master user may connect to it, as far as permissions go.
    #[serde(skip)]
    pub takes_master: bool,
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
