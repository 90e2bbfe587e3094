//! Where a story plays: the cluster, who may log in there, and the tables it is about. It touches only what is the demo's own:
//! the table of the article, and the application's user and database.

use super::database::{Databases, Engine, Login, Session};
use super::names::Led;
use super::stop::{Because, Stop};
use super::writer::Job;
use crate::stack::StackEnv;
use aws_sdk_rds::types::DbCluster;
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The article's table.
pub const TABLE: &str = "test_backtrack";
/// The application's database.
pub const APP_DATABASE: &str = "orders";
/// The application's table.
pub const APP_TABLE: &str = "entries";
/// The application's user.
pub const APP_USER: &str = "app";
/// How the article calls a new cluster, without its number.
const NEW_CLUSTER: &str = "my-aurora-cluster-backtrack-";
/// How it calls a recovery.
pub const OPERATION: &str = "my-backtrack-operation-";
/// A cluster that has just become what it is may still lack its first base backup.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(200);

/// The place.
#[derive(Debug)]
pub struct Scene {
    /// The name that clients connect to.
    pub name: String,
    /// The database with the article's table.
    pub database: String,
    /// The cluster behind the name.
    pub cluster: String,
    /// Its writer endpoint.
    pub endpoint: String,
    /// Its engine and version.
    pub engine: String,
    /// Its instances.
    pub instances: Vec<String>,
    /// Where the name leads.
    pub led: Led,
    /// The master user.
    pub master: Login,
    /// The secret that holds the master user's password.
    pub secret: String,
    /// Whether RDS manages that secret for this very cluster.
    pub managed: bool,
}

/// Names for this run.
#[derive(Debug)]
pub struct Names {
    /// Of the recovery.
    pub recovery: String,
    /// Of the restored cluster.
    pub new_cluster: String,
}

/// Finds the cluster that a name leads to and its login, and waits until it can be rewound.
///
/// # Errors
///
/// When the name leads to no cluster, or nobody can log in.
pub async fn find(stack: &StackEnv, databases: &Databases, name: &str, database: &str) -> Result<Scene, Stop> {
    let led = databases.names.lead(name).await.map_err(Stop::new)?;
    let deadline = Instant::now() + PATIENCE;
    let (cluster, all) = loop {
        let all = clusters(stack).await?;
        let behind = all.iter().find(|cluster| cluster.endpoint() == Some(led.endpoint.as_str())).cloned();
        let cluster = behind
            .ok_or_else(|| Stop::new(format!("{name} leads to {}, which is no cluster's endpoint", led.endpoint)))?;
        if is_ready(&cluster, databases.engine) {
            break (cluster, all);
        }
        if Instant::now() > deadline {
            let name = cluster.db_cluster_identifier().unwrap_or_default();
            let status = cluster.status().unwrap_or("unknown");
            let message = format!("{name} can't be rewound yet (it is {status}); next step: make down, and once more");
            return Err(Stop::new(message));
        }
        sleep(POLL).await;
    };
    let login = Finding { stack, databases, name, database };
    let (secret, master) = login.login(&cluster, &all).await?;
    Ok(Scene {
        name: name.to_owned(),
        database: database.to_owned(),
        cluster: cluster.db_cluster_identifier().unwrap_or_default().to_owned(),
        endpoint: led.endpoint.clone(),
        engine: format!("{} {}", cluster.engine().unwrap_or_default(), cluster.engine_version().unwrap_or_default()),
        instances: members(&cluster),
        led,
        managed: managed_secret(&cluster) == Some(secret.as_str()),
        master,
        secret,
    })
}

fn is_ready(cluster: &DbCluster, engine: Engine) -> bool {
    let reaches_back = match engine {
        Engine::AuroraPostgresql => cluster.earliest_restorable_time(),
        Engine::AuroraMysql => cluster.earliest_backtrack_time(),
    };
    cluster.status() == Some("available") && reaches_back.is_some()
}

