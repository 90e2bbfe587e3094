//! Findings about the records: those that Route 53 would refuse to move hours later, and those that would leave clients behind.

use jiff::SignedDuration;
use rewind_aws::rds::{Cluster, Instance};
use rewind_aws::zone_facts::{ReadZones, ZoneName, ZoneRecord};
use rewind_core::{Finding, FindingCode, PlannedRecord, RecordRequest, StepError, TTL_ACCEPTED, format_duration};
use std::collections::BTreeSet;

/// The number of other zones that are read.
const MOST_ZONES: usize = 5;

/// The findings about the planned records, which all are in one zone.
pub(crate) async fn find<Z: ReadZones>(
    zones: &Z,
    requests: &[RecordRequest],
    planned: &[PlannedRecord],
    cluster: &Cluster,
    instances: &[Instance],
) -> Result<Vec<Finding>, StepError> {
    let Some(zone) = planned.first().map(|record| record.hosted_zone_id.as_str()) else { return Ok(Vec::new()) };
    let mut findings: Vec<Finding> = planned
        .iter()
        .filter_map(|record| {
            let request = requests.iter().find(|request| request.name == record.name)?;
            slow(record, request.accept_ttl)
        })
        .collect();
    let records = zones.zone_records(zone).await?.unwrap_or_default();
    findings.extend(planned.iter().flat_map(|record| unmovable(record, &records)));
    findings.extend(unnamed(zone, planned, &records, &endpoints(cluster, instances)));
    findings.extend(elsewhere(zones, zone, planned).await?);
    Ok(findings)
}

/// The finding about zones that are too large to read in time.
pub(crate) fn unread(planned: &[PlannedRecord]) -> Finding {
    let names: Vec<&str> = planned.iter().map(|record| record.name.as_str()).collect();
    Finding::warning(
        FindingCode::RecordUnnamed,
        format!("the zones of {} could not be read whole in time", names.join(", ")),
        "see by hand whether other records lead to the source, and whether the names are in other zones",
    )
}

/// A record that clients keep for long after it moved.
fn slow(record: &PlannedRecord, accepted: Option<SignedDuration>) -> Option<Finding> {
    let ttl = SignedDuration::from_secs(record.ttl);
    (ttl > accepted.unwrap_or(TTL_ACCEPTED).max(TTL_ACCEPTED)).then(|| {
        let ttl = format_duration(ttl);
        Finding::blocking(
            FindingCode::RecordTtl,
            format!("{} has a TTL of {ttl}: clients may look for the fenced source that long", record.name),
            format!(
                "lower it, and wait for {ttl} before the recovery; or accept it with `\"acceptTtl\": \"{ttl}\"` beside \
                 the record's name"
            ),
        )
    })
}

/// Reasons for which Route 53 would refuse to delete the record by its value.
fn unmovable(record: &PlannedRecord, records: &[ZoneRecord]) -> Vec<Finding> {
    let name = &record.name;
    let mut findings = Vec::new();
    for set in records.iter().filter(|set| set.name == *name && set.kind == "CNAME") {
        if let Some(id) = &set.health_check {
            findings.push(Finding::blocking(
                FindingCode::RecordHealthCheck,
                format!(
                    "{name} has the health check {id}: Route 53 refuses to delete it without, and it would be lost"
                ),
                "take the health check off the record, which has one value and nothing to fail over to",
            ));
        }
        if let Some(id) = &set.traffic_policy {
            findings.push(Finding::blocking(
                FindingCode::RecordTrafficPolicy,
                format!("{name} belongs to the traffic policy instance {id}, and can be changed only by it"),
                "replace the policy record by a plain CNAME, or leave it out and move it by the policy",
            ));
        }
    }
    findings
}

