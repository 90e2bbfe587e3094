//! Closing the logins of an old writer and ending its sessions. It changes nothing that is not in the record.

use super::mysql;
use super::sessions::{Other, Starting, end, leftovers, others, starting};
use super::state::{Account, LoginState, survey};
use crate::engine::Dialect;
use crate::error::{Failure, unavailable};
use crate::quote::identifier;
use crate::session::Session;
use rewind_clock::bounded;
use rewind_core::{ErrorName, StepError, timeouts};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::time::sleep;
use tokio_postgres::error::SqlState;

/// How patient the fence is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long everything may take.
    pub bound: Duration,
    /// How often it looks for sessions.
    pub poll: Duration,
    /// How many looks in a row have to find none.
    pub quiet_polls: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self { bound: timeouts::FENCE_SESSIONS, poll: timeouts::FENCE_POLL, quiet_polls: 5 }
    }
}

/// What the fence did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fenced {
    /// Databases that take no more connections.
    pub databases: Vec<String>,
    /// Roles that may no longer log in.
    pub roles: Vec<String>,
    /// Accounts that are locked.
    pub accounts: Vec<String>,
    /// What could not be changed, with the reason.
    pub not_changed: Vec<String>,
    /// How many sessions were ended.
    pub sessions_ended: u64,
    /// How many of them were the master user's, where it cannot be locked out.
    pub master_sessions: u64,
    /// Whether the master user's came back while the others stayed away.
    pub master_returned: bool,
    /// What may still write: no session, and out of the fence's reach.
    pub notes: Vec<String>,
}

/// Closes the logins in `state`, ends all sessions of others, and waits until none is left.
///
/// When it returns, nobody but superusers is in a database, and nobody who comes later gets into one that is in
/// [`Fenced::databases`], or into any other as a role in [`Fenced::roles`] or an account in [`Fenced::accounts`]; on
/// MySQL the master user's logins are not closed ([`Fenced::master_returned`]). What the server was still committing
/// has been committed or rolled back.
///
/// # Errors
///
/// - [`ErrorName::ClusterNotReady`]: a database or a role has appeared that is not in `state`. To be surveyed, recorded
///   and applied again.
/// - [`ErrorName::Unavailable`]: sessions that do not end, or a database that does not answer. The logins may be closed.
pub async fn apply(session: &Session, state: &LoginState, patience: Patience) -> Result<Fenced, StepError> {
    let mut run = Run::new(session, patience).await?;
    let mut fenced = Fenced::default();
    settle(session).await?;
    match session.dialect() {
        Dialect::Postgres => run.close_postgres(state, &mut fenced).await?,
        Dialect::MySql | Dialect::MariaDb => run.close_mysql(state, &mut fenced).await?,
    }
    run.empty(patience, &mut fenced).await?;
    verify(session, state, &fenced).await?;
    fenced.notes = leftovers(session).await?;
    Ok(fenced)
}

/// Ends all sessions of others, and waits until none is left. It closes no login: on a reader those that [`apply`] closed
/// on the writer are closed too, and elsewhere the network has to be.
///
/// # Errors
///
/// [`ErrorName::Unavailable`]: sessions that do not end or come back, or a database that does not answer.
pub async fn empty(session: &Session, patience: Patience) -> Result<Fenced, StepError> {
    let mut fenced = Fenced::default();
    Run::new(session, patience).await?.empty(patience, &mut fenced).await?;
    fenced.notes = leftovers(session).await?;
    Ok(fenced)
}

/// Sets the session up for changes to the catalogue: durable, and never waiting long for somebody else's.
pub(super) async fn settle(session: &Session) -> Result<(), Failure> {
    if session.dialect() != Dialect::Postgres {
        return mysql::settle(session).await;
    }
    session.run("SET lock_timeout = '1s'; SET statement_timeout = '20s'; SET synchronous_commit = on").await
}

