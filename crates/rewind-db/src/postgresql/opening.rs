//! A login on PostgreSQL that only reads: a role with the rights to read people's tables of one database, and room for it in that
//! database, which the fence has closed.
//!
//! Not by `pg_read_all_data`: that is no right to one database. It reads the verifiers of all logins and the passwords of foreign servers
//! as well, and every database that takes the role.

use super::INVALID_DATABASE;
use super::connection::PostgresqlConnection;
use super::opening_rights::{grant_reading, revoke_rights, writable};
use super::quote::{identifier, literal};
use crate::engine::opening::{OpeningOperations, ShutLogin};
use crate::engine::{Connection, LoginOperations, SessionOperations};
use crate::error::{ConnectError, StatementError, unavailable};
use crate::fence::some_of;
use crate::opening::ReadingLogin;
use crate::server::Server;
use crate::session::{EngineConnection, Session};
use postgres_protocol::password::scram_sha_256;
use rewind_core::{StepError, timeouts};
use std::pin::pin;
use tokio::time::{Instant, sleep};
use tokio_postgres::error::SqlState;

/// The database that stays open behind a fence.
const MAINTENANCE_DATABASE: &str = super::DEFAULTS.maintenance_database;

/// The most databases besides its own that a login may connect to: each is looked through before it is let in.
const OTHERS_MAX: usize = 50;

impl OpeningOperations for PostgresqlConnection {
    async fn databases_to_open(&self) -> Result<Vec<String>, StepError> {
        let databases = self.read_logins().await?.databases;
        Ok(databases.into_iter().filter(|database| database.can_be_limited).map(|database| database.name).collect())
    }

    async fn make_room(&self, database: &str) -> Result<(), StepError> {
        // Only 0 is the fence's: a limit that people set is not raised.
        let is_closed =
            format!("SELECT 1 FROM pg_catalog.pg_database WHERE datname = {} AND datconnlimit = 0", literal(database));
        if !self.values(&is_closed).await?.is_empty() {
            // The server counts the workers of autovacuum too. One connection at a time is the role's own limit.
            let room = "SELECT 1 + pg_catalog.current_setting('autovacuum_max_workers')::int";
            // Three workers are the server's default.
            let room = self.values(room).await?.into_iter().next().unwrap_or_else(|| "4".to_owned());
            self.execute(&format!("ALTER DATABASE {} CONNECTION LIMIT {room}", identifier(database))).await?;
        }
        Ok(())
    }

    async fn make_login(&self, server: &Server, login: &ReadingLogin) -> Result<Vec<String>, StepError> {
        let role = identifier(&login.user);
        self.execute(&format!(
            "CREATE ROLE {role} NOLOGIN CONNECTION LIMIT 1; ALTER ROLE {role} SET default_transaction_read_only = on"
        ))
        .await?;
        // Whoever prepared a transaction ends it, and nobody else: this login does so as the role. Now, because later a transaction of the
        // role's may be in the way.
        self.attempt(&as_member(&login.user)).await?;
        let user = literal(&login.user);
        let connects =
            format!("SELECT pg_catalog.has_database_privilege({user}, {}, 'CONNECT')", literal(&login.database));
        // Mostly PUBLIC may connect: then the rights of the database stay as people made them.
        if self.values(&connects).await? != ["t"] {
            let database = identifier(&login.database);
            self.execute(&format!("GRANT CONNECT ON DATABASE {database} TO {role}")).await?;
        }
        // From inside, because each database has the rights to its tables in a catalogue of its own.
        let session = server.open(&login.database).await?;
        let granted = async {
            let inside = postgresql(&session)?;
            inside.prepare_changes().await?;
            grant_reading(inside, &login.user).await
        };
        let unread = granted.await;
        session.close().await;
        unread
    }

