//! Parameter groups of clusters and instances. Values are kept and shown; a few of them reach the servers.

use super::{ActionResult, filters, group_name, page, result};
use crate::rds::control_plane::ControlPlane;
use crate::rds::engine::Engine;
use crate::rds::error::ApiError;
use crate::rds::model::ParameterGroup;
use crate::rds::parameters::{self, Parameter};
use crate::rds::query::Params;
use crate::rds::quotas;
use crate::rds::render;
use crate::rds::settings::default_group;
use crate::rds::store::Store;
use crate::rds::tags::read_tags;
use crate::rds::xml::Element;
use std::collections::BTreeMap;

/// Most parameters that one request can change, by the API reference.
const MOST_CHANGES: usize = 20;

type Groups = BTreeMap<String, ParameterGroup>;
type Shape = fn(&str, &ParameterGroup) -> Element;

fn new_parameter_group(control_plane: &ControlPlane, params: &Params) -> Result<ParameterGroup, ApiError> {
    let family = params.required("DBParameterGroupFamily")?.to_owned();
    // A family of another major version exists on AWS; here no cluster could ever use the group.
    let engine = Engine::ALL.into_iter().find(|engine| family == engine.family(control_plane.servers.version(*engine)));
    let engine = engine.ok_or_else(|| {
        ApiError::value(format!("ParameterGroupFamily {family} is not a valid parameter group family"))
    })?;
    let description = params.required("Description")?.to_owned();
    let tags = read_tags(params)?.unwrap_or_default();
    Ok(ParameterGroup { engine, family, description, tags, values: BTreeMap::new() })
}

/// Adds the default groups, which nobody created, to those of the store.
fn with_defaults(control_plane: &ControlPlane, groups: &Groups) -> Groups {
    let mut all = groups.clone();
    for engine in Engine::ALL {
        let version = control_plane.servers.version(engine);
        let family = engine.family(version);
        let description = format!("Default parameter group for {family}");
        let group = ParameterGroup { engine, family, description, tags: BTreeMap::new(), values: BTreeMap::new() };
        all.insert(default_group(engine, version), group);
    }
    all
}

fn describe(
    control_plane: &ControlPlane,
    params: &Params,
    (parameter, list, missing): (&str, &'static str, &'static str),
    groups: &Groups,
    shape: Shape,
) -> ActionResult {
    let all = with_defaults(control_plane, groups);
    if let Some(one) = params.get(parameter).filter(|name| !name.is_empty()) {
        let one = one.to_ascii_lowercase();
        let found =
            all.get(&one).ok_or_else(|| ApiError::not_found(missing, format!("{parameter} not found: {one}")))?;
        return Ok(result().list(list, [shape(&one, found)]));
    }
    page(params, list, all.iter().map(|(name, group)| (name.clone(), shape(name, group))).collect())
}

/// `DescribeDBClusterParameters`.
pub fn describe_parameters(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let filters = filters(params, &["parameter-name"])?;
    let source = params.get("Source").filter(|source| !source.is_empty());
    if let Some(wrong) = source.filter(|source| !["user", "system", "engine-default"].contains(source)) {
        return Err(ApiError::value(format!("Invalid Source: {wrong}. Valid values: engine-default | system | user")));
    }
    let name = params.required("DBClusterParameterGroupName")?.to_ascii_lowercase();
    let all = with_defaults(control_plane, &control_plane.store().cluster_parameter_groups);
    let group = all.get(&name).ok_or_else(|| no_group(&name))?;
    let matches = |known: &&Parameter| {
        source.is_none_or(|source| source == render::source(known, group.values.get(known.name)))
            && filters.iter().all(|(_, names)| names.iter().any(|name| name == known.name))
    };
    let shown = parameters::of(group.engine).iter().filter(matches);
    let shape = |known: &Parameter| (known.name.to_owned(), render::parameter(known, group.values.get(known.name)));
    page(params, "Parameters", shown.map(shape).collect())
}

