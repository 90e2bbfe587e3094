//! Waits until the restored cluster or its instances are available, the cluster is deleted, a backtrack has ended, or all servers
//! of Route 53 have the moved records. It polls within one bounded invocation, and then returns to the state machine, which calls
//! it again. It changes nothing, so it has no undo.

use jiff::Timestamp;
use rewind_aws::rds::{Cluster, Instance, ReadBacktracks, ReadClusters, came_to_nothing, is_foreign};
use rewind_aws::route53::FollowChange;
use rewind_core::names::RECOVERY_TAG;
use rewind_core::{
    Clock, Difference, ErrorName, MayPass, Plan, PlannedInstance, Polling, Recovery, Restored, StepError, timeouts,
};
use rewind_lambda::Step;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] = &[
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstances",
    "rds:DescribeDBClusterBacktracks",
    "route53:GetChange",
    "sts:AssumeRole",
    "kms:VerifyMac",
];

/// The step.
#[derive(Debug)]
pub struct AwaitRewind<C, F, K> {
    /// Clusters and instances.
    pub clusters: C,
    /// Changes of Route 53.
    pub changes: F,
    /// The time.
    pub clock: K,
    /// The pauses between polls.
    pub polling: Polling,
}

/// The payload of the step.
#[derive(Debug, Clone, Deserialize)]
pub struct Input {
    /// The recovery.
    pub recovery: Recovery,
    /// The plan of the recovery.
    pub plan: Plan,
    /// The condition that is waited for.
    pub awaiting: Awaiting,
}

/// A condition, and the start of the wait for it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Awaiting {
    /// The condition.
    pub what: WaitFor,
    /// The time of the first invocation of this wait.
    pub since: Timestamp,
    /// The backtrack's identifier, or that of a change of Route 53; null where the change's id was lost.
    #[serde(default)]
    pub identifier: Option<String>,
}

/// The conditions that can be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WaitFor {
    /// The restored cluster is available.
    Cluster,
    /// The cluster and its writer are available, and each reader is or was given up.
    Instances,
    /// The restored cluster has been deleted.
    ClusterGone,
    /// The backtrack has ended well, and the cluster and its writer are available again.
    Backtrack,
    /// All servers of Route 53 have the records as they were moved.
    Change,
}

/// The result of the step.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// True if the condition is met.
    pub done: bool,
    /// The last state that was seen.
    pub status: String,
    /// The time of the wait so far, over all invocations.
    pub seconds: f64,
    /// The rewound cluster, once a backtrack has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored: Option<Restored>,
    /// The time at which all servers of Route 53 were first seen to have the change; absent if that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_sync_at: Option<Timestamp>,
    /// The instances that were given up; only once the wait for instances is done.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// True if another instance than the planned one writes, and the planned one could.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fail_over: bool,
}

impl<C: ReadClusters + ReadBacktracks, F: FollowChange, K: Clock> Step for AwaitRewind<C, F, K> {
    type Input = Input;
    type Output = Output;

    async fn run(&self, Input { recovery, plan, awaiting }: Input) -> Result<Output, StepError> {
        // Two times: `since` is the start of the whole wait, `began` that of this invocation, which Lambda ends at
        // its timeout.
        let began = self.clock.now();
        let mut failing_since: Option<Timestamp> = None;
        let mut before: Option<Seen> = None;
        loop {
            let now = self.clock.now();
            let waited = Duration::try_from(now.duration_since(awaiting.since)).unwrap_or_default();
            let seen = match self.check(&recovery, &plan, &awaiting, waited).await {
                Ok(seen) => {
                    failing_since = None;
                    seen
                }
                // A restore goes on whether it can be seen or not: one read that fails says nothing about it.
                Err(error) if error.may_pass() => {
                    let since = *failing_since.get_or_insert(now);
                    let failing = Duration::try_from(self.clock.now().duration_since(since)).unwrap_or_default();
                    if failing >= timeouts::READS_FAIL_WITHIN {
                        return Err(error);
                    }
                    match before.take() {
                        Some(seen) => seen,
                        None => Seen::new(false, format!("not to be seen: {error}")),
                    }
                }
                Err(error) => return Err(error),
            };
            let now = self.clock.now();
            let waited = Duration::try_from(now.duration_since(awaiting.since)).unwrap_or_default();
            let here = Duration::try_from(now.duration_since(began)).unwrap_or_default();
            // By the whole wait, not by this invocation's part: a wait of an hour is not polled as often as one of a minute.
            let pause = self.polling.pause(waited);
            if seen.done || self.polling.is_used_up(&self.clock, here, pause) {
                let Seen { done, status, restored, in_sync, differences, fail_over } = seen;
                // The time at which it was seen, and not that of the change: being later, it only makes the wait for
                // the TTL longer.
                let in_sync_at = in_sync.then_some(now);
                let seconds = waited.as_secs_f64();
                return Ok(Output { done, status, seconds, restored, in_sync_at, differences, fail_over });
            }
            before = Some(seen);
            self.clock.sleep(pause).await;
        }
    }
}

