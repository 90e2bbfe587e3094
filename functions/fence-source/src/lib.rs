//! Ends writes on a cluster's writer, in layers, and verifies it: after it returns, that writer acknowledges no write. Every
//! change is recorded in the table first, and the undo puts back exactly what was recorded. Where the cluster itself is about
//! to be rewound, the fence is the network and the sessions' end: what is locked in a database would be rewound too.

mod network;
mod readers;

use jiff::Timestamp;
use rewind_access::Access;
use rewind_aws::rds::{Cluster, ModifyClusters, ReadClusters};
use rewind_aws::records::Notes;
use rewind_aws::secrets::Logins;
use rewind_clock::{OutOfTime, within};
use rewind_core::{Clock, Engine, ErrorName, Plan, Recovery, Restored, StepError, Strategy, timeouts};
use rewind_db::fence::{
    FenceTimeouts, Fenced, LoginState, Verification, apply, lift, read_logins, terminate_sessions, verify,
    writers_without_session,
};
use rewind_db::{ConnectError, Server, Session, defaults};
use rewind_lambda::{Step, Undone};
use serde::{Deserialize, Serialize};

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] = &[
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstances",
    "rds:ModifyDBCluster",
    "secretsmanager:ListSecretVersionIds",
    "secretsmanager:GetSecretValue",
    "dynamodb:GetItem",
    "dynamodb:UpdateItem",
];

/// The step.
#[derive(Debug)]
pub struct FenceSource<C, S, N, K> {
    /// The login to the databases.
    pub access: Access<C, S>,
    /// The table, in which every change is recorded before it is made.
    pub notes: N,
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
    /// The restored cluster; needed to fence it.
    pub restored: Option<Restored>,
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
}

/// One layer of the fence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// `network`, `login`, `sessions` or `proof`.
    pub layer: &'static str,
    /// What was done, for a person.
    pub did: String,
}

/// The cluster as it was before it was fenced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    security_groups: Vec<String>,
    logins: LoginState,
}

/// The outcome of the layers inside the database.
struct DatabaseLayers {
    /// The logins that are closed; none where the network alone is to keep clients out.
    logins: Option<Verification>,
    fenced: Fenced,
}

/// The cluster to fence.
struct FencedCluster {
    name: String,
    /// The key of the record in the table.
    record_key: &'static str,
    /// The moment whose passwords are valid there.
    password_moment: Timestamp,
}

impl<C, S, N, K> Step for FenceSource<C, S, N, K>
where
    C: ReadClusters + ModifyClusters,
    S: Logins,
    N: Notes,
    K: Clock,
{
    type Input = Input;
    type Output = Output;

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let fenced_cluster = self.cluster_to_fence(&input)?;
        let cluster = self.access.cluster(&fenced_cluster.name).await?;
        let in_place = input.plan.strategy == Strategy::Backtrack;
        if in_place && self.fence_groups.is_empty() {
            return Err(no_network_layer(&fenced_cluster.name));
        }
        let (server, session) = self.log_in(&input, &fenced_cluster, &cluster).await?;
        let logins = if in_place {
            refuse_writers(&fenced_cluster.name, &session).await?;
            LoginState::default()
        } else {
            read_logins(&session).await?
        };
        let logins = self.record(&input.recovery.id, &fenced_cluster, &cluster, logins).await?;
        let network = self.close_network(&cluster).await?;
        let inner = if in_place {
            DatabaseLayers { fenced: terminate_sessions(&session, FenceTimeouts::default()).await?, logins: None }
        } else {
            let fenced = apply(&session, &logins, FenceTimeouts::default()).await?;
            let verification =
                within(timeouts::FENCE_PROOF, Box::pin(verify(&server, &session, &logins, &fenced))).await;
            let verification = verification.unwrap_or_else(|OutOfTime| Err(unverified(&fenced_cluster.name)))?;
            DatabaseLayers { logins: Some(verification), fenced }
        };
        session.close().await;
        match &network {
            None => {
                if let Some(verification) = inner.logins.as_ref().filter(|verification| !verification.is_complete()) {
                    return Err(incomplete(&fenced_cluster.name, cluster.engine, verification));
                }
            }
            Some(network) if inner.fenced.master_returned => {
                return Err(master_returned(&fenced_cluster.name, network));
            }
            Some(_) => {}
        }
        let fenced_at = self.clock.now();
        let readers = self.terminate_reader_sessions(&input, &fenced_cluster, &cluster).await;
        let sessions_ended = inner.fenced.sessions_ended + readers.sessions_ended;
        let mut layers = layers(cluster.engine, network, &inner);
        layers.extend(readers.did.map(|did| Layer { layer: "sessions", did }));
        Ok(Output { fenced_at, sessions_ended, layers })
    }

    async fn undo(&self, input: Input) -> Result<Undone, StepError> {
        let fenced_cluster = self.cluster_to_fence(&input)?;
        let Some(recorded) = self.notes.note(&input.recovery.id, fenced_cluster.record_key).await? else {
            return Ok(Undone::nothing());
        };
        let record: Record = serde_json::from_value(recorded)
            .map_err(|e| StepError::bug(format!("the record of the fence cannot be read: {e}")))?;
        let cluster = self.access.cluster(&fenced_cluster.name).await?;
        // The network first: the functions get in through either set of groups, the clients only through the old one.
        let mut undone = self.open_network(&cluster, &record.security_groups).await?;
        if !record.logins.is_empty() {
            let (_, session) = self.log_in(&input, &fenced_cluster, &cluster).await?;
            undone.extend(lift(&session, &record.logins).await?);
            session.close().await;
        }
        Ok(Undone::of(undone))
    }
}

