//! Parameter groups and subnet groups. What parameters are set to is kept and shown, and reaches no server.

use super::{Answer, filters, page, result};
use crate::rds::engine::Engine;
use crate::rds::error::ApiError;
use crate::rds::model::{ParameterGroup, SubnetGroup, tags};
use crate::rds::parameters::{self, Parameter};
use crate::rds::plane::Plane;
use crate::rds::query::{Params, identifier};
use crate::rds::settings::default_group;
use crate::rds::shapes;
use crate::rds::store::Store;
use crate::rds::xml::Element;
use std::collections::BTreeMap;

/// So many parameters can be changed in one request.
const MOST_CHANGES: usize = 20;

type Groups = BTreeMap<String, ParameterGroup>;
type Shape = fn(&str, &ParameterGroup) -> Element;

fn name(parameter: &str, params: &Params) -> Result<String, ApiError> {
    let given = params.required(parameter)?;
    if given.to_ascii_lowercase().starts_with("default") {
        return Err(ApiError::value(format!("{parameter} {given} is reserved")));
    }
    identifier(parameter, given)
}

fn new_parameter_group(plane: &Plane, params: &Params) -> Result<ParameterGroup, ApiError> {
    let family = params.required("DBParameterGroupFamily")?.to_owned();
    let engine = Engine::ALL.into_iter().find(|engine| family == engine.family(plane.servers.version(*engine)));
    let engine = engine.ok_or_else(|| {
        ApiError::value(format!("ParameterGroupFamily {family} is not a valid parameter group family"))
    })?;
    let description = params.required("Description")?.to_owned();
    let tags = tags(params)?.unwrap_or_default();
    Ok(ParameterGroup { engine, family, description, tags, values: BTreeMap::new() })
}

/// The groups that a person made, and those that are there by themselves.
fn with_defaults(plane: &Plane, groups: &Groups) -> Groups {
    let mut all = groups.clone();
    for engine in Engine::ALL {
        let version = plane.servers.version(engine);
        let family = engine.family(version);
        let description = format!("Default parameter group for {family}");
        let group = ParameterGroup { engine, family, description, tags: BTreeMap::new(), values: BTreeMap::new() };
        all.insert(default_group(engine, version), group);
    }
    all
}

fn describe(
    plane: &Plane,
    params: &Params,
    (parameter, list, missing): (&str, &'static str, &'static str),
    groups: &Groups,
    shape: Shape,
) -> Answer {
    let all = with_defaults(plane, groups);
    if let Some(one) = params.get(parameter).filter(|name| !name.is_empty()) {
        let one = one.to_ascii_lowercase();
        let found =
            all.get(&one).ok_or_else(|| ApiError::not_found(missing, format!("{parameter} not found: {one}")))?;
        return Ok(result().list(list, [shape(&one, found)]));
    }
    page(params, list, all.iter().map(|(name, group)| (name.clone(), shape(name, group))).collect())
}

/// `DescribeDBClusterParameters`.
pub fn describe_parameters(plane: &Plane, params: &Params) -> Answer {
    let filters = filters(params, &["parameter-name"])?;
    let source = params.get("Source").filter(|source| !source.is_empty());
    if let Some(wrong) = source.filter(|source| !["user", "system", "engine-default"].contains(source)) {
        return Err(ApiError::value(format!("Invalid Source: {wrong}. Valid values: engine-default | system | user")));
    }
    let name = params.required("DBClusterParameterGroupName")?.to_ascii_lowercase();
    let all = with_defaults(plane, &plane.store().cluster_parameter_groups);
    let group = all.get(&name).ok_or_else(|| no_group(&name))?;
    let matches = |known: &&Parameter| {
        source.is_none_or(|source| source == shapes::source(known, group.values.get(known.name)))
            && filters.iter().all(|(_, names)| names.iter().any(|name| name == known.name))
    };
    let shown = parameters::of(group.engine).iter().filter(matches);
    let shape = |known: &Parameter| (known.name.to_owned(), shapes::parameter(known, group.values.get(known.name)));
    page(params, "Parameters", shown.map(shape).collect())
}

