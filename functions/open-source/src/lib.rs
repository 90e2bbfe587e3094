//! Opens a cluster that a recovery left behind to one person who reads there: the fenced source, or the safety clone of a rewind in
//! place. A login of its own reads one database, one connection at a time, and a security group of its own admits its address. The
//! fence stays as it is for everybody else. Undo closes it, whatever was done of it.

mod kept;
mod refusals;

use jiff::Timestamp;
use kept::KeptCluster;
use rewind_access::{Access, writer};
use rewind_aws::opening_secrets::OpeningSecrets;
use rewind_aws::rds::{Cluster, ModifyClusters, ReadClusters, set_security_groups};
use rewind_aws::recoveries::{ReadNotes, Recoveries};
use rewind_aws::secrets::Logins;
use rewind_core::{
    Clock, ErrorName, OpenedAt, Opening, Plan, Recovery, StepError, one_address, opened_secret, opened_user,
};
use rewind_db::opening::{ReadingLogin, close_login, databases_to_open, open_login};
use rewind_db::{Server, Session, defaults};
use rewind_lambda::{Step, Undone};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

/// The IAM actions that the step calls.
pub const ACTIONS: &[&str] = &[
    "rds:DescribeDBClusters",
    "rds:ModifyDBCluster",
    "secretsmanager:ListSecretVersionIds",
    "secretsmanager:GetSecretValue",
    "secretsmanager:CreateSecret",
    "secretsmanager:TagResource",
    "secretsmanager:DeleteSecret",
    "dynamodb:GetItem",
    "kms:VerifyMac",
];

/// The step.
#[derive(Debug)]
pub struct OpenSource<C, S, N, K> {
    /// The login to the databases, and the secrets.
    pub access: Access<C, S>,
    /// The table, which has the record of a fence, and of the opening.
    pub notes: N,
    /// The time.
    pub clock: K,
    /// The security groups of a fenced cluster; empty: the fence has no network layer.
    pub fence_groups: Vec<String>,
    /// The security group that admits the address; none: no group of ours admits anybody.
    pub open_group: Option<String>,
}

/// The payload of the step.
#[derive(Debug, Clone, Deserialize)]
pub struct Input {
    /// The recovery.
    pub recovery: Recovery,
    /// The plan.
    pub plan: Plan,
    /// The opening.
    pub opening: Asked,
}

/// An opening, as somebody asked for it.
#[derive(Debug, Clone, Deserialize)]
pub struct Asked {
    /// The execution that opens it, by its name.
    pub id: String,
    /// The only address that is let in.
    pub from: String,
    /// The time at which it is closed.
    pub until: Timestamp,
    /// The database; none: the only one that there is.
    #[serde(default)]
    pub database: Option<String>,
}

impl Asked {
    /// True of the record of this opening. What is recorded beside it, such as the connection, is read from the record.
    fn is(&self, recorded: &Opening) -> bool {
        (&self.id, &self.from, self.until, &self.database)
            == (&recorded.id, &recorded.from, recorded.until, &recorded.database)
    }
}

