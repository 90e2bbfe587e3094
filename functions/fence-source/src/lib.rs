//! Ends writes on a cluster's writer, in layers, and verifies it: after it returns, that writer acknowledges no write. Every
//! change is recorded in the table first, and the undo restores exactly what was recorded. Where the cluster itself is about
//! to be rewound, the fence is the network and the sessions' end: what is locked in a database would be rewound too.

mod errors;
mod inspect;
mod layers;
mod network;
mod position;
mod readers;
mod written;

pub use layers::Layer;

use jiff::Timestamp;
use layers::DatabaseLayers;
use rewind_access::{Access, gone, writer};
use rewind_aws::fence_periods::FencePeriods;
use rewind_aws::fence_records::{FenceRecords, HeldLease};
use rewind_aws::rds::{Cluster, ModifyClusters, ReadClusters};
use rewind_aws::secrets::Logins;
use rewind_clock::{OutOfTime, within};
use rewind_core::names::{FENCE_RECORD, RECOVERY_TAG, RESTORED_FENCE_RECORD};
use rewind_core::timeouts::{FENCE_LOGIN, FENCE_PROBE_RETRY, FENCE_PROBES};
use rewind_core::{Clock, Engine, ErrorName, Plan, Polling, Recovery, Restored, StepError, Strategy};
use rewind_db::fence::{
    FenceTimeouts, LoginRecord, LoginState, apply, close_logins, lift, read_logins, terminate_sessions, verify,
    writers_without_session,
};
use rewind_db::{ConnectError, Credential, Server, Session, WritePosition, defaults};
use rewind_lambda::{Step, ToApprove, Undone};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] = &[
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstances",
    "rds:ModifyDBCluster",
    "secretsmanager:ListSecretVersionIds",
    "secretsmanager:GetSecretValue",
    "dynamodb:GetItem",
    "dynamodb:UpdateItem",
    "dynamodb:ConditionCheckItem",
    "kms:VerifyMac",
];

/// The step.
#[derive(Debug)]
pub struct FenceSource<C, S, R, K> {
    /// The login to the databases.
    pub access: Access<C, S>,
    /// The table, in which every change is recorded before it is made.
    pub records: R,
    /// The time.
    pub clock: K,
    /// The security groups that admit the recovery's functions alone; empty: no network layer.
    pub fence_groups: Vec<String>,
}

/// The payload of the step.
#[derive(Debug, Clone, Deserialize)]
pub struct Input {
    /// The recovery.
    pub recovery: Recovery,
    /// The plan.
    pub plan: Plan,
    /// The cluster to fence.
    #[serde(default)]
    pub fence: FencedSide,
    /// The restored cluster; needed to fence it, and to read its writes before the source is fenced.
    pub restored: Option<Restored>,
    /// The `writes` that the fence of the source returned; none if that is not known.
    #[serde(default)]
    pub writes: Option<WritePosition>,
    /// The execution that holds the source's lease; the recovery itself unless it is given.
    #[serde(default)]
    pub holder: Option<String>,
    /// The signature of the approval; needed to fence the source alone.
    #[serde(default)]
    pub approval: Option<String>,
}

impl ToApprove for Input {
    fn to_approve(&self) -> Option<(&Plan, Option<&str>)> {
        match self.fence {
            FencedSide::Source => Some((&self.plan, self.approval.as_deref())),
            // Of the recovery alone; and a person who undoes it decides anew.
            FencedSide::Restored | FencedSide::Inspect => None,
        }
    }
}

/// The cluster that is fenced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FencedSide {
    /// The source, before traffic moves to the restored cluster.
    #[default]
    Source,
    /// The restored cluster, before traffic moves back to the source.
    Restored,
    /// The source, which is fenced in place already: the fence is inspected, and nothing is changed.
    Inspect,
}

/// The result of the step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The moment from which on no write is acknowledged.
    pub fenced_at: Timestamp,
    /// How many sessions were ended.
    pub sessions_ended: u64,
    /// The layers, in the order they were raised.
    pub layers: Vec<Layer>,
    /// Beside the source the position of the restored cluster's writes before the source is fenced; in place that of the source's
    /// own once it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writes: Option<WritePosition>,
    /// True if nobody wrote to the restored cluster since then; absent if the source is fenced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untouched: Option<bool>,
    /// The reason for that, as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The cluster as it was before it was fenced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    security_groups: Vec<String>,
    logins: LoginRecord,
}