    async fn writable_by(&self, server: &Server, login: &ReadingLogin) -> Result<Vec<String>, StepError> {
        let mut found = within(server, &login.database, &login.user).await?;
        // No fence closes the database that it works from, or one that belongs to others; and a clone has no fence. The server itself
        // keeps everybody out of AWS's own.
        let others = self
            .values(&format!(
                "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND datconnlimit NOT IN (0, {INVALID_DATABASE}) \
                 AND datname <> 'rdsadmin' AND pg_catalog.has_database_privilege({}, oid, 'CONNECT') AND datname <> {} ORDER BY 1",
                literal(&login.user),
                literal(&login.database)
            ))
            .await?;
        if others.len() > OTHERS_MAX {
            found
                .push(format!("{} other databases that everybody may connect to, too many to look into", others.len()));
            return Ok(found);
        }
        for other in others {
            let writable = within(server, &other, &login.user).await?;
            found.extend(writable.into_iter().map(|what| format!("{what} in the database {other}")));
        }
        Ok(found)
    }

    async fn admit_login(&self, login: &ReadingLogin) -> Result<(), StepError> {
        // The verifier and not the password: a cluster may log the statements that change its roles.
        let verifier = scram_sha_256(login.password.as_bytes());
        let (role, verifier) = (identifier(&login.user), literal(&verifier));
        let until = literal(&login.until.to_string());
        Ok(self.execute(&format!("ALTER ROLE {role} LOGIN PASSWORD {verifier} VALID UNTIL {until}")).await?)
    }

