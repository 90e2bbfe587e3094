//! Plans the records: each must be a simple CNAME that points at the cluster now.

use crate::refusal::invalid;
use rewind_aws::rds::{Cluster, Instance};
use rewind_aws::route53::{RecordSet, Zones};
use rewind_core::{Endpoint, PlannedRecord, RecordRequest, StepError};

/// The planned records, with warnings about them.
pub(crate) struct Records {
    pub(crate) records: Vec<PlannedRecord>,
    pub(crate) warnings: Vec<String>,
}

pub(crate) async fn plan<Z: Zones>(
    zones: &Z,
    requests: &[RecordRequest],
    cluster: &Cluster,
    instances: &[Instance],
) -> Result<Records, StepError> {
    let mut planned = Records { records: Vec::new(), warnings: Vec::new() };
    for request in requests {
        let sets = zones.record_sets(&request.hosted_zone_id, &request.name).await?;
        let (ttl, value) = simple_cname(request, &sets)?;
        let target = value.trim_end_matches('.').to_ascii_lowercase();
        let wanted = match request.endpoint {
            Endpoint::Writer => cluster.endpoint.as_deref(),
            Endpoint::Reader => cluster.reader_endpoint.as_deref(),
        };
        if wanted != Some(target.as_str()) {
            // A record of another cluster is a typing mistake that would move somebody else's traffic.
            if !is_of_cluster(&target, cluster, instances) {
                return Err(invalid(format!("`dns`: {} points at {target}, not at {}", request.name, cluster.name))
                    .advice(format!(
                        "name records that point at {} now",
                        cluster.endpoint.as_deref().unwrap_or("it")
                    )));
            }
            planned.warnings.push(format!(
                "{} points at {target} now and will point at the cluster endpoint of its kind afterwards",
                request.name
            ));
        }
        planned.records.push(PlannedRecord {
            hosted_zone_id: request.hosted_zone_id.clone(),
            name: request.name.clone(),
            ttl,
            from: value.to_owned(),
            endpoint: request.endpoint,
        });
    }
    Ok(planned)
}

/// In place traffic stays where it is, so no record moves.
pub(crate) fn ignored(requests: &[RecordRequest]) -> Records {
    let names: Vec<&str> = requests.iter().map(|request| request.name.as_str()).collect();
    let warning = (!names.is_empty()).then(|| {
        format!("`dns` is left alone: in place the endpoints stay the same, so {} need not move", names.join(", "))
    });
    Records { records: Vec::new(), warnings: warning.into_iter().collect() }
}

fn is_of_cluster(target: &str, cluster: &Cluster, instances: &[Instance]) -> bool {
    [&cluster.endpoint, &cluster.reader_endpoint].into_iter().flatten().any(|endpoint| endpoint == target)
        || cluster.custom_endpoints.iter().any(|endpoint| endpoint == target)
        || instances.iter().any(|instance| instance.endpoint.as_deref() == Some(target))
}

fn simple_cname<'a>(request: &RecordRequest, sets: &'a [RecordSet]) -> Result<(i64, &'a str), StepError> {
    let name = &request.name;
    match sets {
        [] => Err(invalid(format!("`dns`: there is no record {name} in the zone {}", request.hosted_zone_id))
            .advice("name a record that is there")),
        [RecordSet { kind, ttl: Some(ttl), values, routed: false, .. }] if kind == "CNAME" => match values.as_slice() {
            [value] => Ok((*ttl, value)),
            _ => Err(not_simple(name, "it has several values")),
        },
        // With a routing policy one name has several records, and moving one of them moves a part of the clients.
        [set] if set.routed => {
            Err(not_simple(name, "it has a routing policy (weighted, latency, failover or the like)"))
        }
        [set] if set.ttl.is_none() => Err(not_simple(name, "it is an alias")),
        [set] => Err(not_simple(name, &format!("it is of type {}", set.kind))),
        _ => Err(not_simple(name, "there are several record sets of that name")),
    }
}

fn not_simple(name: &str, what: &str) -> StepError {
    invalid(format!("`dns`: {name} is no simple CNAME: {what}"))
        .advice("only a simple CNAME can be moved by compare-and-swap; make it one first, or leave it out")
}