/// `CopyDBClusterParameterGroup`.
pub fn copy_cluster(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let source = group_name("SourceDBClusterParameterGroupIdentifier", params)?;
    let name = group_name("TargetDBClusterParameterGroupIdentifier", params)?;
    let description = params.required("TargetDBClusterParameterGroupDescription")?.to_owned();
    // As on AWS: a default group is nobody's to copy, and a new one of its family is the same.
    if source.starts_with("default.") {
        return Err(ApiError::value("You can't copy a default DB cluster parameter group."));
    }
    let tags = read_tags(params)?.unwrap_or_default();
    let mut store = control_plane.store();
    if store.cluster_parameter_groups.contains_key(&name) {
        return Err(taken(&name));
    }
    let found = store.cluster_parameter_groups.get(&source).ok_or_else(|| no_group(&source))?;
    let group = ParameterGroup { description, tags, ..found.clone() };
    quotas::check_cluster_parameter_group(&store)?;
    let shape = render::cluster_parameter_group(&name, &group);
    store.cluster_parameter_groups.insert(name, group);
    Ok(result().child(shape))
}

/// Returns what people set in a cluster parameter group; nothing for a default group.
pub fn values_of(store: &Store, group: &str) -> BTreeMap<String, String> {
    store.cluster_parameter_groups.get(group).map(|group| group.values.clone()).unwrap_or_default()
}

/// `ModifyDBClusterParameterGroup`.
pub fn modify_cluster(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let changes = params.structures("Parameters", "Parameter");
    if changes.is_empty() {
        return Err(ApiError::missing("Parameters"));
    }
    if changes.len() > MOST_CHANGES {
        return Err(ApiError::value(format!("At most {MOST_CHANGES} parameters can be modified in a request")));
    }
    change_cluster(control_plane, params, |group| {
        let mut changed = Vec::new();
        for change in &changes {
            let known = parameters::find(group.engine, change.required("ParameterName")?)?;
            let value = change.required("ParameterValue")?;
            known.check(value)?;
            check_method(known, change)?;
            group.values.insert(known.name.to_owned(), value.to_owned());
            changed.push(known);
        }
        Ok(changed)
    })
}

/// `ResetDBClusterParameterGroup`.
pub fn reset_cluster(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let all = params.boolean("ResetAllParameters")?.unwrap_or(false);
    let some = params.structures("Parameters", "Parameter");
    if all != some.is_empty() {
        return Err(ApiError::combination("Either ResetAllParameters or Parameters must be specified, and not both."));
    }
    change_cluster(control_plane, params, |group| {
        let mut changed = Vec::new();
        for reset in &some {
            let known = parameters::find(group.engine, reset.required("ParameterName")?)?;
            check_method(known, reset)?;
            changed.push(known);
        }
        // Only what a person had set is reset: the rest must not put instances into pending-reboot.
        if all {
            changed.extend(parameters::of(group.engine));
        }
        changed.retain(|known| group.values.remove(known.name).is_some());
        Ok(changed)
    })
}

// AWS demands a method with each change, though it could tell a static parameter itself: code that leaves it out fails there.
fn check_method(known: &Parameter, change: &Params) -> Result<(), ApiError> {
    match change.required("ApplyMethod")? {
        "immediate" if !known.is_dynamic => {
            Err(ApiError::combination("cannot use immediate apply method for static parameter"))
        }
        "immediate" | "pending-reboot" => Ok(()),
        other => Err(ApiError::value(format!("Invalid apply method: {other}"))),
    }
}

