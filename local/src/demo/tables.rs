//! The tables of a scenario: the article's table, which the mistake empties, and the application's database, to which it writes.
//! It touches no other table, user or database.

use super::database::{Databases, Engine, Login, Session};
use super::demo_cluster::DemoCluster;
use super::writer::Workload;
use anyhow::{Context, Result};

/// The article's table.
pub const TABLE: &str = "test_backtrack";
/// The application's database.
pub const APP_DATABASE: &str = "orders";
/// The application's table.
pub const APP_TABLE: &str = "entries";
/// The application's user.
pub const APP_USER: &str = "app";

/// Drops and creates the article's table, with its two rows.
///
/// # Errors
///
/// When the database refuses a statement.
pub async fn create_table(session: &mut Session, engine: Engine) -> Result<()> {
    let columns = match engine {
        Engine::AuroraPostgresql => {
            "id serial PRIMARY KEY, data text NOT NULL, created_at timestamptz NOT NULL DEFAULT now()"
        }
        Engine::AuroraMysql => {
            "id int AUTO_INCREMENT PRIMARY KEY, data text NOT NULL, created_at timestamp(6) NOT NULL DEFAULT now(6)"
        }
    };
    for sql in [
        // An earlier run on this cluster left the table, with rows that this run does not know.
        format!("DROP TABLE IF EXISTS {TABLE}"),
        format!("CREATE TABLE {TABLE} ({columns})"),
        format!("INSERT INTO {TABLE} (data) VALUES ('Test data 1'), ('Test data 2')"),
    ] {
        session.run(&sql).await.with_context(|| format!("{TABLE} could not be created"))?;
    }
    Ok(())
}

/// Creates the application's user, database and table; returns how the application connects and inserts.
///
/// # Errors
///
/// When the database refuses a statement.
pub async fn create_application(
    databases: &Databases,
    demo_cluster: &DemoCluster,
    session: &mut Session,
) -> Result<Workload> {
    let failed = "the application's database could not be created";
    // Nobody keeps it: a restored cluster brings the role along with its old password, and each run sets another.
    let password = uuid::Uuid::new_v4().simple().to_string();
    match databases.engine {
        Engine::AuroraPostgresql => {
            let exists = async |session: &mut Session, query: &str| {
                session.rows(query).await.context(failed).map(|rows| !rows.is_empty())
            };
            // PostgreSQL has no CREATE ROLE IF NOT EXISTS, nor one for databases.
            let role = exists(session, &format!("SELECT 1 FROM pg_roles WHERE rolname = '{APP_USER}'")).await?;
            let verb = if role { "ALTER" } else { "CREATE" };
            let sql = format!("{verb} ROLE {APP_USER} LOGIN PASSWORD '{password}'");
            session.run(&sql).await.context(failed)?;
            if !exists(session, &format!("SELECT 1 FROM pg_database WHERE datname = '{APP_DATABASE}'")).await? {
                session.run(&format!("CREATE DATABASE {APP_DATABASE}")).await.context(failed)?;
            }
        }
        Engine::AuroraMysql => {
            for sql in [
                format!("CREATE USER IF NOT EXISTS {APP_USER} IDENTIFIED BY '{password}'"),
                format!("ALTER USER {APP_USER} IDENTIFIED BY '{password}'"),
                format!("CREATE DATABASE IF NOT EXISTS {APP_DATABASE}"),
            ] {
                session.run(&sql).await.context(failed)?;
            }
        }
    }
    let mut inside =
        databases.connect(&demo_cluster.client_name, &demo_cluster.master, APP_DATABASE).await.context(failed)?;
    let written_at = match databases.engine {
        // now() is the start of the transaction in PostgreSQL; the accounting compares single statements.
        Engine::AuroraPostgresql => "timestamptz NOT NULL DEFAULT clock_timestamp()",
        Engine::AuroraMysql => "timestamp(6) NOT NULL DEFAULT now(6)",
    };
    for sql in [
        format!("DROP TABLE IF EXISTS {APP_TABLE}"),
        format!("CREATE TABLE {APP_TABLE} (number bigint PRIMARY KEY, written_at {written_at})"),
        // An ordinary application is what a fence has to stop: with the master's rights it could undo a fence.
        format!("GRANT SELECT, INSERT ON {APP_TABLE} TO {APP_USER}"),
    ] {
        inside.run(&sql).await.context(failed)?;
    }
    Ok(Workload {
        name: demo_cluster.client_name.clone(),
        login: Login { user: APP_USER.to_owned(), password },
        database: APP_DATABASE.to_owned(),
        insert: format!("INSERT INTO {APP_TABLE} (number) VALUES"),
    })
}

/// Reads the rows of the article's table, a line each.
///
/// # Errors
///
/// When the table can't be read.
pub async fn rows(session: &mut Session) -> Result<Vec<String>> {
    let sql = format!("SELECT id, data, created_at FROM {TABLE} ORDER BY id");
    let rows = session.rows(&sql).await.with_context(|| format!("{TABLE} could not be read"))?;
    Ok(rows.into_iter().map(|row| row.join(" | ")).collect())
}
