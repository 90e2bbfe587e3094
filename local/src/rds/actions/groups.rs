//! Parameter groups and subnet groups. They are names with a description here: their parameters reach no server.

use super::{Answer, page, result};
use crate::rds::engine::Engine;
use crate::rds::error::ApiError;
use crate::rds::model::{ParameterGroup, SubnetGroup, tags};
use crate::rds::plane::Plane;
use crate::rds::query::{Params, identifier};
use crate::rds::settings::default_group;
use crate::rds::shapes;
use crate::rds::xml::Element;
use std::collections::BTreeMap;

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
    if family != Engine::AuroraPostgresql.family(plane.postgres.host.version()) {
        return Err(ApiError::value(format!("ParameterGroupFamily {family} is not a valid parameter group family")));
    }
    let description = params.required("Description")?.to_owned();
    Ok(ParameterGroup { family, description, tags: tags(params)?.unwrap_or_default() })
}

fn describe(
    plane: &Plane,
    params: &Params,
    (parameter, list, missing): (&str, &'static str, &'static str),
    groups: &Groups,
    shape: Shape,
) -> Answer {
    let version = plane.postgres.host.version();
    let default = default_group(Engine::AuroraPostgresql, version);
    let family = Engine::AuroraPostgresql.family(version);
    let description = format!("Default parameter group for {family}");
    let mut all = groups.clone();
    all.insert(default, ParameterGroup { family, description, tags: BTreeMap::new() });
    if let Some(one) = params.get(parameter).filter(|name| !name.is_empty()) {
        let one = one.to_ascii_lowercase();
        let found =
            all.get(&one).ok_or_else(|| ApiError::not_found(missing, format!("{parameter} not found: {one}")))?;
        return Ok(result().list(list, [shape(&one, found)]));
    }
    page(params, list, all.iter().map(|(name, group)| (name.clone(), shape(name, group))).collect())
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
    store.check_cluster_parameter_group(&name)?;
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
    store.check_parameter_group(&name)?;
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
