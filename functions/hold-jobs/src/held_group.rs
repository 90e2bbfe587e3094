//! The parameter group of the recovery's own, with which a restored cluster runs no jobs. It is the cluster's before that has an
//! instance, so it is in force from the first moment.
//!
//! MySQL's event scheduler is a dynamic parameter: it is on again at once when clients are on the cluster. PostgreSQL reads what holds
//! its jobs at a start alone, so its cluster gets the source's group back, and a restart, as soon as every job is switched off and
//! long before clients are on it.

use crate::own_group::{has_own_group, reboot_command, restart_commands};
use crate::{HoldJobs, Input};
use rewind_aws::rds::{
    Applies, ChangeParameterGroups, Cluster, ClusterChange, DeleteParameterGroups, ModifyClusters, NewParameterGroup,
    ReadClusters, ReadParameters, RebootInstances,
};
use rewind_aws::records::Notes;
use rewind_aws::secrets::Logins;
use rewind_core::names::{RECOVERY_TAG, held_jobs_group};
use rewind_core::{
    Clock, Difference, EVENT_SCHEDULER, Engine, ErrorName, JobsToHold, LOGICAL_REPLICATION, Plan, Polling, StepError,
    is_switched_off, timeouts,
};
use rewind_db::jobs::NO_CRON_DATABASE;
use rewind_lambda::Undone;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// PostgreSQL starts no worker for a subscription while it is 0.
const WORKERS: &str = "max_logical_replication_workers";
/// The database in which pg_cron finds its jobs, and its default.
const CRON_DATABASE: (&str, &str) = ("cron.database_name", "postgres");

/// One parameter of the group.
type Held = (&'static str, &'static str, Applies);

/// The parameters with which a cluster runs none of the jobs that its source has, or had at the target; none where it has none.
// By the findings of the preflight: what PostgreSQL is held with takes a restart later, and most clusters have no such jobs.
// `cron.max_running_jobs` would not do, for pg_cron takes 0 as 1.
fn parameters(engine: Engine, plan: &Plan, is_logical: bool) -> Vec<Held> {
    let jobs = JobsToHold::of(&plan.findings, is_logical);
    match engine {
        Engine::AuroraMysql => vec![(EVENT_SCHEDULER, "OFF", Applies::AtOnce)],
        Engine::AuroraPostgresql => {
            let workers = (WORKERS, "0", Applies::AtStart);
            let database = (CRON_DATABASE.0, NO_CRON_DATABASE, Applies::AtStart);
            [(jobs.are_any(), workers), (jobs.cron, database)]
                .into_iter()
                .filter_map(|(is_held, held)| is_held.then_some(held))
                .collect()
        }
    }
}

