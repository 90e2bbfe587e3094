//! `ModifyDBCluster`: reads the whole change first, and refuses it or makes all of it.

use super::clusters::{check_available, describe_one, refuse_unsupported};
use super::parameter_groups::values_of;
use super::{ActionResult, secret};
use crate::rds::control_plane::ControlPlane;
use crate::rds::error::ApiError;
use crate::rds::model::{ClusterStatus, DbCluster};
use crate::rds::preferred_windows;
use crate::rds::query::Params;
use crate::rds::settings::Settings;
use crate::rds::store::Store;
use std::sync::Arc;

/// `ModifyDBCluster`.
pub async fn modify(control_plane: &Arc<ControlPlane>, params: &Params) -> ActionResult {
    let given = params.required("DBClusterIdentifier")?;
    // Renaming, another port and a major upgrade change endpoints or data under running clients: no recovery does that.
    for name in ["NewDBClusterIdentifier", "Port", "AllowMajorVersionUpgrade"] {
        if params.get(name).is_some_and(|value| value != "false") {
            return Err(ApiError::combination(format!("{name} is not supported by this local stack")));
        }
    }
    refuse_unsupported(params)?;
    let before = {
        let store = control_plane.store();
        let cluster = store.cluster(given)?;
        check_available(cluster)?;
        cluster.clone()
    };
    let id = before.id.clone();
    let mut settings = before.settings.clone();
    settings.read_common(params)?;
    settings.read_operations(params)?;
    refuse_overlap(control_plane, &before, &settings)?;
    settings.read_backtrack(before.engine, false, params)?;
    settings.read_log_changes(before.engine, params)?;
    if params.boolean("EnableHttpEndpoint")?.is_some_and(|wanted| wanted != settings.http_endpoint) {
        return Err(ApiError::combination(
            "EnableHttpEndpoint in ModifyDBCluster is for Aurora Serverless v1. Use the EnableHttpEndpoint action.",
        ));
    }
    let (version, next_version) = versions(&before, params)?;
    control_plane.store().check_cluster_parameter_group(before.engine, &settings.parameter_group)?;
    let admitted = control_plane.groups.admitted(&settings.security_groups)?;
    // Last of the checks, for it may create a secret.
    let login = secret::read_change(control_plane, params, &before).await?;
    // Asking again for the same groups puts their present rules in force: the file may have changed in between.
    let asked_for_groups = params.first_given(&["VpcSecurityGroupIds"]).is_some();
    let wanted = settings.clone();
    let accepted = {
        let mut store = control_plane.store();
        accept(&mut store, &id, settings, (version, next_version), &login, asked_for_groups)
    };
    match accepted {
        Ok(true) => {}
        // As on AWS, a modification to what is set already is a success and changes no status.
        Ok(false) => return describe_one(control_plane, &id),
        Err(error) => {
            login.discard_secret(control_plane).await;
            return Err(error);
        }
    }
    let (task_control_plane, cluster_id) = (Arc::clone(control_plane), id.clone());
    tokio::spawn(async move {
        let control_plane = task_control_plane;
        let work = async {
            before.database.set_reach(&wanted);
            before.database.admit(admitted).await?;
            login.apply(&control_plane, &before).await
        };
        let done = ControlPlane::with_minimum_duration(work).await;
        if let Ok(cluster) = control_plane.store().cluster_mut(&cluster_id) {
            // Groups that are not in force are not shown as active: somebody may be about to rely on them.
            cluster.groups_active = done.is_ok();
        }
        control_plane.finish_cluster_change(&cluster_id, "modified", ClusterStatus::Available, done);
    });
    describe_one(control_plane, &id)
}

/// Reads the version that the cluster gets now, and the one that waits. With `ApplyImmediately` everything starts that waits,
/// whatever this request changes: a caller that sends the flag without need upgrades the engine.
fn versions(before: &DbCluster, params: &Params) -> Result<(String, Option<String>), ApiError> {
    let asked = params.get("EngineVersion");
    let next = match asked {
        // The present version cancels what waits.
        Some(_) => Some(before.engine.version(asked, &before.version)?).filter(|next| *next != before.version),
        None => before.next_version.clone(),
    };
    Ok(match next {
        Some(next) if params.boolean("ApplyImmediately")? == Some(true) => (next, None),
        next => (before.version.clone(), next),
    })
}

/// Refuses a change after which a backup would overlap maintenance, the cluster's own or an instance's.
fn refuse_overlap(control_plane: &ControlPlane, before: &DbCluster, after: &Settings) -> Result<(), ApiError> {
    preferred_windows::refuse_overlap(&after.backup_window, &after.maintenance_window)?;
    // An overlap that is there already is not this request's, and must not block another change.
    if after.backup_window == before.settings.backup_window {
        return Ok(());
    }
    let store = control_plane.store();
    let mut of_instances = store.members(before).map(|instance| &instance.maintenance_window);
    of_instances.try_for_each(|window| preferred_windows::refuse_overlap(&after.backup_window, window))
}

/// Puts a modification into the store; returns false when there is nothing to do.
fn accept(
    store: &mut Store,
    id: &str,
    settings: Settings,
    (version, next_version): (String, Option<String>),
    login: &secret::Change,
    asked_for_groups: bool,
) -> Result<bool, ApiError> {
    // Checked again: between reading the request and this lock another change may have begun.
    let cluster = store.cluster_mut(id)?;
    check_available(cluster)?;
    cluster.next_version = next_version;
    if settings == cluster.settings && version == cluster.version && login.is_none() && !asked_for_groups {
        return Ok(false);
    }
    cluster.status = ClusterStatus::Modifying;
    cluster.groups_active = settings.security_groups == cluster.settings.security_groups;
    cluster.version = version;
    login.show_in(cluster);
    let regrouped = settings.parameter_group != cluster.settings.parameter_group;
    let group = settings.parameter_group.clone();
    cluster.settings = settings;
    let database = cluster.database.clone();
    let members = cluster.members.clone();
    // Another parameter group is in force for an instance from its next reboot on.
    for instance in store.instances.values_mut().filter(|instance| regrouped && members.contains(&instance.id)) {
        instance.in_sync = false;
    }
    // Servers that run keep what they have, until they are started again.
    database.take_parameters(&values_of(store, &group), false);
    Ok(true)
}
