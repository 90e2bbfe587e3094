//! Ends writes on a cluster's writer, in layers, and proves it: after it returns, that writer acknowledges no write. What
//! it changes it notes in the table first; its undo puts back exactly what was noted. Where the cluster itself is about
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
    Fenced, LoginState, Patience, Proof, apply, empty, lift, prove, survey, writers_without_session,
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
    /// The way to the databases.
    pub access: Access<C, S>,
    /// Where what is about to be changed is noted.
    pub notes: N,
    /// The time.
    pub clock: K,
    /// The security groups that admit the recovery's functions alone; empty: no network layer.
    pub fence_groups: Vec<String>,
}

/// What the step is passed.
#[derive(Debug, Clone, Deserialize)]
pub struct Input {
    /// Which recovery.
    pub recovery: Recovery,
    /// What it does.
    pub plan: Plan,
    /// Which cluster to fence.
    #[serde(default)]
    pub fence: Side,
    /// The restored cluster; needed to fence it.
    pub restored: Option<Restored>,
}

/// Which cluster is fenced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The source, before traffic moves to the restored cluster.
    #[default]
    Source,
    /// The restored cluster, before traffic moves back to the source.
    Restored,
}

/// What the step answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// From this moment on no write is acknowledged.
    pub fenced_at: Timestamp,
    /// How many sessions were ended.
    pub sessions_ended: u64,
    /// What was done, a layer a line.
    pub layers: Vec<Layer>,
}

/// One layer of the fence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// `network`, `login`, `sessions` or `proof`.
    pub layer: &'static str,
    /// What was done.
    pub did: String,
}

/// What is noted before it is changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    security_groups: Vec<String>,
    logins: LoginState,
}

/// What the inner layers did.
struct Inside {
    /// What is closed; none where the network alone is to close it.
    logins: Option<Proof>,
    fenced: Fenced,
}