struct Seen {
    done: bool,
    status: String,
    restored: Option<Restored>,
    in_sync: bool,
    differences: Vec<Difference>,
    fail_over: bool,
}

impl Seen {
    fn new(done: bool, status: String) -> Self {
        Self { done, status, restored: None, in_sync: false, differences: Vec::new(), fail_over: false }
    }
}

impl<C: ReadClusters + ReadBacktracks, F: FollowChange, K: Clock> AwaitRewind<C, F, K> {
    async fn check(
        &self,
        recovery: &Recovery,
        plan: &Plan,
        awaiting: &Awaiting,
        waited: Duration,
    ) -> Result<Seen, StepError> {
        match awaiting.what {
            WaitFor::Backtrack => self.check_backtrack(plan, awaiting.identifier.as_deref()).await,
            WaitFor::Change => self.check_change(awaiting.identifier.as_deref()).await,
            what => self.check_cluster(recovery, plan, what, waited).await,
        }
    }

    async fn check_cluster(
        &self,
        recovery: &Recovery,
        plan: &Plan,
        what: WaitFor,
        waited: Duration,
    ) -> Result<Seen, StepError> {
        let name = &plan.new_cluster;
        let found = match self.clusters.cluster(name).await {
            // The name is somebody else's by now: what this recovery created is gone.
            Err(error) if what == WaitFor::ClusterGone && is_foreign(&error) => None,
            found => found?,
        };
        let Some(cluster) = found else {
            return match what {
                WaitFor::ClusterGone => Ok(Seen::new(true, format!("{name} is gone"))),
                _ => Err(failed(plan, format!("{} {name} is gone", plan.created_cluster()))),
            };
        };
        match what {
            WaitFor::Cluster => {
                refuse_unusable(name, &cluster.status)?;
                refuse_hopeless(name, &cluster.status, |happened| failed(plan, happened))?;
                // The restorable times appear later than this status; nothing that follows needs them.
                Ok(Seen::new(cluster.status == "available", format!("{name} is {}", cluster.status)))
            }
            // In place the restored cluster is the safety clone: it is waited for like any other.
            WaitFor::Instances | WaitFor::Backtrack | WaitFor::Change => {
                self.check_instances(plan, &cluster, waited).await
            }
            // A cluster of that name which this recovery did not make was never to go.
            WaitFor::ClusterGone if cluster.tag(RECOVERY_TAG) != Some(recovery.id.as_str()) => {
                Ok(Seen::new(true, format!("{name} is not of this recovery")))
            }
            WaitFor::ClusterGone => Ok(Seen::new(false, format!("{name} is {}", cluster.status))),
        }
    }