/// Records of the zone that lead to the source and were not named: their clients would meet the fence.
fn unnamed(
    zone: &str,
    planned: &[PlannedRecord],
    records: &[ZoneRecord],
    endpoints: &BTreeSet<String>,
) -> Option<Finding> {
    let left: Vec<String> = records
        .iter()
        .filter(|set| !planned.iter().any(|record| record.name == set.name))
        .filter(|set| {
            // MX and SRV records have numbers beside the host.
            let mut words = set.values.iter().flat_map(|value| value.split_whitespace());
            words.any(|word| endpoints.contains(word.trim_end_matches('.')))
        })
        .map(|set| format!("{} ({})", set.name, set.kind))
        .collect();
    (!left.is_empty()).then(|| {
        Finding::warning(
            FindingCode::RecordUnnamed,
            format!("{} in the zone {zone} lead to the source too, and would stay there", left.join(", ")),
            "name them in `dns` as well, if clients use them",
        )
    })
}

/// The same names in other zones of the account of the zones: whoever resolves them there stays on the source.
async fn elsewhere<Z: ReadZones>(zones: &Z, zone: &str, planned: &[PlannedRecord]) -> Result<Vec<Finding>, StepError> {
    let Some(all) = zones.zones().await? else {
        return Ok(vec![Finding::warning(
            FindingCode::RecordElsewhere,
            "the hosted zones of the account cannot be listed: other zones may hold the same names",
            "see whether one does, and allow route53:ListHostedZones to the role that reads the zones (HostedZoneReadRoleArn)",
        )]);
    };
    let is_above = |other: &ZoneName, record: &PlannedRecord| {
        record.name == other.name || record.name.ends_with(&format!(".{}", other.name))
    };
    let others: Vec<&ZoneName> = all
        .iter()
        .filter(|other| other.id != zone && planned.iter().any(|record| is_above(other, record)))
        .take(MOST_ZONES)
        .collect();
    let mut findings = Vec::new();
    for other in others {
        let kind = if other.private { "private" } else { "public" };
        let Some(records) = zones.zone_records(&other.id).await? else {
            findings.push(Finding::warning(
                FindingCode::RecordElsewhere,
                format!("the {kind} zone {} ({}) may hold the same names, and cannot be read", other.id, other.name),
                "see whether it does, and allow the functions to read it (HostedZoneArns)",
            ));
            continue;
        };
        for record in planned.iter().filter(|record| records.iter().any(|set| set.name == record.name)) {
            findings.push(Finding::warning(
                FindingCode::RecordElsewhere,
                format!("{} is in the {kind} zone {} too: who resolves it there is not moved", record.name, other.id),
                "move that record by hand after the cutover, or give it the same value beforehand",
            ));
        }
    }
    Ok(findings)
}

