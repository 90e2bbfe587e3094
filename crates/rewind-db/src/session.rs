//! One session in one database: statements in, text out, and never a wait without an end.

use crate::engine::Dialect;
use crate::error::{Failure, unavailable};
use crate::wire::{self, Wire};
use futures_util::StreamExt;
use rewind_clock::bounded;
use rewind_core::{Tls, timeouts};
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;
use tokio_postgres::tls::TlsStream;
use tokio_postgres::{Client, Connection, SimpleQueryMessage};

/// A row, each value as the text that the database writes for it.
pub(crate) type Row = Vec<Option<String>>;

/// A session. It ends when it is dropped; [`Session::close`] waits until the server knows.
pub struct Session {
    link: Link,
    dialect: Dialect,
    at: String,
    tls: Tls,
    server: Option<SocketAddr>,
}

/// The driver's part.
enum Link {
    Postgres {
        client: Client,
        connection: JoinHandle<()>,
    },
    /// Absent once it broke: a wait that was given up leaves an answer half read.
    MySql(Mutex<Option<Wire>>),
}

/// The rows of an answer that are kept, and how many there were.
pub(crate) struct Answered {
    pub(crate) rows: Vec<Row>,
    pub(crate) total: u64,
}

impl Session {
    pub(crate) fn postgres<T>(
        client: Client,
        connection: Connection<TcpStream, T>,
        at: String,
        tls: Tls,
        server: Option<SocketAddr>,
    ) -> Self
    where
        T: TlsStream + Unpin + Send + 'static,
    {
        let connection = tokio::spawn(async move {
            // How it ended shows in the statement that waits for an answer; without one nobody needs to know.
            drop(connection.await);
        });
        Self { link: Link::Postgres { client, connection }, dialect: Dialect::Postgres, at, tls, server }
    }

    pub(crate) fn mysql(wire: Wire, at: String, tls: Tls, server: Option<SocketAddr>) -> Self {
        Self { dialect: wire.dialect, link: Link::MySql(Mutex::new(Some(wire))), at, tls, server }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// How the session is protected.
    pub fn tls(&self) -> Tls {
        self.tls
    }

    /// The address that took the connection.
    pub fn server(&self) -> Option<SocketAddr> {
        self.server
    }

    /// Ends the session and waits, not for long, until it has ended.
    pub async fn close(self) {
        let patience = timeouts::SESSION_CLOSE;
        match self.link {
            Link::Postgres { client, mut connection } => {
                drop(client);
                if tokio::time::timeout(patience, &mut connection).await.is_err() {
                    connection.abort();
                }
            }
            Link::MySql(wire) => {
                if let Some(wire) = wire.into_inner() {
                    drop(tokio::time::timeout(patience, wire.quit()).await);
                }
            }
        }
    }

    /// All rows that a statement of our own answers.
    pub(crate) async fn rows(&self, sql: &str) -> Result<Vec<Row>, Failure> {
        Ok(self.answer(sql, usize::MAX, timeouts::STATEMENT).await?.rows)
    }

    /// Runs a statement of our own; on PostgreSQL several, one after the other.
    pub(crate) async fn run(&self, sql: &str) -> Result<(), Failure> {
        match &self.link {
            Link::Postgres { client, connection } => {
                self.within(bounded(timeouts::STATEMENT), connection, client.batch_execute(sql)).await
            }
            Link::MySql(_) => self.answer(sql, 0, timeouts::STATEMENT).await.map(drop),
        }
    }

    /// Has the database read one statement without running it; answers how many columns it would have.
    ///
    /// Both protocols take exactly one statement here: two are refused, and nothing of either is run.
    pub(crate) async fn columns(&self, sql: &str, limit: Duration) -> Result<usize, Failure> {
        let patience = bounded(limit.saturating_add(timeouts::STATEMENT_GRACE));
        match &self.link {
            Link::Postgres { client, connection } => {
                let statement = self.within(patience, connection, client.prepare(sql)).await?;
                Ok(statement.columns().len())
            }
            Link::MySql(held) => {
                let (mut held, mut wire) = self.take(held).await?;
                let answer = tokio::time::timeout(patience, wire.columns(sql)).await;
                self.sort(answer, patience, wire, &mut held)
            }
        }
    }

    /// Runs `sql`, for which the database was given `limit`, and keeps the first `keep` rows.
    pub(crate) async fn answer(&self, sql: &str, keep: usize, limit: Duration) -> Result<Answered, Failure> {
        let patience = bounded(limit.saturating_add(timeouts::STATEMENT_GRACE));
        let (client, connection) = match &self.link {
            Link::Postgres { client, connection } => (client, connection),
            Link::MySql(held) => {
                let (mut held, mut wire) = self.take(held).await?;
                let answer = tokio::time::timeout(patience, wire.query(sql, keep)).await;
                return self.sort(answer, patience, wire, &mut held);
            }
        };
        let read = async {
            let mut stream = pin!(client.simple_query_raw(sql).await?);
            let mut answered = Answered { rows: Vec::new(), total: 0 };
            while let Some(message) = stream.next().await {
                if let SimpleQueryMessage::Row(row) = message? {
                    answered.total += 1;
                    if answered.rows.len() < keep {
                        answered
                            .rows
                            .push((0..row.len()).map(|i| row.try_get(i).ok().flatten().map(str::to_owned)).collect());
                    }
                }
            }
            Ok(answered)
        };
        self.within(patience, connection, read).await
    }

    /// Takes MySQL's connection out: it comes back when the answer was read to its end.
    async fn take<'a>(&self, held: &'a Mutex<Option<Wire>>) -> Result<(MutexGuard<'a, Option<Wire>>, Wire), Failure> {
        let mut held = held.lock().await;
        match held.take() {
            Some(wire) => Ok((held, wire)),
            None => Err(Failure::Broken(unavailable(format!("the connection to {} broke", self.at)))),
        }
    }

    fn sort<T>(
        &self,
        answer: Result<Result<T, wire::Error>, tokio::time::error::Elapsed>,
        patience: Duration,
        wire: Wire,
        held: &mut Option<Wire>,
    ) -> Result<T, Failure> {
        match answer {
            Ok(Ok(answer)) => {
                *held = Some(wire);
                Ok(answer)
            }
            Ok(Err(error)) => {
                if matches!(error, wire::Error::Refused(_)) {
                    *held = Some(wire);
                }
                Err(Failure::of_mysql(&self.at, error))
            }
            Err(_) => Err(self.silent(patience)),
        }
    }

    fn silent(&self, patience: Duration) -> Failure {
        Failure::Broken(unavailable(format!("{} did not answer within {} s", self.at, patience.as_secs())))
    }

    /// Waits for an answer, but not for ever: a server can be alive for TCP and dead for everything else.
    async fn within<T>(
        &self,
        patience: Duration,
        connection: &JoinHandle<()>,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(patience, work).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Failure::of_postgres(&self.at, &error)),
            Err(_) => {
                connection.abort();
                Err(self.silent(patience))
            }
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("at", &self.at).field("tls", &self.tls).finish_non_exhaustive()
    }
}