/// The cluster to fence, as it was said by the input.
struct Fence {
    cluster: String,
    note: &'static str,
    /// Whose passwords are valid there: those of this moment.
    moment: Timestamp,
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
        let fence = self.which(&input)?;
        let cluster = self.access.cluster(&fence.cluster).await?;
        let in_place = input.plan.strategy == Strategy::Backtrack;
        if in_place && self.fence_groups.is_empty() {
            return Err(no_network(&fence.cluster));
        }
        let (server, session) = self.log_in(&input, &fence, &cluster).await?;
        let logins = if in_place {
            refuse_writers(&fence.cluster, &session).await?;
            LoginState::default()
        } else {
            survey(&session).await?
        };
        let logins = self.note(&input.recovery.id, &fence, &cluster, logins).await?;
        let network = self.close_network(&cluster).await?;
        let inside = if in_place {
            Inside { fenced: empty(&session, Patience::default()).await?, logins: None }
        } else {
            let fenced = apply(&session, &logins, Patience::default()).await?;
            let proof = within(timeouts::FENCE_PROBES, Box::pin(prove(&server, &session, &logins, &fenced))).await;
            let proof = proof.unwrap_or_else(|OutOfTime| Err(unproven(&fence.cluster)))?;
            Inside { logins: Some(proof), fenced }
        };
        session.close().await;
        match &network {
            None => {
                if let Some(proof) = inside.logins.as_ref().filter(|proof| !proof.is_complete()) {
                    return Err(incomplete(&fence.cluster, cluster.engine, proof));
                }
            }
            Some(network) if inside.fenced.master_returned => return Err(came_back(&fence.cluster, network)),
            Some(_) => {}
        }
        let fenced_at = self.clock.now();
        let readers = self.empty_readers(&input, &fence, &cluster).await;
        let sessions_ended = inside.fenced.sessions_ended + readers.sessions_ended;
        let mut layers = layers(cluster.engine, network, &inside);
        layers.extend(readers.did.map(|did| Layer { layer: "sessions", did }));
        Ok(Output { fenced_at, sessions_ended, layers })
    }

    async fn undo(&self, input: Input) -> Result<Undone, StepError> {
        let fence = self.which(&input)?;
        let Some(noted) = self.notes.note(&input.recovery.id, fence.note).await? else { return Ok(Undone::nothing()) };
        let record: Record = serde_json::from_value(noted)
            .map_err(|e| StepError::bug(format!("what the fence noted cannot be read: {e}")))?;
        let cluster = self.access.cluster(&fence.cluster).await?;
        // The network first: the functions get in through either set of groups, the clients only through the old one.
        let mut undone = self.open_network(&cluster, &record.security_groups).await?;
        if !record.logins.is_empty() {
            let (_, session) = self.log_in(&input, &fence, &cluster).await?;
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
    fn which(&self, input: &Input) -> Result<Fence, StepError> {
        match (input.fence, &input.restored) {
            (Side::Source, _) => {
                Ok(Fence { cluster: input.plan.cluster.clone(), note: "fence", moment: self.clock.now() })
            }
            (Side::Restored, Some(restored)) => {
                Ok(Fence { cluster: restored.cluster.clone(), note: "fenceRestored", moment: restored.rewound_to })
            }
            (Side::Restored, None) => Err(StepError::bug("the restored cluster is to be fenced, and none was passed")),
        }
    }

    async fn log_in(&self, input: &Input, fence: &Fence, cluster: &Cluster) -> Result<(Server, Session), StepError> {
        let (id, secret) = (&input.recovery.id, &input.plan.secret_arn);
        let database = defaults(cluster.engine).maintenance_database;
        let opened = self.access.log_in(id, cluster, secret, fence.moment, database).await;
        opened.map_err(|error| match error {
            ConnectError::LoginRefused(why)
            | ConnectError::NotAllowed(why)
            | ConnectError::DatabaseMissing(why)
            | ConnectError::DatabaseInvalid(why) => {
                StepError::new(ErrorName::RewindFailed, format!("no login to fence {}: {why}", fence.cluster))
                    .advice(format!("give a secret whose user may connect to {database} and end sessions"))
            }
            other => other.into(),
        })
    }

    /// Notes what is about to be changed. What an earlier run noted stays; what is new since then is added.
    async fn note(
        &self,
        recovery_id: &str,
        fence: &Fence,
        cluster: &Cluster,
        logins: LoginState,
    ) -> Result<LoginState, StepError> {
        let fresh = Record { security_groups: cluster.security_groups.clone(), logins };
        let noted = self.notes.note_once(recovery_id, fence.note, &to_json(&fresh)?).await?;
        let noted: Record = serde_json::from_value(noted)
            .map_err(|e| StepError::bug(format!("what the fence noted cannot be read: {e}")))?;
        let logins = LoginState::keeping(&noted.logins, &fresh.logins);
        if logins != noted.logins {
            let merged = Record { security_groups: noted.security_groups, logins: logins.clone() };
            self.notes.note_again(recovery_id, fence.note, &to_json(&merged)?).await?;
        }
        Ok(logins)
    }
}

fn to_json(record: &Record) -> Result<serde_json::Value, StepError> {
    serde_json::to_value(record).map_err(|e| StepError::bug(format!("the fence's note is not JSON: {e}")))
}

fn no_network(cluster: &str) -> StepError {
    StepError::new(
        ErrorName::RewindFailed,
        format!("{cluster} cannot be fenced in place: there are no security groups to fence it with"),
    )
    .changed("nothing was changed")
    .advice("deploy with FenceSecurityGroupIds, or ask for the strategy restore, and start again")
}

/// Side by side such writes stay on the source, which is kept. In place they would be on no cluster at all.
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

fn incomplete(cluster: &str, engine: Engine, proof: &Proof) -> StepError {
    let open: Vec<String> = proof.open.iter().map(|door| format!("{} ({})", door.name, door.why)).collect();
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
        .changed("no record was moved; what the fence closed is noted in the table")
        .advice(format!("deploy with FenceSecurityGroupIds, or {or}, and start again"))
}

/// Nothing is left open by that: the step is repeated, and finds what it closed.
fn unproven(cluster: &str) -> StepError {
    let seconds = timeouts::FENCE_PROBES.as_secs();
    StepError::new(
        ErrorName::Unavailable,
        format!("{cluster}: not every database could be tried within {seconds} s, and so the fence is not proven"),
    )
    .changed("the logins are closed and the sessions ended; what was changed is noted in the table")
}

fn came_back(cluster: &str, network: &str) -> StepError {
    StepError::new(
        ErrorName::RewindFailed,
        format!("{cluster} could not be fenced: sessions of the master user come back, although {network}"),
    )
    .changed("no record was moved; what the fence closed is noted in the table")
    .advice("find what logs in from within these security groups, stop it, and start again")
}

fn layers(engine: Engine, network: Option<String>, Inside { logins, fenced }: &Inside) -> Vec<Layer> {
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
    let proved = match (logins, engine) {
        (None, _) => "the security groups are in force, and no session is left".to_owned(),
        (Some(proof), Engine::AuroraPostgresql) => {
            format!("connections refused by {}", list(&proof.refused, "no database"))
        }
        (Some(proof), Engine::AuroraMysql) => format!("read again as locked: {}", list(&proof.refused, "no account")),
    };
    let doors = logins.iter().flat_map(|proof| &proof.open);
    let proved = doors
        .fold(proved, |proved, door| proved + &format!("; {} closed by the network alone ({})", door.name, door.why));
    layers.push(Layer { layer: "proof", did: proved });
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