impl<C, S, N, K> Step for OpenSource<C, S, N, K>
where
    C: ReadClusters + ModifyClusters,
    S: Logins + OpeningSecrets,
    N: ReadNotes + Recoveries,
    K: Clock,
{
    type Input = Input;
    type Output = OpenedAt;

    async fn run(&self, Input { recovery, plan, opening }: Input) -> Result<OpenedAt, StepError> {
        self.refuse_unrecorded(&recovery.id, &opening).await?;
        let from = one_address(&opening.from).map_err(refusals::not_one_address)?;
        let kept = self.kept(&plan);
        kept.refuse_unfenced(&self.notes, &recovery.id).await?;
        let cluster = self.access.cluster(&kept.name).await?;
        kept.refuse_other(&recovery.id, &plan, &cluster)?;
        refusals::refuse_time(&cluster, opening.until, self.clock.now())?;
        // Before anything is made: a refusal leaves nothing to undo.
        let groups = kept.groups_to_open(&cluster, self.open_group.as_deref())?;
        let (server, session) = self.enter(&recovery.id, &plan, &cluster).await?;
        let database = chosen(&cluster.name, databases_to_open(&session).await?, opening.database)?;
        let user = opened_user(&recovery.id);
        let target = writer(&cluster)?;
        // The fields of a secret that RDS makes, which clients know how to read.
        let password = password();
        let login = json!({
            "engine": cluster.engine.to_string(), "host": target.host, "port": target.port, "dbname": database,
            "username": user, "password": password,
        });
        // Before the login, so that no login is there whose password nobody can find.
        let secret = self.access.secrets.keep_opening_login(&opened_secret(&opening.id), &recovery.id, &login).await?;
        let reading = ReadingLogin {
            user: user.clone(),
            // Made here on every run, and never read from a secret: somebody else may have written that.
            password,
            from,
            until: opening.until,
            database: database.clone(),
        };
        let unread = open_login(&server, &session, &reading).await?;
        session.close().await;
        // The network last: until then nobody can connect, whatever else is done.
        if let Some(groups) = &groups {
            set_security_groups(&self.access.clusters, &self.clock, &cluster, groups).await?;
        }
        Ok(OpenedAt {
            cluster: cluster.name.clone(),
            engine: cluster.engine.to_string(),
            host: target.host,
            port: target.port,
            database,
            user,
            secret,
            network: network(&cluster, groups.as_deref(), &opening.from),
            unread,
        })
    }

    async fn undo(&self, Input { recovery, plan, opening }: Input) -> Result<Undone, StepError> {
        let recorded = self.recorded(&recovery.id, &opening).await?;
        let kept = self.kept(&plan);
        let mut undone = Vec::new();
        let found = self.access.clusters.cluster(&kept.name).await?;
        // One that was made anew under the name was never opened.
        if let Some(cluster) = found.filter(|cluster| kept.is_same(&plan, cluster)) {
            // The network first: nobody comes in again behind the sessions that end.
            if let Some(groups) = kept.groups_to_close(&cluster, self.open_group.as_deref())
                && set_security_groups(&self.access.clusters, &self.clock, &cluster, &groups).await?
            {
                undone.push(format!("security groups of {} are {} again", cluster.name, groups.join(", ")));
            }
            // With the fence lifted, a database that was closed again would keep clients out.
            let is_fenced = kept.is_fenced(&self.notes, &recovery.id).await?;
            let (server, session) = self.enter(&recovery.id, &plan, &cluster).await?;
            let asked = recorded.at.map(|at| at.database).or(recorded.database);
            // The one that was opened, if any was.
            let database = chosen(&cluster.name, databases_to_open(&session).await?, asked).unwrap_or_default();
            let user = opened_user(&recovery.id);
            undone.extend(close_login(&server, &session, &user, &database, is_fenced).await?);
            session.close().await;
        }
        // Also where the cluster is gone: no secret of ours is deleted with it.
        let secret = opened_secret(&opening.id);
        match self.access.secrets.delete_opening_login(&secret).await {
            Ok(false) => {}
            Ok(true) => undone.push(format!("the secret {secret} is deleted")),
            // Whoever took the tag off it holds up nothing: the login whose password it has is gone, or shut.
            Err(error) if error.name == ErrorName::RewindFailed => {
                undone.push(format!(
                    "the secret {secret} is there still, for a login that nobody uses any more: {error}"
                ));
            }
            Err(error) => return Err(error),
        }
        Ok(Undone::of(undone))
    }
}

impl<C, S, N, K> OpenSource<C, S, N, K>
where
    C: ReadClusters,
    S: Logins,
    N: Recoveries,
    K: Clock,
{
    /// Refuses an opening that no machine has recorded: whoever may call the function alone opens nothing.
    async fn refuse_unrecorded(&self, id: &str, asked: &Asked) -> Result<(), StepError> {
        let recovery = self.notes.recovery(id).await?;
        match recovery.and_then(|recovery| recovery.opening).is_some_and(|opening| asked.is(&opening)) {
            true => Ok(()),
            false => Err(refusals::not_recorded(id, &asked.id)),
        }
    }

    /// The record of what is to be closed: what is open, or where nothing is, the last that was.
    async fn recorded(&self, id: &str, asked: &Asked) -> Result<Opening, StepError> {
        let recovery = self.notes.recovery(id).await?;
        // The user is one for all openings of a recovery: closing an earlier one would end what is open now.
        let recorded = recovery.and_then(|recovery| recovery.opening.or(recovery.last_opening));
        recorded.filter(|recorded| asked.is(recorded)).ok_or_else(|| refusals::not_recorded_to_close(id, &asked.id))
    }

    fn kept(&self, plan: &Plan) -> KeptCluster {
        KeptCluster::of(plan, &self.fence_groups)
    }

    async fn enter(&self, id: &str, plan: &Plan, cluster: &Cluster) -> Result<(Server, Session), StepError> {
        let database = defaults(cluster.engine).maintenance_database;
        // A clone has the passwords of its moment, and its secret is the source's: both are read as they are now.
        Ok(self.access.log_in(id, cluster, plan, self.clock.now(), database).await?)
    }
}

/// Chooses the database: the one that was asked for, or the only one beside `postgres`, which every cluster has.
fn chosen(cluster: &str, mut databases: Vec<String>, asked: Option<String>) -> Result<String, StepError> {
    if let Some(asked) = asked {
        return match databases.contains(&asked) {
            true => Ok(asked),
            false => Err(refusals::no_such_database(cluster, &asked, &databases)),
        };
    }
    if databases.len() > 1 {
        databases.retain(|database| database != "postgres");
    }
    match <[String; 1]>::try_from(databases) {
        Ok([only]) => Ok(only),
        Err(databases) => Err(refusals::which_database(cluster, &databases)),
    }
}

/// Makes a password that nobody guesses and that every policy of passwords takes.
fn password() -> String {
    format!("Rw-{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

fn network(cluster: &Cluster, groups: Option<&[String]>, from: &str) -> String {
    match groups {
        Some(groups) => format!("{from} is admitted by the last of {}", groups.join(", ")),
        None => format!(
            "no security group of ours admits {from}: those of {} ({}) have to",
            cluster.name,
            cluster.security_groups.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests;
