//! A connection to MySQL: login, statements as text, and a bound on every wait.

use super::errors::{ABOUT_NAMES, connect_error, statement_error};
use super::packets::ProtocolError;
use super::protocol::Protocol;
use super::{Variant, Version};
use crate::engine::{Connection, QueryResult, Row};
use crate::error::{ConnectError, StatementError, unavailable};
use crate::target::LoginAttempt;
use crate::tls::Protection;
use rewind_clock::bounded;
use rewind_core::{OpenDatabases, timeouts};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::sync::mpsc::Sender;

/// The first statement of every session: with a mode of its own a server may take a backslash or a quote for something else, an
/// account's name for another, and `||` for `or`.
pub(super) const OWN_MODE: &str = "SET SESSION sql_mode = ''";

/// A connection that is logged in.
pub(crate) struct MysqlConnection {
    /// Absent once it broke, and while a statement runs: a wait that was given up leaves a result half read, and what comes
    /// late would be taken for the result of the next statement.
    protocol: Mutex<Option<Protocol>>,
    pub(super) variant: Variant,
    pub(super) version: Version,
    /// The functions that a check may call besides those that act on nothing.
    pub(super) check_functions: Vec<String>,
    /// The databases that a check may read.
    pub(super) open_to_checks: OpenDatabases,
    /// The cluster's master user, where it is known.
    pub(super) master_user: Option<String>,
    /// The database and the address, for error messages.
    at: String,
}

impl MysqlConnection {
    /// Logs in over `stream`; returns the connection, and whether it is encrypted.
    pub(crate) async fn log_in(
        stream: TcpStream,
        attempt: &LoginAttempt<'_>,
        protection: &Protection,
    ) -> Result<(Self, bool), ConnectError> {
        let LoginAttempt { target, check_functions, open_to_checks, at, .. } = attempt;
        let opened = async {
            let mut protocol = Protocol::open(stream, attempt, protection).await?;
            protocol.query(OWN_MODE, 0).await?;
            Ok(protocol)
        };
        let protocol = opened.await.map_err(|error| match error {
            ProtocolError::Refused(error) => connect_error(at, &error),
            ProtocolError::Tls(error) => {
                ConnectError::handshake_failed(target, &target.certificate_name, &error.to_string())
            }
            ProtocolError::Broken(why) => ConnectError::broke_off(at, &why),
        })?;
        let encrypted = protocol.encrypted;
        let (variant, version, master_user) = (protocol.variant, protocol.version, target.master_user.clone());
        let (check_functions, open_to_checks) = (check_functions.to_vec(), (*open_to_checks).clone());
        let (protocol, at) = (Mutex::new(Some(protocol)), at.clone());
        let connection = Self { protocol, variant, version, check_functions, open_to_checks, master_user, at };
        Ok((connection, encrypted))
    }

    /// Has the server parse one statement, and returns the descriptions of its columns and the number of its placeholders.
    pub(super) async fn prepare(&self, sql: &str) -> Result<(Vec<Vec<u8>>, usize), StatementError> {
        let prepared =
            self.with_protocol(bounded(timeouts::STATEMENT), async |protocol| protocol.describe(sql).await).await;
        // The server may evaluate a subquery while it prepares.
        prepared.map_err(|error| error.without_rows(ABOUT_NAMES))
    }

    /// Runs `sql`, for which the database was given `limit`, and sends each row on.
    pub(super) async fn query_each(
        &self,
        sql: &str,
        limit: Duration,
        rows: &Sender<Row>,
    ) -> Result<(), StatementError> {
        let timeout = bounded(limit.saturating_add(timeouts::STATEMENT_GRACE));
        self.with_protocol(timeout, async |protocol| protocol.query_each(sql, rows).await).await
    }

    /// Does `work` with the protocol, which is kept for the next statement only where the result was read to its end.
    async fn with_protocol<T>(
        &self,
        timeout: Duration,
        work: impl AsyncFnOnce(&mut Protocol) -> Result<T, ProtocolError>,
    ) -> Result<T, StatementError> {
        // Held while the statement runs: the protocol takes one at a time, and a check and a count must not mix.
        let mut kept = self.protocol.lock().await;
        let Some(mut protocol) = kept.take() else {
            return Err(StatementError::Disconnected(unavailable(format!("the connection to {} broke", self.at))));
        };
        match tokio::time::timeout(timeout, work(&mut protocol)).await {
            Ok(Ok(result)) => {
                *kept = Some(protocol);
                Ok(result)
            }
            Ok(Err(error)) => {
                // An error is a whole message: after it the server waits for the next command.
                if matches!(error, ProtocolError::Refused(_)) {
                    *kept = Some(protocol);
                }
                Err(statement_error(&self.at, error))
            }
            Err(_) => Err(StatementError::no_response(&self.at, timeout)),
        }
    }
}

impl Connection for MysqlConnection {
    async fn query(&self, sql: &str, keep: usize, limit: Duration) -> Result<QueryResult, StatementError> {
        let timeout = bounded(limit.saturating_add(timeouts::STATEMENT_GRACE));
        self.with_protocol(timeout, async |protocol| protocol.query(sql, keep).await).await
    }

    async fn execute(&self, sql: &str) -> Result<(), StatementError> {
        self.query(sql, 0, timeouts::STATEMENT).await.map(drop)
    }

    async fn count_columns(&self, sql: &str, limit: Duration) -> Result<usize, StatementError> {
        let timeout = bounded(limit.saturating_add(timeouts::STATEMENT_GRACE));
        let counted = self.with_protocol(timeout, async |protocol| protocol.count_columns(sql).await).await;
        counted.map_err(|error| error.without_rows(ABOUT_NAMES))
    }

    async fn close(self) {
        if let Some(protocol) = self.protocol.into_inner() {
            drop(tokio::time::timeout(timeouts::SESSION_CLOSE, protocol.quit()).await);
        }
    }
}
