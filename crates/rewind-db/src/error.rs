//! Errors of databases and of the network, by their meaning for a recovery. Each engine sorts its own codes into these; what
//! happens next is the caller's to decide.

use rewind_core::{ErrorName, StepError};

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
    /// The server did not respond, or not as a database does.
    Failed(StepError),
}

impl From<ConnectError> for StepError {
    fn from(error: ConnectError) -> Self {
        match error {
            // Not retried: no password becomes right by waiting, and a restored cluster is being paid for.
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
            // Unavailable, so that the step is retried: connections come free without anybody's help.
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
    /// The TLS handshake with the server at `address` failed; its certificate has to be valid for `certificate_name`.
    pub(crate) fn handshake_failed(address: &dyn std::fmt::Display, certificate_name: &str, why: &str) -> Self {
        Self::Failed(unavailable(format!(
            "the TLS handshake with {address} failed: its certificate has to be valid for {certificate_name}: {why}"
        )))
    }

    /// The connection ended during the login.
    pub(crate) fn broke_off(at: &str, why: &str) -> Self {
        Self::Failed(unavailable(format!("the login to {at} broke off: {why}")))
    }
}

/// A database's own message and code for what it refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DatabaseError {
    /// SQLSTATE of PostgreSQL, error number of MySQL.
    pub(crate) code: String,
    /// The message, in the language that the server speaks: to be shown, never to be compared.
    pub(crate) message: String,
}

impl std::fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

/// The beginning of the reason for a query that took longer than its limit.
pub(crate) const STOPPED: &str = "it was stopped after";

/// Why a statement has no result.
#[derive(Debug)]
pub(crate) enum StatementError {
    /// The database refused the statement, and the session goes on.
    Refused(DatabaseError),
    /// The statement took longer than its limit, by the database's own clock.
    TimedOut,
    /// The session is lost: the connection broke, or the server sent what is no result.
    Disconnected(StepError),
}

impl StatementError {
    /// The connection to `at` broke.
    pub(crate) fn broke(at: &str, why: impl std::fmt::Display) -> Self {
        Self::Disconnected(unavailable(format!("the connection to {at} broke")).detail(why))
    }

    /// The server at `at` ended the session.
    pub(crate) fn ended(at: &str, error: &DatabaseError) -> Self {
        Self::Disconnected(unavailable(format!("{at} ended the session: {error}")))
    }

    /// The server at `at` sent nothing within `timeout`.
    pub(crate) fn no_response(at: &str, timeout: std::time::Duration) -> Self {
        Self::Disconnected(unavailable(format!("{at} did not answer within {} s", timeout.as_secs())))
    }

    /// The error of somebody's own query, which may have read rows: the database's message is left out, for it may quote them, unless its
    /// code is in `about_names`, the codes whose messages name objects, rights and limits alone.
    #[must_use]
    pub(crate) fn without_rows(self, about_names: &[&str]) -> Self {
        match self {
            Self::Refused(DatabaseError { code, .. }) if !about_names.contains(&code.as_str()) => {
                let message = "the database refused it, in words that may quote rows and are left out".to_owned();
                Self::Refused(DatabaseError { code, message })
            }
            other => other,
        }
    }

    /// True if the database refused the statement with this code.
    pub(crate) fn has_code(&self, code: &str) -> bool {
        matches!(self, Self::Refused(error) if error.code == code)
    }

    /// The error as a reason for the report, or as a step's error where the session is lost.
    pub(crate) fn into_reason(self, limit: std::time::Duration) -> Result<String, StepError> {
        match self {
            Self::Refused(error) => Ok(error.to_string()),
            Self::TimedOut => Ok(format!("{STOPPED} {} s", limit.as_secs_f64())),
            Self::Disconnected(error) => Err(error),
        }
    }
}

impl From<StatementError> for StepError {
    /// Converts the error of one of our own statements, which a database has no reason to refuse.
    fn from(error: StatementError) -> Self {
        match error {
            // Unavailable, because a failover refuses statements for a while too: the step is repeated before anybody is told.
            StatementError::Refused(error) => StepError::new(
                ErrorName::Unavailable,
                format!("the database refused a statement of the recovery: {error}"),
            )
            .advice("see whether the secret's user is the cluster's master user, with all of its rights"),
            StatementError::TimedOut => unavailable("the database did not answer a statement of the recovery in time"),
            StatementError::Disconnected(error) => error,
        }
    }
}

/// An error of the name `Unavailable` with the advice that fits most of them.
pub(crate) fn unavailable(happened: impl Into<String>) -> StepError {
    StepError::new(ErrorName::Unavailable, happened)
        .advice("see whether the database is up and lets the function's network in, then try again")
}