/// Changes a group; instances that run with it wait for a reboot when one of the changes needs that.
fn change_cluster(
    control_plane: &ControlPlane,
    params: &Params,
    change: impl FnOnce(&mut ParameterGroup) -> Result<Vec<&'static Parameter>, ApiError>,
) -> ActionResult {
    let name = group_name("DBClusterParameterGroupName", params)?;
    let mut store = control_plane.store();
    let present = store.cluster_parameter_groups.get_mut(&name).ok_or_else(|| no_group(&name))?;
    // On a copy: a request with one wrong parameter changes none of the others.
    let mut group = present.clone();
    let changed = change(&mut group)?;
    *present = group;
    let values = values_of(&store, &name);
    for cluster in store.clusters.values().filter(|found| found.settings.parameter_group == name) {
        // Instances that have not taken up the group since it became the cluster's do not follow it.
        let is_in_sync = store.members(cluster).all(|instance| instance.in_sync);
        cluster.database.take_parameters(&values, is_in_sync);
    }
    if changed.iter().any(|known| !known.is_dynamic) {
        let Store { clusters, instances, .. } = &mut *store;
        let runs_with_it = |id: &String| clusters.get(id).is_some_and(|found| found.settings.parameter_group == name);
        instances.values_mut().filter(|found| runs_with_it(&found.cluster)).for_each(|found| found.in_sync = false);
    }
    Ok(result().field("DBClusterParameterGroupName", name))
}

fn no_group(name: &str) -> ApiError {
    ApiError::not_found("DBParameterGroupNotFound", format!("DBClusterParameterGroup not found: {name}"))
}

fn taken(name: &str) -> ApiError {
    ApiError::bad("DBParameterGroupAlreadyExists", format!("Parameter group {name} already exists"))
}

/// `DescribeDBClusterParameterGroups`.
pub fn describe_cluster(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let names = ("DBClusterParameterGroupName", "DBClusterParameterGroups", "DBClusterParameterGroupNotFound");
    describe(
        control_plane,
        params,
        names,
        &control_plane.store().cluster_parameter_groups,
        render::cluster_parameter_group,
    )
}

/// `DescribeDBParameterGroups`.
pub fn describe_instance(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let names = ("DBParameterGroupName", "DBParameterGroups", "DBParameterGroupNotFound");
    describe(control_plane, params, names, &control_plane.store().parameter_groups, render::parameter_group)
}

/// `CreateDBClusterParameterGroup`.
pub fn create_cluster(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let name = group_name("DBClusterParameterGroupName", params)?;
    let group = new_parameter_group(control_plane, params)?;
    let mut store = control_plane.store();
    if store.cluster_parameter_groups.contains_key(&name) {
        return Err(taken(&name));
    }
    quotas::check_cluster_parameter_group(&store)?;
    let shape = render::cluster_parameter_group(&name, &group);
    store.cluster_parameter_groups.insert(name, group);
    Ok(result().child(shape))
}

/// `CreateDBParameterGroup`.
pub fn create_instance(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let name = group_name("DBParameterGroupName", params)?;
    let group = new_parameter_group(control_plane, params)?;
    let groups = &mut control_plane.store().parameter_groups;
    if groups.contains_key(&name) {
        return Err(taken(&name));
    }
    let shape = render::parameter_group(&name, &group);
    groups.insert(name, group);
    Ok(result().child(shape))
}

/// `DeleteDBClusterParameterGroup`.
pub fn delete_cluster(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let name = group_name("DBClusterParameterGroupName", params)?;
    let mut store = control_plane.store();
    if !store.cluster_parameter_groups.contains_key(&name) {
        return Err(no_group(&name));
    }
    // The group of a cluster that is being deleted counts too, as on AWS: it goes once the cluster is gone.
    if store.clusters.values().any(|cluster| cluster.settings.parameter_group == name) {
        return Err(in_use());
    }
    store.cluster_parameter_groups.remove(&name);
    Ok(result())
}

/// `DeleteDBParameterGroup`.
pub fn delete_instance(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let name = group_name("DBParameterGroupName", params)?;
    let mut store = control_plane.store();
    if !store.parameter_groups.contains_key(&name) {
        return Err(ApiError::not_found("DBParameterGroupNotFound", format!("DBParameterGroup not found: {name}")));
    }
    if store.instances.values().any(|instance| instance.parameter_group == name) {
        return Err(in_use());
    }
    store.parameter_groups.remove(&name);
    Ok(result())
}

fn in_use() -> ApiError {
    ApiError::bad(
        "InvalidDBParameterGroupState",
        "One or more database instances are still members of this parameter group, so the group cannot be deleted",
    )
}
