//! What a database's and a network's errors mean for a recovery. It decides names and words, never what happens next.

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
            | Self::NotAllowed(why)
            | Self::DatabaseFull(why)
            | Self::ServerFull(why) => f.write_str(why),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ConnectError {}

impl ConnectError {
    /// What a server's answer to a login means. `at` says where, for a person.
    pub(crate) fn of_server(at: &str, error: &DbError) -> Self {
        let why = format!("{at} answered: {}", say(error));
        match error.code() {
            &SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION => Self::LoginRefused(why),
            &SqlState::INVALID_CATALOG_NAME => Self::DatabaseMissing(why),
            &SqlState::INSUFFICIENT_PRIVILEGE | &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE => Self::NotAllowed(why),
            // One code stands for two limits. The routine's name is the only part of the answer that tells them apart
            // in every language the server may speak.
            &SqlState::TOO_MANY_CONNECTIONS if error.routine() == Some("CheckMyDatabase") => Self::DatabaseFull(why),
            &SqlState::TOO_MANY_CONNECTIONS => Self::ServerFull(why),
            _ => Self::Failed(unavailable(why)),
        }
    }
}

/// Why a statement gave no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The database refused the statement, and the session goes on.
    Refused(Box<DbError>),
    /// The statement took longer than it was given, by the database's own clock.
    TimedOut,
    /// The session is gone, or what came is no answer.
    Broken(StepError),
}

impl Failure {
    /// Sorts a driver's error. `at` says where, for a person.
    pub(crate) fn of(at: &str, error: &tokio_postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else {
            return Self::Broken(unavailable(format!("the connection to {at} broke")).detail(chain(error)));
        };
        let code = db.code();
        if *code == SqlState::QUERY_CANCELED {
            return Self::TimedOut;
        }
        // 57P: shut down, crashed, not yet up. 08: the connection. Both end the session.
        if code.code().starts_with("57P") || code.code().starts_with("08") {
            return Self::Broken(unavailable(format!("{at} ended the session: {}", say(db))));
        }
        Self::Refused(Box::new(db.clone()))
    }

    /// Whether the database refused with this code.
    pub(crate) fn is(&self, state: &SqlState) -> bool {
        matches!(self, Self::Refused(error) if error.code() == state)
    }

    /// The error as a reason for the report, or as a step's error where the session broke.
    pub(crate) fn into_reason(self, limit: std::time::Duration) -> Result<String, StepError> {
        match self {
            Self::Refused(error) => Ok(say(&error)),
            Self::TimedOut => Ok(format!("it was stopped after {} s", limit.as_secs_f64())),
            Self::Broken(error) => Err(error),
        }
    }
}

impl From<Failure> for StepError {
    /// For statements of our own, which a database has no reason to refuse.
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) => StepError::new(
                ErrorName::Unavailable,
                format!("the database refused a statement of the recovery: {}", say(&error)),
            )
            .advice("see whether the secret's user is the cluster's master user, with all of its rights"),
            Failure::TimedOut => unavailable("the database did not answer a statement of the recovery in time"),
            Failure::Broken(error) => error,
        }
    }
}

/// The database's words and code.
pub(crate) fn say(error: &DbError) -> String {
    format!("{} ({})", error.message(), error.code().code())
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
