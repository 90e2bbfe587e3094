//! The record of the logins that a fence changes, as they were before. It has to outlive the step and to fit into an item of
//! the table with thousands of tenants, so it holds object ids and no names where the engine has ids.

use super::login_state::{Account, DatabaseLimit, LoginRole, LoginState};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The logins that a fence changes, as they were before it changed any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct LoginRecord {
    /// The connection limits by object id; none where the fence has no right to change it.
    databases: BTreeMap<u32, Option<i32>>,
    /// The roles that could log in, by object id.
    roles: BTreeSet<u32>,
    /// The accounts that could log in.
    accounts: BTreeSet<Account>,
}

impl LoginRecord {
    /// The record of logins that no fence has changed yet.
    pub fn of(state: &LoginState) -> Self {
        Self::default().and(state)
    }

    /// Adds what only `fresh` holds.
    ///
    /// A cluster that is fenced already, or half, shows limits of zero, no roles and no accounts: what an earlier attempt
    /// recorded is how it was before, and must not be overwritten with that.
    #[must_use]
    pub fn and(mut self, fresh: &LoginState) -> Self {
        for database in &fresh.databases {
            let limit = database.can_be_limited.then_some(database.connection_limit);
            let recorded = self.databases.entry(database.oid).or_insert(limit);
            // One that could not be limited at the time was not changed: its limit is still how it was before.
            if recorded.is_none() {
                *recorded = limit;
            }
        }
        self.roles.extend(fresh.roles.iter().map(|role| role.oid));
        self.accounts.extend(fresh.accounts.iter().cloned());
        self
    }

    /// True if there is nothing to restore.
    pub fn is_empty(&self) -> bool {
        self.databases.is_empty() && self.roles.is_empty() && self.accounts.is_empty()
    }

    pub(crate) fn has_database(&self, database: &DatabaseLimit) -> bool {
        self.databases.contains_key(&database.oid)
    }

    pub(crate) fn has_role(&self, role: &LoginRole) -> bool {
        self.roles.contains(&role.oid)
    }

    pub(crate) fn has_account(&self, account: &Account) -> bool {
        self.accounts.contains(account)
    }

    /// The databases whose limit the fence changes, with the limit of before.
    pub(crate) fn limits(&self) -> impl Iterator<Item = (u32, i32)> {
        self.databases.iter().filter_map(|(oid, limit)| Some((*oid, (*limit)?)))
    }

    pub(crate) fn roles(&self) -> impl Iterator<Item = u32> {
        self.roles.iter().copied()
    }

    pub(crate) fn accounts(&self) -> &BTreeSet<Account> {
        &self.accounts
    }
}

/// The record as it is stored. Most databases have no limit, so they need no more than their ids; accounts are grouped by their
/// hosts, which are few.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Stored {
    #[serde(skip_serializing_if = "String::is_empty")]
    unlimited: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    limited: BTreeMap<u32, i32>,
    #[serde(skip_serializing_if = "String::is_empty")]
    not_permitted: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    login_roles: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    users_by_host: BTreeMap<String, BTreeSet<String>>,
    // As earlier versions wrote it: the undo of a recovery that was fenced before an update reads these.
    #[serde(skip_serializing)]
    databases: Vec<DatabaseLimit>,
    #[serde(skip_serializing)]
    roles: Vec<LoginRole>,
    #[serde(skip_serializing)]
    accounts: Vec<Account>,
}

/// The limit of a database that has none.
const NO_LIMIT: i32 = -1;

impl From<LoginRecord> for Stored {
    fn from(record: LoginRecord) -> Self {
        let mut stored = Self { login_roles: to_text(record.roles.iter().copied()), ..Self::default() };
        let ids = |wanted: Option<i32>| {
            to_text(record.databases.iter().filter(|(_, limit)| **limit == wanted).map(|(oid, _)| *oid))
        };
        stored.unlimited = ids(Some(NO_LIMIT));
        stored.not_permitted = ids(None);
        stored.limited = record.limits().filter(|(_, limit)| *limit != NO_LIMIT).collect();
        for account in record.accounts {
            stored.users_by_host.entry(account.host).or_default().insert(account.user);
        }
        stored
    }
}

impl TryFrom<Stored> for LoginRecord {
    type Error = String;

    fn try_from(stored: Stored) -> Result<Self, String> {
        let earlier = LoginState { databases: stored.databases, roles: stored.roles, accounts: stored.accounts };
        let mut record = Self::of(&earlier);
        record.databases.extend(from_text(&stored.unlimited)?.into_iter().map(|oid| (oid, Some(NO_LIMIT))));
        record.databases.extend(from_text(&stored.not_permitted)?.into_iter().map(|oid| (oid, None)));
        record.databases.extend(stored.limited.into_iter().map(|(oid, limit)| (oid, Some(limit))));
        record.roles.extend(from_text(&stored.login_roles)?);
        for (host, users) in stored.users_by_host {
            record.accounts.extend(users.into_iter().map(|user| Account { user, host: host.clone() }));
        }
        Ok(record)
    }
}

