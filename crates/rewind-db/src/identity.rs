//! Which server answered: what tells a connection by name from a connection to the server that was meant.

use crate::Session;
use crate::engine::Dialect;
use rewind_core::StepError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A running database server. Two sessions that see the same one are on the same server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// What the server calls itself: its address and port on PostgreSQL; on MySQL, which does not know its address, its
    /// names and numbers.
    pub server: String,
    /// When it was started: two servers behind one address differ in this. To the microsecond on PostgreSQL, to the
    /// second on MySQL.
    pub started_at: String,
    /// Whether it is a reader.
    pub in_recovery: bool,
}

impl Identity {
    /// Whether both are the same running server, whatever its role was when each was asked.
    pub fn is_same_server(&self, other: &Self) -> bool {
        self.server == other.server && self.started_at == other.started_at
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = if self.in_recovery { "reader" } else { "writer" };
        write!(f, "{role} at {}, up since {}", self.server, self.started_at)
    }
}

/// Asks the server of `session` who it is.
///
/// # Errors
///
/// [`rewind_core::ErrorName::Unavailable`] when it does not answer.
pub async fn identity(session: &Session) -> Result<Identity, StepError> {
    match session.dialect() {
        Dialect::Postgres => of_postgres(session).await,
        Dialect::MySql => of_mysql(session, "performance_schema").await,
        Dialect::MariaDb => of_mysql(session, "information_schema").await,
    }
}

async fn of_postgres(session: &Session) -> Result<Identity, StepError> {
    let rows = session
        .rows(
            "SELECT coalesce(host(inet_server_addr()), 'local') || ':' || coalesce(inet_server_port(), 0), \
             to_char(pg_postmaster_start_time() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), \
             pg_is_in_recovery()",
        )
        .await?;
    match rows.into_iter().next().as_deref() {
        Some([Some(server), Some(started_at), Some(in_recovery)]) => {
            Ok(Identity { server: server.clone(), started_at: started_at.clone(), in_recovery: in_recovery == "t" })
        }
        _ => Err(StepError::bug("the database did not say who it is")),
    }
}

/// Servers differ in which of these names they have; those that they have tell them apart.
async fn of_mysql(session: &Session, status: &str) -> Result<Identity, StepError> {
    let unsaid = || StepError::bug("the database did not say who it is");
    let rows = session
        .rows(
            "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('aurora_server_id', 'server_uuid', 'server_id', \
             'report_host', 'hostname', 'port', 'bind_address', 'datadir', 'read_only', 'innodb_read_only')",
        )
        .await?;
    let pair = |row: Vec<Option<String>>| match <[_; 2]>::try_from(row) {
        Ok([Some(name), Some(value)]) if !value.is_empty() => Some((name, value)),
        _ => None,
    };
    let variables: BTreeMap<String, String> = rows.into_iter().filter_map(pair).collect();
    let all = |names: &[&str]| -> Vec<&str> {
        names.iter().filter_map(|&name| variables.get(name)).map(String::as_str).collect()
    };
    let name = *all(&["aurora_server_id", "report_host", "hostname"]).first().ok_or_else(unsaid)?;
    let port = variables.get("port").ok_or_else(unsaid)?;
    let numbers = all(&["server_uuid", "server_id", "hostname", "bind_address", "datadir"]).join(", ");
    // Both are the whole second at which this one statement began, so their difference is exactly the start.
    let started = session
        .rows(&format!(
            "SELECT UTC_TIMESTAMP() - INTERVAL VARIABLE_VALUE SECOND FROM {status}.global_status \
             WHERE VARIABLE_NAME = 'Uptime'"
        ))
        .await?;
    let started_at = started.into_iter().flatten().flatten().next().ok_or_else(unsaid)?;
    let is_on = |name: &str| variables.get(name).is_some_and(|value| value.eq_ignore_ascii_case("on"));
    Ok(Identity {
        server: format!("{name}:{port} ({numbers})"),
        started_at: format!("{}Z", started_at.replace(' ', "T")),
        in_recovery: is_on("innodb_read_only") || is_on("read_only"),
    })
}
