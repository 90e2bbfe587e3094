//! Reads the sessions on a kept cluster, on its writer and on each reader. It logs in as the recovery did, to all instances at the same
//! time, because a cluster has up to sixteen. It terminates no session.

use crate::{Kept, Kind};
use futures_util::future::try_join_all;
use rewind_access::{Access, target};
use rewind_aws::rds::{Cluster, Instance, ReadClusters};
use rewind_aws::secrets::Logins;
use rewind_clock::{OutOfTime, within};
use rewind_core::names::TARGET_TAG;
use rewind_core::{Clock, ErrorName, Plan, StepError, timeouts};
use rewind_db::fence::{Inspection, cut, inspect};
use rewind_db::{Server, defaults};

/// Reads the sessions on a cluster.
pub trait ReadSessions: Send + Sync {
    /// Reads the sessions on these instances, and the logins that are open.
    fn sessions(
        &self,
        kept: &Kept,
        plan: &Plan,
        cluster: &Cluster,
        instances: &[Instance],
    ) -> impl Future<Output = Result<Inspection, StepError>> + Send;
}

/// Reads them from the databases.
#[derive(Debug)]
pub struct Databases<C, S, K> {
    /// The access to the databases.
    pub access: Access<C, S>,
    /// The time.
    pub clock: K,
}

impl<C: ReadClusters, S: Logins, K: Clock> ReadSessions for Databases<C, S, K> {
    async fn sessions(
        &self,
        kept: &Kept,
        plan: &Plan,
        cluster: &Cluster,
        instances: &[Instance],
    ) -> Result<Inspection, StepError> {
        // Bounded, and an error at its end: no response is no proof that nobody is connected.
        let seen = within(timeouts::KEPT_SESSIONS, Box::pin(self.read_all(kept, plan, cluster, instances))).await;
        seen.unwrap_or_else(|OutOfTime| {
            let seconds = timeouts::KEPT_SESSIONS.as_secs();
            let what = format!("{} did not say within {seconds} s who is on it", cluster.name);
            Err(StepError::new(ErrorName::Unavailable, what))
        })
    }
}

impl<C: ReadClusters, S: Logins, K: Clock> Databases<C, S, K> {
    async fn read_all(
        &self,
        kept: &Kept,
        plan: &Plan,
        cluster: &Cluster,
        instances: &[Instance],
    ) -> Result<Inspection, StepError> {
        let now = self.clock.now();
        let moment = match kept.kind {
            Kind::Source => now,
            // A clone has the passwords of the moment of its creation, however often the secret was rotated since.
            Kind::SafetyClone => cluster.created.unwrap_or(now),
            // It has those of the moment that it was restored to.
            Kind::Restored => cluster.tag(TARGET_TAG).and_then(|at| at.parse().ok()).unwrap_or(plan.target),
        };
        let credentials = self.access.credentials(cluster, plan, moment).await?;
        let network = self.access.network.for_recovery(&kept.recovery_id);
        let inspections = instances.iter().filter_map(|instance| Some((instance, instance.endpoint.as_ref()?))).map(
            async |(instance, endpoint)| {
                let target = target(cluster, endpoint);
                let database = defaults(target.engine).maintenance_database;
                let (_, session) = Server::connect(&network, &target, &credentials, database).await?;
                let inside = inspect(&session).await;
                session.close().await;
                Ok::<_, StepError>((&instance.name, inside?))
            },
        );
        let mut seen = Inspection::default();
        for (name, Inspection { sessions, open }) in try_join_all(inspections).await? {
            seen.sessions.extend(sessions.into_iter().map(|who| format!("{who} on {name}")));
            // All instances share one catalogue, so each of them reports the same open logins.
            seen.open.extend(open.into_iter().filter(|login| !seen.open.contains(login)).collect::<Vec<_>>());
        }
        // Sixteen instances with hundreds of sessions each would be more than the state of an execution holds.
        Ok(Inspection { sessions: cut(seen.sessions, "sessions"), open: cut(seen.open, "logins are open") })
    }
}