impl Record {
    fn read(value: serde_json::Value) -> Result<Self, StepError> {
        serde_json::from_value(value)
            .map_err(|e| StepError::bug(format!("the record of the fence cannot be read: {e}")))
    }

    fn to_json(&self) -> Result<serde_json::Value, StepError> {
        serde_json::to_value(self).map_err(|e| StepError::bug(format!("the record of the fence is not JSON: {e}")))
    }
}

/// The pauses between two logins to a server that has no free connection: short, because whoever asks first gets the next one.
const FREE_CONNECTION: Polling =
    Polling { shortest: FENCE_PROBE_RETRY, longest: FENCE_PROBE_RETRY, budget: FENCE_LOGIN };

/// The cluster to fence.
struct FencedCluster {
    name: String,
    /// The key of the record in the table.
    record_key: &'static str,
    /// The moment whose passwords are valid there.
    password_moment: Timestamp,
}

impl<C, S, R, K> Step for FenceSource<C, S, R, K>
where
    C: ReadClusters + ModifyClusters,
    S: Logins,
    R: FenceRecords + FencePeriods,
    K: Clock,
{
    type Input = Input;
    type Output = Output;

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let fenced_cluster = self.cluster_to_fence(&input)?;
        let in_place = input.plan.strategy == Strategy::Backtrack;
        // Nobody is asked about a plan that moves no client, so nobody has approved its fence either.
        if !in_place && input.plan.dns.is_empty() {
            return Err(StepError::bug("a plan that moves no traffic fences nothing"));
        }
        // Clients come back to the source all the same: a cluster that somebody has deleted takes no writes.
        let Some(cluster) = self.find(&input, &fenced_cluster).await? else {
            input.plan.refuse_other_source(&self.access.cluster(&input.plan.cluster).await?.resource_id)?;
            let why = Some(format!("{} is gone", fenced_cluster.name));
            return Ok(Output {
                fenced_at: self.clock.now(),
                sessions_ended: 0,
                layers: Vec::new(),
                writes: None,
                untouched: Some(false),
                why,
            });
        };
        // Before traffic goes back to the source, too: a cluster that was made anew under its name never had these clients.
        let source = match input.fence {
            FencedSide::Restored => &self.access.cluster(&input.plan.cluster).await?,
            FencedSide::Source | FencedSide::Inspect => &cluster,
        };
        input.plan.refuse_other_source(&source.resource_id)?;
        if input.fence == FencedSide::Restored {
            refuse_adopted(&cluster, &input.recovery.id)?;
        }
        if input.fence != FencedSide::Inspect {
            refuse_data_api(&cluster)?;
        }
        // Before the first change, so that it takes nothing of the time in which clients have no database.
        let mut writes = match input.fence {
            FencedSide::Source => self.position_before(&input).await,
            FencedSide::Restored | FencedSide::Inspect => None,
        };
        if input.fence == FencedSide::Inspect {
            return self.inspect(&input, &fenced_cluster, &cluster).await;
        }
        if in_place && self.fence_groups.is_empty() {
            return Err(errors::no_network_layer(&fenced_cluster.name));
        }
        let (server, session) = self.enter(&input, &fenced_cluster, &cluster).await?;
        let logins = if in_place {
            refuse_writers(&fenced_cluster.name, &session).await?;
            LoginState::default()
        } else {
            read_logins(&session).await?
        };
        let open = logins.clone();
        // Before the first change: whatever this run gets done, its undo knows how it was.
        let logins = self.record(&input, &fenced_cluster, &cluster, &logins).await?;
        // Where none is closed there is nothing that a restore would bring back.
        if !logins.is_empty() {
            self.records.begin(&cluster.resource_id, &input.recovery.id, self.clock.now()).await?;
        }
        // The network first, so that sessions that are ended find nowhere to connect to again.
        let network = self.close_network(&cluster).await?;
        // Readers that forward writes are part of the fence. Before the sessions on the writer, through which they write.
        let mut readers = None;
        let mut timeouts = FenceTimeouts::default();
        if cluster.write_forwarding.is_some() {
            let began = self.clock.now();
            close_logins(&session, &logins, timeouts).await?;
            // One bound for both, because the invocation has one for all.
            let taken = Duration::try_from(self.clock.now().duration_since(began)).unwrap_or_default();
            timeouts.total = timeouts.total.saturating_sub(taken);
            let emptied = self.terminate_reader_sessions(&input, &fenced_cluster, &cluster).await;
            emptied.refuse_left(&fenced_cluster.name)?;
            readers = Some(emptied);
        }
        let inner = if in_place {
            // A lock in the database would be undone by the backtrack, and what the undo records would no longer be so.
            let fenced = terminate_sessions(&session, timeouts).await?;
            // With nobody left inside: what is written from here on is on no cluster once the source is rewound.
            writes = Some(self.counted(&fenced_cluster.name, &session).await?);
            DatabaseLayers { fenced, logins: None }
        } else {
            fence_logins(&fenced_cluster.name, &server, &session, &logins, timeouts).await?
        };
        let finding = match input.fence {
            FencedSide::Source | FencedSide::Inspect => None,
            // With nobody left inside who could write: every transaction has ended.
            FencedSide::Restored => {
                let (now, closed) = (self.settled(&session).await, read_logins(&session).await);
                Some(written::compare(&session, input.writes.as_ref(), now, &open, closed))
            }
        };
        session.close().await;
        refuse_open_fence(&cluster, network.as_deref(), &inner)?;
        let fenced_at = self.clock.now();
        // Other readers acknowledge no write: the application's downtime begins above, whatever they take.
        let readers = match readers {
            Some(emptied) => emptied,
            None => self.terminate_reader_sessions(&input, &fenced_cluster, &cluster).await,
        };
        let sessions_ended = inner.fenced.sessions_ended + readers.sessions_ended;
        let mut layers = layers::layers(cluster.engine, network, &inner);
        layers.extend(readers.did.map(|did| Layer { layer: "sessions", did }));
        let (untouched, why) = finding.map(|finding| (finding.untouched, finding.why)).unzip();
        Ok(Output { fenced_at, sessions_ended, layers, writes, untouched, why })
    }

    async fn undo(&self, input: Input) -> Result<Undone, StepError> {
        let fenced_cluster = self.cluster_to_fence(&input)?;
        // Without a record nothing is fenced: it is written before the first change, and replaced by a mark after the last.
        let Some(record) = self.recorded(&input, &fenced_cluster).await? else { return Ok(Undone::nothing()) };
        let Some(cluster) = self.find(&input, &fenced_cluster).await? else {
            let (id, key) = (&input.recovery.id, fenced_cluster.record_key);
            self.records.mark_fence_lifted(id, key, self.clock.now()).await?;
            return Ok(Undone::of(vec![format!("{} is gone, and its fence with it", fenced_cluster.name)]));
        };
        // The network first: the functions get in through either set of groups, the clients only through the old one.
        let mut undone = self.open_network(&cluster, &record.security_groups).await?;
        // In place no login was closed, so nothing inside the database has to be restored.
        if !record.logins.is_empty() {
            let (_, session) = self.log_in(&input, &fenced_cluster, &cluster).await?;
            undone.extend(lift(&session, &record.logins).await?);
            session.close().await;
            // Clients are in again, and that counts: without its end the period only makes a preflight ask.
            let ended = self.records.end(&cluster.resource_id, &input.recovery.id, self.clock.now()).await;
            if let Err(error) = ended {
                tracing::warn!(%error, "the end of the fence was not noted");
            }
        }
        // Kept, it would count as a fence that may be up, and a fence of later on would be lifted to what was so once.
        let (id, key) = (&input.recovery.id, fenced_cluster.record_key);
        self.records.mark_fence_lifted(id, key, self.clock.now()).await?;
        Ok(Undone::of(undone))
    }
}

