//! The quotas of the account, as `DescribeAccountAttributes` shows them: as many clusters, instances and cluster parameter groups as
//! the stack has addresses.

use super::error::ApiError;
use super::store::Store;

/// The number of addresses of a stack.
const MOST: usize = 239;
/// More than AWS gives without being asked, and no more than people ask for: every cluster that people rejected leaves one.
const MOST_SNAPSHOTS: usize = 1_000;

/// The quotas: their names, the number in use, and the number that there may be.
pub fn all(store: &Store) -> [(&'static str, usize, usize); 4] {
    [
        ("DBClusters", store.clusters.len(), MOST),
        ("DBInstances", store.instances.len(), MOST),
        ("DBClusterParameterGroups", store.cluster_parameter_groups.len(), MOST),
        ("ManualClusterSnapshots", store.snapshots.len(), MOST_SNAPSHOTS),
    ]
}

/// Refuses a cluster parameter group that is one too many.
pub fn check_cluster_parameter_group(store: &Store) -> Result<(), ApiError> {
    match store.cluster_parameter_groups.len() < MOST {
        true => Ok(()),
        false => Err(ApiError::bad(
            "DBParameterGroupQuotaExceeded",
            "Request would result in the user exceeding the allowed number of DB parameter groups.",
        )),
    }
}

/// Refuses a snapshot that is one too many.
pub fn check_snapshot(store: &Store) -> Result<(), ApiError> {
    match store.snapshots.len() < MOST_SNAPSHOTS {
        true => Ok(()),
        false => Err(ApiError::bad(
            "SnapshotQuotaExceeded",
            "The request would result in the user exceeding the allowed number of DB snapshots.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rds::engine::Engine;
    use crate::rds::model::ParameterGroup;
    use std::collections::BTreeMap;

    #[test]
    fn a_group_too_many_is_refused_and_the_quota_shows_it_beforehand() {
        let mut store = Store::default();
        let group = ParameterGroup {
            engine: Engine::ALL[0],
            family: String::new(),
            description: String::new(),
            tags: BTreeMap::new(),
            values: BTreeMap::new(),
        };
        for n in 0..MOST {
            assert!(check_cluster_parameter_group(&store).is_ok(), "{n}");
            store.cluster_parameter_groups.insert(format!("group-{n}"), group.clone());
        }
        assert_eq!(check_cluster_parameter_group(&store).unwrap_err().code, "DBParameterGroupQuotaExceeded");
        assert!(all(&store).contains(&("DBClusterParameterGroups", MOST, MOST)));
        assert!(check_snapshot(&store).is_ok());
    }
}
