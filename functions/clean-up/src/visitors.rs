//! Who is on a cluster, on its writer and on each reader: seen by logging in as the recovery did. Nobody is sent away.

use crate::{Kept, Kind};
use rewind_access::{Access, target};
use rewind_aws::rds::{Cluster, Instance, ReadClusters};
use rewind_aws::secrets::Logins;
use rewind_core::{Clock, Plan, StepError};
use rewind_db::fence::{Inside, look};

/// Sees who is on a cluster.
pub trait Visitors: Send + Sync {
    /// Who is on these instances of the cluster.
    fn visitors(
        &self,
        kept: &Kept,
        plan: &Plan,
        cluster: &Cluster,
        instances: &[Instance],
    ) -> impl Future<Output = Result<Inside, StepError>> + Send;
}

/// The databases themselves.
#[derive(Debug)]
pub struct Databases<C, S, K> {
    /// The way to them.
    pub access: Access<C, S>,
    /// The time.
    pub clock: K,
}

impl<C: ReadClusters, S: Logins, K: Clock> Visitors for Databases<C, S, K> {
    async fn visitors(
        &self,
        kept: &Kept,
        plan: &Plan,
        cluster: &Cluster,
        instances: &[Instance],
    ) -> Result<Inside, StepError> {
        let now = self.clock.now();
        let moment = match kept.kind {
            Kind::Source => now,
            // A clone has the passwords of the moment at which it was made.
            Kind::Evidence => cluster.created.unwrap_or(now),
        };
        let credentials = self.access.credentials(cluster, &plan.secret_arn, moment).await?;
        let network = self.access.network.for_recovery(&kept.recovery_id);
        let mut seen = Inside::default();
        for instance in instances {
            let Some(endpoint) = &instance.endpoint else { continue };
            let target = target(cluster, endpoint);
            let database = target.engine.maintenance_database();
            let (_, session) = network.connect_with(&target, &credentials, database).await?;
            let inside = look(&session).await;
            session.close().await;
            let Inside { sessions, open } = inside?;
            seen.sessions.extend(sessions.into_iter().map(|who| format!("{who} on {}", instance.name)));
            seen.open.extend(open.into_iter().filter(|door| !seen.open.contains(door)).collect::<Vec<_>>());
        }
        Ok(seen)
    }
}
