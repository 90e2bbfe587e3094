//! The accounts of a new database, as RDS has them: a master user who is no superuser, and the roles that it is a member of.

use super::admin::{ADMIN, REPLICATION};
use crate::servers::Error;
use tokio_postgres::Client;

/// Quotes a name.
#[must_use]
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a text; backslashes mean nothing while `standard_conforming_strings` is on, as it always is here.
#[must_use]
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Creates the accounts and databases of a freshly initialised server that has only `rdsadmin`.
pub async fn create(
    client: &Client,
    major: u32,
    master: &str,
    password: &str,
    database: Option<&str>,
    control_password: &str,
) -> Result<(), Error> {
    // As on RDS: with a superuser here, code that needs one would pass on this stack and fail on AWS.
    let user = identifier(master);
    // The role came with PostgreSQL 15.
    let checkpoint = if major >= 15 { ", pg_checkpoint" } else { "" };
    client
        .batch_execute(&format!(
            "CREATE ROLE rds_superuser; CREATE ROLE rds_replication; CREATE ROLE rds_password; CREATE ROLE rds_iam;
             GRANT pg_monitor, pg_signal_backend{checkpoint}, rds_replication, rds_password
               TO rds_superuser WITH ADMIN OPTION;
             CREATE ROLE {REPLICATION} LOGIN REPLICATION PASSWORD {control};
             CREATE ROLE {user} LOGIN CREATEDB CREATEROLE PASSWORD {password} VALID UNTIL 'infinity';
             GRANT rds_superuser TO {user} WITH ADMIN OPTION;
             ALTER DATABASE postgres OWNER TO {user};
             ALTER DATABASE template1 OWNER TO {user};",
            control = literal(control_password),
            password = literal(password),
        ))
        .await?;
    if major < 16 {
        // Before PostgreSQL 16 whoever may create roles may also grant any role but a superuser's, these three included,
        // and so reach the server's files. RDS has patched that; marking the roles is the same wall from outside.
        client
            .batch_execute(
                "UPDATE pg_authid SET rolsuper = true WHERE rolname IN
                   ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program')",
            )
            .await?;
    }
    // A database can't be made inside the transaction that a batch is.
    client.batch_execute(&format!("CREATE DATABASE {ADMIN}")).await?;
    // As RDS has it: nobody but AWS connects there, and whoever looks for open databases finds none here.
    client.batch_execute(&format!("REVOKE ALL ON DATABASE {ADMIN} FROM PUBLIC")).await?;
    if let Some(database) = database {
        client.batch_execute(&format!("CREATE DATABASE {} OWNER {user}", identifier(database))).await?;
    }
    Ok(())
}

/// Gives the master user another password.
pub async fn set_password(client: &Client, user: &str, password: &str) -> Result<(), Error> {
    let statement = format!("ALTER ROLE {} PASSWORD {}", identifier(user), literal(password));
    Ok(client.batch_execute(&statement).await?)
}