/// Writes ascending ids as the first one and the steps to the next: tenants are made one after another, so a step has a digit or
/// two.
fn to_text(ids: impl Iterator<Item = u32>) -> String {
    let mut last = 0;
    let steps = ids.map(|id| id - std::mem::replace(&mut last, id));
    steps.map(|step| step.to_string()).collect::<Vec<_>>().join(",")
}

fn from_text(text: &str) -> Result<Vec<u32>, String> {
    let mut id = 0_u32;
    let mut next = |step: &str| {
        id = step.parse().ok().and_then(|step| id.checked_add(step)).ok_or_else(|| format!("{step} is no id"))?;
        Ok(id)
    };
    text.split(',').filter(|step| !step.is_empty()).map(&mut next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(oid: u32, limit: i32) -> DatabaseLimit {
        DatabaseLimit {
            oid,
            name: format!("d{oid}"),
            connection_limit: limit,
            can_be_limited: true,
            takes_master: true,
        }
    }

    fn role(oid: u32) -> LoginRole {
        LoginRole { oid, name: format!("r{oid}") }
    }

    fn account(user: &str, host: &str) -> Account {
        Account { user: user.to_owned(), host: host.to_owned() }
    }

    fn survives(record: &LoginRecord) -> usize {
        let stored = serde_json::to_value(record).unwrap();
        assert_eq!(serde_json::from_value::<LoginRecord>(stored.clone()).unwrap(), *record);
        stored.to_string().len()
    }

    #[test]
    fn logins_read_from_a_fenced_cluster_do_not_overwrite_how_they_were_before() {
        let theirs = DatabaseLimit { can_be_limited: false, ..database(4, 9) };
        let record = LoginRecord::of(&LoginState {
            databases: vec![database(1, -1), database(2, 50), theirs],
            roles: vec![role(10)],
            accounts: vec![account("app", "%")],
        });
        let merged = record.and(&LoginState {
            databases: vec![database(1, 0), database(2, 0), database(3, 7), database(4, 8)],
            roles: vec![role(11)],
            accounts: vec![account("app", "%"), account("late", "%")],
        });
        assert_eq!(merged.limits().collect::<Vec<_>>(), [(1, -1), (2, 50), (3, 7), (4, 8)]);
        assert_eq!(merged.roles().collect::<Vec<_>>(), [10, 11]);
        assert_eq!(merged.accounts().len(), 2);
    }

    #[test]
    fn the_record_survives_the_table_that_it_is_kept_in() {
        let theirs = DatabaseLimit { can_be_limited: false, ..database(4_294_967_295, -1) };
        let postgresql = LoginState {
            databases: vec![database(7, 0), database(16_384, -1), database(16_390, 17), theirs],
            roles: vec![role(10), role(4_000_000_000)],
            ..LoginState::default()
        };
        let accounts = vec![account("a", "%"), account("a", "10.%"), account("o'ne", "%")];
        let mysql = LoginState { accounts, ..LoginState::default() };
        for state in [postgresql, mysql, LoginState::default()] {
            survives(&LoginRecord::of(&state));
        }
    }

    /// An item of the table takes 400 KB. The record has one of its own.
    #[test]
    fn the_record_of_2600_tenants_with_the_longest_names_fits_into_an_item() {
        let name = |kind: &str, n: u32| format!("{kind}_{n:08}_{}", "x".repeat(49));
        let databases = (0..2_600).map(|n| DatabaseLimit { name: name("base", n), ..database(20_000 + 3 * n, -1) });
        let roles = (0..2_600).map(|n| LoginRole { oid: 20_001 + 3 * n, name: name("role", n) });
        let state = LoginState { databases: databases.collect(), roles: roles.collect(), ..LoginState::default() };
        assert!(survives(&LoginRecord::of(&state)) < 16_000);
        // MySQL has no ids; 32 characters are its longest user name.
        let accounts = (0..2_600).map(|n| account(&format!("tenant_{n:08}_{}", "x".repeat(16)), "10.%"));
        let state = LoginState { accounts: accounts.collect(), ..LoginState::default() };
        assert!(survives(&LoginRecord::of(&state)) < 100_000);
    }

    #[test]
    fn a_record_of_an_earlier_version_is_read() {
        let earlier = r#"{"databases":[{"oid":1,"name":"d1","connectionLimit":-1,"canBeLimited":true},
            {"oid":2,"name":"d2","connectionLimit":9,"canBeLimited":false}],"roles":[{"oid":5,"name":"app"}],
            "accounts":[{"user":"app","host":"%"}]}"#;
        let record: LoginRecord = serde_json::from_str(earlier).unwrap();
        assert_eq!(record.limits().collect::<Vec<_>>(), [(1, -1)]);
        assert!(record.has_role(&role(5)) && record.has_account(&account("app", "%")));
        assert!(record.has_database(&database(2, 9)));
    }

    #[test]
    fn a_record_that_cannot_be_read_is_an_error_and_no_empty_record() {
        for broken in [r#"{"unlimited":"1,x"}"#, r#"{"loginRoles":"4294967295,1"}"#, r#"{"limited":{"a":1}}"#] {
            assert!(serde_json::from_str::<LoginRecord>(broken).is_err(), "{broken}");
        }
    }
}
