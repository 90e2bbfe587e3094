//! IAM roles of clusters.

use super::{ActionResult, clusters::check_available, result};
use crate::rds::control_plane::ControlPlane;
use crate::rds::error::ApiError;
use crate::rds::model::Role;
use crate::rds::query::Params;

fn role(params: &Params) -> Result<Role, ApiError> {
    let arn = params.required("RoleArn")?.to_owned();
    if !arn.starts_with("arn:aws:iam::") {
        return Err(ApiError::value(format!("The parameter RoleArn is not a valid ARN: {arn}")));
    }
    Ok(Role { arn, feature: params.text("FeatureName").filter(|feature| !feature.is_empty()) })
}

/// `AddRoleToDBCluster`.
pub fn add(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let role = role(params)?;
    let mut store = control_plane.store();
    let cluster = store.cluster_mut(params.required("DBClusterIdentifier")?)?;
    check_available(cluster)?;
    // A feature has one role at most, whichever it is.
    if cluster
        .roles
        .iter()
        .any(|present| present.arn == role.arn || (role.feature.is_some() && present.feature == role.feature))
    {
        return Err(ApiError::bad(
            "DBClusterRoleAlreadyExists",
            format!("Role ARN {} or its feature is already associated with DB Cluster {}.", role.arn, cluster.id),
        ));
    }
    cluster.roles.push(role);
    Ok(result())
}

/// `RemoveRoleFromDBCluster`.
pub fn remove(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let role = role(params)?;
    let mut store = control_plane.store();
    let cluster = store.cluster_mut(params.required("DBClusterIdentifier")?)?;
    check_available(cluster)?;
    // Without a feature the request means the role with all of its features.
    let before = cluster.roles.len();
    cluster
        .roles
        .retain(|present| present.arn != role.arn || (role.feature.is_some() && present.feature != role.feature));
    if cluster.roles.len() == before {
        return Err(ApiError::not_found(
            "DBClusterRoleNotFound",
            format!("Role ARN {} cannot be found for DB Cluster: {}.", role.arn, cluster.id),
        ));
    }
    Ok(result())
}
