//! Inspects the fence of the source once clients are elsewhere: since it closed nobody has. Somebody may have changed its groups or
//! logged in, and what is written there is not on the restored cluster. It changes nothing, and fails nothing.

use super::ConfirmCutover;
use rewind_aws::rds::{Cluster, ReadClusters};
use rewind_aws::secrets::Logins;
use rewind_clock::{OutOfTime, within};
use rewind_core::{Clock, ErrorName, Plan, Recovery, StepError, timeouts};
use rewind_db::defaults;
use rewind_db::fence::{inspect, some_of};

/// The fence of the source, as far as it could be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceFence {
    /// Nobody gets in, and nobody is there.
    Closed,
    /// The way in, or who is there: a sentence.
    Open(String),
    /// The reason why it could not be seen.
    Unseen(String),
}

impl<C: ReadClusters, S: Logins, K: Clock> ConfirmCutover<C, S, K> {
    /// Inspects the fence of the source.
    pub async fn inspect_source(&self, recovery: &Recovery, plan: &Plan) -> SourceFence {
        let inspected = within(timeouts::SOURCE_INSPECTED, Box::pin(self.ways_in(recovery, plan))).await;
        match inspected.unwrap_or_else(|OutOfTime| Err(out_of_time(plan))) {
            Ok(ways) if ways.is_empty() => SourceFence::Closed,
            Ok(ways) => SourceFence::Open(format!(
                "the fence of {} does not hold: {}; what is written there is not on the restored cluster",
                plan.cluster,
                ways.join("; ")
            )),
            Err(error) => SourceFence::Unseen(error.to_string()),
        }
    }

    async fn ways_in(&self, recovery: &Recovery, plan: &Plan) -> Result<Vec<String>, StepError> {
        let source = self.access.cluster(&plan.cluster).await?;
        let mut ways: Vec<String> = self.changed_groups(&source).into_iter().collect();
        // In a session of its own for each read: two that inspect at once would each wait for the other's to end.
        let others = self.access.others_on_writer(&recovery.id, (&source, plan), &self.clock).await?;
        if !others.is_empty() {
            ways.push(format!("{} sessions are there: {}", others.len(), some_of(&others, "none")));
        }
        // Behind the security groups a login that could not be closed is no way in.
        let behind_network = ways.is_empty() && !self.fence_groups.is_empty() && !source.data_api;
        if !behind_network {
            let database = defaults(source.engine).maintenance_database;
            let (_, session) = self.access.log_in(&recovery.id, &source, plan, self.clock.now(), database).await?;
            let inspection = inspect(&session).await;
            session.close().await;
            ways.extend(inspection?.open);
        }
        Ok(ways)
    }

    fn changed_groups(&self, source: &Cluster) -> Option<String> {
        // Exactly the fence's: any other group beside them admits whoever that one admits.
        let is_changed = !self.fence_groups.is_empty() && !source.has_groups(&self.fence_groups);
        is_changed.then(|| {
            format!(
                "its security groups are {}, and may only be {}",
                source.security_groups.join(", "),
                self.fence_groups.join(", ")
            )
        })
    }
}

fn out_of_time(plan: &Plan) -> StepError {
    let seconds = timeouts::SOURCE_INSPECTED.as_secs();
    StepError::new(ErrorName::Unavailable, format!("{} did not say within {seconds} s who is on it", plan.cluster))
}
