//! Finds the records that point at a cluster that a recovery kept, in the hosted zones of its plan. It runs outside the VPC,
//! because the subnets of clean-up may have no route to Route 53. It changes nothing and decides nothing: clean-up does.

use jiff::Timestamp;
use rewind_aws::rds::{Cluster, Instance, ReadClusters};
use rewind_aws::recoveries::Recoveries;
use rewind_aws::route53::ListRecords;
use rewind_core::{Clock, StepError};
use rewind_lambda::Step;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The IAM actions that the function calls.
pub const ACTIONS: &[&str] = &[
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstances",
    "route53:ListResourceRecordSets",
    "dynamodb:GetItem",
    "sts:AssumeRole",
];

/// The step.
#[derive(Debug)]
pub struct FindRecords<C, Z, R, K> {
    /// Clusters and instances.
    pub clusters: C,
    /// Hosted zones.
    pub zones: Z,
    /// The table's items of recoveries.
    pub recoveries: R,
    /// The time.
    pub clock: K,
}

/// The step's payload.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// The cluster that was kept.
    pub cluster: String,
    /// The recovery that kept it.
    pub recovery_id: String,
}

/// The step's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The start of the search: later changes are not in the result.
    #[serde(rename = "lookedAt")]
    pub read_at: Timestamp,
    /// The records that point at the cluster, and what could not be seen; empty where none does.
    pub why: Vec<String>,
}

impl<C: ReadClusters, Z: ListRecords, R: Recoveries, K: Clock> Step for FindRecords<C, Z, R, K> {
    type Input = Input;
    type Output = Output;

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        // Before the first read, so that clean-up never takes the result for newer than it is.
        let read_at = self.clock.now();
        Ok(Output { read_at, why: self.records(&input).await? })
    }
}

impl<C: ReadClusters, Z: ListRecords, R: Recoveries, K: Clock> FindRecords<C, Z, R, K> {
    async fn records(&self, Input { cluster, recovery_id }: &Input) -> Result<Vec<String>, StepError> {
        let unknown = |reason: String| Ok(vec![format!("{reason}: in which zones to look is not known")]);
        // Reasons and no errors: the clean-up reports them beside all others, and keeps the cluster.
        let Some(record) = self.recoveries.recovery(recovery_id).await? else {
            return unknown(format!("the table has no recovery {recovery_id}"));
        };
        let Some(plan) = record.plan else {
            let why = record.unreadable.join("; ");
            return unknown(format!("the plan of the recovery {recovery_id} cannot be read: {why}"));
        };
        let Some(found) = self.clusters.cluster(cluster).await? else {
            return Ok(vec![format!("{cluster} is gone")]);
        };
        let endpoints = endpoints(&found, &self.clusters.instances(cluster).await?);
        // The zones of the plan only: reading every zone of an account can take minutes, and the role may not be
        // allowed to.
        let zones: BTreeSet<&String> = plan.dns.iter().map(|record| &record.hosted_zone_id).collect();
        let mut why = Vec::new();
        for zone in zones {
            let Some(sets) = self.zones.all_records(zone).await? else {
                // Not an error: the clean-up lists it as a reason to keep the cluster, among all others.
                why.push(format!("the hosted zone {zone} is gone: where its records pointed cannot be seen"));
                continue;
            };
            for set in sets {
                // MX and SRV records have a priority and a port beside the host.
                let mut words = set.values.iter().flat_map(|value| value.split_whitespace()).map(plain);
                if let Some(endpoint) = words.find(|word| endpoints.contains(word)) {
                    why.push(format!("the {} record {} points at {endpoint}", set.kind, set.name));
                }
            }
        }
        Ok(why)
    }
}

fn endpoints(cluster: &Cluster, instances: &[Instance]) -> BTreeSet<String> {
    // Endpoints of instances count as well: some clients have a reader of their own.
    let own = cluster.endpoint.iter().chain(&cluster.reader_endpoint).chain(&cluster.custom_endpoints);
    own.chain(instances.iter().filter_map(|instance| instance.endpoint.as_ref())).map(|name| plain(name)).collect()
}

/// Brings a name into the form in which names are compared.
fn plain(name: &str) -> String {
    // DNS ignores case, and a name may be written with the dot at its end or without.
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