    async fn check_backtrack(&self, plan: &Plan, identifier: Option<&str>) -> Result<Seen, StepError> {
        let name = &plan.cluster;
        let id = identifier.ok_or_else(|| StepError::bug("a backtrack is waited for without its identifier"))?;
        // By its identifier: the list has earlier backtracks too, whose end would be taken for the end of this one.
        // AWS may list a new one a moment late.
        let Some(seen) = self.clusters.backtrack(name, id).await? else {
            return Ok(Seen::new(false, format!("the backtrack {id} of {name} is not to be seen yet")));
        };
        let backtrack_failed = |happened: String| {
            StepError::new(ErrorName::RewindFailed, happened)
                .changed(format!(
                    "when this failed, {name} was fenced, and its state before the backtrack was on {}",
                    plan.new_cluster
                ))
                .advice("read the cluster's events (`aws rds describe-events`)")
        };
        match seen.status.as_str() {
            // That is not enough: the cluster and its writer become available a little later, and logins fail until
            // then.
            "completed" => {}
            "failed" => return Err(backtrack_failed(format!("AWS says that the backtrack {id} of {name} failed"))),
            under_way => return Ok(Seen::new(false, format!("the backtrack {id} of {name} is {under_way}"))),
        }
        let cluster = self
            .clusters
            .cluster(name)
            .await?
            .ok_or_else(|| backtrack_failed(format!("the cluster {name} is gone")))?;
        refuse_hopeless(name, &cluster.status, backtrack_failed)?;
        if cluster.status != "available" {
            return Ok(Seen::new(false, format!("{name} is backtracked, and {} yet", cluster.status)));
        }
        // By the members of now: a failover since the plan may have made another instance the writer.
        let writer = cluster.members.iter().find(|member| member.writer).map(|member| member.instance.as_str());
        let instances = self.clusters.instances(name).await?;
        match instances.iter().find(|instance| Some(instance.name.as_str()) == writer) {
            Some(writer) if is_up(writer) => {}
            Some(writer) => {
                let (writer, status) = (&writer.name, &writer.status);
                refuse_hopeless(writer, status, backtrack_failed)?;
                return Ok(Seen::new(false, format!("{name} is backtracked, and its writer {writer} {status} yet")));
            }
            None => return Ok(Seen::new(false, format!("{name} is backtracked, and has no writer yet"))),
        }
        // AWS takes the nearest consistent time, which need not be the target.
        let landed = seen.to.unwrap_or(plan.target);
        let restored = Restored {
            cluster: name.clone(),
            cluster_arn: cluster.arn,
            writer_endpoint: cluster.endpoint.unwrap_or_default(),
            reader_endpoint: cluster.reader_endpoint.unwrap_or_default(),
            rewound_to: landed,
            differences: Vec::new(),
        };
        let status = format!("{name} is backtracked to {landed}");
        Ok(Seen { restored: Some(restored), ..Seen::new(true, status) })
    }

    async fn check_change(&self, id: Option<&str>) -> Result<Seen, StepError> {
        // The cutover is then confirmed after the longest time that Route 53 takes.
        let Some(id) = id else {
            return Ok(Seen::new(true, "the id of the change was lost: Route 53 cannot be asked about it".to_owned()));
        };
        if self.changes.in_sync(id).await? {
            return Ok(Seen { in_sync: true, ..Seen::new(true, format!("the change {id} is in sync")) });
        }
        Ok(Seen::new(false, format!("the change {id} is pending")))
    }

    async fn check_instances(&self, plan: &Plan, cluster: &Cluster, waited: Duration) -> Result<Seen, StepError> {
        let failed = |happened| failed(plan, happened);
        refuse_hopeless(&cluster.name, &cluster.status, failed)?;
        let instances = self.clusters.instances(&cluster.name).await?;
        let is_up_by_name = |name: &str| instances.iter().any(|instance| instance.name == name && is_up(instance));
        let writer = cluster.members.iter().find(|member| member.writer).map(|member| member.instance.as_str());
        let (mut waiting, mut given_up) = (Vec::new(), Vec::new());
        let mut fail_over = false;
        for planned in &plan.instances {
            let found = instances.iter().find(|instance| instance.name == planned.name);
            // Any instance of the cluster can write: the planned one is worth a failover, and not the whole recovery.
            let another_writes = writer.filter(|name| *name != planned.name && is_up_by_name(name));
            let is_needed = planned.writer && another_writes.is_none();
            match found {
                // add-instances reports what could not be made; without a writer there is no cluster.
                None if is_needed => waiting.push(format!("{} is not to be seen yet", planned.name)),
                None => {}
                Some(instance) if is_up(instance) => fail_over |= planned.writer && another_writes.is_some(),
                Some(instance) => {
                    let hopeless = refuse_hopeless(&instance.name, &instance.status, failed);
                    match hopeless {
                        Err(error) if is_needed => return Err(error),
                        Err(_) => given_up.push(instance_failed(plan, planned, &instance.status)),
                        // A reader costs capacity only: nobody waits for it longer than for a restore of a small cluster.
                        Ok(()) if !is_needed && waited >= timeouts::READERS_WITHIN => {
                            given_up.push(instance_is_late(planned, &instance.status));
                        }
                        Ok(()) => waiting.push(format!("{} is {}", instance.name, instance.status)),
                    }
                }
            }
        }
        if cluster.status != "available" {
            waiting.push(format!("{} is {}", cluster.name, cluster.status));
        }
        if !waiting.is_empty() {
            return Ok(Seen::new(false, waiting.join(", ")));
        }
        let status = match given_up.len() {
            0 => format!("{} and its instances are available", cluster.name),
            some => format!("{} and its writer are available, and {some} of its instances are not", cluster.name),
        };
        Ok(Seen { differences: given_up, fail_over, ..Seen::new(true, status) })
    }
}

