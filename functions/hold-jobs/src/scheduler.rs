//! MySQL's event scheduler: off by a parameter group of the recovery's own before the cluster has an instance, and on again with
//! the group that the source has. Associating a group with a cluster that runs takes a reboot to be in force, but one without
//! instances has nothing to reboot.

use crate::{HoldJobs, Input};
use rewind_aws::rds::{
    ChangeParameterGroups, Cluster, ClusterChange, DeleteParameterGroups, ModifyClusters, NewParameterGroup,
    ReadClusters, ReadParameters,
};
use rewind_aws::records::Notes;
use rewind_aws::secrets::Logins;
use rewind_core::names::{RECOVERY_TAG, held_jobs_group};
use rewind_core::{Clock, Engine, ErrorName, Plan, Polling, StepError, timeouts};
use rewind_lambda::Undone;

const EVENT_SCHEDULER: &str = "event_scheduler";

impl<C, S, N, K> HoldJobs<C, S, N, K>
where
    C: ReadClusters + ModifyClusters + ReadParameters + ChangeParameterGroups + DeleteParameterGroups,
    S: Logins,
    N: Notes,
    K: Clock,
{
    /// Gives the cluster a parameter group of its own in which the event scheduler is off.
    pub(crate) async fn stop_scheduler(&self, input: &Input, cluster: &Cluster) -> Result<(), StepError> {
        if cluster.engine != Engine::AuroraMysql {
            return Ok(());
        }
        let clusters = &self.access.clusters;
        let own = held_jobs_group(&cluster.name);
        let has_own = cluster.parameter_group.as_deref() == Some(own.as_str());
        // With an instance it would take a reboot. Then a cluster has its own group from before, or its events are switched off
        // one by one when the writer is up.
        if !has_own && !cluster.members.is_empty() {
            return Ok(());
        }
        let like = match &cluster.parameter_group {
            Some(group) if !has_own => group.clone(),
            _ => own.clone(),
        };
        if !has_own {
            // A scheduler that is off by the source's own group starts nothing, here as there.
            let value = clusters.cluster_parameter(&like, EVENT_SCHEDULER).await?;
            if value.is_some_and(|value| is_off(&value)) {
                return Ok(());
            }
            let description = format!("{} of {}: no events until clients are on it", like, cluster.name);
            let tags = [(RECOVERY_TAG.to_owned(), input.recovery.id.clone())];
            let new = NewParameterGroup { name: &own, like: &like, description: &description, tags: &tags };
            // One that is there is of an earlier attempt: the name derives from the cluster, and the cluster is ours.
            clusters.create_group(&new).await.map_err(|error| unheld(cluster, error))?;
        }
        // Before the cluster gets the group: nothing is to run with it while the scheduler is on.
        clusters.set_parameter(&own, EVENT_SCHEDULER, "OFF").await.map_err(|error| unheld(cluster, error))?;
        if !has_own {
            self.associate(cluster, &own).await?;
        }
        Ok(())
    }

    /// Lets events run again as they do on the source, and gives the cluster the source's group back; returns what is left to do
    /// for a person.
    pub(crate) async fn start_scheduler(&self, plan: &Plan, cluster: &Cluster) -> Result<Option<String>, StepError> {
        let own = held_jobs_group(&cluster.name);
        if cluster.engine != Engine::AuroraMysql || cluster.parameter_group.as_deref() != Some(own.as_str()) {
            return Ok(None);
        }
        let clusters = &self.access.clusters;
        // The source has been left alone since, so its group is the one that the restored cluster would have had.
        let source = clusters.cluster(&plan.cluster).await?.and_then(|source| source.parameter_group);
        let value = match &source {
            Some(group) => clusters.cluster_parameter(group, EVENT_SCHEDULER).await?,
            None => Some("ON".to_owned()),
        };
        // In force at once, for the instances run with this group.
        match value {
            Some(value) => clusters.set_parameter(&own, EVENT_SCHEDULER, &value).await?,
            // The engine's own default, whatever it is in this version.
            None => clusters.reset_parameter(&own, EVENT_SCHEDULER).await?,
        }
        let Some(group) = source else { return Ok(Some(left_over(&own))) };
        self.associate(cluster, &group).await?;
        let deleted = clusters.delete_group(&own).await?;
        Ok((!deleted).then(|| left_over(&own)))
    }

    /// Deletes the recovery's own group, when its cluster is gone.
    pub(crate) async fn delete_group(&self, plan: &Plan) -> Result<Undone, StepError> {
        let clusters = &self.access.clusters;
        let own = held_jobs_group(&plan.new_cluster);
        // Of PostgreSQL there is none. What is still a cluster's is left alone: whoever keeps the cluster needs it.
        if plan.engine != Engine::AuroraMysql || clusters.cluster(&plan.new_cluster).await?.is_some() {
            return Ok(Undone::nothing());
        }
        Ok(match clusters.delete_group(&own).await? {
            true => Undone::nothing(),
            false => Undone::of(vec![left_over(&own)]),
        })
    }

    /// The command that lets events run again; none where the cluster has no group of the recovery's own.
    pub(crate) fn release_command(&self, cluster: &Cluster) -> Option<String> {
        let own = held_jobs_group(&cluster.name);
        (cluster.parameter_group.as_deref() == Some(own.as_str())).then(|| {
            format!(
                "aws rds modify-db-cluster-parameter-group --db-cluster-parameter-group-name {own} --parameters \
                 ParameterName={EVENT_SCHEDULER},ParameterValue=ON,ApplyMethod=immediate"
            )
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

fn is_off(value: &str) -> bool {
    ["off", "0", "disabled"].contains(&value.to_ascii_lowercase().as_str())
}

fn unheld(cluster: &Cluster, error: StepError) -> StepError {
    error.changed(format!(
        "{} has no instance yet, so nothing runs on it; its events would run as soon as it has one",
        cluster.name
    ))
}

fn left_over(group: &str) -> String {
    format!(
        "the parameter group {group} is left over: delete it with `aws rds delete-db-cluster-parameter-group \
         --db-cluster-parameter-group-name {group}` when no cluster has it"
    )
}
