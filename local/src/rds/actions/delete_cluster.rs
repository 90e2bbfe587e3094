//! `DeleteDBCluster`: with a final snapshot or without, keeping the automated backups or not.

use super::clusters::describe_one;
use super::{ActionResult, secret};
use crate::rds::control_plane::ControlPlane;
use crate::rds::error::ApiError;
use crate::rds::model::{ClusterStatus, DbCluster, InstanceStatus, Snapshot};
use crate::rds::query::{Params, identifier};
use crate::rds::quotas;
use crate::rds::store::Store;
use jiff::Timestamp;
use std::sync::Arc;

/// `DeleteDBCluster`.
pub fn delete(control_plane: &Arc<ControlPlane>, params: &Params) -> ActionResult {
    let given = params.required("DBClusterIdentifier")?;
    let keep_backups = params.boolean("DeleteAutomatedBackups")? == Some(false);
    let snapshot = final_snapshot(params)?;
    let cluster = {
        let mut store = control_plane.store();
        let cluster = store.cluster(given)?.clone();
        check_deletable(&store, &cluster, snapshot.is_some())?;
        if let Some(name) = &snapshot {
            take_snapshot(&mut store, name, &cluster, control_plane.now())?;
        }
        // Under the lock of the checks: an instance that is created right behind is refused.
        store.cluster_mut(&cluster.id)?.status = ClusterStatus::Deleting;
        cluster
    };
    let described = describe_one(control_plane, &cluster.id);
    // A snapshot has no files of its own: it is restored from the backups.
    let keep_files = keep_backups || snapshot.is_some();
    tokio::spawn(remove(Arc::clone(control_plane), cluster, keep_backups, keep_files));
    described
}

/// Reads the name of the final snapshot: AWS wants either a name or the explicit wish to skip it.
fn final_snapshot(params: &Params) -> Result<Option<String>, ApiError> {
    let skip = params.boolean("SkipFinalSnapshot")?.unwrap_or(false);
    let name = params.get("FinalDBSnapshotIdentifier").filter(|name| !name.is_empty());
    match (name, skip) {
        (Some(_), true) => Err(ApiError::combination(
            "FinalDBSnapshotIdentifier can not be specified when deleting with SkipFinalSnapshot.",
        )),
        (None, false) => {
            Err(ApiError::combination("FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified."))
        }
        (name, _) => name.map(|name| identifier("FinalDBSnapshotIdentifier", name)).transpose(),
    }
}

/// Refuses to delete a cluster in the wrong status, with deletion protection, or with instances.
fn check_deletable(store: &Store, cluster: &DbCluster, with_snapshot: bool) -> Result<(), ApiError> {
    match cluster.status {
        ClusterStatus::Deleting => {
            return Err(ApiError::cluster_state(format!("Cluster {} is already being deleted", cluster.id)));
        }
        ClusterStatus::Available | ClusterStatus::Failed => {}
        _ if with_snapshot => {
            return Err(ApiError::cluster_state(format!(
                "Can't create a snapshot because the database cluster {} isn't currently in the available state.",
                cluster.id
            )));
        }
        _ => {}
    }
    if cluster.settings.deletion_protection {
        return Err(ApiError::combination(
            "Cannot delete protected Cluster, please disable deletion protection and try again.",
        ));
    }
    if store.global_cluster_of(&cluster.id).is_some() {
        return Err(ApiError::cluster_state(
            "This cluster is a part of a global cluster, please remove it from globalcluster first",
        ));
    }
    // Instances that are being deleted do not count: the deletion of the cluster waits for them, as on AWS.
    if store.members(cluster).any(|instance| instance.status != InstanceStatus::Deleting) {
        return Err(ApiError::cluster_state(
            "Cluster cannot be deleted, it still contains DB instances in non-deleting state.",
        ));
    }
    Ok(())
}

fn take_snapshot(store: &mut Store, name: &str, cluster: &DbCluster, taken: Timestamp) -> Result<(), ApiError> {
    if store.snapshots.contains_key(name) {
        return Err(ApiError::bad(
            "DBClusterSnapshotAlreadyExistsFault",
            format!("Cannot create the cluster snapshot because one with the identifier {name} already exists."),
        ));
    }
    quotas::check_snapshot(store)?;
    let mut cluster = cluster.clone();
    if !cluster.settings.copy_tags {
        cluster.tags.clear();
    }
    store.snapshots.insert(name.to_owned(), Snapshot { id: name.to_owned(), taken, cluster });
    Ok(())
}

/// Removes the cluster once its last instance is gone.
async fn remove(control_plane: Arc<ControlPlane>, cluster: DbCluster, keep_backups: bool, keep_files: bool) {
    let id = cluster.id.as_str();
    control_plane
        .wait_for(|store| store.cluster(id).map_or(true, |cluster| cluster.members.is_empty()).then_some(()))
        .await;
    if let Err(error) = ControlPlane::with_minimum_duration(cluster.database.destroy(!keep_files)).await {
        tracing::warn!(cluster = id, %error, "files of a deleted cluster were left behind");
    }
    let secret = {
        let mut store = control_plane.store();
        let gone = store.clusters.remove(id);
        store.endpoints.retain(|_, custom| custom.cluster != id);
        // RDS deletes a managed secret with its cluster, even when backups are retained.
        let secret = gone.as_ref().and_then(|gone| gone.secret.clone());
        if let Some(gone) = gone.filter(|_| keep_backups) {
            store.retained.insert(gone.resource_id.clone(), gone);
        }
        secret
    };
    control_plane.publish_endpoints();
    secret::delete(&control_plane, secret).await;
    control_plane.cluster_event(id, "deletion", "DB cluster deleted");
}
