//! Confirms that clients reach the restored cluster by name: has the state machine wait for the old TTL, then resolves and
//! connects as a client would. It changes nothing, and never asks Route 53: its subnets may have no way there.

mod reach;

use jiff::{SignedDuration, Timestamp};
use rewind_access::Access;
use rewind_aws::rds::ReadClusters;
use rewind_aws::secrets::Logins;
use rewind_core::{Clock, ErrorName, Plan, Polling, Recovery, Restored, StepError, Swap, timeouts};
use rewind_lambda::Step;
use serde::{Deserialize, Serialize};

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] = &[
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstances",
    "secretsmanager:ListSecretVersionIds",
    "secretsmanager:GetSecretValue",
];

/// How long Route 53 usually takes at most, where nobody could ask it whether its servers have the change.
const UNASKED: SignedDuration = SignedDuration::from_secs(60);

/// The step.
#[derive(Debug)]
pub struct ConfirmCutover<C, S, K> {
    /// The way to the databases.
    pub access: Access<C, S>,
    /// The time.
    pub clock: K,
    /// How often to look.
    pub polling: Polling,
}

/// What the step is passed.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// Which recovery.
    pub recovery: Recovery,
    /// What it does.
    pub plan: Plan,
    /// The restored cluster.
    pub restored: Restored,
    /// The switch.
    pub swap: Swap,
    /// When all of Route 53's servers had the change; none where that could not be asked.
    pub in_sync_at: Option<Timestamp>,
}

/// What the step answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Whether every name leads to the restored cluster.
    pub confirmed: bool,
    /// When all of Route 53's servers had the change, or are taken to have had it.
    pub in_sync_at: Option<Timestamp>,
    /// How long to wait before the next invocation.
    pub wait_seconds: i64,
    /// What each name led to.
    pub records: Vec<Reached>,
}

/// What a name led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reached {
    /// The name.
    pub name: String,
    /// The server that answered, or why none did.
    pub server: String,
    /// Whether it is one of the restored cluster's.
    pub matches: bool,
}

impl<C: ReadClusters, S: Logins, K: Clock> Step for ConfirmCutover<C, S, K> {
    type Input = Input;
    type Output = Output;

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let swap = &input.swap;
        if swap.records.is_empty() {
            return Ok(Output { confirmed: true, in_sync_at: None, wait_seconds: 0, records: Vec::new() });
        }
        let in_sync_at = match input.in_sync_at {
            Some(at) => at,
            None => after(swap.swapped_at, UNASKED)?,
        };
        let ttl = swap.records.iter().map(|record| record.ttl).max().unwrap_or(0);
        let old_answers_end = after(in_sync_at, SignedDuration::from_secs(ttl))?;
        let left = old_answers_end.duration_since(self.clock.now());
        if left.is_positive() {
            let (in_sync_at, wait_seconds) = (Some(in_sync_at), left.as_secs() + 1);
            return Ok(Output { confirmed: false, in_sync_at, wait_seconds, records: Vec::new() });
        }
        let matches = |records: &Vec<Reached>| records.iter().all(|record| record.matches);
        let records = self.polling.until(&self.clock, timeouts::NAME_LENIENCE, || self.reach(&input), matches).await?;
        if !matches(&records) {
            return Err(elsewhere(&records));
        }
        Ok(Output { confirmed: true, in_sync_at: Some(in_sync_at), wait_seconds: 0, records })
    }
}

fn after(at: Timestamp, wait: SignedDuration) -> Result<Timestamp, StepError> {
    at.checked_add(wait).map_err(|e| StepError::bug(format!("a wait that ends at no time: {e}")))
}

fn elsewhere(records: &[Reached]) -> StepError {
    let wrong: Vec<String> = records
        .iter()
        .filter(|record| !record.matches)
        .map(|record| format!("{} leads to {}", record.name, record.server))
        .collect();
    StepError::new(ErrorName::RecordChanged, format!("clients do not reach the restored cluster: {}", wrong.join(", ")))
        .changed("this step changed nothing: the records point at the restored cluster, the source is fenced")
        .advice("find out what answers for these names (another zone, a resolver's override) and start again")
}

#[cfg(test)]
mod tests;
