//! The control plane: the store, the databases, and the work that goes on after a request has its response.

use super::database::{Database, Servers};
use super::endpoints::Endpoints;
use super::error::ApiError;
use super::faults::Faults;
use super::model::{ClusterStatus, DbInstance, Event, InstanceStatus};
use super::resource_names::{ACCOUNT, cluster_arn, region};
use super::room::InstanceLimits;
use super::secrets::Secrets;
use super::security_groups::SecurityGroups;
use super::store::Store;
use crate::servers::Error;
use jiff::Timestamp;
use rewind_clock::SystemClock;
use rewind_core::Clock;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Shortest time of a change: on AWS nothing is done at once, and a client that does not wait must fail here too.
const MINIMUM_DURATION: Duration = Duration::from_millis(400);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
const MOST_EVENTS: usize = 10_000;

/// The control plane of one stack.
#[derive(Debug)]
pub struct ControlPlane {
    pub servers: Servers,
    pub faults: Faults,
    pub limits: InstanceLimits,
    pub endpoints: Endpoints,
    pub groups: SecurityGroups,
    pub secrets: Secrets,
    /// The part of all endpoint names that tells this account from others.
    pub hash: String,
    /// The key that encrypts what names no key of its own.
    pub kms_key: String,
    files: PathBuf,
    network: [u8; 3],
    addresses: Mutex<BTreeSet<u8>>,
    store: Mutex<Store>,
}

/// An address that is free again when this value is dropped.
#[derive(Debug)]
pub struct AddressLease {
    control_plane: Arc<ControlPlane>,
    pub address: Ipv4Addr,
}

impl Drop for AddressLease {
    fn drop(&mut self) {
        self.control_plane.free(self.address);
    }
}

impl ControlPlane {
    /// A control plane without clusters; `files` is where clusters keep theirs, `network` where they find addresses.
    pub fn new(servers: Servers, files: PathBuf, network: [u8; 3], groups: &Path, secrets: Secrets) -> Self {
        let unique = uuid::Uuid::new_v4().simple().to_string();
        Self {
            servers,
            faults: Faults::default(),
            limits: InstanceLimits::default(),
            endpoints: Endpoints::default(),
            groups: SecurityGroups::new(groups),
            secrets,
            // Another one each start: endpoints of an earlier stack, in somebody's shell or cache, lead nowhere rather than to new data.
            hash: format!("c{}", unique.chars().take(11).collect::<String>()),
            kms_key: format!("arn:aws:kms:{}:{ACCOUNT}:key/{}", region(), uuid::Uuid::new_v4()),
            files,
            network,
            addresses: Mutex::default(),
            store: Mutex::default(),
        }
    }

    /// The state. The guard must not live across an await.
    pub fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the time.
    pub fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    /// Returns the directory of a cluster's files.
    pub fn files_of(&self, resource_id: &str) -> PathBuf {
        self.files.join(resource_id)
    }

    /// Takes a free address; `.1` to `.15` are for the stack's own servers and clients.
    pub fn take_address(&self) -> Result<Ipv4Addr, ApiError> {
        let mut taken = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        // The lowest free one: people see the same addresses again, whatever was deleted in between.
        let free = (16..=254).find(|last| !taken.contains(last));
        let last =
            free.ok_or_else(|| ApiError::bad("InstanceQuotaExceeded", "All addresses of the stack are in use"))?;
        taken.insert(last);
        let [a, b, c] = self.network;
        Ok(Ipv4Addr::new(a, b, c, last))
    }

