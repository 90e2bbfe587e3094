//! What the fence asks of MySQL, and what it changes there: accounts are locked, one by one, and sessions ended by RDS's
//! own procedure. There is no connection limit a database, and the master user cannot be locked: it is what undoes.

use super::sessions::{Other, Starting};
use super::state::Account;
use crate::engine::Dialect;
use crate::error::Failure;
use crate::session::Session;
use rewind_core::StepError;
use std::collections::BTreeSet;

/// Accounts of AWS's and of the server's own, beside those that begin with `rds_` and `mysql.`.
const RESERVED: [&str; 6] =
    ["rdsadmin", "rdsrepladmin", "rdsproxyadmin", "rdstopmgr", "rdswriteforwarduser", "mariadb.sys"];
/// Where nobody connects from on RDS; elsewhere it is where the server's own superuser does.
const HERE: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

fn is_reserved(user: &str) -> bool {
    RESERVED.contains(&user) || user.starts_with("rds_") || user.starts_with("mysql.")
}

/// The user name that the session logged in by.
pub(super) async fn own_user(session: &Session) -> Result<String, StepError> {
    let rows = session.rows("SELECT CURRENT_USER()").await?;
    let account = rows.into_iter().flatten().flatten().next().unwrap_or_default();
    match account.rsplit_once('@') {
        Some((user, _)) => Ok(user.to_owned()),
        None => Err(StepError::bug("the database did not say who is logged in")),
    }
}

/// All accounts that a fence may lock, and whether each is locked. Roles are none, and neither is any of the session's
/// own user's: whichever of them a later login of the recovery's would match, it has to get in.
pub(super) async fn accounts(session: &Session) -> Result<Vec<(Account, bool)>, StepError> {
    let own = own_user(session).await?;
    let rows = session
        .rows(match session.dialect() {
            Dialect::MariaDb => {
                "SELECT user, host, coalesce(json_value(priv, '$.account_locked'), '') IN ('1', 'true') \
                 FROM mysql.global_priv WHERE coalesce(json_value(priv, '$.is_role'), '') NOT IN ('1', 'true') \
                 ORDER BY user, host"
            }
            Dialect::MySql | Dialect::Postgres => {
                "SELECT user, host, account_locked = 'Y' FROM mysql.user ORDER BY user, host"
            }
        })
        .await?;
    let read = |row: Vec<Option<String>>| match <[_; 3]>::try_from(row) {
        Ok([Some(user), Some(host), Some(locked)]) => Some((Account { user, host }, locked == "1")),
        _ => None,
    };
    let accounts: Option<Vec<_>> = rows.into_iter().map(read).collect();
    let mut accounts = accounts.ok_or_else(|| StepError::bug("the list of accounts has a row that cannot be read"))?;
    accounts.retain(|(Account { user, host }, _)| {
        *user != own && !is_reserved(user) && !(user == "root" && HERE.contains(&host.as_str()))
    });
    Ok(accounts)
}

/// Makes texts mean the same whatever the server's `sql_mode` is, and the session never wait long.
pub(super) async fn settle(session: &Session) -> Result<(), Failure> {
    session.run("SET SESSION sql_mode = '', autocommit = 1, lock_wait_timeout = 2").await
}

/// The statement that locks an account, or unlocks it. One that is gone is no error.
pub(super) fn lock(account: &Account, locked: bool) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"));
    let state = if locked { "LOCK" } else { "UNLOCK" };
    format!("ALTER USER IF EXISTS {}@{} ACCOUNT {state}", quoted(&account.user), quoted(&account.host))
}

/// A thread of the server's that somebody's connection may be.
struct Thread {
    id: String,
    user: String,
    host: String,
    database: String,
    command: String,
}