/// All clusters.
///
/// # Errors
///
/// What the RDS API answers.
pub async fn clusters(stack: &StackEnv) -> Result<Vec<DbCluster>, Stop> {
    let pages = stack.rds().describe_db_clusters().into_paginator().items().send();
    pages.collect::<Result<Vec<DbCluster>, _>>().await.because("the clusters could not be read")
}

fn members(cluster: &DbCluster) -> Vec<String> {
    let named = cluster.db_cluster_members().iter().map(|member| {
        let role = if member.is_cluster_writer() == Some(true) { "writer" } else { "reader" };
        format!("{} ({role})", member.db_instance_identifier().unwrap_or_default())
    });
    named.collect()
}

fn managed_secret(cluster: &DbCluster) -> Option<&str> {
    cluster.master_user_secret().and_then(|secret| secret.secret_arn())
}

struct Finding<'a> {
    stack: &'a StackEnv,
    databases: &'a Databases,
    name: &'a str,
    database: &'a str,
}

impl Finding<'_> {
    /// The master user's login: from the cluster's own managed secret, or, where it was restored and has none, from
    /// whichever cluster's secret holds the password that was rewound with it.
    async fn login(&self, cluster: &DbCluster, all: &[DbCluster]) -> Result<(String, Login), Stop> {
        let own = managed_secret(cluster);
        let others = all.iter().filter_map(managed_secret).filter(|secret| Some(*secret) != own);
        let mut why = "there is no managed secret".to_owned();
        for secret in own.into_iter().chain(others) {
            let value = self.stack.secrets().get_secret_value().secret_id(secret).send().await;
            let value = value.because("the master password could not be read")?;
            let login: Value = serde_json::from_str(value.secret_string().unwrap_or_default())
                .because("the secret with the master password is no JSON")?;
            let field = |name: &str| login.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let login = Login { user: field("username"), password: field("password") };
            match self.databases.connect(self.name, &login, self.database).await {
                Ok(_) => return Ok((secret.to_owned(), login)),
                Err(error) => why = error.to_string(),
            }
        }
        let name = cluster.db_cluster_identifier().unwrap_or_default();
        Err(Stop::new(format!("no secret opens {name}: {why}; next step: make down, and once more")))
    }
}

/// The first names that neither a cluster nor an execution had before.
///
/// # Errors
///
/// What the APIs answer.
pub async fn free_names(stack: &StackEnv) -> Result<Names, Stop> {
    let mut taken: Vec<String> = clusters(stack)
        .await?
        .iter()
        .filter_map(|cluster| cluster.db_cluster_identifier().map(str::to_owned))
        .collect();
    let executions = stack.sfn().list_executions().state_machine_arn(&stack.outputs.state_machine_arn);
    let executions = executions.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
    let executions = executions.because("the executions could not be listed")?;
    taken.extend(executions.into_iter().map(|execution| execution.name));
    Ok(first_free(&taken))
}

fn first_free(taken: &[String]) -> Names {
    let mut number = 1_u32;
    loop {
        let recovery = format!("{OPERATION}{number:03}");
        let new_cluster = format!("{NEW_CLUSTER}{number:03}");
        if !taken.contains(&recovery) && !taken.contains(&new_cluster) {
            return Names { recovery, new_cluster };
        }
        number += 1;
    }
}

/// Makes the article's table anew.
///
/// # Errors
///
/// What the database says.
pub async fn make_table(session: &mut Session, engine: Engine) -> Result<(), Stop> {
    let columns = match engine {
        Engine::AuroraPostgresql => {
            "id serial PRIMARY KEY, data text NOT NULL, created_at timestamptz NOT NULL DEFAULT now()"
        }
        Engine::AuroraMysql => {
            "id int AUTO_INCREMENT PRIMARY KEY, data text NOT NULL, created_at timestamp(6) NOT NULL DEFAULT now(6)"
        }
    };
    for sql in [
        format!("DROP TABLE IF EXISTS {TABLE}"),
        format!("CREATE TABLE {TABLE} ({columns})"),
        format!("INSERT INTO {TABLE} (data) VALUES ('Test data 1'), ('Test data 2')"),
    ] {
        session.run(&sql).await.because(format!("{TABLE} could not be made"))?;
    }
    Ok(())
}

