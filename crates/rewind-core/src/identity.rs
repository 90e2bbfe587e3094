//! The identity of a cluster and its instances: the ids that RDS gives to each new resource. Name and ARN are those of whatever
//! bears the name now.

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
pub(crate) fn differ(id: &str, now: &str) -> bool {
    // A plan of an earlier version has no ids, and must not fail a recovery that waits for its approval.
    !id.is_empty() && !now.is_empty() && id != now
}
