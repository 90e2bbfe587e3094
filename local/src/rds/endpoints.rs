//! The present address of each endpoint's name, for the DNS server.

use super::model::{DbInstance, InstanceStatus};
use super::resource_names::{endpoint, instance_endpoint};
use super::store::Store;
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, PoisonError, RwLock};

/// A cheap handle on the names of all cluster and instance endpoints.
#[derive(Debug, Clone, Default)]
pub struct Endpoints(Arc<RwLock<HashMap<String, Ipv4Addr>>>);

impl Endpoints {
    /// The present address of an endpoint: the writer's, a reader's (the writer's when there is none), or the
    /// instance's own. `name` has no trailing dot; case does not matter.
    #[must_use]
    pub fn lookup(&self, name: &str) -> Option<Ipv4Addr> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&name.to_ascii_lowercase()).copied()
    }

    /// Takes the names from the store. Endpoints of clusters without a serving instance have no address.
    pub(super) fn publish_endpoints(&self, store: &Store, hash: &str) {
        // Built anew each time: an entry that is only ever updated would outlive a deleted instance and lead to its next tenant.
        let mut names = HashMap::new();
        for cluster in store.clusters.values() {
            let serving: Vec<&DbInstance> = store.members(cluster).filter(|instance| is_serving(instance)).collect();
            let is_writer = |instance: &DbInstance| cluster.writer.as_ref() == Some(&instance.id);
            let writer = serving.iter().find(|instance| is_writer(instance));
            // As on Aurora, the reader endpoint leads to the writer while there is no reader.
            let reader = serving.iter().find(|instance| !is_writer(instance)).or(writer);
            let mut name = |name, instance: Option<&&DbInstance>| {
                instance.and_then(|instance| names.insert(name, instance.address));
            };
            name(endpoint(&cluster.id, "cluster", hash), writer);
            name(endpoint(&cluster.id, "cluster-ro", hash), reader);
            for custom in store.endpoints.values().filter(|custom| custom.cluster == cluster.id) {
                // New instances join an endpoint without a static list; one with exclusions takes all others.
                let meant = |instance: &&&DbInstance| {
                    (custom.members.is_empty() || custom.members.contains(&instance.id))
                        && !custom.excluded.contains(&instance.id)
                        && (custom.kind != "READER" || !is_writer(instance))
                };
                name(endpoint(&custom.id, "cluster-custom", hash), serving.iter().find(meant));
            }
            for instance in &serving {
                name(instance_endpoint(&instance.id, hash), Some(instance));
            }
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = names;
    }
}

// A rebooting instance keeps its address in DNS on AWS too: clients meet a refused connection, not a missing name.
fn is_serving(instance: &DbInstance) -> bool {
    !matches!(
        instance.status,
        InstanceStatus::Creating
            | InstanceStatus::Deleting
            | InstanceStatus::Failed
            | InstanceStatus::IncompatibleNetwork
    )
}
