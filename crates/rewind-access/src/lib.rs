//! Logging in to a cluster: its endpoint from RDS, the login from Secrets Manager, the session from rewind-db. It keeps
//! no password longer than the session that it opened.

mod checks;
mod sessions;

pub use checks::CheckedOn;
pub use sessions::restored_moment;

use jiff::Timestamp;
use rewind_aws::rds::{Cluster, ReadClusters};
use rewind_aws::secrets::Logins;
use rewind_core::names::is_managed_secret;
use rewind_core::{ErrorName, Plan, StepError};
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

/// The error for a cluster that the recovery needs and that is not there.
// Not retried: a cluster that the recovery rests on does not come back by waiting.
pub fn gone(name: &str) -> StepError {
    StepError::new(ErrorName::RewindFailed, format!("the cluster {name} is gone"))
}

impl<C: ReadClusters, S: Logins> Access<C, S> {
    /// The cluster `name`, which the recovery needs to be there.
    ///
    /// # Errors
    ///
    /// `RewindFailed` where it is gone, and the errors of the read itself.
    pub async fn cluster(&self, name: &str) -> Result<Cluster, StepError> {
        self.clusters.cluster(name).await?.ok_or_else(|| gone(name))
    }

    /// The logins for `cluster`: those of the plan's secret, the one first that was current at `moment`, and those of the cluster's own
    /// managed secret where that is another.
    ///
    /// A moment of the secret itself in the plan counts instead: the secret is rotated on with another cluster.
    ///
    /// A restored cluster gets a secret of its own when somebody turns on its managed password, and the password of `moment` ends
    /// with that. What cannot be read of one secret is no error where the other has a login.
    ///
    /// # Errors
    ///
    /// The errors of reading the secrets.
    pub async fn credentials(
        &self,
        cluster: &Cluster,
        plan: &Plan,
        moment: Timestamp,
    ) -> Result<Vec<Credential>, StepError> {
        let secret_arn = plan.secret_arn.as_str();
        let moment = plan.secret_moment.unwrap_or(moment);
        let given = self.logins(cluster, secret_arn, moment).await;
        let Some(own) = cluster.master_secret.as_deref().filter(|own| *own != secret_arn) else { return given };
        // The latest version first: RDS sets the password and the secret together.
        let mut own = match self.logins(cluster, own, Timestamp::MAX).await {
            Ok(own) => own,
            // Not readable for now: the other secret's login may be over, and a refused login would be final.
            Err(error) if matches!(error.name, ErrorName::Unavailable | ErrorName::Throttled) => return Err(error),
            Err(_) => return given,
        };
        for login in &mut own {
            login.label = format!("{} of the cluster's own secret", login.label);
        }
        let given = given.unwrap_or_default();
        // A managed secret belongs to one cluster, and the given one to another. One that people made was chosen for its user.
        Ok(if is_managed_secret(secret_arn) { [own, given] } else { [given, own] }.concat())
    }

    /// The network for sessions of a recovery, in which checks read what is open of its source.
    fn network_of(&self, recovery_id: &str, plan: &Plan) -> Network {
        self.network.for_recovery(recovery_id).for_checks_of(&plan.cluster)
    }

    /// The logins that the secret holds, all versions in the order of their likelihood: passwords are rewound with the data, to the
    /// moment or a little off it.
    async fn logins(
        &self,
        cluster: &Cluster,
        secret_arn: &str,
        moment: Timestamp,
    ) -> Result<Vec<Credential>, StepError> {
        // A secret that people made may hold the password alone.
        let master = cluster.master_username.clone().unwrap_or_else(|| defaults(cluster.engine).user.to_owned());
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
        plan: &Plan,
        moment: Timestamp,
        database: &str,
    ) -> Result<(Server, Session), ConnectError> {
        // Read anew each time: a secret may be rotated between two steps, and a password is kept nowhere.
        let credentials = self.credentials(cluster, plan, moment).await.map_err(ConnectError::Failed)?;
        let target = writer(cluster).map_err(ConnectError::Failed)?;
        Server::connect(&self.network_of(recovery_id, plan), &target, &credentials, database).await
    }
}

/// A server of the cluster's at `endpoint`.
pub fn target(cluster: &Cluster, endpoint: impl Into<String>) -> Target {
    // Without a usable port in the answer the default of the engine is left, which most clusters have.
    let port = cluster.port.and_then(|port| u16::try_from(port).ok()).unwrap_or(defaults(cluster.engine).port);
    Target::new(cluster.engine, endpoint, port).of_master_user(cluster.master_username.clone())
}

/// The server that writes.
///
/// # Errors
///
/// `ClusterNotReady` where the cluster has no endpoint yet.
pub fn writer(cluster: &Cluster) -> Result<Target, StepError> {
    // Its absence passes: a cluster that is being created gets its endpoint a little later.
    let endpoint = cluster
        .endpoint
        .as_deref()
        .ok_or_else(|| StepError::new(ErrorName::ClusterNotReady, format!("{} has no endpoint yet", cluster.name)))?;
    Ok(target(cluster, endpoint))
}
