//! The cluster of a scenario, found by the name that clients use, and the login of its master user. It changes nothing.

use super::database::{Databases, Engine, Login};
use super::dns_client::ResolvedEndpoint;
use crate::stack::StackEnv;
use anyhow::{Context, Result, anyhow, bail};
use aws_sdk_rds::types::DbCluster;
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a cluster may take to become restorable: one that has just become available may still lack its first base backup.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The cluster that is rewound.
#[derive(Debug)]
pub struct DemoCluster {
    /// The name that clients connect to.
    pub client_name: String,
    /// The database with the article's table.
    pub database: String,
    /// The cluster's identifier.
    pub id: String,
    /// The writer endpoint.
    pub endpoint: String,
    /// Engine and version.
    pub engine: String,
    /// The instances with their roles.
    pub instances: Vec<String>,
    /// The endpoint and address that `client_name` resolved to.
    pub resolved: ResolvedEndpoint,
    /// The master user.
    pub master: Login,
    /// The ARN of the secret that holds the master user's password.
    pub secret: String,
    /// True where RDS manages that secret for this very cluster.
    pub secret_is_managed: bool,
}

/// Finds the cluster behind a name, and its login; waits until it can be rewound.
///
/// # Errors
///
/// When the name resolves to no cluster, or no secret holds its password.
pub async fn find(stack: &StackEnv, databases: &Databases, name: &str, database: &str) -> Result<DemoCluster> {
    let resolved = databases.dns.resolve(name).await?;
    let deadline = Instant::now() + READY_TIMEOUT;
    let (cluster, all) = loop {
        let all = clusters(stack).await?;
        // By the endpoint that the name leads to, as an application would find it: after a demo it is a restored cluster.
        let behind = all.iter().find(|cluster| cluster.endpoint() == Some(resolved.endpoint.as_str())).cloned();
        let cluster = behind
            .ok_or_else(|| anyhow!("{name} resolves to {}, which is no cluster's endpoint", resolved.endpoint))?;
        if is_rewindable(&cluster, databases.engine) {
            break (cluster, all);
        }
        if Instant::now() > deadline {
            let name = cluster.db_cluster_identifier().unwrap_or_default();
            let status = cluster.status().unwrap_or("unknown");
            let message = format!("{name} can't be rewound yet (it is {status}); next step: make down, and once more");
            bail!(message);
        }
        sleep(POLL_INTERVAL).await;
    };
    let login = LoginSearch { stack, databases, name, database };
    let (secret, master) = login.master_login(&cluster, &all).await?;
    Ok(DemoCluster {
        client_name: name.to_owned(),
        database: database.to_owned(),
        id: cluster.db_cluster_identifier().unwrap_or_default().to_owned(),
        endpoint: resolved.endpoint.clone(),
        engine: format!("{} {}", cluster.engine().unwrap_or_default(), cluster.engine_version().unwrap_or_default()),
        instances: members(&cluster),
        resolved,
        secret_is_managed: managed_secret(&cluster) == Some(secret.as_str()),
        master,
        secret,
    })
}

fn is_rewindable(cluster: &DbCluster, engine: Engine) -> bool {
    let reaches_back = match engine {
        Engine::AuroraPostgresql => cluster.earliest_restorable_time(),
        Engine::AuroraMysql => cluster.earliest_backtrack_time(),
    };
    cluster.status() == Some("available") && reaches_back.is_some()
}

/// Lists all clusters.
///
/// # Errors
///
/// When the RDS API refuses.
pub async fn clusters(stack: &StackEnv) -> Result<Vec<DbCluster>> {
    let pages = stack.rds().describe_db_clusters().into_paginator().items().send();
    pages.collect::<Result<Vec<DbCluster>, _>>().await.context("the clusters could not be read")
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

struct LoginSearch<'a> {
    stack: &'a StackEnv,
    databases: &'a Databases,
    name: &'a str,
    database: &'a str,
}

impl LoginSearch<'_> {
    /// Finds the secret that opens the cluster, and reads the login in it.
    async fn master_login(&self, cluster: &DbCluster, all: &[DbCluster]) -> Result<(String, Login)> {
        // A restored cluster has no managed secret (ModifyDBCluster would have to ask for one), and the passwords in it are
        // those of the target time: the secret of the cluster that it was restored from still opens it.
        let own = managed_secret(cluster);
        let others = all.iter().filter_map(managed_secret).filter(|secret| Some(*secret) != own);
        let mut why = "there is no managed secret".to_owned();
        for secret in own.into_iter().chain(others) {
            let value = self.stack.secrets().get_secret_value().secret_id(secret).send().await;
            let value = value.context("the master password could not be read")?;
            let login: Value = serde_json::from_str(value.secret_string().unwrap_or_default())
                .context("the secret with the master password is no JSON")?;
            let field = |name: &str| login.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let login = Login { user: field("username"), password: field("password") };
            // Tried, not compared: which password was valid at the target time only the database knows.
            match self.databases.connect(self.name, &login, self.database).await {
                Ok(_) => return Ok((secret.to_owned(), login)),
                Err(error) => why = error.to_string(),
            }
        }
        let name = cluster.db_cluster_identifier().unwrap_or_default();
        Err(anyhow!("no secret opens {name}: {why}; next step: make down, and once more"))
    }
}
