//! The accounts of a new database, as RDS has them: a master user without `SUPER`, and the control plane's own, which no client
//! can use: nobody else knows their password. (Being accounts of `localhost` does not protect them: MariaDB takes a client of the PROXY
//! protocol on its socket for local, too.)

/// The control plane's account.
pub const ADMIN: &str = "rdsadmin";
/// The account of replication.
pub const REPLICATION: &str = "rdsrepladmin";

/// The privileges of Aurora MySQL's master user. Not `SUPER`, `FILE`, `SHUTDOWN`, nor what MariaDB has split off from `SUPER`.
/// `DELETE HISTORY` only because `GRANT ALL ON database.*` needs it in MariaDB, and works on Aurora.
const MASTER_PRIVILEGES: &str = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, \
    SHOW DATABASES, CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, REPLICATION SLAVE, REPLICATION CLIENT, CREATE VIEW, SHOW VIEW, \
    CREATE ROUTINE, ALTER ROUTINE, CREATE USER, EVENT, TRIGGER, DELETE HISTORY";

/// Quotes a name.
#[must_use]
pub fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Quotes a text.
#[must_use]
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', "''"))
}

/// Renders the statements that turn a freshly installed server, with its all-powerful `root`, into one of RDS.
#[must_use]
pub fn create(master: &str, password: &str, database: Option<&str>, control_password: &str) -> String {
    // `root` goes last: it is what runs these statements.
    let user = literal(master);
    let mut text = format!(
        "CREATE USER {ADMIN}@localhost IDENTIFIED BY {control};
         GRANT ALL PRIVILEGES ON *.* TO {ADMIN}@localhost WITH GRANT OPTION;
         CREATE USER {REPLICATION}@localhost IDENTIFIED BY {control};
         GRANT REPLICATION SLAVE ON *.* TO {REPLICATION}@localhost;
         {kill}{kill_query}
         CREATE USER {user}@'%' IDENTIFIED BY {password};
         GRANT {MASTER_PRIVILEGES} ON *.* TO {user}@'%' WITH GRANT OPTION;
         DELETE FROM mysql.proxies_priv;
         DELETE FROM mysql.global_priv WHERE User IN ('root', '') AND Host <> '%';
         FLUSH PRIVILEGES;\n",
        control = literal(control_password),
        password = literal(password),
        kill = kill_procedure("rds_kill", "CONNECTION"),
        kill_query = kill_procedure("rds_kill_query", "QUERY"),
    );
    if let Some(database) = database {
        text.push_str(&format!("CREATE DATABASE {};\n", identifier(database)));
    }
    text
}

// As on RDS, where the master user has no SUPER and ends sessions by this procedure alone: any session but the control plane's.
fn kill_procedure(name: &str, what: &str) -> String {
    format!(
        "DELIMITER //
         CREATE DEFINER = {ADMIN}@localhost PROCEDURE mysql.{name}(IN thread BIGINT) SQL SECURITY DEFINER
         BEGIN
           DECLARE owner VARCHAR(128);
           SELECT user INTO owner FROM information_schema.processlist WHERE id = thread;
           IF owner IN ('{ADMIN}', '{REPLICATION}') THEN
             SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'ERROR (RDS): CANNOT KILL A SESSION OF THE CONTROL PLANE';
           END IF;
           KILL {what} thread;
         END//
         DELIMITER ;\n"
    )
}

/// Renders the statement that changes the master user's password.
#[must_use]
pub fn set_password(user: &str, password: &str) -> String {
    format!("ALTER USER {}@'%' IDENTIFIED BY {};\n", literal(user), literal(password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_can_not_end_its_own_quotes() {
        assert_eq!(literal(r"a'b\"), r"'a''b\\'");
        assert_eq!(identifier("a`b"), "`a``b`");
    }
}
