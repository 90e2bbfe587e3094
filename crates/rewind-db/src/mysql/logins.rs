//! The fence's logins on MySQL: accounts are locked, one by one.

use super::connection::MysqlConnection;
use super::{Variant, is_reserved};
use crate::engine::logins::{Account, CloseAction, CloseLogin, LoginOperations, LoginPath, LoginState, RestoreLogin};
use crate::engine::{Connection, Row};
use crate::error::StatementError;
use rewind_core::StepError;
use std::collections::BTreeSet;

/// Hosts that nobody connects from on RDS; elsewhere they are where the server's own superuser does.
const LOCAL_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

impl LoginOperations for MysqlConnection {
    async fn prepare_changes(&self) -> Result<(), StatementError> {
        // With an sql_mode of its own a server may take a backslash for itself, and an account's name for another.
        self.execute("SET SESSION sql_mode = '', autocommit = 1, lock_wait_timeout = 2").await
    }

    async fn read_logins(&self) -> Result<LoginState, StepError> {
        let open: BTreeSet<Account> =
            self.accounts().await?.into_iter().filter(|(_, locked)| !locked).map(|(account, _)| account).collect();
        Ok(LoginState { accounts: open.into_iter().collect(), ..LoginState::default() })
    }

    fn close_logins(&self, open: &LoginState, recorded: &LoginState) -> Vec<CloseLogin> {
        let close = |account: &Account| CloseLogin {
            path: LoginPath::Account,
            name: account.to_string(),
            action: match open.accounts.contains(account) {
                true => CloseAction::Run(lock(account, true)),
                false => CloseAction::AlreadyClosed,
            },
        };
        // Those that are recorded and not open now: an earlier attempt locked them, or they are gone.
        recorded.accounts.iter().map(close).collect()
    }

    async fn restore_logins(&self, recorded: &LoginState) -> Result<Vec<RestoreLogin>, StepError> {
        let now = self.accounts().await?;
        let restore = |account: &Account| {
            let name = format!("ACCOUNT UNLOCK of {account}");
            match now.iter().find(|(known, _)| known == account) {
                None => Some(RestoreLogin {
                    statement: None,
                    done: format!("{account} was dropped meanwhile: nothing to restore"),
                    name,
                }),
                Some((_, false)) => None,
                Some((_, true)) => Some(RestoreLogin {
                    statement: Some(lock(account, false)),
                    done: format!("{account} may log in again"),
                    name,
                }),
            }
        };
        Ok(recorded.accounts.iter().filter_map(restore).collect())
    }

    fn is_conflict(&self, error: &StatementError) -> bool {
        // A wait for a lock that was given up, and a deadlock.
        matches!(error, StatementError::TimedOut) || error.has_code("1205") || error.has_code("1213")
    }

    /// Never: the statements say `IF EXISTS`.
    fn is_gone(&self, _: &StatementError) -> bool {
        false
    }
}

impl MysqlConnection {
    /// The name of the user that the session logged in as.
    pub(super) async fn current_user(&self) -> Result<String, StepError> {
        let account = self.values("SELECT CURRENT_USER()").await?.into_iter().next().unwrap_or_default();
        match account.rsplit_once('@') {
            Some((user, _)) => Ok(user.to_owned()),
            None => Err(StepError::bug("the database did not say who is logged in")),
        }
    }

    /// All accounts that a fence may lock, and whether each is locked. Roles are none.
    async fn accounts(&self) -> Result<Vec<(Account, bool)>, StepError> {
        // One user may have several accounts, by host. None of our own user's is locked: whichever of them a later login of
        // the recovery's would match, it has to get in.
        let own = self.current_user().await?;
        let rows = self
            .rows(match self.variant {
                // In MariaDB `mysql.user` is a view without the locks.
                Variant::MariaDb => {
                    "SELECT user, host, coalesce(json_value(priv, '$.account_locked'), '') IN ('1', 'true') \
                     FROM mysql.global_priv WHERE coalesce(json_value(priv, '$.is_role'), '') NOT IN ('1', 'true') \
                     ORDER BY user, host"
                }
                Variant::MySql => "SELECT user, host, account_locked = 'Y' FROM mysql.user ORDER BY user, host",
            })
            .await?;
        let read = |row: Row| match <[_; 3]>::try_from(row) {
            Ok([Some(user), Some(host), Some(locked)]) => Some((Account { user, host }, locked == "1")),
            _ => None,
        };
        let accounts: Option<Vec<_>> = rows.into_iter().map(read).collect();
        let mut accounts =
            accounts.ok_or_else(|| StepError::bug("the list of accounts has a row that cannot be read"))?;
        accounts.retain(|(Account { user, host }, _)| {
            *user != own && !is_reserved(user) && !(user == "root" && LOCAL_HOSTS.contains(&host.as_str()))
        });
        Ok(accounts)
    }
}

/// The statement that locks an account, or unlocks it. One that is gone is no error.
fn lock(account: &Account, locked: bool) -> String {
    // ALTER USER takes no text in hexadecimal, as other statements do.
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"));
    let state = if locked { "LOCK" } else { "UNLOCK" };
    format!("ALTER USER IF EXISTS {}@{} ACCOUNT {state}", quoted(&account.user), quoted(&account.host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_with_quotes_in_its_name_stays_one_account() {
        let account = Account { user: "o'ne\\".to_owned(), host: "%".to_owned() };
        assert_eq!(lock(&account, true), "ALTER USER IF EXISTS 'o''ne\\\\'@'%' ACCOUNT LOCK");
    }
}
