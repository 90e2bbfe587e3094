//! Global Databases: which cluster is the primary of which. There are no secondary Regions, so nothing is replicated anywhere.

use super::{ActionResult, clusters::check_available, page, result};
use crate::rds::control_plane::ControlPlane;
use crate::rds::error::ApiError;
use crate::rds::query::{Params, identifier};
use crate::rds::render;
use crate::rds::resource_names::id_of;

/// `DescribeGlobalClusters`.
pub fn describe(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let store = control_plane.store();
    let one = params.get("GlobalClusterIdentifier").filter(|id| !id.is_empty()).map(str::to_ascii_lowercase);
    if let Some(one) = one.as_ref().filter(|one| !store.global_clusters.contains_key(*one)) {
        return Err(not_found(one));
    }
    let shown = store.global_clusters.keys().filter(|id| one.as_ref().is_none_or(|one| one == *id));
    page(params, "GlobalClusters", shown.map(|id| (id.clone(), render::global_cluster(&store, id))).collect())
}

/// `CreateGlobalCluster`, of a cluster that is there: it becomes the primary.
pub fn create(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let id = identifier("GlobalClusterIdentifier", params.required("GlobalClusterIdentifier")?)?;
    let mut store = control_plane.store();
    if store.global_clusters.contains_key(&id) {
        return Err(ApiError::bad("GlobalClusterAlreadyExistsFault", format!("Global cluster {id} already exists.")));
    }
    let cluster = store.cluster(params.required("SourceDBClusterIdentifier")?)?;
    check_available(cluster)?;
    if cluster.settings.backtrack_window.is_some_and(|window| window > 0) {
        return Err(ApiError::cluster_state(format!("Db cluster {} has Backtrack enabled.", cluster.id)));
    }
    let primary = cluster.id.clone();
    if let Some(global) = store.global_cluster_of(&primary) {
        return Err(ApiError::cluster_state(format!("Db cluster {primary} already belongs to {global}.")));
    }
    store.global_clusters.insert(id.clone(), Some(primary));
    Ok(result().child(render::global_cluster(&store, &id)))
}

/// `RemoveFromGlobalCluster`: the cluster stands alone from then on.
pub fn remove(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let id = params.required("GlobalClusterIdentifier")?.to_ascii_lowercase();
    let cluster = id_of("cluster", params.required("DbClusterIdentifier")?);
    let mut store = control_plane.store();
    let member = store.global_clusters.get_mut(&id).ok_or_else(|| not_found(&id))?;
    if member.take_if(|member| *member == cluster).is_none() {
        return Err(ApiError::no_cluster(&cluster));
    }
    Ok(result().child(render::global_cluster(&store, &id)))
}

/// `DeleteGlobalCluster`, which has no member any more.
pub fn delete(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let id = params.required("GlobalClusterIdentifier")?.to_ascii_lowercase();
    let mut store = control_plane.store();
    if store.global_clusters.get(&id).ok_or_else(|| not_found(&id))?.is_some() {
        return Err(ApiError::bad("InvalidGlobalClusterStateFault", format!("Global Cluster {id} is not empty.")));
    }
    let gone = render::global_cluster(&store, &id);
    store.global_clusters.remove(&id);
    Ok(result().child(gone))
}

fn not_found(id: &str) -> ApiError {
    ApiError::not_found("GlobalClusterNotFoundFault", format!("Global cluster {id} not found."))
}