impl<C, S, N, K> FenceSource<C, S, N, K>
where
    C: ReadClusters + ModifyClusters,
    S: Logins,
    N: Notes,
    K: Clock,
{
    fn cluster_to_fence(&self, input: &Input) -> Result<FencedCluster, StepError> {
        match (input.fence, &input.restored) {
            (FencedSide::Source, _) => Ok(FencedCluster {
                name: input.plan.cluster.clone(),
                record_key: "fence",
                password_moment: self.clock.now(),
            }),
            (FencedSide::Restored, Some(restored)) => Ok(FencedCluster {
                name: restored.cluster.clone(),
                record_key: "fenceRestored",
                password_moment: restored.rewound_to,
            }),
            (FencedSide::Restored, None) => {
                Err(StepError::bug("the restored cluster is to be fenced, and none was passed"))
            }
        }
    }

    async fn log_in(
        &self,
        input: &Input,
        fenced_cluster: &FencedCluster,
        cluster: &Cluster,
    ) -> Result<(Server, Session), StepError> {
        let (id, secret) = (&input.recovery.id, &input.plan.secret_arn);
        let database = defaults(cluster.engine).maintenance_database;
        let opened = self.access.log_in(id, cluster, secret, fenced_cluster.password_moment, database).await;
        opened.map_err(|error| match error {
            ConnectError::LoginRefused(why)
            | ConnectError::NotAllowed(why)
            | ConnectError::DatabaseMissing(why)
            | ConnectError::DatabaseInvalid(why) => {
                StepError::new(ErrorName::RewindFailed, format!("no login to fence {}: {why}", fenced_cluster.name))
                    .advice(format!("give a secret whose user may connect to {database} and end sessions"))
            }
            other => other.into(),
        })
    }

    /// Records what is about to be changed, and returns all that is recorded. What an earlier run recorded stays; what is new
    /// since then is added.
    async fn record(
        &self,
        recovery_id: &str,
        fenced_cluster: &FencedCluster,
        cluster: &Cluster,
        logins: LoginState,
    ) -> Result<LoginState, StepError> {
        let fresh = Record { security_groups: cluster.security_groups.clone(), logins };
        let recorded = self.notes.note_once(recovery_id, fenced_cluster.record_key, &to_json(&fresh)?).await?;
        let recorded: Record = serde_json::from_value(recorded)
            .map_err(|e| StepError::bug(format!("the record of the fence cannot be read: {e}")))?;
        let logins = LoginState::merge(&recorded.logins, &fresh.logins);
        if logins != recorded.logins {
            let merged = Record { security_groups: recorded.security_groups, logins: logins.clone() };
            self.notes.note_again(recovery_id, fenced_cluster.record_key, &to_json(&merged)?).await?;
        }
        Ok(logins)
    }
}

