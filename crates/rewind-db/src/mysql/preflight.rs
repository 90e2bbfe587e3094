//! The preflight's facts on MySQL: what a query would answer, and which accounts stay open.

use super::Variant;
use super::connection::MysqlConnection;
use crate::engine::preflight::{
    Column, DatabaseFacts, Description, FACTS_MAX, PreflightOperations, ReadOnly, Refusal, Rights, ServerFacts,
    Unclosable, rows_if_readable,
};
use crate::engine::{Connection, LoginOperations, SessionOperations};
use crate::error::{DatabaseError, StatementError};
use mysql_common::io::ParseBuf;
use rewind_core::{ColumnKind, StepError};

/// Schemas of the server's own.
const SYSTEM: &str = "('mysql', 'sys', 'information_schema', 'performance_schema')";

impl PreflightOperations for MysqlConnection {
    async fn describe(&self, sql: &str) -> Result<Description, StatementError> {
        let (definitions, parameters) = self.prepare(sql).await?;
        let columns = definitions.iter().map(|definition| column(definition).unwrap_or_else(unknown)).collect();
        Ok(Description { columns, parameters })
    }

    fn refusal(&self, error: &DatabaseError) -> Refusal {
        match error.code.as_str() {
            "1146" | "1049" => Refusal::ObjectMissing,
            "1054" => Refusal::ColumnMissing,
            "1205" | "1213" => Refusal::Locked,
            _ => Refusal::Wrong,
        }
    }

    /// Never known: MySQL keeps no trace of a column that was dropped.
    async fn may_have_lost_a_column(&self, _: &str) -> Result<bool, StatementError> {
        Ok(false)
    }

    async fn unclosable(&self) -> Result<Unclosable, StepError> {
        let own = self.own_user().await?;
        let accounts = match self.accounts_or_refusal().await? {
            Ok(accounts) => accounts,
            Err(error) => {
                return Ok(Unclosable {
                    missing_right: Some(format!("{own} may not read the accounts: {error}")),
                    ..Unclosable::default()
                });
            }
        };
        let grants = self.values("SHOW GRANTS").await?;
        // The role of Aurora MySQL 3 has the right, and SHOW GRANTS names the role and not what is in it.
        let may_lock = grants.iter().any(|grant| {
            let grant = grant.to_uppercase();
            (grant.contains("CREATE USER") || grant.contains("ALL PRIVILEGES ON *.*"))
                || grant.contains("RDS_SUPERUSER_ROLE")
        });
        let protected = match self.variant {
            // From 8.0.16 on an account with this right is altered only by somebody who has it too.
            Variant::MySql if !grants.iter().any(|grant| grant.contains("SYSTEM_USER")) => rows_if_readable(
                self.values(
                    "SELECT grantee FROM information_schema.user_privileges WHERE privilege_type = 'SYSTEM_USER'",
                )
                .await,
            )?,
            _ => Vec::new(),
        };
        // The account that the fence works as stays open, so nobody else may be logged in as it.
        let sessions = match self.client_sessions(&self.unlockable_users().await?).await {
            Ok(sessions) => sessions,
            Err(StatementError::Refused(error)) => {
                return Ok(Unclosable {
                    missing_right: Some(format!("{own} may not see the sessions of others: {error}")),
                    ..Unclosable::default()
                });
            }
            Err(error) => return Err(error.into()),
        };
        let own_sessions = sessions.iter().filter(|session| session.master).count();
        let is_protected = |account: &crate::engine::login_state::Account| {
            protected.iter().any(|grantee| *grantee == format!("'{}'@'{}'", account.user, account.host))
        };
        Ok(Unclosable {
            logins: accounts.iter().filter(|account| is_protected(account)).map(ToString::to_string).collect(),
            missing_right: (!may_lock && !accounts.is_empty())
                .then(|| format!("{own} may not lock accounts: it lacks the right CREATE USER")),
            databases: Vec::new(),
            logins_get_in: true,
            own_sessions: (own_sessions > 0).then(|| format!("{own_sessions} other sessions of {own}")),
        })
    }

    async fn rights(&self) -> Result<Rights, StepError> {
        let mut grants = self.values("SHOW GRANTS").await?;
        let roles: Vec<&str> = grants.iter().filter_map(|grant| granted_roles(grant)).collect();
        // MySQL shows the rights of roles only where it is asked for them; MariaDB has them among the user's.
        if matches!(self.variant, Variant::MySql) && !roles.is_empty() {
            let with_roles = format!("SHOW GRANTS FOR CURRENT_USER() USING {}", roles.join(", "));
            grants = rows_if_readable(self.values(&with_roles).await)?.into_iter().chain(grants).collect();
        }
        Ok(rights_of(&grants))
    }

