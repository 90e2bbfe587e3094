//! Subnet groups: names and subnets are kept and shown; every database of the stack is in the one loopback network.

use super::{ActionResult, clusters, group_name, page, result};
use crate::rds::control_plane::ControlPlane;
use crate::rds::error::ApiError;
use crate::rds::model::SubnetGroup;
use crate::rds::query::Params;
use crate::rds::render;
use crate::rds::tags::read_tags;

/// `DescribeDBSubnetGroups`.
pub fn describe(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let store = control_plane.store();
    if let Some(one) = params.get("DBSubnetGroupName").filter(|name| !name.is_empty()) {
        let one = one.to_ascii_lowercase();
        store.check_subnet_group(&one)?;
        return Ok(result().list("DBSubnetGroups", [render::subnet_group(&one, store.subnet_groups.get(&one))]));
    }
    let default = ("default".to_owned(), render::subnet_group("default", None));
    let own = store.subnet_groups.iter().map(|(name, group)| (name.clone(), render::subnet_group(name, Some(group))));
    page(params, "DBSubnetGroups", std::iter::once(default).chain(own).collect())
}

/// `CreateDBSubnetGroup`.
pub fn create(control_plane: &ControlPlane, params: &Params) -> ActionResult {
    let name = group_name("DBSubnetGroupName", params)?;
    let description = params.required("DBSubnetGroupDescription")?.to_owned();
    let subnets = params.texts("SubnetIds", "SubnetIdentifier").ok_or_else(|| ApiError::missing("SubnetIds"))?;
    // There is no VPC to ask for the zones of subnets: two subnets stand for two zones.
    if subnets.len() < 2 {
        return Err(ApiError::bad(
            "DBSubnetGroupDoesNotCoverEnoughAZs",
            "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Add subnets to cover at least 2 AZs.",
        ));
    }
    let group = SubnetGroup { description, subnets, tags: read_tags(params)?.unwrap_or_default() };
    let groups = &mut control_plane.store().subnet_groups;
    if groups.contains_key(&name) {
        return Err(ApiError::bad(
            "DBSubnetGroupAlreadyExists",
            format!("The DB subnet group '{name}' already exists."),
        ));
    }
    let shape = render::subnet_group(&name, Some(&group));
    groups.insert(name, group);
    Ok(result().child(shape))
}

/// The zones of a subnet group; `None` is the default one. There is no VPC to ask, so each subnet is in the next zone.
pub fn zones(group: Option<&SubnetGroup>) -> Vec<String> {
    let mut zones = clusters::zones();
    if let Some(group) = group {
        zones.truncate(group.subnets.len());
    }
    zones
}
