//! The sessions of others on MySQL, and what writes there without one: replication, events, prepared transactions.

use super::connection::MysqlConnection;
use super::threads::{Thread, threads};
use crate::engine::reserved;
use crate::engine::sessions::{NAMED, StartingSessions};
use crate::engine::{ClientSession, Connection, SessionOperations};
use crate::error::StatementError;
use rewind_core::StepError;

impl SessionOperations for MysqlConnection {
    async fn own_user(&self) -> Result<String, StepError> {
        let account = self.values("SELECT CURRENT_USER()").await?.into_iter().next().unwrap_or_default();
        match account.rsplit_once('@') {
            Some((user, _)) => Ok(user.to_owned()),
            None => Err(StepError::bug("the database did not say who is logged in")),
        }
    }

    /// The session's own user and the master user: they are what lifts the fence, and MySQL has no connection limit a database
    /// that would hold for them too.
    async fn unlockable_users(&self) -> Result<Vec<String>, StepError> {
        let own = self.own_user().await?;
        let master = self.master_user.clone().filter(|master| *master != own);
        Ok([own].into_iter().chain(master).collect())
    }

    /// Connections that are logging in: each has read the account before it was locked, or will read it after.
    async fn starting_sessions(&self) -> Result<StartingSessions, StatementError> {
        Ok(threads(self).await?.into_iter().filter(Thread::is_logging_in).map(|thread| thread.id).collect())
    }

    async fn client_sessions(&self, unlockable: &[String]) -> Result<Vec<ClientSession>, StatementError> {
        let clients = threads(self)
            .await?
            .into_iter()
            .filter(|thread| thread.is_client() && !reserved::is_mysql_session(&thread.user));
        let session = |thread: Thread| ClientSession {
            pid: thread.id,
            // A thread's id is never used again while the server runs, so nothing else has to tell two apart.
            started: String::new(),
            master: unlockable.contains(&thread.user),
            user: thread.user,
            database: thread.database,
        };
        Ok(clients.map(session).collect())
    }

    async fn terminate(&self, sessions: &[ClientSession]) -> Result<Vec<ClientSession>, StatementError> {
        /// The number of the error for a thread that has ended.
        const GONE: &str = "1094";
        let mut refused = Vec::new();
        for session in sessions {
            // The master user has no right to KILL the sessions of others on RDS, which has this procedure for it.
            match self.execute(&format!("CALL mysql.rds_kill({})", session.pid)).await {
                Err(error) if error.has_code(GONE) => {}
                Err(StatementError::Refused(_)) => refused.push(session.clone()),
                done => done?,
            }
        }
        Ok(refused)
    }

    async fn replication(&self) -> Result<Vec<String>, StatementError> {
        let threads = threads(self).await?;
        let dumps = threads.iter().filter(|thread| thread.is_dump()).count();
        let dumps =
            (dumps > 0).then(|| format!("{dumps} x binlog dump: replicas go on reading, and write nothing here"));
        Ok(appliers(&threads).into_iter().chain(dumps).collect())
    }

    async fn writers_without_session(&self) -> Result<Vec<String>, StatementError> {
        let appliers = appliers(&threads(self).await?);
        // Switched off or not: a rewind in place rewinds that too.
        let events = events(self, "status <> 'SLAVESIDE_DISABLED'").await?;
        let sentence = |events: String| {
            format!(
                "the event scheduler is on, and these events may run on the rewound data, switched off today or not: {events}"
            )
        };
        Ok(appliers.into_iter().chain(events.map(sentence)).collect())
    }

    async fn unfenced_writers(&self) -> Result<Vec<String>, StatementError> {
        let mut notes = self.replication().await?;
        let events = events(self, "status = 'ENABLED'").await?;
        notes.extend(events.map(|events| {
            format!("the event scheduler is on: a fence has no hold on what these events write: {events}")
        }));
        match self.rows("XA RECOVER").await {
            Ok(rows) => notes.extend((!rows.is_empty()).then(|| {
                format!(
                    "{} XA transactions are prepared: they hold their locks, and were neither committed nor rolled back",
                    rows.len()
                )
            })),
            // MySQL 8.0 wants a right of its own for this, which a master user may lack. The fence holds without it.
            Err(StatementError::Refused(error)) => {
                notes.push(format!("whether XA transactions are prepared could not be seen: {error}"));
            }
            Err(error) => return Err(error),
        }
        Ok(notes)
    }
}

fn appliers(threads: &[Thread]) -> Option<String> {
    let count = threads.iter().filter(|thread| thread.is_applier()).count();
    (count > 0).then(|| format!("{count} x replication applier: what its source sends is still written"))
}

/// The names of the first events of that kind and the number of the others, where the scheduler is on.
async fn events(connection: &MysqlConnection, kind: &str) -> Result<Option<String>, StatementError> {
    // Those in `mysql` are RDS's own and keep its statistics.
    let events = connection
        .values(&format!(
            "SELECT concat(event_schema, '.', event_name) FROM information_schema.events \
             WHERE {kind} AND event_schema <> 'mysql' AND @@global.event_scheduler = 'ON' ORDER BY 1"
        ))
        .await?;
    let named = events.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    Ok(match events.len().saturating_sub(NAMED) {
        0 => (!events.is_empty()).then_some(named),
        more => Some(format!("{named} and {more} more")),
    })
}