/// Whether a change failed for another transaction that is changing the same: over when that one is.
pub(super) fn is_in_the_way(failure: &Failure) -> bool {
    matches!(failure, Failure::TimedOut)
        || mysql::is_in_the_way(failure)
        || [SqlState::LOCK_NOT_AVAILABLE, SqlState::INTERNAL_ERROR, SqlState::T_R_SERIALIZATION_FAILURE]
            .iter()
            .any(|state| failure.is(state.code()))
}

/// Whether a change failed because its database or role is gone.
pub(super) fn is_gone(failure: &Failure) -> bool {
    failure.is(SqlState::INVALID_CATALOG_NAME.code()) || failure.is(SqlState::UNDEFINED_OBJECT.code())
}

struct Run<'a> {
    session: &'a Session,
    /// The user that the fence works as.
    own: String,
    deadline: Instant,
    ended: BTreeSet<Other>,
}

impl<'a> Run<'a> {
    async fn new(session: &'a Session, patience: Patience) -> Result<Self, StepError> {
        let own = match session.dialect() {
            // There the connection limits hold for it too, so that nobody needs to know.
            Dialect::Postgres => String::new(),
            Dialect::MySql | Dialect::MariaDb => mysql::own_user(session).await?,
        };
        Ok(Self { session, own, deadline: Instant::now() + bounded(patience.bound), ended: BTreeSet::new() })
    }

    async fn close_mysql(&mut self, state: &LoginState, fenced: &mut Fenced) -> Result<(), StepError> {
        let now = survey(self.session).await?;
        for account in now.accounts.iter().filter(|account| state.accounts.contains(account)) {
            if let Some(why) = self.change(&mysql::lock(account, true)).await? {
                fenced.not_changed.push(format!("account {account}: {why}"));
            }
        }
        let still = mysql::open(self.session).await?;
        let locked = state.accounts.iter().filter(|account| !still.contains(account));
        fenced.accounts.extend(locked.map(Account::to_string));
        Ok(())
    }

    /// Databases first: their limit holds for every role, the master user included.
    async fn close_postgres(&mut self, state: &LoginState, fenced: &mut Fenced) -> Result<(), StepError> {
        let now = survey(self.session).await?;
        for database in now.databases.iter().filter(|database| state.database(database.oid).is_some()) {
            let name = &database.name;
            if !database.can_be_limited {
                fenced
                    .not_changed
                    .push(format!("database {name} belongs to a role that the master user is no member of"));
                continue;
            }
            if database.connection_limit != 0 {
                let sql = format!("ALTER DATABASE {} CONNECTION LIMIT 0", identifier(name));
                if let Some(why) = self.change(&sql).await? {
                    fenced.not_changed.push(format!("database {name}: {why}"));
                    continue;
                }
            }
            fenced.databases.push(name.clone());
        }
        for role in now.roles.iter().filter(|role| state.role(role.oid).is_some()) {
            match self.change(&format!("ALTER ROLE {} NOLOGIN", identifier(&role.name))).await? {
                Some(why) => fenced.not_changed.push(format!("role {}: {why}", role.name)),
                None => fenced.roles.push(role.name.clone()),
            }
        }
        // Closed by an earlier attempt, and so not in the survey.
        let stopped = state.roles.iter().filter(|role| now.role(role.oid).is_none());
        fenced.roles.extend(stopped.map(|role| role.name.clone()));
        Ok(())
    }

    /// Makes one change; answers why the server refused it. Whoever is in the way is ended.
    async fn change(&mut self, sql: &str) -> Result<Option<String>, StepError> {
        loop {
            match self.session.run(sql).await {
                Ok(()) => return Ok(None),
                Err(failure) if is_gone(&failure) => return Ok(None),
                Err(failure) if is_in_the_way(&failure) => {
                    if Instant::now() >= self.deadline {
                        return Err(unavailable(format!("`{sql}` waited too long for other sessions"))
                            .changed("some logins may be closed; what was changed is in the record"));
                    }
                    self.end_others().await?;
                    sleep(timeouts::FENCE_POLL).await;
                }
                Err(Failure::Refused(refusal)) => return Ok(Some(refusal.to_string())),
                Err(failure) => return Err(failure.into()),
            }
        }
    }