    /// Releases an address.
    pub fn free(&self, address: Ipv4Addr) {
        let [.., last] = address.octets();
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).remove(&last);
    }

    /// Takes an address that is released when the lease is dropped.
    pub fn lease_address(self: &Arc<Self>) -> Result<AddressLease, ApiError> {
        Ok(AddressLease { address: self.take_address()?, control_plane: Arc::clone(self) })
    }

    /// Publishes the endpoints of the present store to the name server.
    pub fn publish_endpoints(&self) {
        self.endpoints.publish_endpoints(&self.store(), &self.hash);
    }

    /// Runs `work`, and takes at least [`MINIMUM_DURATION`].
    pub async fn with_minimum_duration<T>(work: impl Future<Output = T>) -> T {
        tokio::join!(work, tokio::time::sleep(MINIMUM_DURATION)).0
    }

    /// Waits until `done` returns a value for the store.
    pub async fn wait_for<T>(&self, mut done: impl FnMut(&Store) -> Option<T>) -> T {
        // Polled: the store changes in dozens of places, and one that forgot to notify would leave a waiter for ever.
        loop {
            if let Some(found) = done(&self.store()) {
                return found;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Ends a change of a cluster with an event: it is available after success, in `on_failure` otherwise.
    pub fn finish_cluster_change(&self, id: &str, what: &str, on_failure: ClusterStatus, result: Result<(), Error>) {
        let (status, category, message) = match result {
            Ok(()) => (ClusterStatus::Available, "notification", format!("DB cluster {what}")),
            Err(error) => {
                tracing::error!(cluster = id, %error, what, "a cluster was not changed as asked");
                (on_failure, "failure", format!("DB cluster not {what}: {error}"))
            }
        };
        let mut store = self.store();
        if let Some(cluster) = store.clusters.get_mut(id)
            // A deletion may have been accepted meanwhile: it must not become available again.
            && cluster.status != ClusterStatus::Deleting
        {
            cluster.status = status;
        }
        self.record(&mut store, "db-cluster", id, cluster_arn(id), category, message);
    }

    /// Sets an instance's status, unless it is being deleted or gone.
    pub fn set_instance(&self, id: &str, status: InstanceStatus) {
        let mut store = self.store();
        if let Some(instance) = store.instances.get_mut(id)
            && instance.status != InstanceStatus::Deleting
        {
            instance.status = status;
        }
        self.endpoints.publish_endpoints(&store, &self.hash);
    }

    /// Records an event of a cluster.
    pub fn cluster_event(&self, id: &str, category: &'static str, message: impl Into<String>) {
        self.record(&mut self.store(), "db-cluster", id, cluster_arn(id), category, message.into());
    }

    /// Records an event of an instance.
    pub fn instance_event(&self, id: &str, category: &'static str, message: impl Into<String>) {
        let arn = super::resource_names::arn("db", id);
        self.record(&mut self.store(), "db-instance", id, arn, category, message.into());
    }

    fn record(
        &self,
        store: &mut Store,
        source_type: &'static str,
        source: &str,
        arn: String,
        category: &'static str,
        message: String,
    ) {
        let event = Event { at: self.now(), source_type, source: source.to_owned(), arn, category, message };
        store.events.push(event);
        // AWS keeps events for 14 days; a stack that runs for weeks must not grow with them.
        if store.events.len() > MOST_EVENTS {
            store.events.remove(0);
        }
    }

    /// Puts changed rules of security groups in force on the clusters that have them, for as long as it runs.
    pub async fn follow_security_groups(&self) {
        let mut last = self.groups.changed();
        // The clusters that have not got the last change. One that is not available gets it once it is.
        let mut left: BTreeSet<String> = BTreeSet::new();
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            let changed = self.groups.changed();
            if changed != last {
                last = changed;
                left = self.store().clusters.keys().cloned().collect();
            }
            for id in left.clone() {
                // Copied out: the store's guard must not live across an await.
                let found = self.store().clusters.get(&id).map(|cluster| {
                    (cluster.status, cluster.database.clone(), cluster.settings.security_groups.clone())
                });
                let Some((status, database, groups)) = found else {
                    left.remove(&id);
                    continue;
                };
                if status == ClusterStatus::Available && self.admit(&id, &database, &groups).await {
                    left.remove(&id);
                }
            }
        }
    }

    async fn admit(&self, id: &str, database: &Database, groups: &[String]) -> bool {
        let admitted = match self.groups.admitted(groups) {
            Ok(admitted) => database.admit(admitted).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.message),
        };
        if let Err(error) = &admitted {
            tracing::warn!(cluster = id, error, "changed rules of security groups are not in force");
        }
        admitted.is_ok()
    }

    /// Ends all databases.
    pub async fn shut_down(&self) {
        // Copied out: the store's guard must not live across an await.
        let databases: Vec<_> = {
            let store = self.store();
            store.clusters.values().map(|cluster| cluster.database.clone()).collect()
        };
        let mut ends = tokio::task::JoinSet::new();
        for database in databases {
            ends.spawn(async move { database.kill().await });
        }
        while ends.join_next().await.is_some() {}
    }
}

/// Chooses the reader that takes over from a writer: the lowest promotion tier, then the oldest. AWS takes the
/// largest of a tier, and then any.
pub fn successor<'a>(members: impl Iterator<Item = &'a DbInstance>, writer: &str) -> Option<&'a DbInstance> {
    members
        .filter(|instance| instance.id != writer && instance.status == InstanceStatus::Available)
        .min_by_key(|instance| (instance.tier, instance.created))
}
