//! PostgreSQL's error codes, sorted by what they mean for a recovery.

use crate::error::{ConnectError, DatabaseError, StatementError, unavailable};
use std::error::Error as _;
use tokio_postgres::error::{DbError, SqlState};

impl From<&DbError> for DatabaseError {
    fn from(error: &DbError) -> Self {
        Self { code: error.code().code().to_owned(), message: error.message().to_owned() }
    }
}

/// The meaning of a server's refusal of a login. `at` names the place, for a person.
pub(super) fn connect_error(at: &str, error: &DbError) -> ConnectError {
    let why = format!("{at} answered: {}", DatabaseError::from(error));
    match error.code() {
        &SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION => ConnectError::LoginRefused(why),
        &SqlState::INVALID_CATALOG_NAME => ConnectError::DatabaseMissing(why),
        // One code stands for this and for a database that takes no connections; see below.
        &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE if error.routine() == Some("InitPostgres") => {
            ConnectError::DatabaseInvalid(why)
        }
        &SqlState::INSUFFICIENT_PRIVILEGE | &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE => {
            ConnectError::NotAllowed(why)
        }
        // One code stands for two limits. The routine's name is the only part of the error that tells them apart in every
        // language the server may speak.
        &SqlState::TOO_MANY_CONNECTIONS if error.routine() == Some("CheckMyDatabase") => {
            ConnectError::DatabaseFull(why)
        }
        &SqlState::TOO_MANY_CONNECTIONS => ConnectError::ServerFull(why),
        _ => ConnectError::Failed(unavailable(why)),
    }
}

/// Sorts an error of the driver. `at` names the place, for a person.
pub(super) fn statement_error(at: &str, error: &tokio_postgres::Error) -> StatementError {
    let Some(db) = error.as_db_error() else {
        return StatementError::broke(at, causes(error));
    };
    let code = db.code();
    if *code == SqlState::QUERY_CANCELED {
        return StatementError::TimedOut;
    }
    // 57P: shut down, crashed, not yet up. 08: the connection. Both end the session.
    if code.code().starts_with("57P") || code.code().starts_with("08") {
        return StatementError::ended(at, &db.into());
    }
    StatementError::Refused(db.into())
}

/// An error and its causes, for the log: the driver's own text leaves them out.
pub(super) fn causes(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
