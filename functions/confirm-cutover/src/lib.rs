//! Confirms that clients reach by name the cluster to which the records were moved, the restored one or the source again: has the state
//! machine wait for the old TTL, then resolves and connects as a client would. After the cutover a name that leads elsewhere is an
//! error; a server that cannot be seen is told, and no error. After an undo either is told. Then it inspects the fence of the other
//! cluster. It changes nothing, and never asks Route 53: its subnets may have no way there.

mod connect_by_name;
mod fence;
mod led;

pub use fence::FenceFinding;

use jiff::{SignedDuration, Timestamp};
use led::Led;
use rewind_access::Access;
use rewind_aws::rds::ReadClusters;
use rewind_aws::secrets::Logins;
use rewind_core::{Clock, ErrorName, Plan, PlannedRecord, Polling, Recovery, Restored, StepError, Swap, timeouts};
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

/// The seconds after which a server that cannot be seen is asked for again, and after an undo a name that leads elsewhere: one that
/// restarts takes as long as that.
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
    /// The cluster to which the records were moved.
    #[serde(default)]
    pub toward: Toward,
}

/// The cluster to which the records were moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Toward {
    /// The restored cluster, by a recovery.
    #[default]
    Restored,
    /// The source, by an undo.
    Source,
}

/// One of the two clusters, as the step logs in to it.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The cluster's name.
    pub cluster: &'a str,
    /// The moment whose passwords are valid there.
    pub moment: Timestamp,
}

impl Input {
    /// Returns the cluster that the names are to lead to, and the other one, which is fenced.
    fn sides(&self, now: Timestamp) -> (Side<'_>, Side<'_>) {
        let source = Side { cluster: &self.plan.cluster, moment: now };
        // It has the passwords of that moment, however often the secret was rotated since.
        let restored = Side { cluster: &self.restored.cluster, moment: self.restored.rewound_to };
        match self.toward {
            Toward::Restored => (restored, source),
            Toward::Source => (source, restored),
        }
    }

    /// Returns the host that a record points at, as the certificate of its server names it.
    fn host<'a>(&'a self, record: &'a PlannedRecord) -> &'a str {
        match self.toward {
            Toward::Restored => self.restored.endpoint(record.endpoint),
            Toward::Source => record.from.trim_end_matches('.'),
        }
    }
}

/// The result of the step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// True if every name leads to the cluster that is meant.
    pub confirmed: bool,
    /// When all of Route 53's servers had the change, or are taken to have had it.
    pub in_sync_at: Option<Timestamp>,
    /// How long to wait before the next invocation.
    pub wait_seconds: i64,
    /// The server that each name led to.
    pub records: Vec<ReachedServer>,
    /// A sentence for each name behind which nothing could be seen.
    pub unseen: Vec<String>,
    /// A sentence for each name that leads elsewhere after an undo; after the cutover that is an error.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub elsewhere: Vec<String>,
    /// The way past the fence of the source, or who is behind it; none while it holds.
    pub source_open: Option<String>,
    /// The reason why the fence of the source could not be seen; none if it was.
    pub source_unseen: Option<String>,
    /// After an undo the way past the fence of the restored cluster, or who is behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored_open: Option<String>,
    /// After an undo the reason why that fence could not be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored_unseen: Option<String>,
}

/// The server that a name led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReachedServer {
    /// The name.
    pub name: String,
    /// The identity of the server, or the reason why there was no login.
    pub server: String,
    /// True if it is one of the cluster's that is meant.
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
        let output = judge(records, in_sync_at, input.toward)?;
        let (meant, fenced) = input.sides(self.clock.now());
        let finding = self.inspect_fence(&input.recovery, &input.plan, fenced, meant).await;
        Ok(match (finding, input.toward) {
            (FenceFinding::Closed, _) => output,
            (FenceFinding::Open(why), Toward::Restored) => Output { source_open: Some(why), ..output },
            (FenceFinding::Unseen(why), Toward::Restored) => Output { source_unseen: Some(why), ..output },
            (FenceFinding::Open(why), Toward::Source) => Output { restored_open: Some(why), ..output },
            (FenceFinding::Unseen(why), Toward::Source) => Output { restored_unseen: Some(why), ..output },
        })
    }
}

fn after(at: Timestamp, wait: SignedDuration) -> Result<Timestamp, StepError> {
    at.checked_add(wait).map_err(|e| StepError::bug(format!("a wait that ends at no time: {e}")))
}

/// Decides by where the names lead.
fn judge(records: Vec<ReachedServer>, in_sync_at: Timestamp, toward: Toward) -> Result<Output, StepError> {
    let elsewhere: Vec<String> = records
        .iter()
        .filter_map(|record| match &record.led {
            Led::Elsewhere(server) => Some(format!("{} leads to {server}", record.name)),
            _ => None,
        })
        .collect();
    // One fact outweighs whatever else could not be seen: those clients are not on the restored cluster. After an undo nobody moves
    // records for it again: a resolver may serve an old value for longer than it should, and is waited for.
    if toward == Toward::Restored && !elsewhere.is_empty() {
        return Err(wrong_server(&elsewhere));
    }
    let unseen: Vec<String> = records
        .iter()
        .filter_map(|record| match &record.led {
            Led::Unseen(why) => Some(format!("{}: {why}", record.name)),
            _ => None,
        })
        .collect();
    let confirmed = unseen.is_empty() && elsewhere.is_empty();
    let wait_seconds = if confirmed { 0 } else { ASK_AGAIN };
    let in_sync_at = Some(in_sync_at);
    Ok(Output { confirmed, in_sync_at, wait_seconds, records, unseen, elsewhere, ..Output::default() })
}

fn wrong_server(wrong: &[String]) -> StepError {
    StepError::new(ErrorName::RecordChanged, format!("clients do not reach the restored cluster: {}", wrong.join(", ")))
        .changed("this step changed nothing: the records point at the restored cluster, the source is fenced")
        .advice("find out what answers for these names (another zone, a resolver's override) and start again")
}

#[cfg(test)]
mod tests;