impl<C, S, R, K> FenceSource<C, S, R, K>
where
    C: ReadClusters + ModifyClusters,
    S: Logins,
    R: FenceRecords,
    K: Clock,
{
    fn cluster_to_fence(&self, input: &Input) -> Result<FencedCluster, StepError> {
        match (input.fence, &input.restored) {
            (FencedSide::Source | FencedSide::Inspect, _) => Ok(FencedCluster {
                name: input.plan.cluster.clone(),
                record_key: FENCE_RECORD,
                password_moment: self.clock.now(),
            }),
            // Any other would be fenced without anybody's approval.
            (FencedSide::Restored, Some(restored)) if restored.cluster != input.plan.new_cluster => {
                Err(StepError::bug(format!("{} is not the restored cluster of the plan", restored.cluster)))
            }
            (FencedSide::Restored, Some(restored)) => Ok(FencedCluster {
                name: restored.cluster.clone(),
                record_key: RESTORED_FENCE_RECORD,
                // Its users have the passwords of the moment that it was rewound to.
                password_moment: restored.rewound_to,
            }),
            (FencedSide::Restored, None) => {
                Err(StepError::bug("the restored cluster is to be fenced, and none was passed"))
            }
        }
    }

    /// Reads the cluster to fence; none for a restored one that is not there any more.
    async fn find(&self, input: &Input, fenced_cluster: &FencedCluster) -> Result<Option<Cluster>, StepError> {
        let found = self.access.clusters.cluster(&fenced_cluster.name).await?;
        match input.fence {
            FencedSide::Restored => Ok(found),
            FencedSide::Source | FencedSide::Inspect => found.map(Some).ok_or_else(|| gone(&fenced_cluster.name)),
        }
    }

    /// Logs in to fence the cluster. Before the network is closed: where that keeps the functions out too, nothing has been changed
    /// yet.
    ///
    /// Clients that hold every connection of the server are the exception. Closed, the network keeps them from taking the next one
    /// that comes free, so that this step gets it. Some are kept for the master user on AWS (`rds_superuser_reserved_connections` and
    /// `reserved_connections` on PostgreSQL, one for `CONNECTION_ADMIN` on MySQL), unless applications log in as that user.
    async fn enter(
        &self,
        input: &Input,
        fenced_cluster: &FencedCluster,
        cluster: &Cluster,
    ) -> Result<(Server, Session), StepError> {
        let attempt = async || {
            let credentials = self.credentials(input, fenced_cluster, cluster).await.map_err(ConnectError::Failed)?;
            self.connect(input, cluster, &credentials).await
        };
        match attempt().await {
            Err(ConnectError::ServerFull(_)) => {}
            opened => return opened.map_err(|error| errors::no_login(&fenced_cluster.name, cluster.engine, error)),
        }
        self.record(input, fenced_cluster, cluster, &LoginState::default()).await?;
        self.close_network(cluster).await?;
        let credentials = self.credentials(input, fenced_cluster, cluster).await?;
        let connect = async || Ok::<_, StepError>(self.connect(input, cluster, &credentials).await);
        let is_decided = |opened: &Result<_, ConnectError>| !matches!(opened, Err(ConnectError::ServerFull(_)));
        let opened = FREE_CONNECTION.until(&self.clock, FENCE_LOGIN, connect, is_decided).await?;
        opened.map_err(|error| errors::no_login(&fenced_cluster.name, cluster.engine, error))
    }

    async fn credentials(
        &self,
        input: &Input,
        fenced_cluster: &FencedCluster,
        cluster: &Cluster,
    ) -> Result<Vec<Credential>, StepError> {
        self.access.credentials(cluster, &input.plan, fenced_cluster.password_moment).await
    }

    async fn connect(
        &self,
        input: &Input,
        cluster: &Cluster,
        credentials: &[Credential],
    ) -> Result<(Server, Session), ConnectError> {
        let network = self.access.network.for_recovery(&input.recovery.id);
        let target = writer(cluster).map_err(ConnectError::Failed)?;
        Server::connect(&network, &target, credentials, defaults(cluster.engine).maintenance_database).await
    }

    async fn log_in(
        &self,
        input: &Input,
        fenced_cluster: &FencedCluster,
        cluster: &Cluster,
    ) -> Result<(Server, Session), StepError> {
        let credentials = self.credentials(input, fenced_cluster, cluster).await?;
        let opened = self.connect(input, cluster, &credentials).await;
        opened.map_err(|error| errors::no_login(&fenced_cluster.name, cluster.engine, error))
    }

    async fn recorded(&self, input: &Input, fenced_cluster: &FencedCluster) -> Result<Option<Record>, StepError> {
        let found = self.records.fence_record(&input.recovery.id, fenced_cluster.record_key).await?;
        found.map(Record::read).transpose()
    }

    /// Records what is about to be changed, and returns all that is recorded. What an earlier run recorded stays; what is new
    /// since then is added.
    async fn record(
        &self,
        input: &Input,
        fenced_cluster: &FencedCluster,
        cluster: &Cluster,
        logins: &LoginState,
    ) -> Result<LoginRecord, StepError> {
        let (id, key) = (&input.recovery.id, fenced_cluster.record_key);
        let recorded = match self.recorded(input, fenced_cluster).await? {
            Some(recorded) => recorded,
            None => {
                // Somebody else's fence: recorded as the state to return to, it would keep clients out after the undo.
                if !self.fence_groups.is_empty() && cluster.includes_groups(&self.fence_groups) {
                    return Err(errors::fenced_already(&cluster.name, &self.fence_groups));
                }
                let fresh =
                    Record { security_groups: cluster.security_groups.clone(), logins: LoginRecord::of(logins) };
                // The source is fenced by its recovery alone.
                let holder = input.holder.as_ref().filter(|_| input.fence == FencedSide::Restored).unwrap_or(id);
                // The restored cluster is fenced by hand too, by the runbook, when its recovery has ended and released the lease.
                let or_nobody = input.fence == FencedSide::Restored;
                let lease = HeldLease { cluster: &input.plan.cluster, holder, or_nobody };
                Record::read(self.records.record_fence(id, key, &fresh.to_json()?, lease).await?)?
            }
        };
        // What a crashed run closed is not open now: without the merge the second record would forget it.
        let logins = recorded.logins.clone().and(logins);
        if logins != recorded.logins {
            let merged = Record { security_groups: recorded.security_groups, logins: logins.clone() };
            self.records.replace_fence_record(id, key, &merged.to_json()?).await?;
        }
        Ok(logins)
    }
}

