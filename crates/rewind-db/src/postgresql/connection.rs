//! A connection over `tokio-postgres`: login, statements by the simple protocol, and a bound on every wait.

use super::errors::{causes, connect_error, statement_error};
use super::quote::literal;
use crate::engine::{Connection, QueryResult, Row};
use crate::error::{ConnectError, StatementError};
use crate::target::LoginAttempt;
use crate::tls::Protection;
use futures_util::StreamExt;
use rewind_clock::bounded;
use rewind_core::timeouts;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client, SimpleQueryMessage};

/// Settings that owners of databases can set for every session there. They change how our own SQL is read: a backslash would
/// end a quoted name, and `= NULL` would be true. They change as whom it runs, and end it: after a millisecond, at the first error, or
/// while it waits for a lock. The client's word counts for more than theirs.
///
/// Statements that take longer set their own limit; each wait of ours ends before this one.
const OPTIONS: &str = "-c standard_conforming_strings=on -c transform_null_equals=off -c role=none -c exit_on_error=off \
    -c statement_timeout=60s -c lock_timeout=0 -c idle_in_transaction_session_timeout=10min \
    -c default_transaction_isolation=read\\ committed -c default_transaction_deferrable=off";

/// Names in our own SQL lead to the system's own objects and to nothing else: whoever may create in a schema of the path could
/// otherwise plant an operator or a function that fits better than the system's, and it would run as the master user.
///
/// It holds from the first statement of the session on, and in a transaction of somebody's query around the query itself.
pub(super) const OWN_PATH: &str = "SET search_path = pg_catalog, pg_temp";

/// The message with which the server shows the tree of a statement, before it plans it.
const TREE: &str = "rewritten parse tree:";

/// The name under which somebody's query is prepared: the server keeps the tree that was examined, and runs that one.
pub(super) const EXAMINED: &str = "rewind_check";

/// A connection that is logged in. The driver's task, which reads and writes the socket, ends with it.
pub(crate) struct PostgresqlConnection {
    client: Client,
    driver: JoinHandle<()>,
    /// The trees of statements that the server has shown so far.
    trees: Arc<Mutex<Vec<String>>>,
    /// True while a statement is prepared as [`EXAMINED`].
    has_examined: AtomicBool,
    /// The search path that the login has of itself, as its settings and the database's have it.
    pub(super) login_path: String,
    /// The functions that a check may call besides those that act on nothing.
    pub(super) check_functions: Vec<String>,
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
        let LoginAttempt { target, credential, database, application_name, check_functions, at, .. } = attempt;
        let mut config = tokio_postgres::Config::new();
        config
            .user(&credential.user)
            .password(&credential.password)
            .dbname(*database)
            .application_name(*application_name)
            .options(OPTIONS)
            // Verified or not at all: a password must not go to a server that merely claims to have no TLS.
            .ssl_mode(if protection.verifies { SslMode::Require } else { SslMode::Prefer });
        let (connector, progress) = protection.connector(&target.certificate_name);
        let (client, mut driver) = config.connect_raw(stream, connector).await.map_err(|error| {
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
        let trees = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&trees);
        let driver = tokio::spawn(async move {
            // How it ended shows in the statement that waits for a result; without one nobody needs to know.
            while let Some(Ok(message)) = poll_fn(|context| driver.poll_message(context)).await {
                if let AsyncMessage::Notice(notice) = message
                    && notice.message() == TREE
                {
                    let tree = notice.detail().unwrap_or_default().to_owned();
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(tree);
                }
            }
        });
        // No bound of its own: the login's is around it.
        let first = format!("SHOW search_path; {OWN_PATH}");
        let answered = client.simple_query(&first).await.map_err(|error| match error.as_db_error() {
            Some(db) => connect_error(at, db),
            None => ConnectError::broke_off(at, &causes(&error)),
        })?;
        let login_path = answered.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.try_get(0).ok().flatten().map(str::to_owned),
            _ => None,
        });
        let (master_user, at) = (target.master_user.clone(), at.clone());
        let login_path = login_path.unwrap_or_default();
        let check_functions = check_functions.to_vec();
        let has_examined = AtomicBool::new(false);
        Ok((
            Self { client, driver, trees, has_examined, login_path, check_functions, master_user, at },
            progress.done(),
        ))
    }

    /// Has the server parse one statement, and returns the types of its columns and the number of its placeholders.
    pub(super) async fn prepare(&self, sql: &str) -> Result<(Vec<Type>, usize), StatementError> {
        let prepared = self.within(bounded(timeouts::STATEMENT), self.client.prepare(sql)).await?;
        let types = prepared.columns().iter().map(|column| column.type_().clone()).collect();
        Ok((types, prepared.params().len()))
    }

    /// The statement that has names in somebody's query found as the login's own settings have it, to the end of the transaction.
    ///
    /// The system's come first: the driver asks for the types of a result in between, and that is our own SQL.
    pub(super) fn login_path_first(&self) -> String {
        let path = match self.login_path.is_empty() {
            true => "pg_catalog".to_owned(),
            false => format!("pg_catalog, {}", self.login_path),
        };
        format!("SELECT pg_catalog.set_config('search_path', {}, true)", literal(&path))
    }

    /// Prepares `sql` as [`EXAMINED`] and returns the trees that the server made of it: rewritten, which puts views and row-level
    /// security in, and not yet planned.
    pub(super) async fn prepare_examined(&self, sql: &str) -> Result<Vec<String>, StatementError> {
        let take = || std::mem::take(&mut *self.trees.lock().unwrap_or_else(PoisonError::into_inner));
        self.execute("SET LOCAL client_min_messages = log; SET LOCAL debug_pretty_print = off").await?;
        self.execute("SET LOCAL debug_print_rewritten = on").await?;
        take();
        self.execute(&format!("PREPARE {EXAMINED} AS {sql}")).await?;
        self.has_examined.store(true, Ordering::Relaxed);
        let trees = take();
        self.execute("SET LOCAL debug_print_rewritten = off; SET LOCAL client_min_messages TO DEFAULT").await?;
        Ok(trees)
    }

    /// Runs `sql`, for which the database was given `limit`, and sends each row on.
    pub(super) async fn query_each(
        &self,
        sql: &str,
        limit: Duration,
        rows: &Sender<Row>,
    ) -> Result<(), StatementError> {
        let read = async {
            let mut messages = pin!(self.client.simple_query_raw(sql).await?);
            while let Some(message) = messages.next().await {
                if let SimpleQueryMessage::Row(row) = message? {
                    let values = (0..row.len()).map(|i| row.try_get(i).ok().flatten().map(str::to_owned)).collect();
                    // Nobody takes it any more: the rest is read all the same, for the next statement's result comes after it.
                    drop(rows.send(values).await);
                }
            }
            Ok(())
        };
        self.within(bounded(limit.saturating_add(timeouts::STATEMENT_GRACE)), read).await
    }

    /// Drops the prepared statement, which no end of a transaction does.
    pub(super) async fn forget_examined(&self) -> Result<(), StatementError> {
        match self.has_examined.swap(false, Ordering::Relaxed) {
            true => self.execute(&format!("DEALLOCATE {EXAMINED}")).await,
            false => Ok(()),
        }
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
