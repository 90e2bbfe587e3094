//! Plans the records: each must be a simple CNAME that points at the cluster now.

use crate::refusal::{Refusals, invalid};
use rewind_aws::rds::{Cluster, Instance};
use rewind_aws::route53::{RecordSet, Zones};
use rewind_core::{Endpoint, Finding, FindingCode, PlannedRecord, RecordRequest, StepError};

/// The planned records, with warnings about them.
pub(crate) struct Records {
    pub(crate) records: Vec<PlannedRecord>,
    pub(crate) warnings: Vec<String>,
    pub(crate) findings: Vec<Finding>,
}

pub(crate) async fn plan<Z: Zones>(
    zones: &Z,
    requests: &[RecordRequest],
    cluster: &Cluster,
    instances: &[Instance],
    refusals: &mut Refusals,
) -> Result<Records, StepError> {
    let mut planned = Records { records: Vec::new(), warnings: Vec::new(), findings: Vec::new() };
    for request in requests {
        refusals.keep(add(&mut planned, zones, request, cluster, instances).await)?;
    }
    Ok(planned)
}

/// Adds one record.
async fn add<Z: Zones>(
    planned: &mut Records,
    zones: &Z,
    request: &RecordRequest,
    cluster: &Cluster,
    instances: &[Instance],
) -> Result<(), StepError> {
    let sets = zones.record_sets(&request.hosted_zone_id, &request.name).await?;
    let (ttl, value) = simple_cname(request, &sets)?;
    let target = value.trim_end_matches('.').to_ascii_lowercase();
    let present = kind_of(&target, cluster, instances);
    let endpoint = match (request.endpoint, present) {
        (Some(asked), _) => asked,
        (None, Some(kind)) => kind,
        // Refused below where it is not of this cluster; a custom endpoint has no kind.
        (None, None) if !cluster.answers_as(&target, instances) => Endpoint::Writer,
        (None, None) => {
            return Err(invalid(format!(
                "`dns`: {} points at {target}, a custom endpoint, which the restored cluster does not have",
                request.name
            ))
            .advice("write `\"endpoint\": \"writer\"` or `\"endpoint\": \"reader\"` beside the record's name"));
        }
    };
    if let Some(kind) = present.filter(|kind| *kind != endpoint) {
        planned.findings.push(contradicted(&request.name, kind, endpoint));
    }
    let wanted = match endpoint {
        Endpoint::Writer => cluster.endpoint.as_deref(),
        Endpoint::Reader => cluster.reader_endpoint.as_deref(),
    };
    if wanted != Some(target.as_str()) {
        // A record of another cluster is a typing mistake that would move somebody else's traffic.
        if !cluster.answers_as(&target, instances) {
            return Err(invalid(format!("`dns`: {} points at {target}, not at {}", request.name, cluster.name))
                .advice(format!("name records that point at {} now", cluster.endpoint.as_deref().unwrap_or("it"))));
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
        endpoint,
    });
    Ok(())
}

/// In place traffic stays where it is, so no record moves.
pub(crate) fn ignored(requests: &[RecordRequest]) -> Records {
    // A warning and no refusal: the strategy may be chosen automatically, and the request fits both.
    let names: Vec<&str> = requests.iter().map(|request| request.name.as_str()).collect();
    let warning = (!names.is_empty()).then(|| {
        format!("`dns` is left alone: in place the endpoints stay the same, so {} need not move", names.join(", "))
    });
    Records { records: Vec::new(), warnings: warning.into_iter().collect(), findings: Vec::new() }
}

/// The kind of endpoint that `target` is; none for a custom endpoint, and for what is not of the cluster.
fn kind_of(target: &str, cluster: &Cluster, instances: &[Instance]) -> Option<Endpoint> {
    let is = |endpoint: &Option<String>| endpoint.as_deref() == Some(target);
    if is(&cluster.endpoint) {
        return Some(Endpoint::Writer);
    }
    if is(&cluster.reader_endpoint) {
        return Some(Endpoint::Reader);
    }
    let instance = instances.iter().find(|instance| is(&instance.endpoint))?;
    let is_writer = cluster.members.iter().any(|member| member.writer && member.instance == instance.name);
    Some(if is_writer { Endpoint::Writer } else { Endpoint::Reader })
}

/// The finding about a record that would lead to another kind of endpoint than it does now.
fn contradicted(name: &str, now: Endpoint, asked: Endpoint) -> Finding {
    let word = |kind| match kind {
        Endpoint::Writer => "writer",
        Endpoint::Reader => "reader",
    };
    Finding::warning(
        FindingCode::RecordEndpoint,
        format!("{name} leads to a {} now, and `endpoint` says {}: its clients change sides", word(now), word(asked)),
        "leave `endpoint` out to keep the kind that it has",
    )
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