fn to_json(record: &Record) -> Result<serde_json::Value, StepError> {
    serde_json::to_value(record).map_err(|e| StepError::bug(format!("the record of the fence is not JSON: {e}")))
}

fn no_network_layer(cluster: &str) -> StepError {
    StepError::new(
        ErrorName::RewindFailed,
        format!("{cluster} cannot be fenced in place: there are no security groups to fence it with"),
    )
    .changed("nothing was changed")
    .advice("deploy with FenceSecurityGroupIds, or ask for the strategy restore, and start again")
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
            "stop them (ALTER EVENT … DISABLE, or stop replication), or ask for the strategy restore, and start again",
        ))
}

fn incomplete(cluster: &str, engine: Engine, verification: &Verification) -> StepError {
    let open: Vec<String> = verification.open.iter().map(|login| format!("{} ({})", login.name, login.why)).collect();
    let (who, or) = match engine {
        Engine::AuroraPostgresql => (
            "these databases still take connections",
            "make the secret's user a member of the roles that own these databases",
        ),
        Engine::AuroraMysql => (
            "these accounts can still log in",
            "give the applications accounts of their own, which the secret's user may lock",
        ),
    };
    StepError::new(ErrorName::RewindFailed, format!("{cluster} could not be fenced: {who}: {}", open.join(", ")))
        .changed("no record was moved; what the fence closed is recorded in the table")
        .advice(format!("deploy with FenceSecurityGroupIds, or {or}, and start again"))
}

/// The time for the probes was over. Nothing is left open by that: the step is repeated, and finds what it closed.
fn unverified(cluster: &str) -> StepError {
    let seconds = timeouts::FENCE_PROOF.as_secs();
    StepError::new(
        ErrorName::Unavailable,
        format!("{cluster}: not every database could be tried within {seconds} s, and so the fence is not verified"),
    )
    .changed("the logins are closed and the sessions ended; what was changed is recorded in the table")
}

fn master_returned(cluster: &str, network: &str) -> StepError {
    StepError::new(
        ErrorName::RewindFailed,
        format!("{cluster} could not be fenced: sessions of the master user come back, although {network}"),
    )
    .changed("no record was moved; what the fence closed is recorded in the table")
    .advice("find what logs in from within these security groups, stop it, and start again")
}

fn layers(engine: Engine, network: Option<String>, DatabaseLayers { logins, fenced }: &DatabaseLayers) -> Vec<Layer> {
    let mut layers = Vec::new();
    layers.extend(network.map(|did| Layer { layer: "network", did }));
    if logins.is_some() {
        layers.push(Layer { layer: "login", did: login(engine, fenced) });
    }
    let mut sessions = format!("{} ended, none came back", fenced.sessions_ended);
    if !fenced.notes.is_empty() {
        sessions.push_str(&format!("; {}", fenced.notes.join("; ")));
    }
    layers.push(Layer { layer: "sessions", did: sessions });
    let verified = match (logins, engine) {
        (None, _) => "the security groups are in force, and no session is left".to_owned(),
        (Some(verification), Engine::AuroraPostgresql) => {
            format!("connections refused by {}", list(&verification.closed, "no database"))
        }
        (Some(verification), Engine::AuroraMysql) => {
            format!("read again as locked: {}", list(&verification.closed, "no account"))
        }
    };
    let open = logins.iter().flat_map(|verification| &verification.open);
    let verified = open.fold(verified, |verified, login| {
        verified + &format!("; {} closed by the network alone ({})", login.name, login.why)
    });
    layers.push(Layer { layer: "proof", did: verified });
    layers
}

fn login(engine: Engine, fenced: &Fenced) -> String {
    let mut login = match engine {
        Engine::AuroraPostgresql => format!(
            "connection limit 0 on {}; NOLOGIN for {}",
            list(&fenced.databases, "no database"),
            list(&fenced.roles, "no role")
        ),
        Engine::AuroraMysql => format!("ACCOUNT LOCK for {}", list(&fenced.accounts, "no account")),
    };
    if !fenced.not_changed.is_empty() {
        login.push_str(&format!("; not changed: {}", fenced.not_changed.join(", ")));
    }
    login
}

fn list(names: &[String], none: &str) -> String {
    if names.is_empty() { none.to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests;
