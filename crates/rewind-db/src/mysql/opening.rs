//! A login on MySQL that only reads: an account of one address, with rights to read one schema.

use super::Variant;
use super::connection::MysqlConnection;
use super::logins::quoted;
use super::quote::literal;
use crate::engine::Connection;
use crate::engine::login_state::Account;
use crate::engine::opening::OpeningOperations;
use crate::opening::ReadingLogin;
use crate::server::Server;
use rewind_core::StepError;

/// The rights of a schema that change something.
const WRITING: &str = "insert_priv, update_priv, delete_priv, create_priv, drop_priv, alter_priv, index_priv, execute_priv, \
    create_view_priv, create_routine_priv, alter_routine_priv, event_priv, trigger_priv, create_tmp_table_priv, lock_tables_priv, grant_priv";

impl OpeningOperations for MysqlConnection {
    async fn databases_to_open(&self) -> Result<Vec<String>, StepError> {
        Ok(self
            .values(
                "SELECT schema_name FROM information_schema.schemata WHERE lower(schema_name) NOT IN \
                 ('mysql', 'information_schema', 'performance_schema', 'sys', 'innodb', 'tmp') ORDER BY 1",
            )
            .await?)
    }

    async fn make_login(&self, login: &ReadingLogin) -> Result<(), StepError> {
        // One of another address is of an opening that was not closed to its end.
        for account in self.accounts_of(&login.user).await? {
            if account.host != login.from.to_string() {
                self.execute(&format!("DROP USER IF EXISTS {}", quoted(&account))).await?;
            }
        }
        let account = quoted(&account(login));
        let password = &login.password;
        let limits = "REQUIRE SSL WITH MAX_USER_CONNECTIONS 1 ACCOUNT LOCK";
        self.execute(&format!("CREATE USER IF NOT EXISTS {account} IDENTIFIED BY '{password}' {limits}")).await?;
        // Again for an account of an earlier run, which IF NOT EXISTS leaves as it is.
        self.execute(&format!("ALTER USER {account} {limits}")).await?;
        self.execute(&format!("GRANT SELECT, SHOW VIEW ON {}.* TO {account}", pattern(&login.database))).await?;
        Ok(())
    }

    async fn writable_by(&self, _: &Server, login: &ReadingLogin) -> Result<Vec<String>, StepError> {
        // Rights of the account without a name are everybody's.
        let rights = format!(
            "SELECT concat('the schemas ', db) FROM mysql.db WHERE user = '' AND {} LIKE db AND 'Y' IN ({WRITING})",
            literal(&login.database)
        );
        let mut found = self.values(&rights).await?;
        // MariaDB does not have this variable.
        if self.variant == Variant::MySql {
            let roles = self.values("SELECT @@global.mandatory_roles").await?;
            found.extend(roles.into_iter().filter(|roles| !roles.is_empty()).map(|roles| format!("as {roles}")));
        }
        Ok(found)
    }

    async fn admit_login(&self, login: &ReadingLogin) -> Result<(), StepError> {
        let account = quoted(&account(login));
        // MySQL writes no password of this statement into its logs.
        let sql = format!("ALTER USER {account} IDENTIFIED BY '{}' ACCOUNT UNLOCK", login.password);
        Ok(self.execute(&sql).await?)
    }

    async fn shut_login(&self, user: &str) -> Result<bool, StepError> {
        let accounts = self.accounts_of(user).await?;
        for account in &accounts {
            self.execute(&format!("ALTER USER IF EXISTS {} ACCOUNT LOCK", quoted(account))).await?;
        }
        Ok(!accounts.is_empty())
    }

    async fn drop_login(&self, _: &Server, user: &str, _: &str) -> Result<(), StepError> {
        for account in self.accounts_of(user).await? {
            self.execute(&format!("DROP USER IF EXISTS {}", quoted(&account))).await?;
        }
        Ok(())
    }

    /// Nothing to close: a schema of MySQL has no limit of its own.
    async fn close_database(&self, _: &str) -> Result<bool, StepError> {
        Ok(false)
    }
}

impl MysqlConnection {
    /// The accounts of a user, by its hosts.
    async fn accounts_of(&self, user: &str) -> Result<Vec<Account>, StepError> {
        let hosts = self.values(&format!("SELECT host FROM mysql.user WHERE user = {}", literal(user))).await?;
        Ok(hosts.into_iter().map(|host| Account { user: user.to_owned(), host }).collect())
    }
}

fn account(login: &ReadingLogin) -> Account {
    Account { user: login.user.clone(), host: login.from.to_string() }
}

/// A schema in `GRANT`, which takes its name for a pattern.
fn pattern(schema: &str) -> String {
    super::quote::identifier(&schema.replace('\\', "\\\\").replace('_', "\\_").replace('%', "\\%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_to_one_schema_is_none_to_another() {
        assert_eq!(pattern("shop_eu"), "`shop\\_eu`");
        assert_eq!(pattern("a`b%"), "`a``b\\%`");
    }
}
