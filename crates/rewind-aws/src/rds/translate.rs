//! Translates what several adapters of RDS read and write: instances, tags, and codes of errors. It makes no call.

use super::Instance;
use aws_sdk_rds::types::{DbInstance, Tag};

/// Compares error codes, which RDS writes with or without `Fault` at the end, depending on the operation.
pub(super) fn is(code: Option<&str>, wanted: &str) -> bool {
    code.is_some_and(|code| code.trim_end_matches("Fault") == wanted)
}

pub(super) fn write_tags(tags: &[(String, String)]) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

pub(super) fn read_tags(tags: Option<Vec<Tag>>) -> Vec<(String, String)> {
    let pair = |tag: Tag| Some((tag.key?, tag.value.unwrap_or_default()));
    tags.unwrap_or_default().into_iter().filter_map(pair).collect()
}

pub(super) fn read_instance(i: DbInstance) -> Instance {
    let subnets = i.db_subnet_group.and_then(|group| group.subnets).unwrap_or_default();
    let mut zones: Vec<String> =
        subnets.into_iter().filter_map(|subnet| subnet.subnet_availability_zone?.name).collect();
    zones.sort_unstable();
    zones.dedup();
    Instance {
        name: i.db_instance_identifier.unwrap_or_default(),
        arn: i.db_instance_arn.unwrap_or_default(),
        resource_id: i.dbi_resource_id.unwrap_or_default(),
        status: i.db_instance_status.unwrap_or_default().to_ascii_lowercase(),
        class: i.db_instance_class.unwrap_or_default(),
        endpoint: i.endpoint.and_then(|endpoint| endpoint.address),
        // RDS's own default tier.
        promotion_tier: i.promotion_tier.unwrap_or(1),
        availability_zone: i.availability_zone,
        zones,
        parameter_group: i
            .db_parameter_groups
            .unwrap_or_default()
            .into_iter()
            .find_map(|group| group.db_parameter_group_name),
        maintenance_window: i.preferred_maintenance_window,
        auto_minor_version_upgrade: i.auto_minor_version_upgrade,
        publicly_accessible: i.publicly_accessible,
        ca_certificate: i.ca_certificate_identifier,
        monitoring_interval: i.monitoring_interval.unwrap_or(0),
        monitoring_role: i.monitoring_role_arn,
        performance_insights: i.performance_insights_enabled.unwrap_or(false),
        performance_insights_key: i.performance_insights_kms_key_id,
        performance_insights_retention: i.performance_insights_retention_period,
        tags: read_tags(i.tag_list),
    }
}
