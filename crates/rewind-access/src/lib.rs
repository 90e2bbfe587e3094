//! Logging in to a cluster: its endpoint from RDS, the login from Secrets Manager, the session from rewind-db. It keeps
//! no password longer than the session that it opened.

use jiff::Timestamp;
use rewind_aws::rds::{Cluster, ReadClusters};
use rewind_aws::secrets::Logins;
use rewind_core::{ErrorName, StepError};
use rewind_db::{ConnectError, Credential, Network, Server, Session, Target, defaults};

/// Access to a cluster's databases.
#[derive(Debug, Clone)]
pub struct Access<C, S> {
    /// Clusters.
    pub clusters: C,
    /// Secrets.
    pub secrets: S,
    /// The network to the databases.
    pub network: Network,
}

impl<C: ReadClusters, S: Logins> Access<C, S> {
    /// The cluster `name`, which the recovery needs to be there.
    ///
    /// # Errors
    ///
    /// `RewindFailed` where it is gone, and the errors of the read itself.
    pub async fn cluster(&self, name: &str) -> Result<Cluster, StepError> {
        self.clusters
            .cluster(name)
            .await?
            .ok_or_else(|| StepError::new(ErrorName::RewindFailed, format!("the cluster {name} is gone")))
    }

    /// The logins that the secret holds for `cluster`, the one first that was current at `moment`.
    ///
    /// # Errors
    ///
    /// The errors of reading the secret.
    pub async fn credentials(
        &self,
        cluster: &Cluster,
        secret_arn: &str,
        moment: Timestamp,
    ) -> Result<Vec<Credential>, StepError> {
        // A secret that people made may hold the password alone.
        let master = cluster.master_username.clone().unwrap_or_else(|| defaults(cluster.engine).user.to_owned());
        // All versions, in the order of their likelihood: passwords are rewound with the data, to the moment or a little off it.
        let logins = self.secrets.logins(secret_arn, moment).await?;
        Ok(logins
            .into_iter()
            .map(|login| Credential {
                user: login.user.unwrap_or_else(|| master.clone()),
                password: login.password,
                label: login.version,
            })
            .collect())
    }

    /// A session in `database` on the writer of `cluster`.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]; an error of reading the secret is its `Failed`.
    pub async fn log_in(
        &self,
        recovery_id: &str,
        cluster: &Cluster,
        secret_arn: &str,
        moment: Timestamp,
        database: &str,
    ) -> Result<(Server, Session), ConnectError> {
        // Read anew each time: a secret may be rotated between two steps, and a password is kept nowhere.
        let credentials = self.credentials(cluster, secret_arn, moment).await.map_err(ConnectError::Failed)?;
        let target = writer(cluster).map_err(ConnectError::Failed)?;
        Server::connect(&self.network.for_recovery(recovery_id), &target, &credentials, database).await
    }
}

/// A server of the cluster's at `endpoint`.
pub fn target(cluster: &Cluster, endpoint: impl Into<String>) -> Target {
    let port = cluster.port.and_then(|port| u16::try_from(port).ok()).unwrap_or(defaults(cluster.engine).port);
    Target::new(cluster.engine, endpoint, port)
}

fn writer(cluster: &Cluster) -> Result<Target, StepError> {
    let endpoint = cluster
        .endpoint
        .as_deref()
        .ok_or_else(|| StepError::new(ErrorName::ClusterNotReady, format!("{} has no endpoint yet", cluster.name)))?;
    Ok(target(cluster, endpoint))
}