    /// Tells everybody to leave; answers who was still there.
    async fn end_others(&mut self) -> Result<Vec<Other>, StepError> {
        let there = others(self.session, &self.own).await?;
        if there.is_empty() {
            return Ok(there);
        }
        let refused = end(self.session, &there).await?;
        self.ended.extend(there.iter().filter(|other| !refused.contains(other)).cloned());
        Ok(there)
    }

    /// Ends sessions until there is none left, and none on its way in that knows the logins as they were before.
    async fn empty(&mut self, patience: Patience, fenced: &mut Fenced) -> Result<(), StepError> {
        let early = starting(self.session).await?;
        let empty = self.wait_until_empty(patience, early, fenced).await;
        let count = |of: &dyn Fn(&Other) -> bool| {
            u64::try_from(self.ended.iter().filter(|&other| of(other)).count()).unwrap_or(u64::MAX)
        };
        fenced.sessions_ended = count(&|_| true);
        fenced.master_sessions = count(&|other| other.master);
        empty
    }

    async fn wait_until_empty(
        &mut self,
        patience: Patience,
        mut early: Starting,
        fenced: &mut Fenced,
    ) -> Result<(), StepError> {
        let mut quiet = 0;
        let mut known = early.clone();
        let mut first = true;
        loop {
            if !early.is_empty() {
                let still = starting(self.session).await?;
                early.retain(|pid| still.contains(pid));
            }
            let mut there = self.end_others().await?;
            // Nothing keeps the master user of MySQL from coming back. Waiting for it to stop would be waiting for ever:
            // it is ended, told of, and whoever asked decides.
            let returns = |other: &Other| other.master && !first && !known.contains(&other.pid);
            fenced.master_returned |= there.iter().any(returns);
            let seen: Vec<String> = there.iter().map(|other| other.pid.clone()).collect();
            there.retain(|other| !returns(other));
            known.extend(seen);
            first = false;
            quiet = if there.is_empty() && early.is_empty() { quiet + 1 } else { 0 };
            if quiet >= patience.quiet_polls {
                return Ok(());
            }
            if Instant::now() >= self.deadline {
                let who: BTreeSet<String> = there
                    .iter()
                    .map(|other| format!("{} in {} (pid {})", other.user, other.database, other.pid))
                    .collect();
                let who = who.into_iter().take(10).collect::<Vec<_>>().join(", ");
                return Err(unavailable(format!("sessions do not end: {who}; {} are still starting", early.len()))
                    .changed("the logins are closed; what was changed is in the record")
                    .advice("end these sessions or reboot the old writer, then try again"));
            }
            sleep(patience.poll).await;
        }
    }
}

/// With nobody left who could change it back, makes sure that what was to be closed is.
async fn verify(session: &Session, state: &LoginState, fenced: &Fenced) -> Result<(), StepError> {
    let now = survey(session).await?;
    let accounts = now.accounts.iter().filter(|account| !state.accounts.contains(account));
    let databases = now.databases.iter().filter(|database| match state.database(database.oid) {
        None => true,
        Some(_) => fenced.databases.contains(&database.name) && database.connection_limit != 0,
    });
    let new_roles = now.roles.iter().filter(|role| state.role(role.oid).is_none());
    let open: Vec<String> = databases
        .map(|database| format!("database {}", database.name))
        .chain(new_roles.map(|role| format!("role {}", role.name)))
        .chain(accounts.map(|account| format!("account {account}")))
        .collect();
    if open.is_empty() {
        return Ok(());
    }
    Err(StepError::new(
        ErrorName::ClusterNotReady,
        format!("made or changed while the fence was raised: {}", open.join(", ")),
    )
    .changed("other logins are closed; what was changed is in the record")
    .advice("survey, record and fence again"))
}
