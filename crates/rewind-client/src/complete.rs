//! Completes what a person left out of a request: the cluster behind a record, the zone of a record, and the day and zone of a
//! time of day. It only reads, and guesses nothing: what fits twice is refused with what would be right.

use crate::moment::{TypedAt, resolve};
use crate::{ClientError, ClientResult, RecoveryClient};
use jiff::Timestamp;
use rewind_aws::route53::Zones;
use rewind_aws::zone_facts::{ReadZones, ZoneName};
use rewind_ui::{RequestArgs, RequestOptions};

impl<E, R, F> RecoveryClient<E, R, F> {
    /// Completes the arguments of a request that were typed at `place`.
    ///
    /// # Errors
    ///
    /// `Usage` where something fits nothing or twice; errors of AWS.
    pub async fn completed_request<Z: ReadZones + Zones>(
        &self,
        zones: &Z,
        args: &RequestArgs,
        (now, place): (Timestamp, &TypedAt),
    ) -> ClientResult<RequestArgs> {
        complete(zones, args, now, place).await
    }

    /// Completes the records among the options: `db.example.com` and `db.example.com:reader` get their zone.
    ///
    /// # Errors
    ///
    /// `Usage` where no zone has such a record, or several have; errors of AWS.
    pub async fn completed_options<Z: ReadZones + Zones>(
        &self,
        zones: &Z,
        options: &RequestOptions,
    ) -> ClientResult<RequestOptions> {
        complete_options(zones, options).await
    }
}

async fn complete<Z: ReadZones + Zones>(
    zones: &Z,
    args: &RequestArgs,
    now: Timestamp,
    place: &TypedAt,
) -> ClientResult<RequestArgs> {
    let mut args = args.clone();
    // Before the zones are read: a wrong time is answered at once.
    if !args.to.is_empty() {
        args.to = vec![resolve(&args.to.join(" "), now, place).map_err(ClientError::Usage)?];
    }
    args.options = complete_options(zones, &args.options).await?;
    // No identifier of a cluster has a dot, and every name of a record has one.
    if let Some(name) = args.cluster.clone().filter(|name| name.contains('.')) {
        let zone = zone_of(zones, &name).await?;
        args.cluster = Some(cluster_behind(zones, &zone, &name).await?);
        // Whoever calls the database by its name wants that name to lead to the data.
        if args.options.dns.is_empty() {
            args.options.dns = vec![format!("{zone}:{name}")];
        }
    }
    Ok(args)
}

async fn complete_options<Z: ReadZones + Zones>(zones: &Z, options: &RequestOptions) -> ClientResult<RequestOptions> {
    let mut options = options.clone();
    for record in &mut options.dns {
        let name = record.split(':').next().unwrap_or_default().trim().to_owned();
        // No id of a zone has a dot.
        if name.contains('.') {
            *record = format!("{}:{}", zone_of(zones, &name).await?, record.trim());
        }
    }
    Ok(options)
}

/// Finds the id of the zone that has a record set of that name.
async fn zone_of<Z: ReadZones + Zones>(zones: &Z, name: &str) -> ClientResult<String> {
    let usage =
        |why: String| ClientError::Usage(format!("{why}; nothing was started; next step: give --dns ZONE:{name}"));
    let known = zones.zones().await?;
    let known = known.ok_or_else(|| usage("the hosted zones may not be listed from here".to_owned()))?;
    let fitting = closest(&known, name);
    let mut holding = Vec::new();
    for zone in &fitting {
        // A public and a private zone may have one name, and often only one of them has the record.
        if !zones.record_sets(&zone.id, &plain(name)).await?.is_empty() {
            holding.push(*zone);
        }
    }
    match holding.as_slice() {
        [zone] => Ok(zone.id.clone()),
        [] => Err(usage(match fitting.first() {
            Some(zone) => format!("the hosted zone {} has no record {name}", zone.name),
            None => format!("no hosted zone of this account could hold {name}"),
        })),
        several => {
            let ids: Vec<&str> = several.iter().map(|zone| zone.id.as_str()).collect();
            Err(usage(format!("the hosted zones {} have a record {name}", ids.join(" and "))))
        }
    }
}

/// The zones with the longest name that `name` ends in.
fn closest<'a>(zones: &'a [ZoneName], name: &str) -> Vec<&'a ZoneName> {
    let name = plain(name);
    let fits = |zone: &&ZoneName| name == zone.name || name.ends_with(&format!(".{}", zone.name));
    // As DNS delegates: the zone with the longest name answers for it.
    let longest = zones.iter().filter(fits).map(|zone| zone.name.len()).max();
    zones.iter().filter(fits).filter(|zone| Some(zone.name.len()) == longest).collect()
}

