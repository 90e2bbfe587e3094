//! Holds what would act by itself on a restored cluster: events, jobs of pg_cron, subscriptions. They are restored with the
//! data, enabled as they were, and would delete again what was brought back. It names them, and releases them when clients are
//! on the restored cluster. Where no traffic moves they stay held, and the report has the command that releases each.
//!
//! They are held before the cluster has an instance, by a parameter group of the recovery's own with which it runs none. On
//! PostgreSQL, whose parameters need a restart, they are also switched off one by one as soon as the writer is up; then the cluster
//! restarts with the group of its source.

mod held_group;
mod own_group;

use own_group::{has_own_group, restart_commands};
use rewind_access::Access;
use rewind_aws::rds::{
    ChangeParameterGroups, Cluster, DeleteParameterGroups, ModifyClusters, ReadClusters, ReadParameters,
    RebootInstances,
};
use rewind_aws::records::Notes;
use rewind_aws::secrets::Logins;
use rewind_core::{Clock, Difference, Engine, ErrorName, HeldJob, Plan, Recovery, Restored, StepError};
use rewind_db::jobs::{Job, JobKind, Jobs, hold_job, list_jobs, release_job, release_statement};
use rewind_db::{Server, Session, defaults};
use rewind_lambda::{Step, Undone};
use serde::{Deserialize, Serialize};

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] = &[
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstances",
    "rds:DescribeDBClusterParameters",
    "rds:CreateDBClusterParameterGroup",
    "rds:CopyDBClusterParameterGroup",
    "rds:AddTagsToResource",
    "rds:ModifyDBClusterParameterGroup",
    "rds:ResetDBClusterParameterGroup",
    "rds:DeleteDBClusterParameterGroup",
    "rds:ModifyDBCluster",
    "rds:RebootDBInstance",
    "secretsmanager:ListSecretVersionIds",
    "secretsmanager:GetSecretValue",
    "dynamodb:GetItem",
    "dynamodb:UpdateItem",
    "kms:VerifyMac",
];

/// The key of the record in the recovery's item: the jobs that were enabled before any was held.
const RECORD: &str = "heldJobs";
/// The largest number of jobs in the answer: state data and item have a limit, and people read no longer list.
const SHOWN: usize = 50;

/// The name of the jobs that are there or not: the database shows this login some alone.
const UNSEEN: &str = "jobs that could not be seen";

/// The step.
#[derive(Debug)]
pub struct HoldJobs<C, S, N, K> {
    /// The login to the databases.
    pub access: Access<C, S>,
    /// The table, in which the jobs are recorded before they are held.
    pub notes: N,
    /// The time.
    pub clock: K,
}

/// The payload of the step.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// The recovery.
    pub recovery: Recovery,
    /// The plan of the recovery.
    pub plan: Plan,
    /// The restored cluster; none for the undo.
    #[serde(default)]
    pub restored: Option<Restored>,
    /// The part of the work.
    #[serde(default)]
    pub task: Task,
}

/// The parts of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Before the cluster has an instance: it gets a parameter group with which it runs no jobs.
    Scheduler,
    /// As soon as the writer is up: all jobs are named, and those that could run are switched off.
    #[default]
    Jobs,
    /// When clients are on the restored cluster: everything that was held runs again.
    Release,
}

/// The result of the step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Output {
    /// The jobs that were found, up to 50.
    pub jobs: Vec<HeldJob>,
    /// Facts that people need before they decide, as a difference between the clusters.
    pub differences: Vec<Difference>,
}

impl<C, S, N, K> Step for HoldJobs<C, S, N, K>
where
    C: ReadClusters + ModifyClusters + ReadParameters + ChangeParameterGroups + DeleteParameterGroups + RebootInstances,
    S: Logins,
    N: Notes,
    K: Clock,
{
    type Input = Input;
    type Output = Output;

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let cluster = self.restored_cluster(&input).await?;
        match input.task {
            Task::Scheduler => {
                self.hold_from_the_start(&input, &cluster).await?;
                Ok(Output::default())
            }
            Task::Jobs => self.hold(&input, &cluster).await,
            Task::Release => self.release(&input, &cluster).await,
        }
    }

    async fn undo(&self, input: Input) -> Result<Undone, StepError> {
        self.delete_group(&input.plan).await
    }
}