    async fn server_facts(&self) -> Result<ServerFacts, StepError> {
        let user = self.own_user().await?;
        let used = self
            .rows("SHOW GLOBAL STATUS LIKE 'Threads_connected'")
            .await?
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().nth(1).flatten());
        let limits =
            self.rows("SELECT @@global.max_connections, @@global.read_only, @@global.init_connect <> ''").await?;
        let limits = limits.into_iter().next().map(|row| <[_; 3]>::try_from(row).unwrap_or_default());
        let [most, read_only, init_connect] = limits.unwrap_or_default();
        let number = |text: Option<String>| text.and_then(|text| text.parse::<i64>().ok());
        let free = number(most).zip(number(used)).map(|(most, used)| most - used);
        // A routine may be seen by who can read the catalogue, and run only with the right to.
        let kill = self
            .values(
                "SELECT 1 FROM information_schema.routines WHERE routine_schema = 'mysql' AND routine_name = 'rds_kill'",
            )
            .await?;
        let may_run = self.values("SHOW GRANTS").await?.iter().any(|grant| {
            let grant = grant.to_uppercase();
            ["EXECUTE", "ALL PRIVILEGES ON *.*", "RDS_SUPERUSER_ROLE"].iter().any(|right| grant.contains(right))
        });
        Ok(ServerFacts {
            free_connections: free.unwrap_or(i64::MAX),
            read_only_by: (read_only.as_deref() == Some("1")).then(|| ReadOnly {
                what: format!("read_only is on for the writer, so {user} can lock no account"),
                fix: "set read_only to 0 in the cluster's parameter group".to_owned(),
            }),
            cannot_end_sessions: (kill.is_empty() || !may_run)
                .then(|| format!("{user} may not end sessions: it has no EXECUTE on mysql.rds_kill")),
            runs_at_login: init_connect.as_deref() == Some("1"),
            replication: rows_if_readable(self.replication().await)?,
            subscriptions: Vec::new(),
            // Every event is seen from any database.
            scheduler: None,
        })
    }

    async fn database_facts(&self) -> Result<DatabaseFacts, StepError> {
        let jobs = rows_if_readable(
            self.values(&format!(
                "SELECT concat('event ', event_schema, '.', event_name) FROM information_schema.events \
                 WHERE status = 'ENABLED' AND event_schema NOT IN {SYSTEM} AND @@global.event_scheduler = 'ON' \
                 ORDER BY 1 LIMIT {}",
                FACTS_MAX + 1
            ))
            .await,
        )?;
        let unlogged = rows_if_readable(
            self.values(&format!(
                "SELECT concat(table_schema, '.', table_name) FROM information_schema.tables \
                 WHERE engine = 'MEMORY' AND table_schema NOT IN {SYSTEM} ORDER BY 1 LIMIT {}",
                FACTS_MAX + 1
            ))
            .await,
        )?;
        Ok(DatabaseFacts { jobs, unlogged })
    }

    /// None: the catalogue of one is that of all.
    async fn databases(&self) -> Result<Vec<String>, StepError> {
        Ok(Vec::new())
    }
}