    async fn shut_login(&self, server: &Server, user: &str, room_in: Option<&str>) -> Result<ShutLogin, StepError> {
        let known = format!("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = {}", literal(user));
        if self.values(&known).await?.is_empty() {
            return Ok(ShutLogin::Missing);
        }
        self.prepare_changes().await?;
        let role = identifier(user);
        let shut = format!("ALTER ROLE {role} NOLOGIN PASSWORD NULL CONNECTION LIMIT 0 VALID UNTIL '-infinity'");
        let changed = match self.execute(&shut).await {
            Err(error) if self.is_conflict(&error) => self.shut_held(server, user, room_in, &shut).await?,
            changed => changed,
        };
        match changed {
            Ok(()) => Ok(ShutLogin::Shut),
            // From PostgreSQL 16 on nobody changes a role of somebody else's.
            Err(StatementError::Refused(error)) if error.code == SqlState::INSUFFICIENT_PRIVILEGE.code() => {
                Ok(ShutLogin::Foreign(error.to_string()))
            }
            Err(error) if self.is_conflict(&error) => {
                let held = unavailable(format!("something else keeps the login {user} from being shut"));
                Err(held.changed("its sessions were ended, and it may log in still; the fence is as it was"))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn drop_login(&self, server: &Server, user: &str) -> Result<Option<String>, StepError> {
        // Before anything else, for it holds locks on people's tables.
        if let Some(why) = self.end_prepared_anywhere(server, user, None).await? {
            return Ok(Some(format!("a transaction that it prepared does not end: {why}")));
        }
        // May be people's: whoever makes roles can make one under the name, and give it a table.
        let owned = format!(
            "SELECT pg_catalog.format('%s %s in %s', pg_catalog.count(*), \
             CASE s.classid WHEN 'pg_catalog.pg_class'::pg_catalog.regclass THEN 'tables, views or sequences' \
             WHEN 'pg_catalog.pg_largeobject'::pg_catalog.regclass THEN 'large objects' \
             WHEN 'pg_catalog.pg_policy'::pg_catalog.regclass THEN 'policies for rows' \
             ELSE 'of ' || s.classid::pg_catalog.regclass::text END, coalesce(d.datname, 'the server')) \
             FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid \
             LEFT JOIN pg_catalog.pg_database d ON d.oid = s.dbid \
             WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND r.rolname = {} AND s.deptype IN ('o', 'r') \
             AND s.classid <> 'pg_catalog.pg_default_acl'::pg_catalog.regclass \
             GROUP BY s.classid, d.datname ORDER BY d.datname, s.classid",
            literal(user)
        );
        let owned = self.values(&owned).await?;
        if !owned.is_empty() {
            return Ok(Some(format!(
                "it owns or is named in {}, of which nothing is dropped",
                some_of(&owned, "nothing")
            )));
        }
        let role = identifier(user);
        let mut kept_by = Vec::new();
        // Only a member of the role may take its rights: the master user of RDS is no superuser.
        kept_by.extend(self.attempt(&as_member(user)).await?);
        // The rights that are no database's own, and in each database its rights there. It owns nothing, so nothing is dropped.
        let rights = format!("DROP OWNED BY {role}");
        kept_by.extend(self.attempt(&rights).await?);
        let databases = format!(
            "SELECT DISTINCT d.datname FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid \
             JOIN pg_catalog.pg_database d ON d.oid = s.dbid WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass \
             AND r.rolname = {} ORDER BY 1",
            literal(user)
        );
        let deadline = Instant::now() + timeouts::FENCE_SESSIONS;
        for database in self.values(&databases).await? {
            if Instant::now() >= deadline {
                kept_by.push(format!("{database} was not looked into for lack of time"));
                break;
            }
            let session = match server.open(&database).await {
                Ok(session) => session,
                Err(error) => {
                    kept_by.push(error.to_string());
                    continue;
                }
            };
            let dropped = async {
                let inside = postgresql(&session)?;
                inside.prepare_changes().await?;
                let granted = revoke_rights(inside, user).await?;
                Ok::<_, StepError>(granted.or(inside.attempt(&rights).await?))
            };
            // A session that is lost there keeps this one from nothing.
            match dropped.await {
                Ok(refused) => kept_by.extend(refused.map(|why| format!("in the database {database}: {why}"))),
                Err(error) => kept_by.push(format!("in the database {database}: {error}")),
            }
            session.close().await;
        }
        let dropped = self.attempt(&format!("DROP ROLE {role}")).await?;
        Ok(dropped.map(|why| {
            kept_by.insert(0, why);
            kept_by.join("; ")
        }))
    }

    async fn close_database(&self, database: &str) -> Result<bool, StepError> {
        let name = literal(database);
        // A database without a limit, -1, has none that an opening set.
        let open = format!("SELECT 1 FROM pg_catalog.pg_database WHERE datname = {name} AND datconnlimit > 0");
        if self.values(&open).await?.is_empty() {
            return Ok(false);
        }
        self.prepare_changes().await?;
        self.execute(&format!("ALTER DATABASE {} CONNECTION LIMIT 0", identifier(database))).await?;
        Ok(true)
    }
}

impl PostgresqlConnection {
    /// Makes the change `shut` of the login `user`, which another transaction holds.
    ///
    /// Ends the sessions of the login while the change waits, and whoever else is in its way: before it waits, a client that comes back at
    /// once would hold the login again.
    async fn shut_held(
        &self,
        server: &Server,
        user: &str,
        room_in: Option<&str>,
        shut: &str,
    ) -> Result<Result<(), StatementError>, StepError> {
        let deadline = Instant::now() + timeouts::OPENING_SHUT;
        let own = self.values("SELECT pg_catalog.pg_backend_pid()").await?.into_iter().next().unwrap_or_default();
        let session = server.open(MAINTENANCE_DATABASE).await?;
        let changed = async {
            let beside = postgresql(&session)?;
            loop {
                // No session has such a transaction any more.
                self.end_prepared_anywhere(server, user, room_in).await?;
                let mut change = pin!(self.execute(shut));
                let changed = loop {
                    tokio::select! {
                        biased;
                        changed = &mut change => break changed,
                        () = sleep(timeouts::FENCE_POLL) => beside.make_way(user, &own).await?,
                    }
                };
                match changed {
                    Err(error) if self.is_conflict(&error) && Instant::now() < deadline => {}
                    changed => return Ok::<_, StepError>(changed),
                }
            }
        };
        let changed = changed.await;
        session.close().await;
        changed
    }

    /// Ends the sessions of `user`, and those that the session with the process id `own` waits for.
    async fn make_way(&self, user: &str, own: &str) -> Result<(), StepError> {
        let blocking = format!("SELECT b.pid FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids({own})) b(pid)");
        let blocking = self.values(&blocking).await?;
        let mut sessions = self.client_sessions(&[]).await?;
        sessions.retain(|session| session.pid != own && (session.user == user || blocking.contains(&session.pid)));
        if !sessions.is_empty() {
            self.terminate(&sessions).await?;
        }
        Ok(())
    }

    /// Rolls back what `user` prepared in any database, which no end of a session ends; returns the reason where something stays.
    async fn end_prepared_anywhere(
        &self,
        server: &Server,
        user: &str,
        room_in: Option<&str>,
    ) -> Result<Option<String>, StepError> {
        let prepared =
            format!("SELECT DISTINCT database FROM pg_catalog.pg_prepared_xacts WHERE owner = {}", literal(user));
        let mut refused = None;
        for database in self.values(&prepared).await? {
            self.attempt(&as_member(user)).await?;
            if room_in == Some(database.as_str()) {
                self.make_room(&database).await?;
            }
            let session = match server.open(&database).await {
                Ok(session) => session,
                Err(error) => {
                    refused.get_or_insert(error.to_string());
                    continue;
                }
            };
            let ended = async {
                let inside = postgresql(&session)?;
                inside.prepare_changes().await?;
                inside.end_prepared(user).await
            };
            let ended = ended.await;
            session.close().await;
            refused = refused.or(ended?);
        }
        Ok(refused)
    }

    /// Rolls back what `user` prepared in this database; returns the reason where the server refuses that.
    async fn end_prepared(&self, user: &str) -> Result<Option<String>, StepError> {
        let prepared = format!(
            "SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE owner = {} AND database = pg_catalog.current_database()",
            literal(user)
        );
        let prepared = self.values(&prepared).await?;
        let mut refused = None;
        if prepared.is_empty() {
            return Ok(refused);
        }
        // Whoever prepared it ends it, and nobody else but a superuser.
        refused = refused.or(self.attempt(&format!("SET ROLE {}", identifier(user))).await?);
        for name in prepared {
            refused = refused.or(self.attempt(&format!("ROLLBACK PREPARED {}", literal(&name))).await?);
        }
        self.execute("SET ROLE NONE").await?;
        Ok(refused)
    }

    /// Makes a change that the server may refuse; returns the reason why it did.
    async fn attempt(&self, sql: &str) -> Result<Option<String>, StepError> {
        match self.execute(sql).await {
            Ok(()) => Ok(None),
            Err(error) => error.into_reason(timeouts::STATEMENT).map(Some),
        }
    }
}

/// Makes this login a member of the role `user`, which it made: so it may act as it.
fn as_member(user: &str) -> String {
    format!("GRANT {} TO CURRENT_USER", identifier(user))
}

/// Names what `user` could write to in `database`.
async fn within(server: &Server, database: &str, user: &str) -> Result<Vec<String>, StepError> {
    let session = match server.open(database).await {
        Ok(session) => session,
        Err(ConnectError::Failed(error)) => return Err(error),
        Err(error @ ConnectError::ServerFull(_)) => return Err(error.into()),
        Err(why) => return Ok(vec![format!("whatever cannot be looked for ({why})")]),
    };
    let found = async { writable(postgresql(&session)?, user).await };
    let found = found.await;
    session.close().await;
    found
}

fn postgresql(session: &Session) -> Result<&PostgresqlConnection, StepError> {
    match session.connection() {
        EngineConnection::Postgresql(connection) => Ok(connection),
        EngineConnection::Mysql(_) => Err(StepError::bug("one server speaks two protocols")),
    }
}