/// Refuses a restored cluster that another recovery has adopted: it may have clients since.
fn refuse_adopted(cluster: &Cluster, id: &str) -> Result<(), StepError> {
    match cluster.tag(RECOVERY_TAG).filter(|owner| *owner != id) {
        None => Ok(()),
        Some(owner) => Err(StepError::new(
            ErrorName::RecordChanged,
            format!("{} is the restored cluster of {owner} by now, which has resumed {id}", cluster.name),
        )
        .changed("nothing was fenced")
        .advice(format!("see how {owner} stands: rewind status {owner}"))),
    }
}

/// Closes the logins, ends the sessions, and verifies that nobody gets in.
async fn fence_logins(
    cluster: &str,
    server: &Server,
    session: &Session,
    logins: &LoginRecord,
    timeouts: FenceTimeouts,
) -> Result<DatabaseLayers, StepError> {
    let fenced = apply(session, logins, timeouts).await?;
    // Bounded as a whole, beside the bound of each probe.
    let verification = within(FENCE_PROBES, Box::pin(verify(server, session, logins, &fenced))).await;
    let verification = verification.unwrap_or_else(|OutOfTime| Err(errors::unverified(cluster)))?;
    Ok(DatabaseLayers { logins: Some(verification), fenced })
}

/// Refuses a cluster that its master user reaches whatever the fence closes. MySQL's is never locked, for the fence is lifted as it,
/// and the Data API lets it in past the security groups. On PostgreSQL the limit of a database holds for it too.
fn refuse_data_api(cluster: &Cluster) -> Result<(), StepError> {
    match cluster.data_api && cluster.engine == Engine::AuroraMysql {
        true => Err(errors::data_api(cluster)),
        false => Ok(()),
    }
}

