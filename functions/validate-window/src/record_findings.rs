//! Findings about the records: those that Route 53 would refuse to move hours later, and those that would leave clients behind.

use jiff::SignedDuration;
use rewind_aws::rds::{Cluster, Instance};
use rewind_aws::zone_facts::{ReadZones, ZoneName, ZoneRecord};
use rewind_clock::{OutOfTime, within};
use rewind_core::{
    Finding, FindingCode, PlannedRecord, RecordRequest, StepError, TTL_ACCEPTED, format_duration, timeouts,
};
use std::collections::BTreeSet;
use std::time::Instant;

/// The number of other zones that are read, one after another: Route 53 answers an account five calls a second, and others call it too.
const MOST_ZONES: usize = 40;
/// The number of zones that a finding names.
const NAMED_ZONES: usize = 5;
/// The number of records from which on they are counted: a finding that is too long loses its end.
const NAMED_RECORDS: usize = 5;

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
    let endpoints = endpoints(cluster, instances);
    match within(timeouts::ZONE_READ, Box::pin(zones.zone_records(zone))).await {
        Ok(records) => {
            let records = records?.unwrap_or_default();
            findings.extend(planned.iter().flat_map(|record| unmovable(record, &records)));
            let fix = "name them in `dns` as well, if clients use them";
            findings.extend(unnamed(&format!("the zone {zone}"), planned, &records, &endpoints, fix));
        }
        Err(OutOfTime) => findings.push(unread(zone, planned)),
    }
    findings.extend(elsewhere(zones, zone, planned, &endpoints).await?);
    Ok(findings)
}

/// The finding about a zone of the planned records that is too large to read in time.
fn unread(zone: &str, planned: &[PlannedRecord]) -> Finding {
    let names: Vec<&str> = planned.iter().map(|record| record.name.as_str()).collect();
    Finding::warning(
        FindingCode::ZonesUnread,
        format!("the zone {zone} of {} could not be read whole in time", names.join(", ")),
        "see by hand whether other records of it lead to the source, and whether these have a health check or a traffic policy, \
         with which Route 53 does not let them be moved",
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

/// Records of a zone that lead to the source and were not named: their clients would meet the fence.
fn unnamed(
    zone: &str,
    planned: &[PlannedRecord],
    records: &[ZoneRecord],
    endpoints: &BTreeSet<String>,
    fix: &str,
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
        let (count, shown) = (left.len(), left.join(", "));
        let which = if count > NAMED_RECORDS { format!("{count} records, {shown}") } else { shown };
        Finding::warning(
            FindingCode::RecordUnnamed,
            format!("{which} in {zone} lead to the source too, and would stay there"),
            fix,
        )
    })
}

/// Other zones of the account of the zones: whoever resolves the same names there, or other names of the source, stays on it.
async fn elsewhere<Z: ReadZones>(
    zones: &Z,
    zone: &str,
    planned: &[PlannedRecord],
    endpoints: &BTreeSet<String>,
) -> Result<Vec<Finding>, StepError> {
    let until = Instant::now() + timeouts::OTHER_ZONES_READ;
    let left = || until.saturating_duration_since(Instant::now());
    let mut others = match within(left(), Box::pin(zones.zones())).await {
        Ok(all) => match all? {
            Some(all) => all,
            None => {
                let fix = "see whether one does, and allow route53:ListHostedZones to the role that reads the zones \
                           (HostedZoneReadRoleArn)";
                return Ok(vec![unlisted("cannot be listed", fix)]);
            }
        },
        Err(OutOfTime) => return Ok(vec![unlisted("could not be listed in time", "see whether one does")]),
    };
    others.retain(|other| other.id != zone);
    let may_hold = |other: &ZoneName| {
        let is_in =
            |record: &PlannedRecord| record.name == other.name || record.name.ends_with(&format!(".{}", other.name));
        planned.iter().any(is_in)
    };
    // First those that may hold the same names, which are few: none of them goes unread.
    others.sort_by_key(|other| !may_hold(other));
    let (mut findings, mut refused, mut late) = (Vec::new(), Vec::new(), Vec::new());
    for (at, other) in others.iter().enumerate() {
        let kind = if other.private { "private" } else { "public" };
        let name = format!("the {kind} zone {} ({})", other.id, other.name);
        let time = left();
        // No call is begun that nobody waits for.
        let read = if at < MOST_ZONES && !time.is_zero() {
            within(time, Box::pin(zones.zone_records(&other.id))).await
        } else {
            Err(OutOfTime)
        };
        match read {
            Ok(Ok(Some(records))) => {
                findings.extend(planned.iter().filter(|record| records.iter().any(|set| set.name == record.name)).map(
                    |record| {
                        Finding::warning(
                            FindingCode::RecordElsewhere,
                            format!("{} is in {name} too: who resolves it there is not moved", record.name),
                            "move that record by hand after the cutover, or give it the same value beforehand",
                        )
                    },
                ));
                let fix =
                    "move them by hand after the cutover, if clients use them: a recovery moves records of one zone";
                findings.extend(unnamed(&name, planned, &records, endpoints, fix));
            }
            Ok(Ok(None)) if may_hold(other) => findings.push(Finding::warning(
                FindingCode::RecordElsewhere,
                format!("{name} may hold the same names, and cannot be read"),
                "see whether it does, and allow the functions to read it (HostedZoneArns)",
            )),
            Ok(Ok(None)) => refused.push(name),
            // A zone that is none of the plan's stops no recovery.
            Ok(Err(_)) | Err(OutOfTime) => late.push(name),
        }
    }
    findings.extend(others_unread(
        &refused,
        "may not be read",
        "see whether records there lead to the source, and allow the functions to read them (HostedZoneArns)",
    ));
    let seconds = timeouts::OTHER_ZONES_READ.as_secs();
    findings.extend(others_unread(
        &late,
        "could not be read in time",
        &format!(
            "{MOST_ZONES} are read, in {seconds} s: see by hand whether records there lead to the source (aws route53 \
             list-resource-record-sets --hosted-zone-id …)"
        ),
    ));
    Ok(findings)
}

