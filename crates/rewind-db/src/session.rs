//! One session in one database: statements in, text out, and never a wait without an end.

use crate::error::{Failure, unavailable};
use futures_util::StreamExt;
use rewind_core::Tls;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_postgres::tls::TlsStream;
use tokio_postgres::{Client, Connection, SimpleQueryMessage};

/// A row, each value as the text that the database writes for it.
pub(crate) type Row = Vec<Option<String>>;

/// A session. It ends when it is dropped; [`Session::close`] waits until the server knows.
pub struct Session {
    client: Client,
    connection: JoinHandle<()>,
    at: String,
    tls: Tls,
    server: Option<SocketAddr>,
}

/// The rows of an answer that are kept, and how many there were.
pub(crate) struct Answered {
    pub(crate) rows: Vec<Row>,
    pub(crate) total: u64,
}

impl Session {
    /// For statements of our own, which take milliseconds.
    const PATIENCE: Duration = Duration::from_secs(40);
    /// What a statement gets beyond the limit that the database enforces, for the answer to travel.
    const GRACE: Duration = Duration::from_secs(10);

    pub(crate) fn new<T>(
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
        Self { client, connection, at, tls, server }
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
        drop(self.client);
        let mut connection = self.connection;
        if tokio::time::timeout(Duration::from_secs(2), &mut connection).await.is_err() {
            connection.abort();
        }
    }

    /// All rows that a statement of our own answers.
    pub(crate) async fn rows(&self, sql: &str) -> Result<Vec<Row>, Failure> {
        Ok(self.answer(sql, usize::MAX, Self::PATIENCE).await?.rows)
    }

    /// Runs statements of our own, one after the other.
    pub(crate) async fn run(&self, sql: &str) -> Result<(), Failure> {
        self.within(Self::PATIENCE, self.client.batch_execute(sql)).await
    }

    /// Has the database read one statement without running it; answers how many columns it would have.
    ///
    /// This protocol takes exactly one statement: two are refused, and nothing of either is run.
    pub(crate) async fn columns(&self, sql: &str, limit: Duration) -> Result<usize, Failure> {
        let statement = self.within(limit + Self::GRACE, self.client.prepare(sql)).await?;
        Ok(statement.columns().len())
    }

    /// Runs `sql`, for which the database was given `limit`, and keeps the first `keep` rows.
    pub(crate) async fn answer(&self, sql: &str, keep: usize, limit: Duration) -> Result<Answered, Failure> {
        let read = async {
            let mut stream = pin!(self.client.simple_query_raw(sql).await?);
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
        self.within(limit.saturating_add(Self::GRACE), read).await
    }

    /// Waits for an answer, but not for ever: a server can be alive for TCP and dead for everything else.
    async fn within<T>(
        &self,
        patience: Duration,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(patience, work).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Failure::of(&self.at, &error)),
            Err(_) => {
                self.connection.abort();
                let seconds = patience.as_secs();
                Err(Failure::Broken(unavailable(format!("{} did not answer within {seconds} s", self.at))))
            }
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("at", &self.at).field("tls", &self.tls).finish_non_exhaustive()
    }
}