impl<C, S, N, K> HoldJobs<C, S, N, K>
where
    C: ReadClusters + ModifyClusters + ReadParameters + ChangeParameterGroups + DeleteParameterGroups + RebootInstances,
    S: Logins,
    N: Notes,
    K: Clock,
{
    async fn restored_cluster(&self, input: &Input) -> Result<Cluster, StepError> {
        let name = &input.plan.new_cluster;
        // By the tag, not by the name: jobs of somebody else's cluster are none of ours.
        self.access.clusters.created_cluster(name, &input.recovery.id).await?.ok_or_else(|| {
            StepError::new(ErrorName::RewindFailed, format!("the restored cluster {name} is gone"))
                .changed("this step changed nothing")
                .advice("start again")
        })
    }

    async fn log_in(&self, input: &Input, cluster: &Cluster) -> Result<(Server, Session), StepError> {
        let moment = input.restored.as_ref().map_or_else(|| self.clock.now(), |restored| restored.rewound_to);
        let (id, plan) = (&input.recovery.id, &input.plan);
        // From the maintenance database: every cluster has it, and nobody can drop it.
        let database = defaults(cluster.engine).maintenance_database;
        Ok(self.access.log_in(id, cluster, plan, moment, database).await?)
    }

    /// Names the enabled jobs, and switches off those that could run. A PostgreSQL cluster that was started to run none restarts
    /// then, and what it was started without is there again.
    async fn hold(&self, input: &Input, cluster: &Cluster) -> Result<Output, StepError> {
        let cron = self.cron(input, cluster).await?;
        let (server, session) = self.log_in(input, cluster).await?;
        let held = async {
            let found = list_jobs(&server, &session, cron.as_deref()).await?;
            let recorded = self.record(input, &found.enabled).await?;
            let (mut jobs, mut are_off) = (Vec::new(), found.notes.is_empty());
            for job in &recorded {
                let (held, is_off) = self.hold_one(&server, &session, (input, cluster), &found, job).await?;
                jobs.push(held);
                are_off &= is_off;
            }
            let unseen = unseen(&found, || self.release_command(&input.plan, cluster));
            jobs.extend(unseen);
            Ok::<_, StepError>((jobs, found.notes, are_off))
        }
        .await;
        session.close().await;
        let (jobs, notes, are_off) = held?;
        let mut differences: Vec<Difference> = difference(&jobs, &notes).into_iter().collect();
        // What could not be switched off, or seen, would run after a restart: then the cluster goes on as it was started.
        let is_started_without = has_own_group(cluster) || !cluster.pending_reboot.is_empty();
        if cluster.engine == Engine::AuroraPostgresql && is_started_without && are_off {
            differences.extend(self.restart(&input.plan, cluster).await?);
        }
        Ok(Output { differences, jobs: shown(jobs) })
    }

    /// The database of pg_cron, where the cluster was started to find its jobs elsewhere.
    async fn cron(&self, input: &Input, cluster: &Cluster) -> Result<Option<String>, StepError> {
        if cluster.engine != Engine::AuroraPostgresql || !has_own_group(cluster) {
            return Ok(None);
        }
        self.cron_database(&input.plan).await.map(Some)
    }

    /// Holds one job; false if it is not switched off.
    async fn hold_one(
        &self,
        server: &Server,
        session: &Session,
        (input, cluster): (&Input, &Cluster),
        found: &Jobs,
        job: &Job,
    ) -> Result<(HeldJob, bool), StepError> {
        let mut held = HeldJob {
            kind: job.kind.word().to_owned(),
            name: job.to_string(),
            held: true,
            released: false,
            release: None,
            note: None,
        };
        let is_idle = found.idle.contains(&job.kind);
        // An event is left as it is: whoever switches one becomes its definer.
        if is_idle && job.kind == JobKind::Event {
            held.release = self.release_command(&input.plan, cluster);
            return Ok((held, false));
        }
        held.release = Some(format!("{} -- in {}", release_statement(session, job), job.database));
        // One that is switched off already was so by an earlier run of this step.
        if !found.enabled.contains(job) {
            return Ok((held, true));
        }
        let refused = hold_job(server, job).await?;
        let is_off = refused.is_none();
        match (refused, is_idle) {
            (None, true) => {}
            (None, false) => held.note = Some("it may have run between the start of the writer and now".to_owned()),
            (Some(why), true) => {
                held.release = self.release_command(&input.plan, cluster);
                held.note = Some(format!("the server was started to run none, for it cannot be switched off: {why}"));
            }
            // Told, not failed: a job that cannot be held is for people to decide about, and the restore took hours.
            (Some(why), false) => {
                (held.held, held.release) = (false, None);
                held.note = Some(format!("it could not be held, and runs: {why}"));
            }
        }
        Ok((held, is_off))
    }

    /// Records the jobs before any is held, and returns all that are recorded.
    async fn record(&self, input: &Input, found: &[Job]) -> Result<Vec<Job>, StepError> {
        let mut jobs = found.to_vec();
        // What the recoveries before this one held is released as well, and any of them may have ended before it came to that.
        for earlier in input.plan.adopted.iter().flat_map(|adopted| &adopted.owners) {
            jobs.extend(self.recorded(earlier).await?);
        }
        jobs.extend(self.recorded(&input.recovery.id).await?);
        jobs.sort_unstable();
        jobs.dedup();
        let value = serde_json::to_value(&jobs).map_err(|e| StepError::bug(format!("jobs are not JSON: {e}")))?;
        self.notes.note_again(&input.recovery.id, RECORD, &value).await?;
        Ok(jobs)
    }

    async fn recorded(&self, recovery_id: &str) -> Result<Vec<Job>, StepError> {
        let Some(value) = self.notes.note(recovery_id, RECORD).await? else { return Ok(Vec::new()) };
        serde_json::from_value(value).map_err(|e| StepError::bug(format!("the record of jobs cannot be read: {e}")))
    }

    /// Lets everything run again that was held.
    async fn release(&self, input: &Input, cluster: &Cluster) -> Result<Output, StepError> {
        let recorded = self.recorded(&input.recovery.id).await?;
        let cron = self.cron(input, cluster).await?;
        // The group first: until then no event runs, whatever its own state is.
        let left = self.give_group_back(&input.plan, cluster).await?;
        let (server, session) = self.log_in(input, cluster).await?;
        let found = list_jobs(&server, &session, cron.as_deref()).await?;
        let mut jobs = Vec::new();
        for job in &recorded {
            // Only what is off: switching on an event that is on would make the master user its definer.
            let refused = match found.enabled.contains(job) {
                true => None,
                false => release_job(&server, job).await?,
            };
            let mut released = HeldJob {
                kind: job.kind.word().to_owned(),
                name: job.to_string(),
                held: refused.is_some(),
                released: refused.is_none(),
                release: refused
                    .as_ref()
                    .map(|_| format!("{} -- in {}", release_statement(&session, job), job.database)),
                note: refused.map(|why| format!("it could not be released: {why}")),
            };
            // Clients are on the cluster, so nobody restarts it but a person.
            if released.released && cluster.engine == Engine::AuroraPostgresql && found.idle.contains(&job.kind) {
                (released.held, released.released) = (true, false);
                released.release = Some(restart_commands(cluster));
                released.note =
                    Some("it runs when the instances are restarted, for they were started to run none".to_owned());
            }
            jobs.push(released);
        }
        session.close().await;
        // Nothing switched them off one by one: where the server runs them, they are as on the source.
        if found.idle.contains(&JobKind::Cron) {
            jobs.extend(unseen(&found, || Some(restart_commands(cluster))));
        }
        if let (Some(note), Some(first)) = (left, jobs.first_mut()) {
            first.note = Some(note);
        }
        Ok(Output { jobs: shown(jobs), differences: Vec::new() })
    }
}

