//! The fence's logins on MySQL: accounts are locked.

use super::Variant;
use super::connection::MysqlConnection;
use crate::engine::login_state::{Account, LoginState};
use crate::engine::logins::{CloseAction, CloseLogin, Direction, LoginOperations, LoginPath, RestoreLogin};
use crate::engine::record::LoginRecord;
use crate::engine::{Connection, Row, SessionOperations, reserved};
use crate::error::StatementError;
use rewind_core::StepError;
use std::collections::{BTreeMap, BTreeSet};

/// Hosts that nobody connects from on RDS; elsewhere they are where the server's own superuser does.
const LOCAL_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

impl LoginOperations for MysqlConnection {
    async fn prepare_changes(&self) -> Result<(), StatementError> {
        self.execute("SET SESSION autocommit = 1, lock_wait_timeout = 2").await
    }

    async fn read_logins(&self) -> Result<LoginState, StepError> {
        let open: BTreeSet<Account> =
            self.accounts().await?.into_iter().filter(|(_, locked)| !locked).map(|(account, _)| account).collect();
        Ok(LoginState { accounts: open.into_iter().collect(), ..LoginState::default() })
    }

    async fn close_logins(&self, open: &LoginState, recorded: &LoginRecord) -> Result<Vec<CloseLogin>, StepError> {
        let open: BTreeSet<&Account> = open.accounts.iter().collect();
        let close = |account: &Account| CloseLogin {
            path: LoginPath::Account,
            name: account.to_string(),
            action: match open.contains(account) {
                true => CloseAction::Run(quoted(account)),
                false => CloseAction::AlreadyClosed,
            },
        };
        // Those that are recorded and not open now: an earlier attempt locked them, or they are gone.
        Ok(recorded.accounts().iter().map(close).collect())
    }

    async fn restore_logins(&self, recorded: &LoginRecord) -> Result<Vec<RestoreLogin>, StepError> {
        let now: BTreeMap<Account, bool> = self.accounts().await?.into_iter().collect();
        let restore = |account: &Account| {
            let name = format!("ACCOUNT UNLOCK of {account}");
            match now.get(account) {
                None => Some(RestoreLogin {
                    change: None,
                    done: format!("{account} was dropped meanwhile: nothing to restore"),
                    name,
                }),
                Some(false) => None,
                Some(true) => Some(RestoreLogin {
                    change: Some(quoted(account)),
                    done: format!("{account} may log in again"),
                    name,
                }),
            }
        };
        Ok(recorded.accounts().iter().filter_map(restore).collect())
    }

    /// Few enough that other statements are not held up for long: all logins wait for the lock on the accounts.
    fn changes_at_once(&self) -> usize {
        250
    }

    fn statement(&self, direction: Direction, changes: &[String]) -> String {
        let state = match direction {
            Direction::Close => "LOCK",
            Direction::Restore => "UNLOCK",
        };
        // One that is gone is no error.
        format!("ALTER USER IF EXISTS {} ACCOUNT {state}", changes.join(", "))
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
    /// All accounts that a fence may lock, and whether each is locked. Roles are none.
    async fn accounts(&self) -> Result<Vec<(Account, bool)>, StepError> {
        // One user may have several accounts, by host. None of our own user's is locked, and none of the master user's:
        // whichever of them a later login would match, it has to get in.
        let unlockable = self.unlockable_users().await?;
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
            let local = user == "root" && LOCAL_HOSTS.contains(&host.as_str());
            !(local || unlockable.contains(user) || reserved::is_mysql_login(user))
        });
        Ok(accounts)
    }
}

/// An account as it stands in `ALTER USER`, which takes no text in hexadecimal, as other statements do.
pub(super) fn quoted(account: &Account) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"));
    format!("{}@{}", quoted(&account.user), quoted(&account.host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_with_quotes_in_its_name_stays_one_account() {
        let account = Account { user: "o'ne\\".to_owned(), host: "%".to_owned() };
        assert_eq!(quoted(&account), "'o''ne\\\\'@'%'");
    }
}
