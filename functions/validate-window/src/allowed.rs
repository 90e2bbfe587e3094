//! Holds a plan to what the deployment allows: names, and sources that may be fenced. The stack's policies hold that too, but AWS
//! would refuse hours later: the restored cluster when it is made, a record when it is moved, a role when the instances are added,
//! the source when it is fenced.

use crate::refusal::invalid;
use rewind_aws::rds::{Cluster, Instance, any_master_password_from_env};
use rewind_core::names::RECOVERY_TAG;
use rewind_core::{RecordRequest, StepError, is_like};

/// The names and sources that the deployment allows. In a pattern `*` stands for any text; no pattern allows no name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allowed {
    /// Of every cluster that a recovery reads, rewinds or makes.
    pub clusters: Vec<String>,
    /// Of restored clusters and safety clones.
    pub new_clusters: Vec<String>,
    /// Of records, without the dot at the end.
    pub records: Vec<String>,
    /// Of the ARNs of roles.
    pub roles: Vec<String>,
    /// True if sources whose master password Secrets Manager does not manage may be changed too.
    pub any_master_password: bool,
}

impl Allowed {
    /// Reads the patterns that the template gives.
    pub fn from_env() -> Self {
        Self {
            clusters: listed("REWIND_CLUSTER_PATTERN"),
            new_clusters: listed("REWIND_NEW_CLUSTER_PATTERNS"),
            records: listed("REWIND_RECORD_NAMES"),
            roles: listed("REWIND_CLUSTER_ROLE_ARNS"),
            any_master_password: any_master_password_from_env(),
        }
    }

    /// Refuses a source that the deployment does not reach: AWS would refuse to show it, and would not say by which parameter.
    pub(crate) fn refuse_source(&self, name: &str) -> Result<(), StepError> {
        if is_among(&self.clusters, name) {
            return Ok(());
        }
        Err(invalid(format!("`cluster` is \"{name}\", and this deployment rewinds clusters of other names only: {}", self.clusters.join(", ")))
            .advice("name one of those, or deploy with the parameter ClusterPattern for this one; leave NewClusterPattern as it is"))
    }

    /// Refuses a name of the restored cluster or the safety clone that no pattern has.
    pub(crate) fn refuse_new_cluster(&self, name: &str) -> Result<(), StepError> {
        if !is_among(&self.clusters, name) {
            return Err(invalid(format!(
                "`newCluster` is \"{name}\", and this deployment reaches clusters of other names only: {}",
                self.clusters.join(", ")
            ))
            .advice("give a name that the parameter ClusterPattern has as well, or leave `newCluster` out"));
        }
        if is_among(&self.new_clusters, name) {
            return Ok(());
        }
        Err(invalid(format!(
            "`newCluster` is \"{name}\", and this deployment makes and deletes clusters of other names only: {}",
            self.new_clusters.join(", ")
        ))
        .advice("leave `newCluster` out, or deploy with such a name in the parameter NewClusterPattern"))
    }

    /// Refuses a source whose security groups the fence may not change, because the same call could reset its master password.
    pub(crate) fn refuse_password(&self, cluster: &Cluster) -> Result<(), StepError> {
        // What a recovery made is told by name and tag, whoever manages its password.
        let is_recoverys = cluster.tag(RECOVERY_TAG).is_some() && is_among(&self.new_clusters, &cluster.name);
        if self.any_master_password || is_recoverys || cluster.master_secret.is_some() {
            return Ok(());
        }
        Err(invalid(format!(
            "`cluster`: Secrets Manager does not manage the master password of {}, and this deployment fences no such cluster",
            cluster.name
        ))
        .advice("deploy with the parameter MasterPasswords as \"any\", or let Secrets Manager manage the password"))
    }

    /// Refuses records that no pattern has.
    pub(crate) fn refuse_records(&self, requests: &[RecordRequest]) -> Result<(), StepError> {
        let others: Vec<&str> = requests
            .iter()
            .map(|request| request.name.as_str())
            .filter(|name| !is_among(&self.records, name.trim_end_matches('.')))
            .collect();
        if others.is_empty() {
            return Ok(());
        }
        Err(invalid(format!("`dns`: this deployment may not move {}", others.join(", ")))
            .advice("leave them out, or deploy with their names in the parameter RecordNames"))
    }

    /// The warning about roles of the cluster that the restored one cannot get; none where it gets all.
    pub(crate) fn roles_left_out(&self, cluster: &Cluster) -> Option<String> {
        let others: Vec<&str> =
            cluster.roles.iter().map(|role| role.arn.as_str()).filter(|arn| !is_among(&self.roles, arn)).collect();
        (!others.is_empty()).then(|| {
            format!(
                "the restored cluster will lack {}, which this deployment may not pass on: to have them set, deploy with their ARNs \
                 in the parameter ClusterRoleArns",
                others.join(", ")
            )
        })
    }

    /// Refuses a role of Enhanced Monitoring that may not be passed on: AWS would make no instance with it.
    pub(crate) fn refuse_monitoring(&self, cluster: &Cluster, instances: &[Instance]) -> Result<(), StepError> {
        let of_instances = instances.iter().filter_map(|instance| instance.monitoring_role.as_deref());
        let mut roles = cluster.monitoring.monitoring_role.as_deref().into_iter().chain(of_instances);
        match roles.find(|arn| !is_among(&self.roles, arn)) {
            None => Ok(()),
            Some(arn) => Err(invalid(format!(
                "`cluster`: {} is monitored with {arn}, which this deployment may not pass on",
                cluster.name
            ))
            .advice("deploy with its ARN in the parameter ClusterRoleArns")),
        }
    }
}

/// A list from the environment. CloudFormation joins it with commas, and gives an empty text for an empty list.
fn listed(variable: &str) -> Vec<String> {
    let text = std::env::var(variable).unwrap_or_default();
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(ToOwned::to_owned).collect()
}

fn is_among(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| is_like(pattern, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_pattern_allows_no_name() {
        assert!(!is_among(&[], "anything"));
    }
}