async fn threads(session: &Session) -> Result<Vec<Thread>, Failure> {
    // Without the right to see others' threads there would seem to be none: this one is refused without it.
    session.run("SELECT count(*) FROM information_schema.innodb_trx").await?;
    let rows = session
        .rows(
            "SELECT id, coalesce(user, ''), coalesce(host, ''), coalesce(db, ''), coalesce(command, '') \
             FROM information_schema.processlist WHERE id <> connection_id() ORDER BY id",
        )
        .await?;
    let read = |row: Vec<Option<String>>| {
        let [id, user, host, database, command] = <[_; 5]>::try_from(row).ok()?.map(Option::unwrap_or_default);
        Some(Thread { id, user, host, database, command })
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

const LOGGING_IN: &str = "unauthenticated user";

/// Connections that are logging in: each has read the account before it was locked, or will read it after.
pub(super) async fn starting(session: &Session) -> Result<Starting, Failure> {
    let threads = threads(session).await?;
    Ok(threads.into_iter().filter(|thread| thread.user == LOGGING_IN).map(|thread| thread.id).collect())
}

/// Everybody who can write. A thread's id is never used again while the server runs.
pub(super) async fn others(session: &Session, own: &str) -> Result<Vec<Other>, Failure> {
    let is_client = |thread: &Thread| {
        let internal = ["system user", "event_scheduler", LOGGING_IN].contains(&thread.user.as_str());
        // Without a port it is the server's own socket.
        let here = thread.host.is_empty() || thread.host == "localhost";
        !internal && !here && !is_reserved(&thread.user) && !is_dump(thread) && thread.command != "Daemon"
    };
    let other = |thread: Thread| Other {
        pid: thread.id,
        started: String::new(),
        master: thread.user == own,
        user: thread.user,
        database: thread.database,
    };
    Ok(threads(session).await?.into_iter().filter(is_client).map(other).collect())
}

fn is_dump(thread: &Thread) -> bool {
    thread.command.starts_with("Binlog Dump")
}

/// Ends sessions; answers those that may not be ended. The master user has no right to `KILL` others', so RDS does it.
pub(super) async fn end(session: &Session, others: &[Other]) -> Result<Vec<Other>, Failure> {
    const GONE: &str = "1094";
    let mut refused = Vec::new();
    for other in others {
        match session.run(&format!("CALL mysql.rds_kill({})", other.pid)).await {
            Err(failure) if failure.is(GONE) => {}
            Err(Failure::Refused(_)) => refused.push(other.clone()),
            done => done?,
        }
    }
    Ok(refused)
}

/// What replicates from the server, or to it.
pub(super) async fn replication(session: &Session) -> Result<Vec<String>, Failure> {
    let threads = threads(session).await?;
    let dumps = threads.iter().filter(|thread| is_dump(thread)).count();
    let dumps = (dumps > 0).then(|| format!("{dumps} x binlog dump: replicas go on reading, and write nothing here"));
    Ok(appliers(&threads).into_iter().chain(dumps).collect())
}

fn appliers(threads: &[Thread]) -> Option<String> {
    let count = threads.iter().filter(|thread| thread.user == "system user" && thread.command != "Daemon").count();
    (count > 0).then(|| format!("{count} x replication applier: what its source sends is still written"))
}

/// But for those in `mysql`, which are RDS's own and keep its statistics.
async fn events(session: &Session) -> Result<Option<String>, Failure> {
    let events = session
        .rows(
            "SELECT concat(event_schema, '.', event_name) FROM information_schema.events \
             WHERE status = 'ENABLED' AND event_schema <> 'mysql' AND @@global.event_scheduler = 'ON' ORDER BY 1 LIMIT 20",
        )
        .await?;
    let events: Vec<String> = events.into_iter().flatten().flatten().collect();
    Ok((!events.is_empty()).then(|| {
        format!("the event scheduler is on: a fence has no hold on what these events write: {}", events.join(", "))
    }))
}

/// What writes without a session, which no fence ends.
pub(super) async fn writers(session: &Session) -> Result<Vec<String>, Failure> {
    let applies = appliers(&threads(session).await?);
    Ok(applies.into_iter().chain(events(session).await?).collect())
}

/// What may still write and is nobody's session.
pub(super) async fn leftovers(session: &Session) -> Result<Vec<String>, Failure> {
    let mut notes = replication(session).await?;
    notes.extend(events(session).await?);
    match session.rows("XA RECOVER").await {
        Ok(rows) => notes.extend((!rows.is_empty()).then(|| {
            format!(
                "{} XA transactions are prepared: they hold their locks, and were neither committed nor rolled back",
                rows.len()
            )
        })),
        Err(Failure::Refused(refusal)) => {
            notes.push(format!("whether XA transactions are prepared could not be seen: {refusal}"));
        }
        Err(failure) => return Err(failure),
    }
    Ok(notes)
}

/// Whether a change failed for another that is changing the same: a lock, or a deadlock.
pub(super) fn is_in_the_way(failure: &Failure) -> bool {
    failure.is("1205") || failure.is("1213")
}

/// The accounts that may log in now.
pub(super) async fn open(session: &Session) -> Result<BTreeSet<Account>, StepError> {
    let accounts = accounts(session).await?;
    Ok(accounts.into_iter().filter(|(_, locked)| !locked).map(|(account, _)| account).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_with_quotes_in_its_name_stays_one_account() {
        let account = Account { user: "o'ne\\".to_owned(), host: "%".to_owned() };
        assert_eq!(lock(&account, true), "ALTER USER IF EXISTS 'o''ne\\\\'@'%' ACCOUNT LOCK");
    }
}
