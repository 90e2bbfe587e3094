//! Confirms that clients reach the restored cluster by name: has the state machine wait for the old TTL, then resolves and
//! connects as a client would. A name that leads elsewhere is an error; a server that cannot be seen is told, and no error. Then it
//! inspects the fence of the source. It changes nothing, and never asks Route 53: its subnets may have no way there.

mod connect_by_name;
mod led;
mod source_fence;

pub use source_fence::SourceFence;

use jiff::{SignedDuration, Timestamp};
use led::Led;
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
    "kms:VerifyMac",
];

/// The time that Route 53's servers get for a change where nobody could ask whether they have it: usually they take less.
const ASSUMED_PROPAGATION: SignedDuration = SignedDuration::from_secs(60);

/// The seconds after which a server that cannot be seen is asked for again: one that restarts takes as long as that.
const ASK_AGAIN: i64 = 10;

/// The step.
#[derive(Debug)]
pub struct ConfirmCutover<C, S, K> {
    /// The login to the databases.
    pub access: Access<C, S>,
    /// The time.
    pub clock: K,
    /// The pauses between two attempts.
    pub polling: Polling,
    /// The security groups of the fence, which admit the recovery's functions alone; empty: no network layer.
    pub fence_groups: Vec<String>,
}

/// The payload of the step.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// The recovery.
    pub recovery: Recovery,
    /// The plan.
    pub plan: Plan,
    /// The restored cluster.
    pub restored: Restored,
    /// The records as they were moved.
    pub swap: Swap,
    /// When all of Route 53's servers had the change; none where that could not be asked.
    pub in_sync_at: Option<Timestamp>,
}

/// The result of the step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// True if every name leads to the restored cluster.
    pub confirmed: bool,
    /// When all of Route 53's servers had the change, or are taken to have had it.
    pub in_sync_at: Option<Timestamp>,
    /// How long to wait before the next invocation.
    pub wait_seconds: i64,
    /// The server that each name led to.
    pub records: Vec<ReachedServer>,
    /// A sentence for each name behind which nothing could be seen.
    pub unseen: Vec<String>,
    /// The way past the fence of the source, or who is behind it; none while it holds.
    pub source_open: Option<String>,
    /// The reason why the fence of the source could not be seen; none if it was.
    pub source_unseen: Option<String>,
}

/// The server that a name led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReachedServer {
    /// The name.
    pub name: String,
    /// The identity of the server, or the reason why there was no login.
    pub server: String,
    /// True if it is one of the restored cluster's.
    pub matches: bool,
    #[serde(skip)]
    pub(crate) led: Led,
}

impl<C: ReadClusters, S: Logins, K: Clock> Step for ConfirmCutover<C, S, K> {
    type Input = Input;
    type Output = Output;

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let swap = &input.swap;
        if swap.records.is_empty() {
            return Ok(Output { confirmed: true, in_sync_at: None, wait_seconds: 0, ..Output::default() });
        }
        let in_sync_at = match input.in_sync_at {
            Some(at) => at,
            // The id of the change was lost with its response, so nobody could ask Route 53 whether it is in sync.
            None => after(swap.swapped_at, ASSUMED_PROPAGATION)?,
        };
        // A resolver that asked just before INSYNC keeps the old value for the whole of the old TTL.
        let ttl = swap.records.iter().map(|record| record.ttl).max().unwrap_or(0);
        let old_answers_end = after(in_sync_at, SignedDuration::from_secs(ttl))?;
        let left = old_answers_end.duration_since(self.clock.now());
        if left.is_positive() {
            // The state machine waits, not the function: a TTL of an hour would outlast any invocation.
            let (in_sync_at, wait_seconds) = (Some(in_sync_at), left.as_secs() + 1);
            return Ok(Output { confirmed: false, in_sync_at, wait_seconds, ..Output::default() });
        }
        // With some lenience: resolvers count the TTL by whole seconds, and not all from the same one.
        let matches = |records: &Vec<ReachedServer>| records.iter().all(|record| record.matches);
        let records =
            self.polling.until(&self.clock, timeouts::NAME_LENIENCE, || self.connect_by_names(&input), matches).await?;
        let output = judge(records, in_sync_at)?;
        Ok(match self.inspect_source(&input.recovery, &input.plan).await {
            SourceFence::Closed => output,
            SourceFence::Open(why) => Output { source_open: Some(why), ..output },
            SourceFence::Unseen(why) => Output { source_unseen: Some(why), ..output },
        })
    }
}

fn after(at: Timestamp, wait: SignedDuration) -> Result<Timestamp, StepError> {
    at.checked_add(wait).map_err(|e| StepError::bug(format!("a wait that ends at no time: {e}")))
}

/// Decides by where the names lead.
fn judge(records: Vec<ReachedServer>, in_sync_at: Timestamp) -> Result<Output, StepError> {
    let wrong: Vec<String> = records
        .iter()
        .filter_map(|record| match &record.led {
            Led::Elsewhere(server) => Some(format!("{} leads to {server}", record.name)),
            _ => None,
        })
        .collect();
    // One fact outweighs whatever else could not be seen: those clients are not on the restored cluster.
    if !wrong.is_empty() {
        return Err(wrong_server(&wrong));
    }
    let unseen: Vec<String> = records
        .iter()
        .filter_map(|record| match &record.led {
            Led::Unseen(why) => Some(format!("{}: {why}", record.name)),
            _ => None,
        })
        .collect();
    let confirmed = unseen.is_empty();
    let wait_seconds = if confirmed { 0 } else { ASK_AGAIN };
    Ok(Output { confirmed, in_sync_at: Some(in_sync_at), wait_seconds, records, unseen, ..Output::default() })
}

fn wrong_server(wrong: &[String]) -> StepError {
    StepError::new(ErrorName::RecordChanged, format!("clients do not reach the restored cluster: {}", wrong.join(", ")))
        .changed("this step changed nothing: the records point at the restored cluster, the source is fenced")
        .advice("find out what answers for these names (another zone, a resolver's override) and start again")
}

#[cfg(test)]
mod tests;
