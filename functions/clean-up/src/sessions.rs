//! Reads the sessions on a kept cluster. It logs in as the recovery did.

use crate::{Kept, Kind};
use rewind_access::{Access, restored_moment};
use rewind_aws::rds::{Cluster, Instance, ReadClusters};
use rewind_aws::secrets::Logins;
use rewind_core::{Clock, Plan, StepError};
use rewind_db::fence::Inspection;

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
        let now = self.clock.now();
        let moment = match kept.kind {
            Kind::Source => now,
            // A clone has the passwords of the moment of its creation, however often the secret was rotated since.
            Kind::SafetyClone => cluster.created.unwrap_or(now),
            Kind::Restored => restored_moment(cluster, plan.target),
        };
        self.access.sessions(&kept.recovery_id, (cluster, instances), plan, moment, &self.clock).await
    }
}
