//! Finds out if somebody uses a restored cluster that a recovery takes over or deletes: sessions, and what people added or set.

use crate::Preflight;
use rewind_access::restored_moment;
use rewind_aws::rds::{Cluster, Instance, ReadClusters};
use rewind_aws::secrets::Logins;
use rewind_core::names::RECOVERY_TAG;
use rewind_core::{Clock, ErrorName, Finding, FindingCode, Plan, Recovery, StepError};

impl<C: ReadClusters, S: Logins, F, K: Clock> Preflight<C, S, F, K> {
    /// Inspects the restored cluster that the plan adopts.
    pub(crate) async fn inspect_adopted(&self, recovery: &Recovery, plan: &Plan) -> Result<Vec<Finding>, StepError> {
        // start-restore refuses one that is gone.
        let Some(cluster) = self.access.clusters.cluster(&plan.new_cluster).await? else { return Ok(Vec::new()) };
        let mut instances = self.access.clusters.instances(&cluster.name).await?;
        // One that is not up yet has no clients: the recovery that was to be resumed may have been stopped while AWS created it.
        instances.retain(|instance| instance.status == "available");
        let fix = format!("end that if nobody has written to {}; or recover without `resume`", cluster.name);
        Ok(in_use(self.users(recovery, plan, &cluster, &instances).await?, &fix))
    }

    /// Inspects the restored cluster that is to be deleted, because a person rejected it.
    pub(crate) async fn inspect_rejected(&self, recovery: &Recovery, plan: &Plan) -> Result<Vec<Finding>, StepError> {
        let name = &plan.new_cluster;
        let Some(cluster) = self.access.clusters.created_cluster(name, &recovery.id).await? else {
            return Ok(Vec::new());
        };
        let instances = self.access.clusters.instances(name).await?;
        let mut why = signs(&cluster, &instances, &recovery.id);
        // Of one that does not answer nobody knows who is on it. One that never came up has no endpoint.
        why.extend(
            instances
                .iter()
                .filter(|instance| instance.endpoint.is_some() && instance.status != "available")
                .map(|instance| format!("{} is {}: who is on it cannot be seen", instance.name, instance.status)),
        );
        if why.is_empty() {
            why = self.users(recovery, plan, &cluster, &instances).await?;
        }
        Ok(in_use(why, &format!("delete {name} by hand when nobody needs it")))
    }

    async fn users(
        &self,
        recovery: &Recovery,
        plan: &Plan,
        cluster: &Cluster,
        instances: &[Instance],
    ) -> Result<Vec<String>, StepError> {
        let moment = restored_moment(cluster, plan.target);
        match self.access.sessions(&recovery.id, (cluster, instances), plan, moment, &self.clock).await {
            Ok(inside) => Ok(inside.sessions),
            Err(error) if [ErrorName::Unavailable, ErrorName::Throttled].contains(&error.name) => Err(error),
            // Somebody may have given it another password, which is a use as well.
            Err(error) => Ok(vec![format!("who is on it could not be seen: {error}")]),
        }
    }
}

/// Collects what people did to the cluster since it was restored.
fn signs(cluster: &Cluster, instances: &[Instance], id: &str) -> Vec<String> {
    let mut why = Vec::new();
    if cluster.deletion_protection {
        why.push("people gave it deletion protection".to_owned());
    }
    let is_ours = |instance: &&Instance| instance.tags.iter().any(|(key, value)| key == RECOVERY_TAG && value == id);
    let added = instances.iter().filter(|instance| !is_ours(instance));
    why.extend(added.map(|instance| format!("somebody added the instance {}", instance.name)));
    why
}

fn in_use(why: Vec<String>, fix: &str) -> Vec<Finding> {
    let finding =
        |why| Finding::blocking(FindingCode::RestoredInUse, format!("the restored cluster is in use: {why}"), fix);
    why.into_iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_aws::fixtures::rds_with_restored;

    #[test]
    fn protection_and_instances_of_people_are_signs_that_somebody_needs_the_cluster() {
        let mut cluster = rds_with_restored().find("orders-r").unwrap();
        cluster.deletion_protection = false;
        let of = |id: &str| Instance {
            name: "orders-r-1".to_owned(),
            tags: vec![(RECOVERY_TAG.to_owned(), id.to_owned())],
            ..Instance::default()
        };
        assert_eq!(signs(&cluster, &[of("operation-001")], "operation-001"), [""; 0]);
        let added = signs(&cluster, &[of("operation-001"), of("another")], "operation-001");
        assert_eq!(added, ["somebody added the instance orders-r-1"]);
        cluster.deletion_protection = true;
        assert_eq!(signs(&cluster, &[], "operation-001"), ["people gave it deletion protection"]);
    }
}