/// Makes the application's user, database and table, and says what it is to do.
///
/// # Errors
///
/// What the database says.
pub async fn make_application(databases: &Databases, scene: &Scene, session: &mut Session) -> Result<Job, Stop> {
    let doing = "the application's database could not be made";
    let password = uuid::Uuid::new_v4().simple().to_string();
    match databases.engine {
        Engine::AuroraPostgresql => {
            let exists = async |session: &mut Session, query: &str| {
                session.rows(query).await.because(doing).map(|rows| !rows.is_empty())
            };
            let role = exists(session, &format!("SELECT 1 FROM pg_roles WHERE rolname = '{APP_USER}'")).await?;
            let make = if role { "ALTER" } else { "CREATE" };
            let sql = format!("{make} ROLE {APP_USER} LOGIN PASSWORD '{password}'");
            session.run(&sql).await.because(doing)?;
            if !exists(session, &format!("SELECT 1 FROM pg_database WHERE datname = '{APP_DATABASE}'")).await? {
                session.run(&format!("CREATE DATABASE {APP_DATABASE}")).await.because(doing)?;
            }
        }
        Engine::AuroraMysql => {
            for sql in [
                format!("CREATE USER IF NOT EXISTS {APP_USER} IDENTIFIED BY '{password}'"),
                format!("ALTER USER {APP_USER} IDENTIFIED BY '{password}'"),
                format!("CREATE DATABASE IF NOT EXISTS {APP_DATABASE}"),
            ] {
                session.run(&sql).await.because(doing)?;
            }
        }
    }
    let mut inside = databases.connect(&scene.name, &scene.master, APP_DATABASE).await.because(doing)?;
    let written_at = match databases.engine {
        Engine::AuroraPostgresql => "timestamptz NOT NULL DEFAULT clock_timestamp()",
        Engine::AuroraMysql => "timestamp(6) NOT NULL DEFAULT now(6)",
    };
    // The application may add and read, and nothing else.
    for sql in [
        format!("DROP TABLE IF EXISTS {APP_TABLE}"),
        format!("CREATE TABLE {APP_TABLE} (number bigint PRIMARY KEY, written_at {written_at})"),
        format!("GRANT SELECT, INSERT ON {APP_TABLE} TO {APP_USER}"),
    ] {
        inside.run(&sql).await.because(doing)?;
    }
    Ok(Job {
        name: scene.name.clone(),
        login: Login { user: APP_USER.to_owned(), password },
        database: APP_DATABASE.to_owned(),
        insert: format!("INSERT INTO {APP_TABLE} (number) VALUES"),
    })
}

/// The rows of the article's table, as lines.
///
/// # Errors
///
/// What the database says.
pub async fn rows(session: &mut Session) -> Result<Vec<String>, Stop> {
    let sql = format!("SELECT id, data, created_at FROM {TABLE} ORDER BY id");
    let rows = session.rows(&sql).await.because(format!("{TABLE} could not be read"))?;
    Ok(rows.into_iter().map(|row| row.join(" | ")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_takes_the_first_number_that_nothing_had() {
        let taken = ["my-backtrack-operation-001", "my-aurora-cluster-backtrack-002", "my-aurora-cluster"];
        let names = first_free(&taken.map(str::to_owned));
        assert_eq!(names.recovery, "my-backtrack-operation-003");
        assert_eq!(names.new_cluster, "my-aurora-cluster-backtrack-003");
        assert_eq!(first_free(&[]).recovery, "my-backtrack-operation-001");
    }
}
