//! Waits for the new cluster, for its instances, or for its end: looks often, inside one bounded invocation, and hands
//! back to the state machine when that is used up. It never changes anything, so there is nothing to undo.

use jiff::Timestamp;
use rewind_aws::rds::{Cluster, Instance, ReadClusters};
use rewind_core::names::RECOVERY_TAG;
use rewind_core::{Clock, ErrorName, Plan, Polling, Recovery, StepError};
use rewind_lambda::Step;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] = &["rds:DescribeDBClusters", "rds:DescribeDBInstances"];

/// The step.
#[derive(Debug)]
pub struct AwaitRewind<C, K> {
    /// Clusters and instances.
    pub clusters: C,
    /// The time.
    pub clock: K,
    /// How often to look.
    pub polling: Polling,
}

/// What the step is passed.
#[derive(Debug, Clone, Deserialize)]
pub struct Input {
    /// Which recovery.
    pub recovery: Recovery,
    /// What it does.
    pub plan: Plan,
    /// What is waited for.
    pub awaiting: Awaiting,
}

/// What is waited for, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Awaiting {
    /// What.
    pub what: What,
    /// When the wait began: the first of its invocations.
    pub since: Timestamp,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum What {
    /// The new cluster is available.
    Cluster,
    /// All planned instances, and the cluster, are available.
    Instances,
    /// The new cluster is gone.
    ClusterGone,
}

/// What the step answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Output {
    /// Whether the wait is over.
    pub done: bool,
    /// What was last seen.
    pub status: String,
    /// How long the wait has taken so far.
    pub seconds: f64,
}

impl<C: ReadClusters, K: Clock> Step for AwaitRewind<C, K> {
    type Input = Input;
    type Output = Output;

    async fn run(&self, Input { recovery, plan, awaiting }: Input) -> Result<Output, StepError> {
        let began = self.clock.now();
        loop {
            let seen = self.look(&recovery, &plan, awaiting.what).await?;
            let now = self.clock.now();
            let waited = Duration::try_from(now.duration_since(awaiting.since)).unwrap_or_default();
            let here = Duration::try_from(now.duration_since(began)).unwrap_or_default();
            let pause = self.polling.pause(waited);
            if seen.done || here + pause > self.polling.budget {
                return Ok(Output { done: seen.done, status: seen.status, seconds: waited.as_secs_f64() });
            }
            self.clock.sleep(pause).await;
        }
    }
}

struct Seen {
    done: bool,
    status: String,
}

impl<C: ReadClusters, K: Clock> AwaitRewind<C, K> {
    async fn look(&self, recovery: &Recovery, plan: &Plan, what: What) -> Result<Seen, StepError> {
        let name = &plan.new_cluster;
        let Some(cluster) = self.clusters.cluster(name).await? else {
            return match what {
                What::ClusterGone => Ok(Seen { done: true, status: format!("{name} is gone") }),
                What::Cluster | What::Instances => Err(failed(format!("the new cluster {name} is gone"))),
            };
        };
        match what {
            What::Cluster => {
                refuse_failed(name, &cluster.status)?;
                // Its restorable times appear when the restore has ended; its status alone can be early.
                Ok(Seen { done: cluster.status == "available", status: format!("{name} is {}", cluster.status) })
            }
            What::Instances => self.look_at_instances(plan, &cluster).await,
            // A cluster of that name which this recovery did not make was never to go.
            What::ClusterGone if cluster.tag(RECOVERY_TAG) != Some(recovery.id.as_str()) => {
                Ok(Seen { done: true, status: format!("{name} is not of this recovery") })
            }
            What::ClusterGone => Ok(Seen { done: false, status: format!("{name} is {}", cluster.status) }),
        }
    }

    async fn look_at_instances(&self, plan: &Plan, cluster: &Cluster) -> Result<Seen, StepError> {
        refuse_failed(&cluster.name, &cluster.status)?;
        let instances = self.clusters.instances(&cluster.name).await?;
        let mut waiting = Vec::new();
        for planned in &plan.instances {
            match instances.iter().find(|instance| instance.name == planned.name) {
                // add-instances reports a reader that could not be made; without a writer there is no cluster.
                None if planned.writer => waiting.push(format!("{} is not to be seen yet", planned.name)),
                None => {}
                Some(instance) => {
                    refuse_failed(&instance.name, &instance.status)?;
                    if !is_up(instance) {
                        waiting.push(format!("{} is {}", instance.name, instance.status));
                    }
                }
            }
        }
        if cluster.status != "available" {
            waiting.push(format!("{} is {}", cluster.name, cluster.status));
        }
        if waiting.is_empty() {
            Ok(Seen { done: true, status: format!("{} and its instances are available", cluster.name) })
        } else {
            Ok(Seen { done: false, status: waiting.join(", ") })
        }
    }
}

fn is_up(instance: &Instance) -> bool {
    instance.status == "available" && instance.endpoint.is_some()
}

/// States that never become `available` by themselves.
fn refuse_failed(name: &str, status: &str) -> Result<(), StepError> {
    let hopeless = ["failed", "restore-error", "deleting", "deleted", "stopped", "storage-full", "creation-failed"];
    if hopeless.contains(&status)
        || status.starts_with("incompatible-")
        || status.starts_with("inaccessible-")
        || status.ends_with("-failed")
    {
        return Err(failed(format!("{name} is {status}")));
    }
    Ok(())
}

fn failed(happened: String) -> StepError {
    StepError::new(ErrorName::RewindFailed, happened)
        .changed("the original was not touched")
        .advice("read the cluster's events (`aws rds describe-events`), mend the reason, and start again")
}

#[cfg(test)]
mod tests;