fn endpoints(cluster: &Cluster, instances: &[Instance]) -> BTreeSet<String> {
    let own = cluster.endpoint.iter().chain(&cluster.reader_endpoint).chain(&cluster.custom_endpoints);
    own.chain(instances.iter().filter_map(|instance| instance.endpoint.as_ref()))
        .map(|name| name.trim_end_matches('.').to_ascii_lowercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_aws::AwsResult;
    use rewind_aws::fixtures::{instances, source};
    use rewind_core::Endpoint;

    struct World {
        zones: Option<Vec<ZoneName>>,
        records: Vec<(&'static str, Vec<ZoneRecord>)>,
    }

    impl ReadZones for World {
        async fn zone_records(&self, zone: &str) -> AwsResult<Option<Vec<ZoneRecord>>> {
            Ok(self.records.iter().find(|(id, _)| *id == zone).map(|(_, records)| records.clone()))
        }

        async fn zones(&self) -> AwsResult<Option<Vec<ZoneName>>> {
            Ok(self.zones.clone())
        }
    }

    const ENDPOINT: &str = "orders.cluster-x.us-east-1.rds.amazonaws.com";

    fn cname(name: &str, value: &str) -> ZoneRecord {
        ZoneRecord {
            name: name.to_owned(),
            kind: "CNAME".to_owned(),
            values: vec![value.to_owned()],
            ..ZoneRecord::default()
        }
    }

    fn zone(id: &str, name: &str, private: bool) -> ZoneName {
        ZoneName { id: id.to_owned(), name: name.to_owned(), private }
    }

    async fn found(world: &World, ttl: i64, accept: Option<i64>) -> Vec<Finding> {
        let request = RecordRequest {
            hosted_zone_id: "Z1".to_owned(),
            name: "db.example.com".to_owned(),
            endpoint: None,
            accept_ttl: accept.map(SignedDuration::from_secs),
        };
        let planned = PlannedRecord {
            hosted_zone_id: "Z1".to_owned(),
            name: "db.example.com".to_owned(),
            ttl,
            from: ENDPOINT.to_owned(),
            endpoint: Endpoint::Writer,
        };
        let instances: Vec<Instance> = instances().into_iter().map(|(_, instance)| instance).collect();
        find(world, &[request], &[planned], &source(), &instances).await.unwrap()
    }

    fn world(records: Vec<ZoneRecord>) -> World {
        World { zones: Some(vec![zone("Z1", "example.com", false)]), records: vec![("Z1", records)] }
    }

    fn only(found: &[Finding]) -> (bool, &str, &str) {
        let [finding] = found else { panic!("{found:?}") };
        (finding.is_blocking(), finding.code.as_str(), finding.what.as_str())
    }

    #[tokio::test]
    async fn a_long_ttl_needs_a_word_that_is_as_long() {
        let plain = world(vec![cname("db.example.com", ENDPOINT)]);
        for (ttl, accept) in [(300, None), (3_600, Some(3_600)), (301, Some(3_600))] {
            assert_eq!(found(&plain, ttl, accept).await, [], "{ttl} {accept:?}");
        }
        for (ttl, accept) in [(301, None), (3_600, Some(3_599)), (301, Some(1))] {
            assert_eq!(only(&found(&plain, ttl, accept).await).1, "record-ttl", "{ttl} {accept:?}");
        }
        let refused = found(&plain, 3_600, None).await;
        assert!(refused[0].fix.contains("`\"acceptTtl\": \"1h\"`"), "{refused:?}");
    }

    #[tokio::test]
    async fn a_record_that_route_53_would_not_delete_blocks() {
        let checked = ZoneRecord { health_check: Some("hc-1".to_owned()), ..cname("db.example.com", ENDPOINT) };
        assert!(matches!(only(&found(&world(vec![checked]), 5, None).await), (true, "record-health-check", _)));
        let policy = ZoneRecord { traffic_policy: Some("tp-1".to_owned()), ..cname("db.example.com", ENDPOINT) };
        assert!(matches!(only(&found(&world(vec![policy]), 5, None).await), (true, "record-traffic-policy", _)));
    }

    #[tokio::test]
    async fn records_that_lead_to_the_source_and_are_not_named_are_told() {
        let records = vec![
            cname("db.example.com", ENDPOINT),
            cname("*.old.example.com", ENDPOINT),
            cname("one.example.com", "orders-2.x.us-east-1.rds.amazonaws.com"),
            cname("elsewhere.example.com", "db.example.org"),
        ];
        let found = found(&world(records), 5, None).await;
        let (blocking, code, what) = only(&found);
        assert_eq!((blocking, code), (false, "record-unnamed"));
        assert!(what.starts_with("*.old.example.com (CNAME), one.example.com (CNAME) in the zone Z1"), "{what}");
    }

    #[tokio::test]
    async fn the_same_name_in_another_zone_is_told() {
        let records = vec![cname("db.example.com", ENDPOINT)];
        let mut world = world(records.clone());
        world.zones = Some(vec![
            zone("Z1", "example.com", false),
            zone("Z2", "example.com", true),
            zone("Z3", "ample.com", false),
            zone("Z4", "com", false),
        ]);
        world.records.push(("Z2", records.clone()));
        world.records.push(("Z3", records));
        let all = found(&world, 5, None).await;
        assert_eq!(all.len(), 2, "{all:?}");
        assert!(all[0].what.contains("db.example.com is in the private zone Z2 too"), "{all:?}");
        assert!(all[1].what.contains("Z4 (com) may hold the same names, and cannot be read"), "{all:?}");
        // A role that may list nothing sees its own zone alone, and that is told.
        world.zones = None;
        let found = found(&world, 5, None).await;
        let (blocking, code, what) = only(&found);
        assert_eq!((blocking, code), (false, "record-elsewhere"));
        assert!(what.contains("cannot be listed") && found[0].fix.contains("route53:ListHostedZones"), "{found:?}");
    }
}
