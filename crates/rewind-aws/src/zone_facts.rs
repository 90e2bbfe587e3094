//! Facts of hosted zones that decide beforehand if records can be moved, and if moving them moves all clients.

use crate::AwsResult;
use crate::classify::{Call, classify, code};
use crate::route53::{Route53, every_set};
use crate::route53_role::ReachZones;
use aws_sdk_route53::types::ResourceRecordSet;

/// A record set with what makes it one that cannot be moved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ZoneRecord {
    /// The name, in lower case and without the dot at its end; a wildcard begins with `*`.
    pub name: String,
    /// The type, such as `CNAME`.
    pub kind: String,
    /// The values, in lower case and without the dot at their ends; of an alias its target.
    pub values: Vec<String>,
    /// `HealthCheckId`.
    pub health_check: Option<String>,
    /// `TrafficPolicyInstanceId`.
    pub traffic_policy: Option<String>,
}

/// A hosted zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneName {
    /// The id, without `/hostedzone/`.
    pub id: String,
    /// The name, in lower case and without the dot at its end.
    pub name: String,
    /// True if only VPCs see it.
    pub private: bool,
}

/// Reads facts of hosted zones.
pub trait ReadZones: Send + Sync {
    /// Reads every record set of the zone; none if there is no such zone, or if this role may not read it.
    fn zone_records(&self, zone: &str) -> impl Future<Output = AwsResult<Option<Vec<ZoneRecord>>>> + Send;
    /// Reads the hosted zones of the account of the zones; none if this role may not list them.
    fn zones(&self) -> impl Future<Output = AwsResult<Option<Vec<ZoneName>>>> + Send;
}

impl ReadZones for Route53 {
    /// IAM: `route53:ListResourceRecordSets`, `sts:AssumeRole`.
    async fn zone_records(&self, zone: &str) -> AwsResult<Option<Vec<ZoneRecord>>> {
        let client = self.client().await?;
        let sets = every_set(client.list_resource_record_sets(), zone, is_out_of_sight).await?;
        Ok(sets.map(|sets| sets.into_iter().map(read_record).collect()))
    }

    /// IAM: `route53:ListHostedZones`, `sts:AssumeRole`.
    async fn zones(&self) -> AwsResult<Option<Vec<ZoneName>>> {
        let client = self.client().await?;
        let mut found = Vec::new();
        let mut marker: Option<String> = None;
        loop {
            let page = match client.list_hosted_zones().set_marker(marker).send().await {
                Ok(page) => page,
                Err(e) if is_out_of_sight(code(&e)) => return Ok(None),
                Err(e) => return Err(classify(&e, Call::Read, "route53:ListHostedZones")),
            };
            found.extend(page.hosted_zones.into_iter().map(|zone| ZoneName {
                id: zone.id.trim_start_matches("/hostedzone/").to_owned(),
                name: plain(&zone.name),
                private: zone.config.is_some_and(|config| config.private_zone),
            }));
            marker = page.next_marker.filter(|_| page.is_truncated);
            if marker.is_none() {
                return Ok(Some(found));
            }
        }
    }
}

fn read_record(set: ResourceRecordSet) -> ZoneRecord {
    ZoneRecord {
        name: plain(&set.name),
        kind: set.r#type.as_str().to_owned(),
        values: match set.alias_target {
            Some(alias) => vec![plain(&alias.dns_name)],
            None => set.resource_records.unwrap_or_default().iter().map(|record| plain(&record.value)).collect(),
        },
        health_check: set.health_check_id,
        traffic_policy: set.traffic_policy_instance_id,
    }
}

/// True for an error that means that there is nothing to see for this role, now and later.
fn is_out_of_sight(code: Option<&str>) -> bool {
    // A role for one zone alone is a good role: what it may not see is told, and stops nothing.
    code.is_some_and(|code| code.starts_with("NoSuchHostedZone") || code.starts_with("AccessDenied"))
}

/// Brings a name into the form in which names are compared: Route 53 writes `*` as `\052`.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase().replace("\\052", "*")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_as_people_write_them() {
        assert_eq!(plain("\\052.Example.com."), "*.example.com");
    }
}
