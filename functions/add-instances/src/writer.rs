//! Makes the planned instance the writer of the restored cluster, where another one is. What cannot be done is a difference: the
//! cluster works with either.

use super::{AddInstances, Output};
use rewind_aws::rds::{
    ChangeInstances, Cluster, CompleteClusters, FailOverClusters, ModifyClusters, ReadClusters, TagClusters,
};
use rewind_core::{Clock, Difference, ErrorName, Plan, PlannedInstance, Polling, StepError, timeouts};

impl<C, K: Clock> AddInstances<C, K>
where
    C: ReadClusters + ChangeInstances + ModifyClusters + CompleteClusters + FailOverClusters + TagClusters,
{
    /// Fails over to the planned writer, and waits until it writes.
    pub(super) async fn make_planned_writer(&self, plan: &Plan, restored: &Cluster) -> Result<Output, StepError> {
        let planned = plan.writer().ok_or_else(|| StepError::bug("the plan has no writer"))?;
        let output = |differences| Ok(Output { instances: Vec::new(), differences });
        let writes = |cluster: &Cluster| writer(cluster) == Some(planned.name.as_str());
        // A failover of an earlier attempt, or of AWS itself, may have done it already.
        let is_done = |cluster: &Cluster| writes(cluster) && cluster.status == "available";
        if is_done(restored) {
            return output(Vec::new());
        }
        if restored.status == "available" {
            match self.clusters.fail_over(&restored.name, &planned.name).await {
                Ok(()) => {}
                // By what the cluster shows: asked for twice, a failover that is done is refused.
                Err(error) if error.name == ErrorName::OutcomeUnknown => {}
                // No other attempt would get another answer, and the cluster has a writer.
                Err(error) if error.name == ErrorName::RewindFailed => {
                    return output(vec![another_writer(plan, planned, restored, &error.to_string())]);
                }
                Err(error) => return Err(error),
            }
        }
        let read = || self.read(&restored.name);
        let now = Polling::default().until(&self.clock, timeouts::FAILOVER_WITHIN, read, is_done).await?;
        if is_done(&now) {
            return output(Vec::new());
        }
        if now.status == "available" {
            return output(vec![another_writer(
                plan,
                planned,
                &now,
                "a failover was accepted, and did not change that",
            )]);
        }
        // Checks must not run while connections are being cut.
        Err(StepError::new(ErrorName::ClusterNotReady, format!("{} is {}", now.name, now.status))
            .changed("a failover to the planned writer was asked for")
            .advice("it is waited for"))
    }
}

fn writer(cluster: &Cluster) -> Option<&str> {
    cluster.members.iter().find(|member| member.writer).map(|member| member.instance.as_str())
}

fn another_writer(plan: &Plan, planned: &PlannedInstance, now: &Cluster, why: &str) -> Difference {
    let why: String = why.chars().take(super::differences::LONGEST_MESSAGE).collect();
    Difference::new(
        format!("writer of {}", plan.new_cluster),
        format!("{}, {}", planned.source, planned.class),
        format!("{} in place of {}: {why}", writer(now).unwrap_or("none"), planned.name),
        format!(
            "if the load needs {}: `aws rds failover-db-cluster --db-cluster-identifier {} --target-db-instance-identifier {}`, \
             which ends every connection",
            planned.class, plan.new_cluster, planned.name
        ),
    )
}
