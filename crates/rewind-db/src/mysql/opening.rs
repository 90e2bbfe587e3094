//! A login on MySQL that only reads: an account of one address, with rights to read one schema.

use super::Variant;
use super::called::acting_views;
use super::connection::MysqlConnection;
use super::logins::quoted;
use super::quote::{identifier, literal};
use crate::engine::Connection;
use crate::engine::login_state::Account;
use crate::engine::opening::{OpeningOperations, ShutLogin};
use crate::error::StatementError;
use crate::fence::some_of;
use crate::opening::ReadingLogin;
use crate::server::Server;
use rewind_core::{StepError, timeouts};

/// The error of a statement for which another right is needed.
const ACCESS_DENIED: &str = "1227";

/// The schemas that are nobody's.
const OF_THE_SERVER: &str = "'mysql', 'information_schema', 'performance_schema', 'sys', 'innodb', 'tmp'";

/// The rights of a schema that change something.
const WRITING: &str = "insert_priv, update_priv, delete_priv, create_priv, drop_priv, alter_priv, index_priv, execute_priv, \
    create_view_priv, create_routine_priv, alter_routine_priv, event_priv, trigger_priv, create_tmp_table_priv, lock_tables_priv, grant_priv";

impl OpeningOperations for MysqlConnection {
    async fn databases_to_open(&self) -> Result<Vec<String>, StepError> {
        let schemas = format!(
            "SELECT schema_name FROM information_schema.schemata WHERE lower(schema_name) NOT IN ({OF_THE_SERVER}) ORDER BY 1"
        );
        Ok(self.values(&schemas).await?)
    }

    /// Nothing to do: a schema of MySQL has no limit of its own.
    async fn make_room(&self, _: &str) -> Result<(), StepError> {
        Ok(())
    }

    async fn make_login(&self, _: &Server, login: &ReadingLogin) -> Result<Vec<String>, StepError> {
        let account = quoted(&account(login));
        let password = text(&login.password);
        let limits = "REQUIRE SSL WITH MAX_USER_CONNECTIONS 1 ACCOUNT LOCK";
        self.execute(&format!("CREATE USER {account} IDENTIFIED BY {password} {limits}")).await?;
        // A view calls stored functions as the user who made it, who may write.
        let acting = acting_views(self, &login.database).await?;
        if acting.is_empty() {
            self.execute(&format!("GRANT SELECT, SHOW VIEW ON {}.* TO {account}", pattern(&login.database))).await?;
            return Ok(Vec::new());
        }
        let tables = format!(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = {} ORDER BY 1",
            literal(&login.database)
        );
        for table in self.values(&tables).await? {
            if !acting.contains_key(&table) {
                let table = format!("{}.{}", identifier(&login.database), identifier(&table));
                self.execute(&format!("GRANT SELECT, SHOW VIEW ON {table} TO {account}")).await?;
            }
        }
        let views: Vec<String> = acting.into_iter().map(|(view, why)| format!("{view} ({why})")).collect();
        Ok(vec![format!("not read, because reading them could change something: the views {}", some_of(&views, ""))])
    }

    async fn writable_by(&self, _: &Server, _: &ReadingLogin) -> Result<Vec<String>, StepError> {
        // Rights of the account without a name are everybody's, in each schema that its pattern fits: a function of another schema may
        // write to this one.
        let rights = format!(
            "SELECT DISTINCT concat('the schemas ', d.db) FROM information_schema.schemata s \
             JOIN mysql.db d ON s.schema_name LIKE d.db WHERE d.user = '' AND 'Y' IN ({WRITING})"
        );
        let mut found = self.values(&rights).await?;
        // And a view calls what people stored as the user who made it, whoever reads it.
        let read = format!(
            "SELECT DISTINCT s.schema_name FROM information_schema.schemata s JOIN mysql.db d ON s.schema_name LIKE d.db \
             WHERE d.user = '' AND d.select_priv = 'Y' AND lower(s.schema_name) NOT IN ({OF_THE_SERVER}) ORDER BY 1"
        );
        for schema in self.values(&read).await? {
            let acting = acting_views(self, &schema).await?.into_iter();
            found.extend(acting.map(|(view, why)| format!("the view {schema}.{view} ({why})")));
        }
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
        let password = text(&login.password);
        Ok(self.execute(&format!("ALTER USER {account} IDENTIFIED BY {password} ACCOUNT UNLOCK")).await?)
    }

    async fn shut_login(&self, _: &Server, user: &str, _: Option<&str>) -> Result<ShutLogin, StepError> {
        let accounts = self.accounts_of(user).await?;
        for account in &accounts {
            let shut = format!("ALTER USER IF EXISTS {} ACCOUNT LOCK PASSWORD EXPIRE", quoted(account));
            match self.execute(&shut).await {
                Ok(()) => {}
                // An account of the system's, which only such a one changes.
                Err(StatementError::Refused(error)) if error.code == ACCESS_DENIED => {
                    return Ok(ShutLogin::Foreign(error.to_string()));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(if accounts.is_empty() { ShutLogin::Missing } else { ShutLogin::Shut })
    }

    async fn drop_login(&self, _: &Server, user: &str) -> Result<Option<String>, StepError> {
        let mut kept_by = Vec::new();
        // Of every address: one of another is of an opening that was not closed to its end.
        for account in self.accounts_of(user).await? {
            if let Err(error) = self.execute(&format!("DROP USER IF EXISTS {}", quoted(&account))).await {
                kept_by.push(error.into_reason(timeouts::STATEMENT)?);
            }
        }
        Ok((!kept_by.is_empty()).then(|| kept_by.join("; ")))
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

/// A text in a statement on accounts, which takes none in hexadecimal. The mode of our sessions is one in which a backslash escapes.
fn text(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// A schema in `GRANT`, which takes its name for a pattern.
fn pattern(schema: &str) -> String {
    identifier(&schema.replace('\\', "\\\\").replace('_', "\\_").replace('%', "\\%"))
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
