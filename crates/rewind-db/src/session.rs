//! One session in one database, and the one place that chooses between the engines.

use crate::engine::identity::ServerIdentity;
use crate::engine::{Connection, Defaults, QueryOperations};
use crate::error::{ConnectError, unavailable};
use crate::mysql::{self, MysqlConnection};
use crate::postgresql::{self, PostgresqlConnection};
use crate::target::LoginAttempt;
use crate::tls::Protection;
use rewind_clock::{OutOfTime, within};
use rewind_core::{Engine, StepError, Tls, timeouts};
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// A session. It ends when it is dropped; [`Session::close`] waits until the server knows.
pub struct Session {
    connection: EngineConnection,
    at: String,
    tls: Tls,
    address: Option<SocketAddr>,
}

/// The connection of one of the engines. A third engine is a variant here, an arm of [`on_engine`], and a module.
pub(crate) enum EngineConnection {
    Postgresql(PostgresqlConnection),
    Mysql(MysqlConnection),
}

/// Does the work with the connection of the session, whichever engine it is of. The work is compiled for each.
macro_rules! on_engine {
    ($session:expr, $connection:ident => $work:expr) => {
        match $session.connection() {
            $crate::session::EngineConnection::Postgresql($connection) => $work,
            $crate::session::EngineConnection::Mysql($connection) => $work,
        }
    };
}
pub(crate) use on_engine;

/// The defaults of `engine`.
pub const fn defaults(engine: Engine) -> Defaults {
    match engine {
        Engine::AuroraPostgresql => postgresql::DEFAULTS,
        Engine::AuroraMysql => mysql::DEFAULTS,
    }
}

impl Session {
    /// Logs in over `stream` by the protocol of the target's engine.
    pub(crate) async fn log_in(
        stream: TcpStream,
        attempt: LoginAttempt<'_>,
        protection: &Protection,
    ) -> Result<Self, ConnectError> {
        // Before the login, which takes the stream. None where the server has gone meanwhile: then the login fails too.
        let address = stream.peer_addr().ok();
        let login = async {
            Ok(match attempt.target.engine {
                Engine::AuroraPostgresql => {
                    let (connection, encrypted) = PostgresqlConnection::log_in(stream, &attempt, protection).await?;
                    (EngineConnection::Postgresql(connection), encrypted)
                }
                Engine::AuroraMysql => {
                    let (connection, encrypted) = MysqlConnection::log_in(stream, &attempt, protection).await?;
                    (EngineConnection::Mysql(connection), encrypted)
                }
            })
        };
        // One bound for handshake and login: a server that is starting accepts connections long before it lets anybody in.
        let (connection, encrypted) =
            within(timeouts::DATABASE_LOGIN, login).await.unwrap_or_else(|OutOfTime| Err(too_slow(&attempt.at)))?;
        let tls = match (encrypted, protection.verifies) {
            (true, true) => Tls::Verified,
            (true, false) => Tls::Encrypted,
            (false, _) => Tls::None,
        };
        Ok(Self { connection, at: attempt.at, tls, address })
    }

    pub(crate) fn connection(&self) -> &EngineConnection {
        &self.connection
    }

    /// How the session is protected.
    pub fn tls(&self) -> Tls {
        self.tls
    }

    /// The address that took the connection.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Ends the session and waits, not for long, until it has ended.
    pub async fn close(self) {
        match self.connection {
            EngineConnection::Postgresql(connection) => connection.close().await,
            EngineConnection::Mysql(connection) => connection.close().await,
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("at", &self.at).field("tls", &self.tls).finish_non_exhaustive()
    }
}

fn too_slow(at: &str) -> ConnectError {
    let seconds = timeouts::DATABASE_LOGIN.as_secs();
    ConnectError::Failed(unavailable(format!("{at} did not finish the login within {seconds} s, or in the time left")))
}

/// Identifies the server of `session`.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when it does not respond.
pub async fn server_identity(session: &Session) -> Result<ServerIdentity, StepError> {
    on_engine!(session, connection => connection.identity().await)
}

/// The databases whose drop was interrupted: a target in the middle of a drop restores one. MySQL has none: there such a
/// database is whole for the server, with the tables that are left.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when the database does not respond.
pub async fn invalid_databases(session: &Session) -> Result<Vec<String>, StepError> {
    Ok(on_engine!(session, connection => connection.invalid_databases().await)?)
}
