//! MySQL's and MariaDB's error numbers, sorted by what they mean for a recovery.

use super::packets::ProtocolError;
use crate::error::{ConnectError, DatabaseError, StatementError, unavailable};

/// The numbers of errors of a query whose messages name objects, rights, locks and the query's own text. Many others quote values of rows:
/// `XPATH syntax error: '~secret'`, `Duplicate entry 'secret' for key 'group_key'`.
pub(super) const ABOUT_NAMES: &[&str] = &[
    "1044", "1046", "1049", "1052", "1054", "1064", "1066", "1109", "1142", "1143", "1146", "1205", "1213", "1222",
    "1227", "1241", "1242", "1305", "1356", "1370", "1584", "1630", "1792",
];

/// The meaning of a server's refusal of a login. `at` names the place, for a person.
pub(super) fn connect_error(at: &str, error: &DatabaseError) -> ConnectError {
    let why = format!("{at} answered: {error}");
    match error.code.as_str() {
        // Wrong name or password, password expired, account locked (MySQL, MariaDB).
        "1045" | "1698" | "1862" | "3118" | "4151" => ConnectError::LoginRefused(why),
        "1049" => ConnectError::DatabaseMissing(why),
        "1044" | "1130" => ConnectError::NotAllowed(why),
        // The server's limit, the user's, and the user's within an hour.
        "1040" | "1203" | "1226" => ConnectError::ServerFull(why),
        _ => ConnectError::Failed(unavailable(why)),
    }
}

/// Sorts an error of the protocol. `at` names the place, for a person.
pub(super) fn statement_error(at: &str, error: ProtocolError) -> StatementError {
    let error = match error {
        ProtocolError::Refused(error) => error,
        ProtocolError::Tls(error) => return StatementError::broke(at, error),
        ProtocolError::Broken(why) => return StatementError::broke(at, why),
    };
    match error.code.as_str() {
        // Interrupted, and the limits on a statement's time (MariaDB, MySQL).
        "1317" | "1969" | "3024" => StatementError::TimedOut,
        // Shut down, killed, timed out (MySQL, MariaDB).
        "1053" | "1927" | "3168" | "4031" => StatementError::ended(at, &error),
        _ => StatementError::Refused(error),
    }
}
