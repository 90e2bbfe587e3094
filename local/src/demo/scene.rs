//! Where the story plays: the cluster behind the record, who may log in there, and the tables it is about. It touches
//! only what is the demo's own: the table of the article, and the application's role and database.

use super::database::{Databases, Login, Session};
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
/// The application's role.
pub const APP_ROLE: &str = "app";
/// How the article calls a new cluster, without its number.
const NEW_CLUSTER: &str = "my-aurora-cluster-backtrack-";
/// How it calls a recovery.
pub const OPERATION: &str = "my-backtrack-operation-";
/// A cluster that has just become the one behind the record may still lack its first base backup.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(200);

/// The place.
#[derive(Debug)]
pub struct Scene {
    /// The cluster behind the record.
    pub cluster: String,
    /// Its writer endpoint.
    pub endpoint: String,
    /// Its engine and version.
    pub engine: String,
    /// Its instances.
    pub instances: Vec<String>,
    /// Where the record leads.
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
    /// Of the new cluster.
    pub new_cluster: String,
}

/// Finds the cluster behind the record and its login, and waits until it can be restored.
///
/// # Errors
///
/// When the record leads to no cluster, or nobody can log in.
pub async fn find(stack: &StackEnv, databases: &Databases) -> Result<Scene, Stop> {
    let led = databases.names.lead(&stack.db_record).await.map_err(Stop::new)?;
    let deadline = Instant::now() + PATIENCE;
    let (cluster, all) = loop {
        let all = clusters(stack).await?;
        let behind = all.iter().find(|cluster| cluster.endpoint() == Some(led.endpoint.as_str())).cloned();
        let cluster = behind.ok_or_else(|| {
            Stop::new(format!("{} leads to {}, which is no cluster's endpoint", stack.db_record, led.endpoint))
        })?;
        let ready = cluster.status() == Some("available") && cluster.earliest_restorable_time().is_some();
        if ready {
            break (cluster, all);
        }
        if Instant::now() > deadline {
            let name = cluster.db_cluster_identifier().unwrap_or_default();
            let status = cluster.status().unwrap_or("unknown");
            let message = format!("{name} can't be restored yet (it is {status}); to go on: make down, make demo");
            return Err(Stop::new(message));
        }
        sleep(POLL).await;
    };
    let (secret, master) = login(stack, databases, &cluster, &all).await?;
    Ok(Scene {
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

/// The master user's login: from the cluster's own managed secret, or, where it was restored and has none, from whichever
/// cluster's secret holds the password that was rewound with it.
async fn login(
    stack: &StackEnv,
    databases: &Databases,
    cluster: &DbCluster,
    all: &[DbCluster],
) -> Result<(String, Login), Stop> {
    let own = managed_secret(cluster);
    let others = all.iter().filter_map(managed_secret).filter(|secret| Some(*secret) != own);
    let mut why = "there is no managed secret".to_owned();
    for secret in own.into_iter().chain(others) {
        let value = stack.secrets().get_secret_value().secret_id(secret).send().await;
        let value = value.because("the master password could not be read")?;
        let login: Value = serde_json::from_str(value.secret_string().unwrap_or_default())
            .because("the secret with the master password is no JSON")?;
        let field = |name: &str| login.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let login = Login { user: field("username"), password: field("password") };
        match databases.connect(&stack.db_record, &login, &stack.database).await {
            Ok(_) => return Ok((secret.to_owned(), login)),
            Err(error) => why = error.to_string(),
        }
    }
    let name = cluster.db_cluster_identifier().unwrap_or_default();
    Err(Stop::new(format!("no secret opens {name}: {why}; to go on: make down, make demo")))
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

/// Makes the article's table anew, through the record.
///
/// # Errors
///
/// What the database says.
pub async fn make_table(session: &Session) -> Result<(), Stop> {
    let sql = format!(
        "DROP TABLE IF EXISTS {TABLE};
         CREATE TABLE {TABLE} (id serial PRIMARY KEY, data text NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
         INSERT INTO {TABLE} (data) VALUES ('Test data 1'), ('Test data 2');"
    );
    session.client.batch_execute(&sql).await.because(format!("{TABLE} could not be made"))
}

/// Makes the application's role, database and table, and says what it is to do.
///
/// # Errors
///
/// What the database says.
pub async fn make_application(
    stack: &StackEnv,
    databases: &Databases,
    scene: &Scene,
    session: &Session,
) -> Result<Job, Stop> {
    let doing = "the application's database could not be made";
    let password = uuid::Uuid::new_v4().simple().to_string();
    let role =
        session.client.query_opt("SELECT FROM pg_roles WHERE rolname = $1", &[&APP_ROLE]).await.because(doing)?;
    let make = if role.is_some() { "ALTER" } else { "CREATE" };
    let sql = format!("{make} ROLE {APP_ROLE} LOGIN PASSWORD '{password}'");
    session.client.batch_execute(&sql).await.because(doing)?;
    let database = session
        .client
        .query_opt("SELECT FROM pg_database WHERE datname = $1", &[&APP_DATABASE])
        .await
        .because(doing)?;
    if database.is_none() {
        session.client.batch_execute(&format!("CREATE DATABASE {APP_DATABASE}")).await.because(doing)?;
    }
    let inside = databases.connect(&stack.db_record, &scene.master, APP_DATABASE).await.because(doing)?;
    // The application may add and read, and nothing else.
    let sql = format!(
        "DROP TABLE IF EXISTS {APP_TABLE};
         CREATE TABLE {APP_TABLE} (number bigint PRIMARY KEY, written_at timestamptz NOT NULL DEFAULT clock_timestamp());
         GRANT SELECT, INSERT ON {APP_TABLE} TO {APP_ROLE};"
    );
    inside.client.batch_execute(&sql).await.because(doing)?;
    Ok(Job {
        record: stack.db_record.clone(),
        login: Login { user: APP_ROLE.to_owned(), password },
        database: APP_DATABASE.to_owned(),
        insert: format!("INSERT INTO {APP_TABLE} (number) VALUES ($1)"),
    })
}

/// The rows of the article's table, as lines.
///
/// # Errors
///
/// What the database says.
pub async fn rows(session: &Session) -> Result<Vec<String>, Stop> {
    let sql = format!("SELECT id::text || ' | ' || data || ' | ' || created_at::text FROM {TABLE} ORDER BY id");
    let rows = session.client.query(&sql, &[]).await.because(format!("{TABLE} could not be read"))?;
    rows.iter().map(|row| row.try_get(0).because("a row could not be read")).collect()
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
