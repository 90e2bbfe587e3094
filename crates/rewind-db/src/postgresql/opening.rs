//! A login on PostgreSQL that only reads: a role with the rights of `pg_read_all_data`, and room for it in one closed database.

use super::connection::PostgresqlConnection;
use super::quote::{identifier, literal};
use crate::engine::opening::OpeningOperations;
use crate::engine::{Connection, LoginOperations};
use crate::error::ConnectError;
use crate::opening::ReadingLogin;
use crate::server::Server;
use crate::session::EngineConnection;
use postgres_protocol::password::scram_sha_256;
use rewind_core::{ErrorName, StepError};

/// Finds what the role could write to: columns, whole tables and sequences; and functions that act as their owner, which may write. Those of
/// extensions are AWS's to offer, and a trigger's is never called by hand.
const WRITABLE: &str = "SELECT pg_catalog.format('%s %I.%I', \
    CASE c.relkind WHEN 'S' THEN 'the sequence' ELSE 'the table' END, n.nspname, c.relname) \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)' \
    AND CASE WHEN c.relkind = 'S' THEN pg_catalog.has_sequence_privilege({role}, c.oid, 'USAGE, UPDATE') \
    WHEN c.relkind IN ('r', 'p', 'v', 'f') THEN pg_catalog.has_table_privilege({role}, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') \
    OR pg_catalog.has_any_column_privilege({role}, c.oid, 'INSERT, UPDATE') ELSE false END \
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
    AND d.objid = c.oid AND d.deptype = 'e') \
    UNION ALL SELECT pg_catalog.format('the function %I.%I, which acts as its owner', n.nspname, p.proname) \
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
    WHERE p.prosecdef AND n.nspname NOT IN ('pg_catalog', 'information_schema') \
    AND p.prorettype NOT IN ('trigger'::pg_catalog.regtype, 'event_trigger'::pg_catalog.regtype) \
    AND pg_catalog.has_function_privilege({role}, p.oid, 'EXECUTE') \
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass \
    AND d.objid = p.oid AND d.deptype = 'e') ORDER BY 1";

impl OpeningOperations for PostgresqlConnection {
    async fn databases_to_open(&self) -> Result<Vec<String>, StepError> {
        let databases = self.read_logins().await?.databases;
        Ok(databases.into_iter().filter(|database| database.can_be_limited).map(|database| database.name).collect())
    }

    async fn make_login(&self, login: &ReadingLogin) -> Result<(), StepError> {
        if self.values("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = 'pg_read_all_data'").await?.is_empty() {
            return Err(StepError::new(
                ErrorName::RewindFailed,
                "before PostgreSQL 14 no role may read everything and write nothing",
            )
            .changed("nobody was let in")
            .advice("read there as the master user (docs/runbook.md#the-rows-that-were-written-since)"));
        }
        let role = identifier(&login.user);
        if !self.has_role(&login.user).await? {
            self.execute(&format!("CREATE ROLE {role} NOLOGIN")).await?;
        }
        let database = identifier(&login.database);
        // The server counts the workers of autovacuum too. One connection at a time is the role's own limit.
        let room = "SELECT 1 + pg_catalog.current_setting('autovacuum_max_workers')::int";
        // Three workers are the server's default.
        let room = self.values(room).await?.into_iter().next().unwrap_or_else(|| "4".to_owned());
        // On every run: an earlier one may have ended behind CREATE ROLE.
        self.execute(&format!(
            "ALTER ROLE {role} NOLOGIN CONNECTION LIMIT 1; GRANT pg_read_all_data TO {role}; \
             ALTER ROLE {role} SET default_transaction_read_only = on"
        ))
        .await?;
        let user = literal(&login.user);
        let connects =
            format!("SELECT pg_catalog.has_database_privilege({user}, {}, 'CONNECT')", literal(&login.database));
        // Mostly PUBLIC may connect: then the rights of the database stay as people made them.
        if self.values(&connects).await? != ["t"] {
            self.execute(&format!("GRANT CONNECT ON DATABASE {database} TO {role}")).await?;
        }
        // Only 0 is the fence's: a limit that people set is not raised.
        let is_closed = format!(
            "SELECT 1 FROM pg_catalog.pg_database WHERE datname = {} AND datconnlimit = 0",
            literal(&login.database)
        );
        if !self.values(&is_closed).await?.is_empty() {
            self.execute(&format!("ALTER DATABASE {database} CONNECTION LIMIT {room}")).await?;
        }
        Ok(())
    }

    async fn writable_by(&self, server: &Server, login: &ReadingLogin) -> Result<Vec<String>, StepError> {
        // From inside, because each database has the rights to its tables in a catalogue of its own.
        let session = server.open(&login.database).await?;
        let EngineConnection::Postgresql(inside) = session.connection() else {
            return Err(StepError::bug("one server speaks two protocols"));
        };
        let found = inside.values(&WRITABLE.replace("{role}", &literal(&login.user))).await;
        session.close().await;
        Ok(found?)
    }

    async fn admit_login(&self, login: &ReadingLogin) -> Result<(), StepError> {
        // The verifier and not the password: a cluster may log the statements that change its roles.
        let verifier = scram_sha_256(login.password.as_bytes());
        let (role, verifier) = (identifier(&login.user), literal(&verifier));
        let until = literal(&login.until.to_string());
        Ok(self.execute(&format!("ALTER ROLE {role} LOGIN PASSWORD {verifier} VALID UNTIL {until}")).await?)
    }

    async fn shut_login(&self, user: &str) -> Result<bool, StepError> {
        if !self.has_role(user).await? {
            return Ok(false);
        }
        self.prepare_changes().await?;
        self.execute(&format!("ALTER ROLE {} NOLOGIN", identifier(user))).await?;
        Ok(true)
    }

    async fn drop_login(&self, server: &Server, user: &str, database: &str) -> Result<(), StepError> {
        let role = identifier(user);
        // Only a member of the role may drop what it owns: the master user of RDS is no superuser.
        let drop_owned = format!("GRANT {role} TO CURRENT_USER; DROP OWNED BY {role}");
        // From inside, where temporary rights of everybody may have let it make something of its own.
        match server.open(database).await {
            Ok(session) => {
                let EngineConnection::Postgresql(inside) = session.connection() else {
                    return Err(StepError::bug("one server speaks two protocols"));
                };
                let dropped = inside.execute(&drop_owned).await;
                session.close().await;
                dropped?;
            }
            // Closed or gone: what is left there, if anything, the next statement names.
            Err(ConnectError::DatabaseFull(_) | ConnectError::DatabaseMissing(_) | ConnectError::NotAllowed(_)) => {
                self.execute(&drop_owned).await?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(self.execute(&format!("DROP ROLE {role}")).await?)
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
    async fn has_role(&self, name: &str) -> Result<bool, StepError> {
        let found =
            self.values(&format!("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = {}", literal(name))).await?;
        Ok(!found.is_empty())
    }
}