/// The finding about an account whose zones are not known.
fn unlisted(why: &str, fix: &str) -> Finding {
    Finding::warning(
        FindingCode::RecordElsewhere,
        format!(
            "the hosted zones of the account {why}: other zones may hold the same names, and other records that lead to the source"
        ),
        fix,
    )
}

/// The finding about other zones whose records nobody has read; none if there are none.
fn others_unread(names: &[String], why: &str, fix: &str) -> Option<Finding> {
    let shown = names.iter().take(NAMED_ZONES).cloned().collect::<Vec<_>>().join(", ");
    let more = match names.len().saturating_sub(NAMED_ZONES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!names.is_empty()).then(|| {
        let zones = if names.len() == 1 { "zone" } else { "zones" };
        let what = format!("{} other {zones} of the account {why}: {shown}{more}", names.len());
        Finding::warning(FindingCode::ZonesUnread, what, fix)
    })
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
        /// A zone that fails.
        broken: &'static str,
    }

    impl ReadZones for World {
        async fn zone_records(&self, zone: &str) -> AwsResult<Option<Vec<ZoneRecord>>> {
            if zone == self.broken {
                return Err(StepError::new(rewind_core::ErrorName::Throttled, "Rate exceeded"));
            }
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
        World { zones: Some(vec![zone("Z1", "example.com", false)]), records: vec![("Z1", records)], broken: "" }
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
        world.records.push(("Z2", records));
        let all = found(&world, 5, None).await;
        assert_eq!(all.len(), 3, "{all:?}");
        // No name of example.com is in it.
        assert!(all[2].what.starts_with("1 other zone of the account may not be read: the public zone Z3"), "{all:?}");
        assert!(all[0].what.contains("db.example.com is in the private zone Z2 (example.com) too"), "{all:?}");
        assert!(all[1].what.contains("Z4 (com) may hold the same names, and cannot be read"), "{all:?}");
        // A role that may list nothing sees its own zone alone, and that is told.
        world.zones = None;
        let found = found(&world, 5, None).await;
        let (blocking, code, what) = only(&found);
        assert_eq!((blocking, code), (false, "record-elsewhere"));
        assert!(what.contains("cannot be listed") && found[0].fix.contains("route53:ListHostedZones"), "{found:?}");
    }

    #[tokio::test]
    async fn records_of_other_zones_that_lead_to_the_source_are_told() {
        let mut world = world(vec![cname("db.example.com", ENDPOINT)]);
        world.zones = Some(vec![zone("Z1", "example.com", false), zone("Z2", "elsewhere.org", true)]);
        world
            .records
            .push(("Z2", vec![cname("old.elsewhere.org", ENDPOINT), cname("other.elsewhere.org", "x.example.com")]));
        let found = found(&world, 5, None).await;
        let (blocking, code, what) = only(&found);
        assert_eq!((blocking, code), (false, "record-unnamed"));
        assert!(what.starts_with("old.elsewhere.org (CNAME) in the private zone Z2 (elsewhere.org)"), "{what}");
        assert!(found[0].fix.contains("by hand"), "{found:?}");
    }

    #[tokio::test]
    async fn zones_that_were_not_read_are_counted_and_named() {
        let mut world = world(vec![cname("db.example.com", ENDPOINT)]);
        let ids: Vec<&'static str> = (0..MOST_ZONES + 7).map(|n| &*format!("Z9{n:02}").leak()).collect();
        let others = ids.iter().map(|id| zone(id, "elsewhere.org", false));
        // The last of the list, and read all the same: it may hold the name.
        world.zones = Some(others.chain([zone("ZLAST", "com", false)]).collect());
        world.records.extend(ids.iter().map(|id| (*id, Vec::new())));
        world.records.push(("ZLAST", vec![cname("db.example.com", ENDPOINT)]));
        world.broken = ids[0];
        let all = found(&world, 5, None).await;
        assert_eq!(all.len(), 2, "{all:?}");
        assert!(all[0].what.starts_with("db.example.com is in the public zone ZLAST"), "{all:?}");
        // One that failed, and those beyond the bound.
        let what = &all[1].what;
        assert!(
            what.starts_with("9 other zones of the account could not be read in time: the public zone Z900"),
            "{what}"
        );
        assert!(what.ends_with("and 4 more") && all[1].code == "zones-unread", "{all:?}");
        // Those that the role may not read are told apart.
        world.records.retain(|(id, _)| !id.starts_with("Z9"));
        world.broken = "";
        let all = found(&world, 5, None).await;
        assert!(
            all[1].what.starts_with(&format!("{} other zones of the account may not be read", MOST_ZONES - 1)),
            "{all:?}"
        );
    }

    #[tokio::test]
    async fn many_records_that_lead_to_the_source_are_counted() {
        let mut records = vec![cname("db.example.com", ENDPOINT)];
        records.extend((0..9).map(|n| cname(&format!("n{n}.example.com"), ENDPOINT)));
        let found = found(&world(records), 5, None).await;
        assert!(only(&found).2.starts_with("9 records, n0.example.com (CNAME), n1"), "{found:?}");
    }
}
