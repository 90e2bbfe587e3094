//! Compares the tables of the restored cluster with those of the source, read-only: how many rows were inserted, updated and deleted on
//! the source since the target. A recovery calls it before people are asked, and gets a summary; people call it for a recovery that waits or
//! has ended, and get every table. It changes nothing, so there is nothing to undo.

use jiff::Timestamp;
use rewind_access::{Access, restored_moment};
use rewind_aws::rds::{Cluster, ReadClusters};
use rewind_aws::secrets::Logins;
use rewind_core::comparison::{Comparison, TableName, TablesCompared};
use rewind_core::names::RECOVERY_TAG;
use rewind_core::{Clock, ErrorName, Plan, StepError, Strategy, timeouts};
use rewind_db::{CompareLimits, CompareRequest, Server, compare_tables, defaults};
use rewind_lambda::Step;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] = &[
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstances",
    "secretsmanager:ListSecretVersionIds",
    "secretsmanager:GetSecretValue",
    "kms:VerifyMac",
];

/// The number of transactions that AWS itself, and hold-jobs, may have made on the restored cluster before its frontier was read. They
/// are a few each minute; that many rows more are compared by their values.
const MADE_BEFORE_FRONTIER: u64 = 65_536;

/// The most time that logging in takes again, out of the time for comparing.
const LOGGING_IN: Duration =
    timeouts::READERS.saturating_add(timeouts::DATABASE_CONNECT).saturating_add(timeouts::DATABASE_LOGIN);

/// The step.
#[derive(Debug)]
pub struct CompareTables<C, S, K> {
    /// The login to the databases.
    pub access: Access<C, S>,
    /// The time.
    pub clock: K,
}

/// The recovery, of which nothing but the id is needed.
#[derive(Debug, Clone, Deserialize)]
pub struct Id {
    /// The execution's name.
    pub id: String,
}

/// The payload of the step.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// The recovery.
    pub recovery: Id,
    /// The plan.
    pub plan: Plan,
    /// The frontier of the restored cluster, as the report of its verification has it; without it all values are compared.
    #[serde(default)]
    pub frontier: Option<u64>,
    /// The tables; all where there are none.
    #[serde(default)]
    pub tables: Vec<String>,
    /// The table that an earlier invocation came to.
    #[serde(default)]
    pub after: Option<TableName>,
    /// The end of the time for all invocations of a recovery, which gets a summary; none where people call.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// The summary that the invocation before this one returned.
    #[serde(default)]
    pub so_far: Option<Comparison>,
}

/// The result of the step.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Output {
    /// Every table of this invocation, for people.
    Tables(TablesCompared),
    /// The summary of all invocations so far, for a recovery.
    Summary(Comparison),
}

impl<C: ReadClusters, S: Logins, K: Clock> Step for CompareTables<C, S, K> {
    type Input = Input;
    type Output = Output;

    async fn run(&self, mut input: Input) -> Result<Output, StepError> {
        let Some(until) = input.until else {
            return Ok(Output::Tables(self.compare(&input, timeouts::COMPARING).await?));
        };
        let mut found = input.so_far.take().unwrap_or_default();
        let left = Duration::try_from(until.duration_since(self.clock.now())).unwrap_or_default();
        // It returns in any case, with what there is: the state machine asks only whether something is left.
        if left < timeouts::COMPARE_AT_LEAST {
            found.stop("the time for it was over");
            return Ok(Output::Summary(found));
        }
        let (began, budget) = (self.clock.now(), left.min(timeouts::COMPARING));
        let mut rest = budget;
        // Again and again, although few tables are compared at once: the history of an execution has no room for thousands of calls.
        loop {
            input.after = found.after.take();
            found.add(self.compare(&input, rest).await?);
            let used = Duration::try_from(self.clock.now().duration_since(began)).unwrap_or_default();
            rest = budget.saturating_sub(used + LOGGING_IN);
            if found.after.is_none() || rest < timeouts::COMPARE_AT_LEAST {
                return Ok(Output::Summary(found));
            }
        }
    }
}

impl<C: ReadClusters, S: Logins, K: Clock> CompareTables<C, S, K> {
    /// Compares the tables after the cursor, for as long as `budget`.
    async fn compare(&self, input: &Input, budget: Duration) -> Result<TablesCompared, StepError> {
        let Input { recovery: Id { id }, plan, frontier, tables, after, .. } = input;
        let made = self.cluster(&plan.new_cluster, id).await?;
        // The name may be another cluster's by now: the tag shows whose it is.
        if made.tag(RECOVERY_TAG) != Some(id.as_str()) {
            return Err(not_there(&format!("{} is no cluster of {id} any more", made.name), id));
        }
        let source = self.cluster(&plan.cluster, id).await?;
        plan.refuse_other_source(&source.resource_id)?;
        // In place the cluster itself is rewound, and the safety clone holds what it was compared to.
        let (rewound, present) = match plan.strategy {
            Strategy::Backtrack => (&source, &made),
            Strategy::Restore | Strategy::Auto => (&made, &source),
        };
        // Its logins have the passwords of the moment to which it was rewound, and the other side those of now.
        let rewound_to = restored_moment(rewound, plan.target);
        let now = self.clock.now();
        let (on_rewound, on_present) =
            tokio::try_join!(self.server(id, plan, rewound, rewound_to), self.server(id, plan, present, now))?;
        let request = CompareRequest {
            first_database: defaults(plan.engine).maintenance_database,
            // Where another recovery restored the cluster, people may have written to it before this one read the frontier.
            frontier: frontier
                .filter(|_| plan.adopted.is_none())
                .map(|frontier| frontier.saturating_sub(MADE_BEFORE_FRONTIER)),
            tables,
            after: after.as_ref(),
            limits: CompareLimits { budget, ..CompareLimits::default() },
        };
        let compared = compare_tables((&on_rewound, &on_present), &request, &self.clock).await?;
        Ok(TablesCompared {
            restored: rewound.name.clone(),
            source: present.name.clone(),
            rewound_to,
            tables: compared.tables,
            notes: compared.notes,
            after: compared.after,
        })
    }

    async fn cluster(&self, name: &str, id: &str) -> Result<Cluster, StepError> {
        self.access.clusters.cluster(name).await?.ok_or_else(|| not_there(&format!("there is no cluster {name}"), id))
    }

    /// A server of `cluster` that is in nobody's way, with the login that sees all tables.
    async fn server(&self, id: &str, plan: &Plan, cluster: &Cluster, moment: Timestamp) -> Result<Server, StepError> {
        let instances = self.access.clusters.instances(&cluster.name).await?;
        Ok(self.access.server_beside_clients(id, plan, (cluster, &instances), moment).await?)
    }
}

/// The error for a recovery of whose clusters one is missing.
fn not_there(what: &str, id: &str) -> StepError {
    StepError::new(ErrorName::RewindFailed, format!("{what}, so there is nothing to compare"))
        .changed("nothing was changed")
        .advice(format!("see how the clusters of the recovery stand: rewind status {id}"))
}