impl MysqlConnection {
    /// The accounts that the fence locks, or why this user may not read them.
    async fn accounts_or_refusal(&self) -> Result<Result<Vec<crate::engine::login_state::Account>, String>, StepError> {
        // Read as the fence does, for what it can read is what it can close.
        match self.values("SELECT 1 FROM mysql.user LIMIT 1").await {
            Ok(_) => Ok(Ok(self.read_logins().await?.accounts)),
            Err(StatementError::Refused(error)) => Ok(Err(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }
}

/// The roles that a line of `SHOW GRANTS` grants, as a list for SQL; none for a line about rights.
fn granted_roles(grant: &str) -> Option<&str> {
    let rest = grant.strip_prefix("GRANT ")?;
    (!rest.contains(" ON ")).then_some(rest.split_once(" TO ")?.0)
}

/// Reads the rights that the lines of `SHOW GRANTS` name.
fn rights_of(grants: &[String]) -> Rights {
    /// Rights that change nothing and end nothing.
    const READING: [&str; 6] = ["USAGE", "SELECT", "SHOW VIEW", "SHOW DATABASES", "PROCESS", "REPLICATION CLIENT"];
    let mut rights = Rights::default();
    for grant in grants {
        // Aurora's own role has every right that RDS gives to people.
        rights.all |= grant.contains("rds_superuser_role");
        let Some((names, rest)) = grant.strip_prefix("GRANT ").and_then(|rest| rest.split_once(" ON ")) else {
            continue;
        };
        let on = rest.split_once(" TO ").map_or(rest, |(on, _)| on);
        // The columns of a right stand in brackets behind it.
        let mut depth = 0_i32;
        let plain: String = names
            .chars()
            .filter(|c| {
                depth += i32::from(*c == '(');
                let keep = depth == 0;
                depth -= i32::from(*c == ')');
                keep
            })
            .collect();
        for name in plain.split(',').map(str::trim) {
            rights.all |= on == "*.*" && ["ALL PRIVILEGES", "SUPER"].contains(&name);
            if !READING.contains(&name) {
                rights.beyond_reading.push(format!("{name} on {on}"));
            }
        }
        if rest.contains(" WITH GRANT OPTION") {
            rights.beyond_reading.push(format!("GRANT OPTION on {on}"));
        }
    }
    rights.beyond_reading.truncate(6);
    rights
}

fn unknown() -> Column {
    Column { kind: ColumnKind::Unknown, type_name: "unknown".to_owned() }
}

/// Reads the description of a column; none where the message ends too early.
fn column(definition: &[u8]) -> Option<Column> {
    /// The character set of bytes.
    const BINARY: u16 = 63;
    let mut rest = ParseBuf(definition);
    // Catalogue, schema, table, its own name, name, and the column's own name.
    for _ in 0..6 {
        rest.checked_eat_lenenc_str()?;
    }
    rest.checked_eat_lenenc_int()?;
    let charset = rest.checked_eat_u16_le()?;
    rest.checked_eat_u32_le()?;
    let kind = rest.checked_eat_u8()?;
    let (kind, name) = match kind {
        0x00 | 0xf6 => (ColumnKind::Number, "decimal"),
        0x01 => (ColumnKind::Number, "tinyint"),
        0x02 | 0x09 | 0x03 => (ColumnKind::Number, "int"),
        0x08 => (ColumnKind::Number, "bigint"),
        0x04 | 0x05 => (ColumnKind::Number, "double"),
        0x0d => (ColumnKind::Number, "year"),
        0x07 | 0x0c => (ColumnKind::Time, "datetime"),
        0x0a => (ColumnKind::Time, "date"),
        0x0b => (ColumnKind::Time, "time"),
        0x10 => (ColumnKind::Bits, "bit"),
        // Text and bytes have the same types, and differ in the character set.
        0xf9..=0xfc if charset == BINARY => (ColumnKind::Binary, "blob"),
        0x06 => (ColumnKind::Unknown, "null"),
        _ => (ColumnKind::Other, "text"),
    };
    Some(Column { kind, type_name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(grants: &[&str]) -> (bool, Vec<String>) {
        let Rights { all, beyond_reading } =
            rights_of(&grants.iter().map(|&grant| grant.to_owned()).collect::<Vec<_>>());
        (all, beyond_reading)
    }

    #[test]
    fn only_rights_that_go_beyond_reading_are_told() {
        let reads = [
            "GRANT USAGE ON *.* TO `r`@`%` IDENTIFIED BY PASSWORD '*0'",
            "GRANT SELECT, SHOW VIEW ON `shop`.* TO `r`@`%`",
            "GRANT SELECT (`a`, `b`), SELECT ON `shop`.`t` TO `r`@`%`",
            "GRANT `readers`@`%` TO `r`@`%`",
            "SET DEFAULT ROLE NONE FOR `r`@`%`",
        ];
        assert_eq!(rights(&reads), (false, Vec::new()));
        let writes = rights(&["GRANT SELECT, INSERT, UPDATE (`a`, `b`) ON `shop`.* TO `r`@`%` WITH GRANT OPTION"]);
        let named = ["INSERT on `shop`.*", "UPDATE on `shop`.*", "GRANT OPTION on `shop`.*"].map(ToOwned::to_owned);
        assert_eq!(writes, (false, named.to_vec()));
        for all in ["GRANT ALL PRIVILEGES ON *.* TO `r`@`%`", "GRANT `rds_superuser_role`@`%` TO `r`@`%`"] {
            assert!(rights(&[all]).0, "{all}");
        }
        assert_eq!(granted_roles("GRANT `a`@`%`,`b`@`%` TO `r`@`%`"), Some("`a`@`%`,`b`@`%`"));
        assert_eq!(granted_roles(reads[1]), None);
    }
}