/// The jobs that the database may hide from the login, as one; none where it sees all.
fn unseen(found: &Jobs, release: impl FnOnce() -> Option<String>) -> Option<HeldJob> {
    let is_idle = found.idle.contains(&JobKind::Cron);
    (!found.notes.is_empty()).then(|| HeldJob {
        kind: JobKind::Cron.word().to_owned(),
        name: UNSEEN.to_owned(),
        held: is_idle,
        released: false,
        release: is_idle.then(release).flatten(),
        note: Some(match is_idle {
            true => format!("{}; none of them runs until the instances are restarted", found.notes.join("; ")),
            false => found.notes.join("; "),
        }),
    })
}

/// Describes the jobs to people who decide; none where there are no jobs.
fn difference(jobs: &[HeldJob], notes: &[String]) -> Option<Difference> {
    if jobs.is_empty() && notes.is_empty() {
        return None;
    }
    let named = |held: bool| -> Vec<String> {
        let of = jobs.iter().filter(|job| job.held == held).take(20);
        of.map(|job| format!("{} {}", job.kind, job.name)).collect()
    };
    let (held, running) = (named(true), named(false));
    let mut restored = Vec::new();
    if !held.is_empty() {
        restored.push(format!("held: {}", held.join(", ")));
    }
    if !running.is_empty() {
        restored.push(format!("RUNNING, because nothing could hold it: {}", running.join(", ")));
    }
    restored.extend(notes.iter().take(5).cloned());
    let seen = jobs.iter().filter(|job| job.name != UNSEEN).count();
    Some(Difference::new(
        "jobs that act by themselves",
        format!("{seen} enabled{}", if notes.is_empty() { "" } else { ", as far as they can be seen" }),
        restored.join("; "),
        "they are released when clients are on the restored cluster, and stay held where no traffic moves: `heldJobs` has the \
         command for each",
    ))
}

fn shown(mut jobs: Vec<HeldJob>) -> Vec<HeldJob> {
    let more = jobs.len().saturating_sub(SHOWN);
    jobs.truncate(SHOWN);
    if let (Some(last), true) = (jobs.last_mut(), more > 0) {
        last.note = Some(format!("and {more} more, which are in the attribute `{RECORD}` of the recovery's item"));
    }
    jobs
}

#[cfg(test)]
mod tests;
