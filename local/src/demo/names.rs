//! The names of a run: recoveries and clusters are numbered, and no name is used twice.

use super::demo_cluster::clusters;
use crate::stack::StackEnv;
use anyhow::{Context, Result};

/// The article's name for a recovery, without its number. Executions with this prefix are the demo's own.
pub const RECOVERY_PREFIX: &str = "my-backtrack-operation-";
/// The article's name for a restored cluster, without its number.
const RESTORED_CLUSTER_PREFIX: &str = "my-aurora-cluster-backtrack-";

/// Names for one run.
#[derive(Debug)]
pub struct RunNames {
    /// The recovery's id.
    pub recovery: String,
    /// The restored cluster's identifier.
    pub restored_cluster: String,
}

/// Finds the first number that neither a cluster nor an execution had before.
///
/// # Errors
///
/// When clusters or executions can't be listed.
pub async fn free_names(stack: &StackEnv) -> Result<RunNames> {
    let mut taken: Vec<String> = clusters(stack)
        .await?
        .iter()
        .filter_map(|cluster| cluster.db_cluster_identifier().map(str::to_owned))
        .collect();
    // Step Functions keeps names of closed executions for 90 days: starting one again is refused, even when its cluster is gone.
    let executions = stack.sfn().list_executions().state_machine_arn(&stack.outputs.state_machine_arn);
    let executions = executions.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
    let executions = executions.context("the executions could not be listed")?;
    taken.extend(executions.into_iter().map(|execution| execution.name));
    Ok(first_free(&taken))
}

fn first_free(taken: &[String]) -> RunNames {
    let mut number = 1_u32;
    loop {
        let recovery = format!("{RECOVERY_PREFIX}{number:03}");
        let restored_cluster = format!("{RESTORED_CLUSTER_PREFIX}{number:03}");
        if !taken.contains(&recovery) && !taken.contains(&restored_cluster) {
            return RunNames { recovery, restored_cluster };
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_takes_the_first_number_that_nothing_had() {
        let taken = ["my-backtrack-operation-001", "my-aurora-cluster-backtrack-002", "my-aurora-cluster"];
        let names = first_free(&taken.map(str::to_owned));
        assert_eq!(names.recovery, "my-backtrack-operation-003");
        assert_eq!(names.restored_cluster, "my-aurora-cluster-backtrack-003");
        assert_eq!(first_free(&[]).recovery, "my-backtrack-operation-001");
    }
}