fn kind(planned: &PlannedInstance) -> &'static str {
    if planned.writer { "writer" } else { "reader" }
}

/// Reports an instance that will not become available by itself.
fn instance_failed(plan: &Plan, planned: &PlannedInstance, status: &str) -> Difference {
    Difference::new(
        format!("{} {}", kind(planned), planned.source),
        planned.class.clone(),
        format!("{} is {status}", planned.name),
        format!(
            "read its events (`aws rds describe-events --source-type db-instance --source-identifier {0}`), run `aws rds \
             delete-db-instance --db-instance-identifier {0} --skip-final-snapshot`; when it is gone and the reason is mended, run \
             `{1}`",
            planned.name,
            planned.create_command(plan)
        ),
    )
}

/// Reports an instance that took too long.
fn instance_is_late(planned: &PlannedInstance, status: &str) -> Difference {
    Difference::new(
        format!("{} {}", kind(planned), planned.source),
        planned.class.clone(),
        format!("{} is not available yet: it is {status}", planned.name),
        format!(
            "it may still become available: see `aws rds describe-db-instances --db-instance-identifier {}`",
            planned.name
        ),
    )
}

fn is_up(instance: &Instance) -> bool {
    // Without an endpoint nobody can log in, whatever the status is.
    instance.status == "available" && instance.endpoint.is_some()
}

/// Refuses states that people end, and in which the restored data is there: a failed restore would be deleted.
fn refuse_unusable(name: &str, status: &str) -> Result<(), StepError> {
    let is_unusable = ["stopping", "stopped", "storage-full"].contains(&status)
        || status.starts_with("inaccessible-")
        || status.starts_with("incompatible-");
    if !is_unusable {
        return Ok(());
    }
    Err(StepError::new(ErrorName::ClusterNotReady, format!("{name} is {status}"))
        .changed("the source was not touched")
        .advice(
            "end that state (a stopped cluster: `aws rds start-db-cluster`; `incompatible-`: its events name the parameter, option or \
             network to mend), and go on with what is restored",
        ))
}

/// Refuses states that never become `available` by themselves.
fn refuse_hopeless(name: &str, status: &str, failed: impl FnOnce(String) -> StepError) -> Result<(), StepError> {
    // Only a person ends these states. Without the list the wait would last as many hours as the state machine
    // allows.
    let is_hopeless = came_to_nothing(status)
        || ["deleting", "deleted", "stopped", "storage-full"].contains(&status)
        || status.starts_with("incompatible-")
        || status.starts_with("inaccessible-");
    if is_hopeless { Err(failed(format!("{name} is {status}"))) } else { Ok(()) }
}

/// The restored cluster came to nothing: beside the source, or as the safety clone before that is rewound.
fn failed(plan: &Plan, happened: String) -> StepError {
    let source = match plan.backtrack {
        Some(_) => format!("{} is fenced, and was not rewound", plan.cluster),
        None => "the source was not touched".to_owned(),
    };
    StepError::new(ErrorName::RewindFailed, happened)
        .changed(source)
        .advice("read the cluster's events (`aws rds describe-events`), mend the reason, and start again")
}

#[cfg(test)]
mod tests;
