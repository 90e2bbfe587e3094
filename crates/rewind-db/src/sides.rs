//! The rewound data and the source, with the sessions that are open in the databases of each.

use crate::engine::{QueryLimits, Table};
use crate::error::ConnectError;
use crate::read_only::query_one;
use crate::server::Server;
use crate::session::Session;
use crate::tables::{count_rows, tables, tables_read_by};
use rewind_core::{QueryResult, StepError};
use std::collections::BTreeMap;

/// The note about a database whose drop was interrupted.
pub fn invalid_database_note(database: &str) -> String {
    format!(
        "the database {database} was being dropped at that moment: nobody can connect to it, and it can only be dropped"
    )
}

/// Both servers, and the sessions that are open in them.
pub(crate) struct Sides<'a> {
    restored: &'a Server,
    source: Option<&'a Server>,
    databases: BTreeMap<String, Pair>,
    /// Databases of the source that stopped answering before, with the reason.
    lost: BTreeMap<String, String>,
    notes: Vec<String>,
}

/// One database on both servers.
pub(crate) struct Pair {
    pub(crate) restored: Side,
    pub(crate) source: Side,
}

/// One database on one server.
pub(crate) enum Side {
    Connected(Box<Session>),
    /// The reason why nothing can be asked.
    Unavailable(String),
    /// There is no such server.
    Absent,
}

impl Side {
    /// Connects. A database that a server does not have is a finding; a server that does not respond is an error.
    pub(crate) async fn connect(server: &Server, database: &str) -> Result<Self, StepError> {
        match server.open(database).await {
            Ok(session) => Ok(Self::Connected(Box::new(session))),
            Err(ConnectError::DatabaseMissing(_)) => {
                Ok(Self::Unavailable(format!("the database {database} is missing")))
            }
            Err(ConnectError::DatabaseInvalid(_)) => {
                Ok(Self::Unavailable(format!("it is not to be had: {}", invalid_database_note(database))))
            }
            Err(ConnectError::NotAllowed(why) | ConnectError::LoginRefused(why)) => Ok(Self::Unavailable(why)),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn query_one(&self, sql: &str, limits: QueryLimits) -> Result<Option<QueryResult>, StepError> {
        match self {
            Self::Connected(session) => query_one(session, sql, limits).await.map(Some),
            Self::Unavailable(reason) => Ok(Some(QueryResult { value: Err(reason.clone()), seconds: 0.0 })),
            Self::Absent => Ok(None),
        }
    }

    pub(crate) async fn tables_read_by(&self, sql: &str, limits: QueryLimits) -> Result<Vec<Table>, StepError> {
        match self {
            Self::Connected(session) => tables_read_by(session, sql, limits).await,
            Self::Unavailable(_) | Self::Absent => Ok(Vec::new()),
        }
    }

    /// The tables of people; none where nothing can be asked.
    pub(crate) async fn tables(&self) -> Result<Vec<Table>, StepError> {
        match self {
            Self::Connected(session) => tables(session).await,
            Self::Unavailable(_) | Self::Absent => Ok(Vec::new()),
        }
    }

    pub(crate) async fn count_rows(
        &self,
        table: &Table,
        limits: QueryLimits,
    ) -> Result<Option<Result<u64, String>>, StepError> {
        match self {
            Self::Connected(session) => count_rows(session, table, limits).await.map(Some),
            Self::Unavailable(reason) => Ok(Some(Err(reason.clone()))),
            Self::Absent => Ok(None),
        }
    }

    pub(crate) async fn close(self) {
        if let Self::Connected(session) = self {
            session.close().await;
        }
    }
}

impl<'a> Sides<'a> {
    /// Both servers; the databases of the source that are `lost` are not asked again.
    pub(crate) fn new(restored: &'a Server, source: Option<&'a Server>, lost: BTreeMap<String, String>) -> Self {
        Self { restored, source, databases: BTreeMap::new(), lost, notes: Vec::new() }
    }

    /// The sessions in `database`, opened when it is first asked for.
    pub(crate) async fn database(&mut self, database: &str) -> Result<&Pair, StepError> {
        if !self.databases.contains_key(database) {
            let source = async {
                match (self.source, self.lost.get(database)) {
                    (Some(_), Some(reason)) => Ok(Side::Unavailable(reason.clone())),
                    (Some(server), None) => Side::connect(server, database).await,
                    (None, _) => Ok(Side::Absent),
                }
            };
            let (restored, source) = tokio::join!(Side::connect(self.restored, database), source);
            let restored = restored?;
            let source = source.unwrap_or_else(|error| {
                self.notes.push(format!("the source could not be asked in {database}: {error}"));
                Side::Unavailable("it does not answer".to_owned())
            });
            self.databases.insert(database.to_owned(), Pair { restored, source });
        }
        self.databases.get(database).ok_or_else(|| StepError::bug("a session that was just opened is not there"))
    }

    /// The source's result; when its session is lost, that is noted once and it is asked no more.
    pub(crate) fn source_result<T>(&mut self, database: &str, result: Result<Option<T>, StepError>) -> Option<T> {
        result.unwrap_or_else(|error| {
            self.notes.push(format!("the source stopped answering in {database}: {error}"));
            // Otherwise each further check would wait its whole time for a server that is gone.
            if let Some(pair) = self.databases.get_mut(database) {
                pair.source = Side::Unavailable("it stopped answering".to_owned());
            }
            None
        })
    }

    /// Adds a note for the report.
    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Closes all sessions, and returns the notes.
    pub(crate) async fn close(self) -> Vec<String> {
        for pair in self.databases.into_values() {
            tokio::join!(pair.restored.close(), pair.source.close());
        }
        self.notes
    }
}
