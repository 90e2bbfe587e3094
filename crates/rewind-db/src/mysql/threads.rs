//! The threads of a MySQL server, as they are listed: of clients, of replication, and of the server's own work.

use super::connection::MysqlConnection;
use crate::engine::{Connection, Row};
use crate::error::StatementError;

/// A thread of the server's that somebody's connection may be.
pub(super) struct Thread {
    pub(super) id: String,
    pub(super) user: String,
    pub(super) host: String,
    pub(super) database: String,
    pub(super) command: String,
}

/// The user of a connection that is logging in.
const LOGGING_IN: &str = "unauthenticated user";

impl Thread {
    pub(super) fn is_logging_in(&self) -> bool {
        self.user == LOGGING_IN
    }

    /// True for a connection that is not the server's own, whoever's it is.
    pub(super) fn is_client(&self) -> bool {
        let internal = ["system user", "event_scheduler", LOGGING_IN].contains(&self.user.as_str());
        // Without a port it is the server's own socket.
        let local = self.host.is_empty() || self.host == "localhost";
        !internal && !local && !self.is_dump() && self.command != "Daemon"
    }

    /// True for a replica that reads the binary log here.
    pub(super) fn is_dump(&self) -> bool {
        self.command.starts_with("Binlog Dump")
    }

    /// True for a thread that writes what another server sends.
    pub(super) fn is_applier(&self) -> bool {
        self.user == "system user" && self.command != "Daemon"
    }
}

/// Lists all threads but the one of `connection`.
pub(super) async fn threads(connection: &MysqlConnection) -> Result<Vec<Thread>, StatementError> {
    // Without the right to see others' threads there would seem to be none: this statement is refused without it.
    connection.execute("SELECT count(*) FROM information_schema.innodb_trx").await?;
    let rows = connection
        .rows(
            "SELECT id, coalesce(user, ''), coalesce(host, ''), coalesce(db, ''), coalesce(command, '') \
             FROM information_schema.processlist WHERE id <> connection_id() ORDER BY id",
        )
        .await?;
    let read = |row: Row| {
        let [id, user, host, database, command] = <[_; 5]>::try_from(row).ok()?.map(Option::unwrap_or_default);
        Some(Thread { id, user, host, database, command })
    };
    Ok(rows.into_iter().filter_map(read).collect())
}