/// `ModifyDBClusterParameterGroup`.
pub fn modify_cluster(plane: &Plane, params: &Params) -> Answer {
    let changes = params.structures("Parameters", "Parameter");
    if changes.is_empty() {
        return Err(ApiError::missing("Parameters"));
    }
    if changes.len() > MOST_CHANGES {
        return Err(ApiError::value(format!("At most {MOST_CHANGES} parameters can be modified in a request")));
    }
    change_cluster(plane, params, |group| {
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
pub fn reset_cluster(plane: &Plane, params: &Params) -> Answer {
    let all = params.boolean("ResetAllParameters")?.unwrap_or(false);
    let some = params.structures("Parameters", "Parameter");
    if all != some.is_empty() {
        return Err(ApiError::combination("Either ResetAllParameters or Parameters must be specified, and not both."));
    }
    change_cluster(plane, params, |group| {
        let mut changed = Vec::new();
        for reset in &some {
            let known = parameters::find(group.engine, reset.required("ParameterName")?)?;
            check_method(known, reset)?;
            changed.push(known);
        }
        if all {
            changed.extend(parameters::of(group.engine));
        }
        changed.retain(|known| group.values.remove(known.name).is_some());
        Ok(changed)
    })
}

fn check_method(known: &Parameter, change: &Params) -> Result<(), ApiError> {
    match change.required("ApplyMethod")? {
        "immediate" if !known.is_dynamic => {
            Err(ApiError::combination("cannot use immediate apply method for static parameter"))
        }
        "immediate" | "pending-reboot" => Ok(()),
        other => Err(ApiError::value(format!("Invalid apply method: {other}"))),
    }
}

/// Changes a group, or nothing of it; instances that run with it wait for a reboot when one of the changes needs that.
fn change_cluster(
    plane: &Plane,
    params: &Params,
    change: impl FnOnce(&mut ParameterGroup) -> Result<Vec<&'static Parameter>, ApiError>,
) -> Answer {
    let name = name("DBClusterParameterGroupName", params)?;
    let mut store = plane.store();
    let present = store.cluster_parameter_groups.get_mut(&name).ok_or_else(|| no_group(&name))?;
    let mut group = present.clone();
    let changed = change(&mut group)?;
    *present = group;
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
pub fn describe_cluster(plane: &Plane, params: &Params) -> Answer {
    let names = ("DBClusterParameterGroupName", "DBClusterParameterGroups", "DBClusterParameterGroupNotFound");
    describe(plane, params, names, &plane.store().cluster_parameter_groups, shapes::cluster_parameter_group)
}

/// `DescribeDBParameterGroups`.
pub fn describe_instance(plane: &Plane, params: &Params) -> Answer {
    let names = ("DBParameterGroupName", "DBParameterGroups", "DBParameterGroupNotFound");
    describe(plane, params, names, &plane.store().parameter_groups, shapes::parameter_group)
}

/// `CreateDBClusterParameterGroup`.
pub fn create_cluster(plane: &Plane, params: &Params) -> Answer {
    let name = name("DBClusterParameterGroupName", params)?;
    let group = new_parameter_group(plane, params)?;
    let groups = &mut plane.store().cluster_parameter_groups;
    if groups.contains_key(&name) {
        return Err(taken(&name));
    }
    let shape = shapes::cluster_parameter_group(&name, &group);
    groups.insert(name, group);
    Ok(result().child(shape))
}

/// `CreateDBParameterGroup`.
pub fn create_instance(plane: &Plane, params: &Params) -> Answer {
    let name = name("DBParameterGroupName", params)?;
    let group = new_parameter_group(plane, params)?;
    let groups = &mut plane.store().parameter_groups;
    if groups.contains_key(&name) {
        return Err(taken(&name));
    }
    let shape = shapes::parameter_group(&name, &group);
    groups.insert(name, group);
    Ok(result().child(shape))
}

/// `DeleteDBClusterParameterGroup`.
pub fn delete_cluster(plane: &Plane, params: &Params) -> Answer {
    let name = name("DBClusterParameterGroupName", params)?;
    let mut store = plane.store();
    if !store.cluster_parameter_groups.contains_key(&name) {
        return Err(no_group(&name));
    }
    if store.clusters.values().any(|cluster| cluster.settings.parameter_group == name) {
        return Err(in_use());
    }
    store.cluster_parameter_groups.remove(&name);
    Ok(result())
}

/// `DeleteDBParameterGroup`.
pub fn delete_instance(plane: &Plane, params: &Params) -> Answer {
    let name = name("DBParameterGroupName", params)?;
    let mut store = plane.store();
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

/// `DescribeDBSubnetGroups`.
pub fn describe_subnets(plane: &Plane, params: &Params) -> Answer {
    let store = plane.store();
    if let Some(one) = params.get("DBSubnetGroupName").filter(|name| !name.is_empty()) {
        let one = one.to_ascii_lowercase();
        store.check_subnet_group(&one)?;
        return Ok(result().list("DBSubnetGroups", [shapes::subnet_group(&one, store.subnet_groups.get(&one))]));
    }
    let default = ("default".to_owned(), shapes::subnet_group("default", None));
    let own = store.subnet_groups.iter().map(|(name, group)| (name.clone(), shapes::subnet_group(name, Some(group))));
    page(params, "DBSubnetGroups", std::iter::once(default).chain(own).collect())
}

/// `CreateDBSubnetGroup`.
pub fn create_subnets(plane: &Plane, params: &Params) -> Answer {
    let name = name("DBSubnetGroupName", params)?;
    let description = params.required("DBSubnetGroupDescription")?.to_owned();
    let subnets = params.texts("SubnetIds", "SubnetIdentifier").ok_or_else(|| ApiError::missing("SubnetIds"))?;
    if subnets.len() < 2 {
        return Err(ApiError::bad(
            "DBSubnetGroupDoesNotCoverEnoughAZs",
            "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Add subnets to cover at least 2 AZs.",
        ));
    }
    let group = SubnetGroup { description, subnets, tags: tags(params)?.unwrap_or_default() };
    let groups = &mut plane.store().subnet_groups;
    if groups.contains_key(&name) {
        return Err(ApiError::bad(
            "DBSubnetGroupAlreadyExists",
            format!("The DB subnet group '{name}' already exists."),
        ));
    }
    let shape = shapes::subnet_group(&name, Some(&group));
    groups.insert(name, group);
    Ok(result().child(shape))
}
