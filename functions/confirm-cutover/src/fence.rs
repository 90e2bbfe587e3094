//! Inspects the fence of the cluster that clients have left: since it closed nobody has. Somebody may have changed its groups or
//! logged in, and what is written there is there alone. It changes nothing, and fails nothing.

use super::{ConfirmCutover, Side};
use rewind_access::gone;
use rewind_aws::rds::{Cluster, ReadClusters};
use rewind_aws::secrets::Logins;
use rewind_clock::{OutOfTime, within};
use rewind_core::{Clock, ErrorName, Plan, Recovery, StepError, timeouts};
use rewind_db::defaults;
use rewind_db::fence::{inspect, some_of};

/// The fence of a cluster, as far as it could be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FenceFinding {
    /// Nobody gets in, and nobody is there.
    Closed,
    /// The way in, or who is there: a sentence.
    Open(String),
    /// The reason why it could not be seen.
    Unseen(String),
}

impl<C: ReadClusters, S: Logins, K: Clock> ConfirmCutover<C, S, K> {
    /// Inspects the fence of the cluster `fenced`, whose clients were led to `meant`.
    pub async fn inspect_fence(
        &self,
        recovery: &Recovery,
        plan: &Plan,
        fenced: Side<'_>,
        meant: Side<'_>,
    ) -> FenceFinding {
        let inspected = within(timeouts::SOURCE_INSPECTED, Box::pin(self.ways_in(recovery, plan, fenced))).await;
        match inspected.unwrap_or_else(|OutOfTime| Err(out_of_time(fenced.cluster))) {
            Ok(ways) if ways.is_empty() => FenceFinding::Closed,
            Ok(ways) => FenceFinding::Open(format!(
                "the fence of {} does not hold: {}; what is written there is not on {}",
                fenced.cluster,
                ways.join("; "),
                meant.cluster
            )),
            Err(error) => FenceFinding::Unseen(error.to_string()),
        }
    }

    async fn ways_in(&self, recovery: &Recovery, plan: &Plan, fenced: Side<'_>) -> Result<Vec<String>, StepError> {
        let cluster = match self.access.clusters.cluster(fenced.cluster).await? {
            Some(cluster) => cluster,
            // Nobody gets in to a restored cluster that is not there any more. A source that is gone is told: it was to be kept.
            None if fenced.cluster == plan.new_cluster => return Ok(Vec::new()),
            None => return Err(gone(fenced.cluster)),
        };
        let mut ways: Vec<String> = self.changed_groups(&cluster).into_iter().collect();
        // In a session of its own for each read: two that inspect at once would each wait for the other's to end.
        let others = self.access.others_on_writer(&recovery.id, (&cluster, plan), fenced.moment, &self.clock).await?;
        if !others.is_empty() {
            ways.push(format!("{} sessions are there: {}", others.len(), some_of(&others, "none")));
        }
        // Behind the security groups a login that could not be closed is no way in.
        let behind_network = ways.is_empty() && !self.fence_groups.is_empty() && !cluster.data_api;
        if !behind_network {
            let database = defaults(cluster.engine).maintenance_database;
            let (_, session) = self.access.log_in(&recovery.id, &cluster, plan, fenced.moment, database).await?;
            let inspection = inspect(&session).await;
            session.close().await;
            ways.extend(inspection?.open);
        }
        Ok(ways)
    }

    fn changed_groups(&self, cluster: &Cluster) -> Option<String> {
        // Exactly the fence's: any other group beside them admits whoever that one admits.
        let is_changed = !self.fence_groups.is_empty() && !cluster.has_groups(&self.fence_groups);
        is_changed.then(|| {
            format!(
                "its security groups are {}, and may only be {}",
                cluster.security_groups.join(", "),
                self.fence_groups.join(", ")
            )
        })
    }
}

fn out_of_time(cluster: &str) -> StepError {
    let seconds = timeouts::SOURCE_INSPECTED.as_secs();
    StepError::new(ErrorName::Unavailable, format!("{cluster} did not say within {seconds} s who is on it"))
}