/// Refuses a fence that somebody still gets through.
fn refuse_open_fence(
    cluster: &Cluster,
    network: Option<&str>,
    DatabaseLayers { logins, fenced }: &DatabaseLayers,
) -> Result<(), StepError> {
    match (network, logins) {
        (Some(network), _) if fenced.master_returned => Err(errors::master_returned(&cluster.name, network)),
        // Behind the security groups a login that cannot be closed is no way in, but for those who are inside already and for
        // the Data API, which passes them.
        (Some(_), _) if !cluster.data_api => Ok(()),
        (_, Some(verification)) if !verification.is_complete() => {
            Err(errors::incomplete(cluster, network.is_some(), verification))
        }
        _ => Ok(()),
    }
}

/// Refuses a cluster that something writes to without a session. Side by side such writes stay on the source, which is kept;
/// in place they would be on no cluster at all.
async fn refuse_writers(cluster: &str, session: &Session) -> Result<(), StepError> {
    let writers = writers_without_session(session).await?;
    if writers.is_empty() {
        return Ok(());
    }
    Err(StepError::new(ErrorName::RewindFailed, format!("{cluster} cannot be fenced in place: {}", writers.join("; ")))
        .changed("nothing was fenced; what they wrote between clone and backtrack would be on neither cluster")
        .advice(
            "turn the event scheduler off until the recovery has ended, by the parameter event_scheduler of the cluster's group, \
             for ALTER EVENT is rewound too; stop replication; or ask for the strategy restore, and start again",
        ))
}

#[cfg(test)]
mod tests;
