//! What a database's and a network's errors mean for a recovery. It decides names and words, never what happens next.

use crate::wire;
use rewind_core::{ErrorName, StepError};
use std::error::Error as _;
use tokio_postgres::error::{DbError, SqlState};

/// Why a connection did not come about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectError {
    /// Nobody may log in by that name and password: another version of the secret may.
    LoginRefused(String),
    /// The server has no database of that name.
    DatabaseMissing(String),
    /// Somebody began to drop the database and was interrupted: nobody can connect to it, and it can only be dropped.
    DatabaseInvalid(String),
    /// The login is good, but not for this database, or the database takes no connections.
    NotAllowed(String),
    /// The database's own connection limit is used up: what a fence sets to zero.
    DatabaseFull(String),
    /// All connections that the server allows are in use.
    ServerFull(String),
    /// No answer, or none that makes sense.
    Failed(StepError),
}

impl From<ConnectError> for StepError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::LoginRefused(why) => StepError::new(ErrorName::VerificationFailed, why)
                .changed("nothing was changed in a database")
                .advice("put the login that was valid at the target time into the secret, or name another secret"),
            ConnectError::DatabaseMissing(why) => StepError::new(ErrorName::VerificationFailed, why)
                .changed("nothing was changed in a database")
                .advice("name a database that existed at the target time"),
            ConnectError::DatabaseInvalid(why) => StepError::new(ErrorName::VerificationFailed, why)
                .changed("nothing was changed in a database")
                .advice("its drop was interrupted, and it can only be dropped: name another database"),
            ConnectError::NotAllowed(why) => StepError::new(ErrorName::VerificationFailed, why)
                .changed("nothing was changed in a database")
                .advice("let the secret's user connect to the database, or name another secret"),
            ConnectError::DatabaseFull(why) | ConnectError::ServerFull(why) => {
                StepError::new(ErrorName::Unavailable, why)
                    .changed("nothing was changed in a database")
                    .advice("end some sessions, or wait until some have ended")
            }
            ConnectError::Failed(error) => error,
        }
    }
}

impl std::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::LoginRefused(why)
            | Self::DatabaseMissing(why)
            | Self::DatabaseInvalid(why)
            | Self::NotAllowed(why)
            | Self::DatabaseFull(why)
            | Self::ServerFull(why) => f.write_str(why),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ConnectError {}

impl ConnectError {
    /// What a PostgreSQL server's answer to a login means. `at` says where, for a person.
    pub(crate) fn of_postgres(at: &str, error: &DbError) -> Self {
        let why = format!("{at} answered: {}", Refusal::from(error));
        match error.code() {
            &SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION => Self::LoginRefused(why),
            &SqlState::INVALID_CATALOG_NAME => Self::DatabaseMissing(why),
            // One code stands for this and for a database that takes no connections; see below.
            &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE if error.routine() == Some("InitPostgres") => {
                Self::DatabaseInvalid(why)
            }
            &SqlState::INSUFFICIENT_PRIVILEGE | &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE => Self::NotAllowed(why),
            // One code stands for two limits. The routine's name is the only part of the answer that tells them apart
            // in every language the server may speak.
            &SqlState::TOO_MANY_CONNECTIONS if error.routine() == Some("CheckMyDatabase") => Self::DatabaseFull(why),
            &SqlState::TOO_MANY_CONNECTIONS => Self::ServerFull(why),
            _ => Self::Failed(unavailable(why)),
        }
    }

    /// What a MySQL server's answer to a login means.
    pub(crate) fn of_mysql(at: &str, refusal: &Refusal) -> Self {
        let why = format!("{at} answered: {refusal}");
        match refusal.code.as_str() {
            // Wrong name or password, password expired, account locked (MySQL, MariaDB).
            "1045" | "1698" | "1862" | "3118" | "4151" => Self::LoginRefused(why),
            "1049" => Self::DatabaseMissing(why),
            "1044" | "1130" => Self::NotAllowed(why),
            // The server's limit, the user's, and the user's within an hour.
            "1040" | "1203" | "1226" => Self::ServerFull(why),
            _ => Self::Failed(unavailable(why)),
        }
    }
}

/// A database's own words and code for what it does not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// SQLSTATE of PostgreSQL, error number of MySQL.
    pub(crate) code: String,
    pub(crate) message: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl From<&DbError> for Refusal {
    fn from(error: &DbError) -> Self {
        Self { code: error.code().code().to_owned(), message: error.message().to_owned() }
    }
}

/// Why a statement gave no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The database refused the statement, and the session goes on.
    Refused(Refusal),
    /// The statement took longer than it was given, by the database's own clock.
    TimedOut,
    /// The session is gone, or what came is no answer.
    Broken(StepError),
}

impl Failure {
    /// Sorts an error of PostgreSQL's driver. `at` says where, for a person.
    pub(crate) fn of_postgres(at: &str, error: &tokio_postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else {
            return Self::broken(at, chain(error));
        };
        let code = db.code();
        if *code == SqlState::QUERY_CANCELED {
            return Self::TimedOut;
        }
        // 57P: shut down, crashed, not yet up. 08: the connection. Both end the session.
        if code.code().starts_with("57P") || code.code().starts_with("08") {
            return Self::Broken(unavailable(format!("{at} ended the session: {}", Refusal::from(db))));
        }
        Self::Refused(db.into())
    }

    /// Sorts what MySQL's protocol answered.
    pub(crate) fn of_mysql(at: &str, error: wire::Error) -> Self {
        let refusal = match error {
            wire::Error::Refused(refusal) => refusal,
            wire::Error::Tls(error) => return Self::broken(at, error),
            wire::Error::Broken(why) => return Self::broken(at, why),
        };
        match refusal.code.as_str() {
            // Interrupted, and the limits on a statement's time (MariaDB, MySQL).
            "1317" | "1969" | "3024" => Self::TimedOut,
            // Shut down, killed, timed out (MySQL, MariaDB).
            "1053" | "1927" | "3168" | "4031" => {
                Self::Broken(unavailable(format!("{at} ended the session: {refusal}")))
            }
            _ => Self::Refused(refusal),
        }
    }

    fn broken(at: &str, why: impl std::fmt::Display) -> Self {
        Self::Broken(unavailable(format!("the connection to {at} broke")).detail(why))
    }

    /// Whether the database refused with this code.
    pub(crate) fn is(&self, code: &str) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code == code)
    }

    /// The error as a reason for the report, or as a step's error where the session broke.
    pub(crate) fn into_reason(self, limit: std::time::Duration) -> Result<String, StepError> {
        match self {
            Self::Refused(refusal) => Ok(refusal.to_string()),
            Self::TimedOut => Ok(format!("it was stopped after {} s", limit.as_secs_f64())),
            Self::Broken(error) => Err(error),
        }
    }
}

impl From<Failure> for StepError {
    /// For statements of our own, which a database has no reason to refuse.
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => StepError::new(
                ErrorName::Unavailable,
                format!("the database refused a statement of the recovery: {refusal}"),
            )
            .advice("see whether the secret's user is the cluster's master user, with all of its rights"),
            Failure::TimedOut => unavailable("the database did not answer a statement of the recovery in time"),
            Failure::Broken(error) => error,
        }
    }
}

/// An error of the name `Unavailable` with the advice that fits most of them.
pub(crate) fn unavailable(happened: impl Into<String>) -> StepError {
    StepError::new(ErrorName::Unavailable, happened)
        .advice("see whether the database is up and lets the function's network in, then try again")
}

/// An error and its causes, for the log.
pub(crate) fn chain(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
