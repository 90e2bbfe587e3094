//! The identity of a cluster and its instances: the ids that RDS gives to each new resource. Name and ARN are those of whatever
//! bears the name now.

use crate::error::{ErrorName, StepError};
use crate::plan::Plan;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The resource ids of a cluster and its instances.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceIds {
    /// `DbClusterResourceId`; empty where it is not known.
    #[serde(default)]
    pub cluster: String,
    /// `DbiResourceId` of each instance, by the instance's name.
    #[serde(default)]
    pub instances: BTreeMap<String, String>,
}

impl ResourceIds {
    /// Names what is another resource in `now`: the cluster, or an instance that has its name in both. None if nothing is.
    ///
    /// ```
    /// use rewind_core::ResourceIds;
    ///
    /// let ids = |cluster: &str, instance: &str| ResourceIds {
    ///     cluster: cluster.to_owned(),
    ///     instances: [("orders-1".to_owned(), instance.to_owned())].into(),
    /// };
    /// assert_eq!(ids("cluster-A", "db-A").replaced_in(&ids("cluster-A", "db-A")), None);
    /// assert_eq!(ids("cluster-A", "db-A").replaced_in(&ids("cluster-B", "db-A")).as_deref(), Some("the cluster"));
    /// assert_eq!(ids("cluster-A", "db-A").replaced_in(&ids("cluster-A", "db-B")).as_deref(), Some("the instance orders-1"));
    /// ```
    pub fn replaced_in(&self, now: &Self) -> Option<String> {
        if differ(&self.cluster, &now.cluster) {
            return Some("the cluster".to_owned());
        }
        // An instance that is gone is for others to judge: a reader may be missing, and without a writer nothing goes on.
        let instances = self.instances.iter().filter_map(|(name, id)| Some((name, id, now.instances.get(name)?)));
        instances.into_iter().find(|(_, id, now)| differ(id, now)).map(|(name, ..)| format!("the instance {name}"))
    }
}

/// True if both are known and not the same.
fn differ(id: &str, now: &str) -> bool {
    // A plan of an earlier version has no ids, and must not fail a recovery that waits for its approval.
    !id.is_empty() && !now.is_empty() && id != now
}

impl Plan {
    /// Refuses the source that has the id `resource_id` now, if the plan was made for another one of that name.
    ///
    /// # Errors
    ///
    /// [`ErrorName::RewindFailed`].
    pub fn refuse_other_source(&self, resource_id: &str) -> Result<(), StepError> {
        if !differ(&self.resource_ids.cluster, resource_id) {
            return Ok(());
        }
        let (name, planned) = (&self.cluster, &self.resource_ids.cluster);
        Err(StepError::new(
            ErrorName::RewindFailed,
            format!("{name} is not the cluster that the plan was made for: it was deleted and made anew ({planned} then, {resource_id} now)"),
        )
        .changed("this step changed nothing")
        .advice(format!(
            "find out who did that; the data of the former {name} may be in a final snapshot or in its retained automated backups \
             (aws rds describe-db-cluster-automated-backups --db-cluster-resource-id {planned})"
        )))
    }
}
