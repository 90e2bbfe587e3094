//! A connection over `tokio-postgres`: login, statements by the simple protocol, and a bound on every wait.

use super::errors::{causes, connect_error, statement_error};
use crate::engine::{Connection, QueryResult};
use crate::error::{ConnectError, StatementError};
use crate::target::LoginAttempt;
use crate::tls::Protection;
use futures_util::StreamExt;
use rewind_clock::bounded;
use rewind_core::timeouts;
use std::pin::pin;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, SimpleQueryMessage};

/// A connection that is logged in. The driver's task, which reads and writes the socket, ends with it.
pub(crate) struct PostgresqlConnection {
    client: Client,
    driver: JoinHandle<()>,
    /// The cluster's master user, where it is known.
    pub(super) master_user: Option<String>,
    /// The database and the address, for error messages.
    at: String,
}

impl PostgresqlConnection {
    /// Logs in over `stream`; returns the connection, and whether it is encrypted.
    pub(crate) async fn log_in(
        stream: TcpStream,
        attempt: &LoginAttempt<'_>,
        protection: &Protection,
    ) -> Result<(Self, bool), ConnectError> {
        let LoginAttempt { target, credential, database, application_name, at } = attempt;
        let mut config = tokio_postgres::Config::new();
        config
            .user(&credential.user)
            .password(&credential.password)
            .dbname(*database)
            .application_name(*application_name)
            // Verified or not at all: a password must not go to a server that merely claims to have no TLS.
            .ssl_mode(if protection.verifies { SslMode::Require } else { SslMode::Prefer });
        let (connector, progress) = protection.connector(&target.certificate_name);
        let (client, driver) = config.connect_raw(stream, connector).await.map_err(|error| {
            if let Some(db) = error.as_db_error() {
                return connect_error(at, db);
            }
            let why = causes(&error);
            // The driver has one error for both, and what to do about a certificate is different advice.
            if progress.failed() {
                ConnectError::handshake_failed(target, &target.certificate_name, &why)
            } else {
                ConnectError::broke_off(at, &why)
            }
        })?;
        // The driver needs a task of its own: the client only hands it what to send.
        let driver = tokio::spawn(async move {
            // How it ended shows in the statement that waits for a result; without one nobody needs to know.
            drop(driver.await);
        });
        Ok((Self { client, driver, master_user: target.master_user.clone(), at: at.clone() }, progress.done()))
    }

    /// Has the server parse one statement, and returns the types of its columns and the number of its placeholders.
    pub(super) async fn prepare(&self, sql: &str) -> Result<(Vec<Type>, usize), StatementError> {
        let prepared = self.within(bounded(timeouts::STATEMENT), self.client.prepare(sql)).await?;
        let types = prepared.columns().iter().map(|column| column.type_().clone()).collect();
        Ok((types, prepared.params().len()))
    }

    /// Waits for a result, but not for ever: a server can be alive for TCP and dead for everything else.
    async fn within<T>(
        &self,
        timeout: Duration,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StatementError> {
        match tokio::time::timeout(timeout, work).await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(error)) => Err(statement_error(&self.at, &error)),
            Err(_) => {
                // What comes late would be taken for the result of the next statement.
                self.driver.abort();
                Err(StatementError::no_response(&self.at, timeout))
            }
        }
    }
}

impl Connection for PostgresqlConnection {
    async fn query(&self, sql: &str, keep: usize, limit: Duration) -> Result<QueryResult, StatementError> {
        let read = async {
            // By the simple protocol every value comes as text, whatever its type: a check compares texts.
            let mut messages = pin!(self.client.simple_query_raw(sql).await?);
            let mut result = QueryResult::default();
            while let Some(message) = messages.next().await {
                if let SimpleQueryMessage::Row(row) = message? {
                    result.total += 1;
                    if result.rows.len() < keep {
                        let values = (0..row.len()).map(|i| row.try_get(i).ok().flatten().map(str::to_owned));
                        result.rows.push(values.collect());
                    }
                }
            }
            Ok(result)
        };
        self.within(bounded(limit.saturating_add(timeouts::STATEMENT_GRACE)), read).await
    }

    async fn execute(&self, sql: &str) -> Result<(), StatementError> {
        self.within(bounded(timeouts::STATEMENT), self.client.batch_execute(sql)).await
    }

    async fn count_columns(&self, sql: &str, limit: Duration) -> Result<usize, StatementError> {
        let timeout = bounded(limit.saturating_add(timeouts::STATEMENT_GRACE));
        Ok(self.within(timeout, self.client.prepare(sql)).await?.columns().len())
    }

    async fn close(self) {
        let Self { client, mut driver, .. } = self;
        // The driver says goodbye to the server once nobody can send through it any more.
        drop(client);
        if tokio::time::timeout(timeouts::SESSION_CLOSE, &mut driver).await.is_err() {
            driver.abort();
        }
    }
}