impl<C, S, N, K> HoldJobs<C, S, N, K>
where
    C: ReadClusters + ModifyClusters + ReadParameters + ChangeParameterGroups + DeleteParameterGroups + RebootInstances,
    S: Logins,
    N: Notes,
    K: Clock,
{
    /// Gives the cluster a parameter group of its own with which it runs no jobs.
    pub(crate) async fn hold_from_the_start(&self, input: &Input, cluster: &Cluster) -> Result<(), StepError> {
        let is_logical = cluster.engine == Engine::AuroraPostgresql && self.is_logical(&input.plan).await?;
        let parameters = parameters(cluster.engine, &input.plan, is_logical);
        let clusters = &self.access.clusters;
        let own = held_jobs_group(&cluster.name);
        let has_own = has_own_group(cluster);
        // With an instance it would take a reboot. Then a cluster has its own group from before, or its jobs are switched off
        // one by one when the writer is up.
        if parameters.is_empty() || !has_own && !cluster.members.is_empty() {
            return Ok(());
        }
        let like = match &cluster.parameter_group {
            Some(group) if !has_own => group.clone(),
            _ => own.clone(),
        };
        if !has_own {
            // A scheduler that is off by the source's own group starts nothing, here as there.
            if cluster.engine == Engine::AuroraMysql
                && clusters
                    .cluster_parameter(&like, EVENT_SCHEDULER)
                    .await?
                    .is_some_and(|value| is_switched_off(&value))
            {
                return Ok(());
            }
            let description = format!("{} of {}: no jobs until clients are on it", like, cluster.name);
            let tags = [(RECOVERY_TAG.to_owned(), input.recovery.id.clone())];
            let new = NewParameterGroup { name: &own, like: &like, description: &description, tags: &tags };
            // One that is there is of an earlier attempt: the name derives from the cluster, and the cluster is ours.
            clusters.create_group(&new).await.map_err(|error| unheld(cluster, error))?;
        }
        // Before the cluster gets the group: nothing is to run with it while jobs are on.
        for (name, value, applies) in parameters {
            match clusters.set_parameter(&own, name, value, applies).await {
                // Seconds of a job are no reason to stop hours of restore: it is switched off when the writer is up, and its note
                // says that it may have run.
                Err(error) if applies == Applies::AtStart && error.name == ErrorName::RewindFailed => {
                    tracing::warn!(parameter = name, detail = error.for_log(), "RDS refused it: {error}");
                }
                set => set.map_err(|error| unheld(cluster, error))?,
            }
        }
        if !has_own {
            self.associate(cluster, &own).await?;
        }
        Ok(())
    }

    /// Gives the cluster the source's group back; events run again as they do on the source. Returns what is left to do for a
    /// person.
    pub(crate) async fn give_group_back(&self, plan: &Plan, cluster: &Cluster) -> Result<Option<String>, StepError> {
        if !has_own_group(cluster) {
            return Ok(None);
        }
        let clusters = &self.access.clusters;
        let own = held_jobs_group(&cluster.name);
        let source = self.source_group(plan).await?;
        if cluster.engine == Engine::AuroraMysql {
            let value = match &source {
                Some(group) => clusters.cluster_parameter(group, EVENT_SCHEDULER).await?,
                None => Some("ON".to_owned()),
            };
            // In force at once, for the instances run with this group.
            match value {
                Some(value) => clusters.set_parameter(&own, EVENT_SCHEDULER, &value, Applies::AtOnce).await?,
                // The engine's own default, whatever it is in this version.
                None => clusters.reset_parameter(&own, EVENT_SCHEDULER).await?,
            }
        }
        let Some(group) = source else { return Ok(Some(left_over(&own))) };
        self.associate(cluster, &group).await?;
        let deleted = clusters.delete_group(&own).await?;
        Ok((!deleted).then(|| left_over(&own)))
    }

    /// Restarts the instances of a PostgreSQL cluster with the source's group, whose jobs are all switched off by now. A reader that
    /// does not come back in time is a difference.
    pub(crate) async fn restart(&self, plan: &Plan, cluster: &Cluster) -> Result<Vec<Difference>, StepError> {
        let left = self.give_group_back(plan, cluster).await?;
        let clusters = &self.access.clusters;
        // All where the group was changed just now: RDS may not show yet that they wait.
        let waiting: BTreeSet<String> = match has_own_group(cluster) {
            true => cluster.members.iter().map(|member| member.instance.clone()).collect(),
            false => cluster.pending_reboot.iter().cloned().collect(),
        };
        let waiting = Mutex::new(waiting);
        let locked = || waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let poll = || async {
            let instances = clusters.instances(&cluster.name).await?;
            for instance in instances.iter().filter(|instance| instance.status == "available") {
                if !locked().contains(&instance.name) {
                    continue;
                }
                match clusters.reboot_instance(&instance.name).await {
                    // It may have begun. If not, RDS shows on that the instance waits, and the next attempt of the step restarts it.
                    Ok(()) => {}
                    Err(error) if error.name == ErrorName::OutcomeUnknown => {}
                    // Busy with something else: asked again at the next poll.
                    Err(error) if error.name == ErrorName::ClusterNotReady => continue,
                    Err(error) => return Err(error),
                }
                locked().remove(&instance.name);
            }
            let pending = clusters.cluster(&cluster.name).await?.map(|now| now.pending_reboot).unwrap_or_default();
            let is_down = |name: &String| {
                let found = instances.iter().find(|instance| instance.name == *name);
                found.is_none_or(|found| found.status != "available")
            };
            let down = cluster
                .members
                .iter()
                .map(|member| &member.instance)
                .filter(|name| locked().contains(*name) || pending.contains(name) || is_down(name));
            Ok::<Vec<String>, StepError>(down.cloned().collect())
        };
        let down = Polling::default().until(&self.clock, timeouts::RESTART, poll, Vec::is_empty).await?;
        if let Some(writer) = cluster.members.iter().find(|member| member.writer && down.contains(&member.instance)) {
            let what = format!("{} did not restart within {} s", writer.instance, timeouts::RESTART.as_secs());
            return Err(StepError::new(ErrorName::RewindFailed, what)
                .changed(format!("the jobs of {} are switched off", cluster.name))
                .advice("look at the events of the instance, and resume the recovery when it is available"));
        }
        let readers = down.iter().map(|reader| {
            Difference::new(
                format!("restart of {reader}"),
                "runs with its parameter group",
                format!("runs with another value of {WORKERS} or {}", CRON_DATABASE.0),
                format!("restart it before it becomes the writer: {}", reboot_command(reader)),
            )
        });
        let left = left.map(|left| Difference::new("parameter group of held jobs", "none", "left over", left));
        Ok(readers.chain(left).collect())
    }

    /// The database in which the jobs of pg_cron are, whatever the restored cluster was told.
    pub(crate) async fn cron_database(&self, plan: &Plan) -> Result<String, StepError> {
        let (parameter, default) = CRON_DATABASE;
        let value = match self.source_group(plan).await? {
            Some(group) => self.access.clusters.cluster_parameter(&group, parameter).await?,
            None => None,
        };
        Ok(value.unwrap_or_else(|| default.to_owned()))
    }

    /// True if the source's group lets it take part in logical replication.
    async fn is_logical(&self, plan: &Plan) -> Result<bool, StepError> {
        let Some(group) = self.source_group(plan).await? else { return Ok(false) };
        let value = self.access.clusters.cluster_parameter(&group, LOGICAL_REPLICATION).await?;
        Ok(value.is_some_and(|value| !is_switched_off(&value)))
    }

    /// The group that the restored cluster would have had: the source has been left alone since.
    async fn source_group(&self, plan: &Plan) -> Result<Option<String>, StepError> {
        Ok(self.access.clusters.cluster(&plan.cluster).await?.and_then(|source| source.parameter_group))
    }

    /// Deletes the recovery's own group, when its cluster is gone.
    pub(crate) async fn delete_group(&self, plan: &Plan) -> Result<Undone, StepError> {
        let clusters = &self.access.clusters;
        let own = held_jobs_group(&plan.new_cluster);
        // What is still a cluster's is left alone: whoever keeps the cluster needs it.
        if clusters.cluster(&plan.new_cluster).await?.is_some() {
            return Ok(Undone::nothing());
        }
        Ok(match clusters.delete_group(&own).await? {
            true => Undone::nothing(),
            false => Undone::of(vec![left_over(&own)]),
        })
    }

    /// The command that lets the jobs of a cluster run again that has the group of the recovery's own.
    pub(crate) fn release_command(&self, plan: &Plan, cluster: &Cluster) -> Option<String> {
        let own = held_jobs_group(&cluster.name);
        has_own_group(cluster).then(|| match cluster.engine {
            Engine::AuroraMysql => format!(
                "aws rds modify-db-cluster-parameter-group --db-cluster-parameter-group-name {own} --parameters \
                 ParameterName={EVENT_SCHEDULER},ParameterValue=ON,ApplyMethod=immediate"
            ),
            Engine::AuroraPostgresql => format!(
                "aws rds modify-db-cluster --db-cluster-identifier {} --db-cluster-parameter-group-name <the group of {}> \
                 --apply-immediately; {}",
                cluster.name,
                plan.cluster,
                restart_commands(cluster)
            ),
        })
    }

    async fn associate(&self, cluster: &Cluster, group: &str) -> Result<(), StepError> {
        let clusters = &self.access.clusters;
        let change = ClusterChange { parameter_group: Some(group.to_owned()), ..ClusterChange::default() };
        match clusters.modify(&cluster.name, &change).await {
            // A lost response is settled below, by what the cluster has.
            Err(error) if error.name != ErrorName::OutcomeUnknown => return Err(unheld(cluster, error)),
            _ => {}
        }
        let in_force = |now: &Option<Cluster>| {
            now.as_ref().is_some_and(|now| now.parameter_group.as_deref() == Some(group) && now.status == "available")
        };
        let read = || clusters.cluster(&cluster.name);
        let now = Polling::default().until(&self.clock, timeouts::PARAMETER_GROUP, read, in_force).await?;
        if in_force(&now) {
            return Ok(());
        }
        // Not ready, so that the step is repeated: it finds the group, and goes on waiting.
        Err(StepError::new(
            ErrorName::ClusterNotReady,
            format!("{} does not have the parameter group {group} yet", cluster.name),
        ))
    }
}

fn unheld(cluster: &Cluster, error: StepError) -> StepError {
    error.changed(format!(
        "{} has no instance yet, so nothing runs on it; its jobs would run as soon as it has one",
        cluster.name
    ))
}

fn left_over(group: &str) -> String {
    format!(
        "the parameter group {group} is left over: delete it with `aws rds delete-db-cluster-parameter-group \
         --db-cluster-parameter-group-name {group}` when no cluster has it"
    )
}