/// Finds the cluster that a record leads to, by the cluster's endpoint.
async fn cluster_behind<Z: Zones>(zones: &Z, zone: &str, name: &str) -> ClientResult<String> {
    let sets = zones.record_sets(zone, &plain(name)).await?;
    let values: Vec<&str> = sets.iter().flat_map(|set| &set.values).map(String::as_str).collect();
    let found = match values.as_slice() {
        // The name before a custom endpoint is its own, and not the cluster's.
        [value] => value.split_once(".cluster-").filter(|(_, rest)| !rest.starts_with("custom-")),
        _ => None,
    };
    match found {
        Some((cluster, _)) => Ok(cluster.to_ascii_lowercase()),
        None => Err(ClientError::Usage(format!(
            "{name} leads to {}, and not to the endpoint of one cluster; nothing was started; next step: give the cluster's identifier",
            values.join(", ")
        ))),
    }
}

fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rewind_aws::AwsResult;
    use rewind_aws::route53::RecordSet;
    use rewind_aws::zone_facts::ZoneRecord;

    /// Zones by id and name, with names of records and where they lead.
    struct FakeZones(Vec<(&'static str, &'static str, Vec<FakeRecord>)>);

    type FakeRecord = (&'static str, &'static str);

    impl ReadZones for FakeZones {
        async fn zone_records(&self, _: &str) -> AwsResult<Option<Vec<ZoneRecord>>> {
            Ok(None)
        }

        async fn zones(&self) -> AwsResult<Option<Vec<ZoneName>>> {
            let zone = |(id, name, _): &(&str, &str, _)| ZoneName {
                id: (*id).to_owned(),
                name: (*name).to_owned(),
                private: false,
            };
            Ok(Some(self.0.iter().map(zone).collect()))
        }
    }

    impl Zones for FakeZones {
        async fn record_sets(&self, zone: &str, name: &str) -> AwsResult<Vec<RecordSet>> {
            let records = self.0.iter().filter(|(id, _, _)| *id == zone).flat_map(|(_, _, records)| records);
            let set = |(record, value): &(&str, &str)| RecordSet {
                name: (*record).to_owned(),
                kind: "CNAME".to_owned(),
                ttl: Some(5),
                values: vec![(*value).to_owned()],
                routed: false,
            };
            Ok(records.filter(|(record, _)| *record == name).map(set).collect())
        }
    }

    fn zones() -> FakeZones {
        let writer = "orders.cluster-x.eu-west-1.rds.amazonaws.com";
        FakeZones(vec![
            ("ZCOM", "example.com", vec![("db.example.com", writer), ("cname.example.com", "elsewhere.example.org")]),
            ("ZSUB", "eu.example.com", vec![("db.eu.example.com", writer)]),
            ("ZPRIVATE", "example.com", vec![("inner.example.com", writer)]),
            ("ZA", "twice.com", vec![("db.twice.com", writer)]),
            ("ZB", "twice.com", vec![("db.twice.com", writer)]),
        ])
    }

    fn completed(cluster: &str, dns: &[&str]) -> ClientResult<RequestArgs> {
        let args = RequestArgs {
            cluster: Some(cluster.to_owned()),
            to: vec!["5m".to_owned(), "ago".to_owned()],
            options: RequestOptions {
                dns: dns.iter().map(|record| (*record).to_owned()).collect(),
                ..Default::default()
            },
        };
        let now = "2026-11-23T10:35:00Z".parse().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(complete(&zones(), &args, now, &TypedAt::Machine(jiff::tz::TimeZone::UTC)))
    }

    #[test]
    fn a_record_finds_its_zone_and_keeps_its_endpoint() {
        for (given, expected) in [
            ("db.example.com", "ZCOM:db.example.com"),
            ("db.eu.example.com:reader", "ZSUB:db.eu.example.com:reader"),
            // Of two zones of one name the one that has the record.
            ("inner.example.com", "ZPRIVATE:inner.example.com"),
            ("Z0123:db.example.com", "Z0123:db.example.com"),
        ] {
            assert_eq!(completed("orders", &[given]).unwrap().options.dns, [expected], "{given}");
        }
    }

    #[test]
    fn a_cluster_is_found_by_the_record_that_leads_to_it_and_the_record_is_moved() {
        let args = completed("DB.example.com", &[]).unwrap();
        assert_eq!(
            (args.cluster.as_deref(), args.options.dns),
            (Some("orders"), vec!["ZCOM:DB.example.com".to_owned()])
        );
        let args = completed("db.example.com", &["Z9:other.example.com"]).unwrap();
        assert_eq!(args.options.dns, ["Z9:other.example.com"]);
        assert_eq!(completed("orders", &[]).unwrap().to, ["5m ago"]);
    }

    #[test]
    fn what_fits_nothing_or_twice_is_refused() {
        for (cluster, dns, why) in [
            ("orders", "db.elsewhere.org", "no hosted zone"),
            ("orders", "nope.example.com", "has no record"),
            ("orders", "db.twice.com", "ZA and ZB"),
            ("cname.example.com", "Z9:x.example.com", "not to the endpoint of one cluster"),
        ] {
            let refused = completed(cluster, &[dns]).unwrap_err();
            assert!(
                refused.to_string().contains(why) && refused.to_string().contains("nothing was started"),
                "{refused:?}"
            );
        }
    }
}
