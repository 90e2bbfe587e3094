//! Endpoints of clusters: the two that each has, and custom ones.

use super::{ActionResult, filters, page};
use crate::rds::control_plane::ControlPlane;
use crate::rds::error::ApiError;
use crate::rds::model::{ClusterStatus, CustomEndpoint};
use crate::rds::query::{Params, identifier};
use crate::rds::render;
use crate::rds::resource_names::id_of;
use crate::rds::tags::read_tags;
use crate::rds::xml::Element;

/// `DescribeDBClusterEndpoints`.
pub fn describe(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let filters = filters(
        params,
        &[
            "db-cluster-endpoint-type",
            "db-cluster-endpoint-id",
            "db-cluster-endpoint-status",
            "db-cluster-endpoint-custom-type",
        ],
    )?;
    let store = control_plane.store();
    let cluster = params.get("DBClusterIdentifier").filter(|id| !id.is_empty()).map(|id| id_of("cluster", id));
    if let Some(cluster) = &cluster {
        store.cluster(cluster)?;
    }
    let one = params.get("DBClusterEndpointIdentifier").filter(|id| !id.is_empty()).map(str::to_ascii_lowercase);
    let matches = |kind: &str, custom: Option<&CustomEndpoint>| {
        one.as_ref().is_none_or(|one| custom.is_some_and(|custom| custom.id == *one))
            && filters.iter().all(|(name, values)| match *name {
                "db-cluster-endpoint-type" => values.iter().any(|value| value.eq_ignore_ascii_case(kind)),
                "db-cluster-endpoint-id" => custom.is_some_and(|custom| values.contains(&custom.id)),
                "db-cluster-endpoint-status" => values.iter().any(|value| value == "available"),
                _ => custom.is_some_and(|custom| values.iter().any(|value| value.eq_ignore_ascii_case(&custom.kind))),
            })
    };
    let mut shown: Vec<(String, Element)> = Vec::new();
    for found in store.clusters.values().filter(|found| cluster.as_ref().is_none_or(|cluster| found.id == *cluster)) {
        for kind in ["WRITER", "READER"] {
            if matches(kind, None) {
                shown.push((format!("{}/{kind}", found.id), render::built_in_endpoint(control_plane, found, kind)));
            }
        }
        for custom in store.endpoints.values().filter(|custom| custom.cluster == found.id) {
            if matches("CUSTOM", Some(custom)) {
                shown.push((format!("{}/{}", found.id, custom.id), render::custom_endpoint(control_plane, custom)));
            }
        }
    }
    page(params, "DBClusterEndpoints", shown)
}

/// `CreateDBClusterEndpoint`.
pub fn create(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let id = identifier("DBClusterEndpointIdentifier", params.required("DBClusterEndpointIdentifier")?)?;
    // A restore carries no custom endpoint over: the product has to report them, so they have to exist here.
    let kind = params.required("EndpointType")?.to_owned();
    if !["READER", "ANY", "WRITER"].contains(&kind.as_str()) {
        return Err(ApiError::value(format!("Invalid endpoint type: {kind}")));
    }
    let ids =
        |name| params.texts(name, "member").unwrap_or_default().iter().map(|id| id.to_ascii_lowercase()).collect();
    let (members, excluded): (Vec<String>, Vec<String>) = (ids("StaticMembers"), ids("ExcludedMembers"));
    if !members.is_empty() && !excluded.is_empty() {
        return Err(ApiError::combination("StaticMembers and ExcludedMembers cannot be specified together."));
    }
    let tags = read_tags(params)?.unwrap_or_default();
    let mut store = control_plane.store();
    let cluster = store.cluster(params.required("DBClusterIdentifier")?)?;
    if cluster.status == ClusterStatus::Deleting {
        return Err(ApiError::cluster_state(format!("Db cluster {} is not in available state.", cluster.id)));
    }
    if let Some(unknown) = members.iter().chain(&excluded).find(|member| !cluster.members.contains(member)) {
        return Err(ApiError::no_instance(unknown));
    }
    if store.endpoints.contains_key(&id) {
        return Err(ApiError::bad(
            "DBClusterEndpointAlreadyExistsFault",
            format!("DB cluster endpoint {id} already exists."),
        ));
    }
    let custom = CustomEndpoint {
        id: id.clone(),
        resource_id: super::clusters::resource_id("cluster-endpoint"),
        cluster: cluster.id.clone(),
        kind,
        members,
        excluded,
        tags,
    };
    let answer = render::custom_endpoint(control_plane, &custom);
    store.endpoints.insert(id, custom);
    // publish_endpoints takes the lock itself.
    drop(store);
    control_plane.publish_endpoints();
    Ok(answer)
}

/// `DeleteDBClusterEndpoint`.
pub fn delete(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let id = params.required("DBClusterEndpointIdentifier")?.to_ascii_lowercase();
    let gone = control_plane.store().endpoints.remove(&id);
    let gone = gone
        .ok_or_else(|| ApiError::bad("DBClusterEndpointNotFoundFault", format!("DBClusterEndpoint not found: {id}")))?;
    control_plane.publish_endpoints();
    Ok(render::custom_endpoint(control_plane, &gone))
}
