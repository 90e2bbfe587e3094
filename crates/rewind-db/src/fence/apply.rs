//! Closing the logins of an old writer and ending its sessions. It changes nothing that is not in the record.

use super::sessions::{Other, end, leftovers, others, starting};
use super::state::{LoginState, survey};
use crate::error::{Failure, say, unavailable};
use crate::quote::identifier;
use crate::session::Session;
use rewind_core::{ErrorName, StepError};
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
        Self { bound: Duration::from_secs(30), poll: Duration::from_millis(50), quiet_polls: 5 }
    }
}

/// What the fence did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fenced {
    /// Databases that take no more connections.
    pub databases: Vec<String>,
    /// Roles that may no longer log in.
    pub roles: Vec<String>,
    /// What could not be changed, with the reason.
    pub not_changed: Vec<String>,
    /// How many sessions were ended.
    pub sessions_ended: u64,
    /// What may still write: no session, and out of the fence's reach.
    pub notes: Vec<String>,
}

/// Closes the logins in `state`, ends all sessions of others, and waits until none is left.
///
/// When it returns, nobody but superusers is in a database, and nobody who comes later gets into one that is in
/// [`Fenced::databases`], or into any other as a role in [`Fenced::roles`]. What the server was still committing has
/// been committed or rolled back.
///
/// # Errors
///
/// - [`ErrorName::ClusterNotReady`]: a database or a role has appeared that is not in `state`. To be surveyed, recorded
///   and applied again.
/// - [`ErrorName::Unavailable`]: sessions that do not end, or a database that does not answer. The logins may be closed.
pub async fn apply(session: &Session, state: &LoginState, patience: Patience) -> Result<Fenced, StepError> {
    let mut run = Run { session, deadline: Instant::now() + patience.bound, ended: BTreeSet::new() };
    let mut fenced = Fenced::default();
    settle(session).await?;
    run.close(state, &mut fenced).await?;
    run.empty(patience).await?;
    verify(session, state, &fenced).await?;
    fenced.sessions_ended = u64::try_from(run.ended.len()).unwrap_or(u64::MAX);
    fenced.notes = leftovers(session).await?;
    Ok(fenced)
}

/// Ends all sessions of others on a reader, and waits until none is left; answers how many it ended.
///
/// Nothing can be changed there: the logins that [`apply`] closed on the writer are closed on its readers too.
///
/// # Errors
///
/// [`ErrorName::Unavailable`]: sessions that do not end, or a database that does not answer.
pub async fn empty_reader(session: &Session, patience: Patience) -> Result<u64, StepError> {
    let mut run = Run { session, deadline: Instant::now() + patience.bound, ended: BTreeSet::new() };
    run.empty(patience).await?;
    Ok(u64::try_from(run.ended.len()).unwrap_or(u64::MAX))
}

/// Sets the session up for changes to the catalogue: durable, and never waiting long for somebody else's.
pub(super) async fn settle(session: &Session) -> Result<(), Failure> {
    session.run("SET lock_timeout = '1s'; SET statement_timeout = '20s'; SET synchronous_commit = on").await
}

/// Whether a change failed for another transaction that is changing the same: over when that one is.
pub(super) fn is_in_the_way(failure: &Failure) -> bool {
    matches!(failure, Failure::TimedOut)
        || [SqlState::LOCK_NOT_AVAILABLE, SqlState::INTERNAL_ERROR, SqlState::T_R_SERIALIZATION_FAILURE]
            .iter()
            .any(|state| failure.is(state))
}

/// Whether a change failed because its database or role is gone.
pub(super) fn is_gone(failure: &Failure) -> bool {
    failure.is(&SqlState::INVALID_CATALOG_NAME) || failure.is(&SqlState::UNDEFINED_OBJECT)
}

struct Run<'a> {
    session: &'a Session,
    deadline: Instant,
    ended: BTreeSet<Other>,
}

impl Run<'_> {
    /// Databases first: their limit holds for every role, the master user included.
    async fn close(&mut self, state: &LoginState, fenced: &mut Fenced) -> Result<(), StepError> {
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
                    sleep(Duration::from_millis(50)).await;
                }
                Err(Failure::Refused(error)) => return Ok(Some(say(&error))),
                Err(failure) => return Err(failure.into()),
            }
        }
    }

    /// Tells everybody to leave; answers who was still there.
    async fn end_others(&mut self) -> Result<Vec<Other>, StepError> {
        let there = others(self.session).await?;
        if there.is_empty() {
            return Ok(there);
        }
        let refused = end(self.session, &there).await?;
        self.ended.extend(there.iter().filter(|other| !refused.contains(other)).cloned());
        Ok(there)
    }

    /// Ends sessions until there is none left, and none on its way in that knows the logins as they were before.
    async fn empty(&mut self, patience: Patience) -> Result<(), StepError> {
        let mut early = starting(self.session).await?;
        let mut quiet = 0;
        loop {
            if !early.is_empty() {
                let still = starting(self.session).await?;
                early.retain(|pid| still.contains(pid));
            }
            let there = self.end_others().await?;
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
    let databases = now.databases.iter().filter(|database| match state.database(database.oid) {
        None => true,
        Some(_) => fenced.databases.contains(&database.name) && database.connection_limit != 0,
    });
    let new_roles = now.roles.iter().filter(|role| state.role(role.oid).is_none());
    let open: Vec<String> = databases
        .map(|database| format!("database {}", database.name))
        .chain(new_roles.map(|role| format!("role {}", role.name)))
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
